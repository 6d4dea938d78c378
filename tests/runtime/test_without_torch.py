"""The runtime in a process where torch cannot be imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
for name in ("torch", "transformers", "diffusers", "onnx", "mujoco", "rclpy"):
    sys.modules[name] = None
sys.path[:0] = [{root!r}, {here!r}]
from toy_model import make_engine
import numpy as np
from cooper_ros.core.types import Frame, Intrinsics
from cooper_ros.runtime.pipeline import CooperPipeline
from cooper_ros.runtime.tokenizer import Tokenizer
import cooper_ros.runtime.loading, cooper_ros.cli.perceive, cooper_ros.cli.ask
rgb = np.zeros((60, 80, 3), np.uint8)
engine = make_engine(Tokenizer.from_vocabulary())
context = CooperPipeline(engine).see(Frame(rgb, Intrinsics.from_fov(60.0, 80, 60)))
depth, segmentation = context.perceive()
answer = context.answer("how far is the mug ?")
loaded = [name for name in sys.modules if name.startswith(("cooper_ros.model", "cooper_ros.sim"))]
assert not loaded, loaded
print(depth.metric, answer.status.name)
"""


def test_pipeline_runs_without_torch(root: Path) -> None:
    program = PROGRAM.format(root=str(root), here=str(Path(__file__).parent))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("True ")
