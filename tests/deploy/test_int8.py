"""The int8 form of a model folder: an ordinary folder that answers nearly the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

from cooper_ros.cli import main  # noqa: E402
from cooper_ros.core.errors import CooperError, ModelFolderError  # noqa: E402
from cooper_ros.core.paths import find_model_folder  # noqa: E402
from cooper_ros.core.types import Frame, Intrinsics  # noqa: E402
from cooper_ros.deploy.int8 import quantise  # noqa: E402
from cooper_ros.deploy.verify import verify_folder  # noqa: E402
from cooper_ros.runtime.folder import ModelFolder  # noqa: E402
from cooper_ros.runtime.pipeline import CooperPipeline  # noqa: E402


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    source = ModelFolder.open(find_model_folder())
    return quantise(source, tmp_path_factory.mktemp("int8") / "folder")


def test_it_is_a_checked_model_folder(made: ModelFolder) -> None:
    again = ModelFolder.open(made.path, check="full")
    assert again.name == "cooper-nano-int8" and again.spec.model_id == again.name
    assert again.provenance["quantised_from"]["graphs"] == ["und", "gen"]
    assert again.provenance.items() >= ModelFolder.open(find_model_folder()).provenance.items()
    assert again.graph_file("gen").name == "gen.int8.onnx"
    assert not (made.path / "gen.cpu.onnx").exists() and (made.path / "gen.gpu.onnx").exists()
    # other arithmetic, other errors: the float model's intervals do not hold
    assert "calibration" not in again.manifest
    (made.path / "extra").touch()  # files beside it are nobody's business
    ModelFolder.open(made.path)


def test_it_passes_its_own_self_test_and_draws_nearly_the_same(made: ModelFolder) -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (96, 128, 3), dtype=np.uint8)
    frame = Frame(rgb, Intrinsics.from_fov(60.0, 128, 96))
    small, full = (CooperPipeline.open(f, threads=1) for f in (made.path, None))
    assert small.self_test().startswith("ok")
    depths = [pipeline.see(frame).depth().depth for pipeline in (small, full)]
    ratio = np.abs(np.log(depths[0] / depths[1]))
    assert 0.0 < float(np.median(ratio)) < 0.05  # quantised, and yet the same room
    answer = small.see(frame).answer("how far is the table ?", "maps")
    assert answer.status.name != "UNPARSED" and answer.model_id.startswith("cooper-nano-int8@")


def test_its_gpu_forms_are_those_of_the_float_model(made: ModelFolder) -> None:
    """And are held to float32, not to what the int8 graphs give."""
    folder = ModelFolder.open(made.path)
    folder.manifest["graphs"]["gen"].pop("gpu")
    reports = {r.graph: r.problem for r in verify_folder(folder, [])}
    assert "has no gpu form of graph 'gen'" in reports.pop("gen")
    assert set(reports.values()) == {""}


def test_matrices_are_int8(made: ModelFolder) -> None:
    import onnx

    kinds = [node.op_type for node in onnx.load(made.graph_file("gen")).graph.node]
    assert kinds.count("MatMulInteger") > 20
    floats = sum(f.size for name, f in made.files.items() if name.endswith(".safetensors"))
    assert made.files["gen.int8.onnx"].size < floats / 2


def test_what_is_refused(made: ModelFolder, tmp_path: Path) -> None:
    source = ModelFolder.open(find_model_folder())
    with pytest.raises(CooperError, match="--out"):
        quantise(source, made.path)
    with pytest.raises(CooperError, match="vision_encoder"):
        quantise(source, tmp_path / "new", ("brain",))
    assert not (tmp_path / "new").exists() and not list(tmp_path.glob(".int8-*"))
    assert main(["engine", "int8", str(made.path), "--out", str(made.path)]) == 1
    damaged = json.loads((made.path / "manifest.json").read_text())
    damaged["files"]["und.int8.onnx"]["sha256"] = "0" * 64
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in made.files:
        (copy / name).write_bytes((made.path / name).read_bytes())
    (copy / "manifest.json").write_text(json.dumps(damaged))
    with pytest.raises(ModelFolderError, match=r"und\.int8"):
        ModelFolder.open(copy)
