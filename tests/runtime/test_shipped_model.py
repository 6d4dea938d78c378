"""The model folder that is shipped with the package, through the real engine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cooper_ros.core.errors import ModelFolderError
from cooper_ros.core.paths import find_model_folder
from cooper_ros.core.types import Frame, Intrinsics, SpatialAnswer
from cooper_ros.runtime.frame_context import FrameContext
from cooper_ros.runtime.pipeline import CooperPipeline

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

WITHOUT_TORCH = """
import sys
for name in ("torch", "transformers", "diffusers", "onnx"):
    sys.modules[name] = None
sys.path.insert(0, {root!r})
import numpy as np
from cooper_ros.core.types import Frame, Intrinsics
from cooper_ros.runtime.pipeline import CooperPipeline
pipeline = CooperPipeline.open({folder!r}, threads=1)
rgb = np.linspace(0, 255, 48 * 64 * 3).reshape(48, 64, 3).astype(np.uint8)
context = pipeline.see(Frame(rgb, Intrinsics.from_fov(60.0, 64, 48)))
depth, segmentation = context.perceive()
context.answer("how far is the mug ?")
print(depth.metric, bool(np.isfinite(depth.depth).all()))
"""


@pytest.fixture(scope="module")
def folder() -> Path:
    try:
        return find_model_folder()
    except ModelFolderError as error:
        pytest.skip(f"no model is shipped with this checkout: {error}")


@pytest.fixture(scope="module")
def frame() -> Frame:
    """A smooth picture: a floor, a wall, a block. No file of this machine is needed."""
    rows, columns = np.mgrid[0:240, 0:320]
    rgb = np.stack([rows * 0.8, 90 + columns * 0.3, 200 - rows * 0.5], -1)
    rgb[:120] = (180, 175, 160)
    rgb[90:170, 140:190] = (200, 40, 30)
    return Frame(rgb.astype(np.uint8), Intrinsics.from_fov(60.0, 320, 240), 42, "camera")


def see(folder: Path, frame: Frame, backend: str) -> FrameContext:
    return CooperPipeline.open(folder, backend, threads=1 if backend == "cpu" else None).see(frame)


def test_self_test_passes(folder: Path) -> None:
    assert CooperPipeline.open(folder, threads=1).self_test().startswith("ok")


def test_runs_where_torch_cannot_be_imported(folder: Path, root: Path) -> None:
    program = WITHOUT_TORCH.format(root=str(root), folder=str(folder))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "True True"


def test_equals_torch(folder: Path, frame: Frame) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    contexts = [see(folder, frame, backend) for backend in ("cpu", "torch")]
    ours, reference = (context.perceive() for context in contexts)
    error = np.linalg.norm(ours[0].depth - reference[0].depth) / np.linalg.norm(reference[0].depth)
    assert error < 1e-3
    assert np.mean(ours[1].labels != reference[1].labels) < 1e-3
    texts = []
    for context in contexts:
        answer = context.answer("how far is the mug ?")
        texts.append([answer.text, *(step.text for step in answer.trace)])
    assert texts[0] == texts[1]


def test_image_is_read_once_for_maps_and_questions(folder: Path, frame: Frame) -> None:
    context = see(folder, frame, "cpu")
    context.perceive()
    for question in ("how far is the mug ?", "is there a chair ?", "how many books are there ?"):
        answer = context.answer(question)
        assert isinstance(answer, SpatialAnswer)
        assert (answer.stamp_ns, answer.frame_id) == (42, "camera")
    assert context.store.image_passes == 1
