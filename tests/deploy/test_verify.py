"""GPU forms on the CPU: one that overflows or is wrong is found and named, before any GPU."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from PIL import Image  # noqa: E402

from cooper_ros.cli import main  # noqa: E402
from cooper_ros.core.paths import find_model_folder  # noqa: E402
from cooper_ros.deploy.gpu_forms import GpuForm  # noqa: E402
from cooper_ros.deploy.recording import drawn_pictures, record_inputs  # noqa: E402
from cooper_ros.deploy.verify import HEADROOM, allowed_error, verify_folder, verify_form  # noqa: E402
from cooper_ros.export.rescale import RESCALED  # noqa: E402
from cooper_ros.runtime.folder import MANIFEST, ModelFolder, file_sha256  # noqa: E402
from cooper_ros.runtime.loading import open_engine  # noqa: E402
from cooper_ros.runtime.selftest import TOLERANCE, relative_error, run_selftest  # noqa: E402

DECODER = "autoencoder_decoder"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the shipped model that a test may damage."""
    return Path(shutil.copytree(find_model_folder(), tmp_path / "model"))


@pytest.fixture
def pictures(tmp_path: Path) -> str:
    """A folder with one picture: three cost three times as much."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.fromarray(drawn_pictures(1)[0].rgb).save(folder / "kitchen.png")
    return str(folder)


def change(folder: Path, graph: str, edit: Callable[[Any], None]) -> None:
    """Edit a GPU form and sign the folder anew."""
    path = folder / f"{graph}.gpu.onnx"
    model = onnx.load(str(path), load_external_data=False)
    edit(model)
    path.write_bytes(model.SerializeToString())
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"][path.name] = {"size": path.stat().st_size, "sha256": file_sha256(path)}
    (folder / MANIFEST).write_text(json.dumps(manifest))


def undivided(model: Any) -> None:
    """The decoder as v2 had it: the stream as large as it is, and NaN on every picture. A model
    whose decoder needs no division gets one value too large."""
    factor = 1.0
    for tensor in model.graph.initializer:
        if tensor.name.startswith(f"{RESCALED}divisor"):
            factor = 1.0 / float(numpy_helper.to_array(tensor))
    if factor == 1.0:
        make_too_large(model)
    for tensor in model.graph.initializer:
        if tensor.name.startswith(RESCALED):
            values = numpy_helper.to_array(tensor)
            larger = (values * factor).astype(values.dtype)
            tensor.CopyFrom(numpy_helper.from_array(larger, tensor.name))
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "epsilon" and attribute.f < 1e-7:
                attribute.f *= factor**2


def make_too_large(model: Any) -> None:
    """Multiply and divide what the first convolution gives."""
    at, first = next((i, n) for i, n in enumerate(model.graph.node) if n.op_type == "Conv")
    name, large = first.output[0], numpy_helper.from_array(np.float16(6e4), "large")
    model.graph.initializer.append(large)
    first.output[0] = "small"
    model.graph.node.insert(at + 1, helper.make_node("Mul", ["small", "large"], ["too_large"]))
    model.graph.node.insert(at + 2, helper.make_node("Div", ["too_large", "large"], [name]))


def test_the_shipped_model_computes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", "verify", "--json"]) == 0
    graphs = json.loads(capsys.readouterr().out.splitlines()[-1])["graphs"]
    folder = ModelFolder.open(find_model_folder(), check="size")
    assert list(graphs) == list(folder.graphs)
    for graph, report in graphs.items():
        assert report["problem"] == "" and report["cases"] >= 4, graph
        assert report["non_finite"] == 0.0 and report["headroom"] >= HEADROOM
        assert 0.0 < report["error"] <= report["allowed"] == folder.graph_settings[
            graph
        ].tolerance["gpu"]
        assert report["precision"] == folder.graph_settings[graph].precision


def test_an_overflowing_decoder_is_named(
    copy: Path, pictures: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change(copy, DECODER, undivided)
    assert main(["engine", "verify", str(copy), "--pictures", pictures, "--json"]) == 1
    said = capsys.readouterr()
    assert f"graph '{DECODER}': tensor '" in said.err
    assert "float16 ends at 65504" in said.err
    graphs = json.loads(said.out.splitlines()[-1])["graphs"]
    # two of the self-test, and one picture instead of three
    assert 3 <= graphs["vision_encoder"]["cases"] <= 5
    assert not any(r["problem"] for graph, r in graphs.items() if graph != DECODER)
    report = graphs[DECODER]
    assert report["non_finite"] == 1.0 and report["error"] is None and report["headroom"] < 1.0


class HalfBackend:
    """Runs the GPU forms, as an engine would."""

    form = "gpu"

    def __init__(self, folder: ModelFolder, gain: float = 1.0) -> None:
        self._folder, self._gain = folder, np.float32(gain)

    def run(self, graph: str, inputs: Any) -> dict[str, Any]:
        (outputs,) = GpuForm(self._folder.graph_file(graph, "gpu")).run([inputs])
        return {name: value * self._gain for name, value in outputs.items()}


def test_the_self_test_takes_right_half_precision_and_no_other() -> None:
    """One tolerance for all refused a right `gen`, whose arithmetic alone costs 1.2e-3."""
    folder = ModelFolder.open(find_model_folder(), check="size")
    right = run_selftest(folder, HalfBackend(folder))
    assert all(result.passed for result in right)
    assert max(result.error for result in right if result.graph == "gen") > TOLERANCE
    assert not any(r.passed for r in run_selftest(folder, HalfBackend(folder, 1.03)))


def test_wrong_arithmetic_and_other_precisions_are_found(copy: Path) -> None:
    def louder(model: Any) -> None:
        """Two per cent: too much for arithmetic, too little to be seen in a picture."""
        (output,) = (node for node in model.graph.node if "latent" in node.output)
        output.output[0] = "quieter"
        constant = numpy_helper.from_array(np.float32(1.02), "louder")
        model.graph.initializer.append(constant)
        made_half = output.op_type != "Cast"
        assert not made_half, "the output is cast to float32 at the end"
        model.graph.node.append(helper.make_node("Mul", ["quieter", "louder"], ["latent"]))

    change(copy, "autoencoder_encoder", louder)
    manifest = json.loads((copy / MANIFEST).read_text())
    manifest["graphs"]["vision_encoder"]["precision"] = "float32"
    (copy / MANIFEST).write_text(json.dumps(manifest))
    reports = {r.graph: r for r in verify_folder(ModelFolder.open(copy), [])}
    assert "output 'latent' differs by 0.02" in reports["autoencoder_encoder"].problem
    assert "says float32, the file computes in float16" in reports["vision_encoder"].problem
    assert reports[DECODER].problem == reports["und"].problem == ""


def test_what_does_not_run_is_a_report(copy: Path) -> None:
    def other_operator(model: Any) -> None:
        model.graph.node[-1].op_type = "Flibber"

    change(copy, DECODER, other_operator)
    folder = ModelFolder.open(copy)
    path = folder.graph_file(DECODER, "gpu")
    report = verify_form(DECODER, path, folder.graph_file(DECODER), [("one", {})])
    assert "Flibber" in report.problem
    path.write_bytes(b"\xff" * 50)
    assert "cannot be read as ONNX" in verify_form(DECODER, path, None, []).problem


def test_a_folder_without_pictures_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["engine", "verify", "--pictures", str(tmp_path)]) == 1
    assert "holds no picture" in capsys.readouterr().err


def test_what_graphs_get_is_recorded_for_every_graph() -> None:
    engine = open_engine(threads=1).engine
    folder = ModelFolder.open(find_model_folder(), check="size")
    found = record_inputs(engine, folder.graphs, drawn_pictures(1))
    assert set(found) == set(folder.graphs)
    for graph, calls in found.items():
        for call in calls:
            assert list(call) == folder.graphs[graph].input_names()


def half_graph(kind: int, path: Path, gain: float) -> dict[str, np.ndarray]:
    """x [1,2,4,4] -> convolution, product with itself, sum; written to a file. Returns inputs."""
    random = np.random.RandomState(0)

    def constant(name: str, values: np.ndarray) -> Any:
        return helper.make_tensor(name, kind, values.shape, values.reshape(-1).tolist())

    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["x"], ["x_half"], to=kind),
            helper.make_node("Conv", ["x_half", "w"], ["c"], pads=[1, 1, 1, 1]),
            helper.make_node("MatMul", ["c", "m"], ["p"]),
            helper.make_node("Add", ["p", "c"], ["sum"]),
            helper.make_node("Cast", ["sum"], ["y"], to=TensorProto.FLOAT),
        ],
        "half",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, 4, 4])],
        [constant("w", gain * random.normal(size=(2, 2, 3, 3))),
         constant("m", random.normal(size=(4, 4)))],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    model.ir_version = 9
    path.write_bytes(model.SerializeToString())
    return {"x": random.normal(size=(1, 2, 4, 4)).astype(np.float32)}


def test_bfloat16_is_computed_as_the_reference_does(tmp_path: Path) -> None:
    """ONNX Runtime has no such kernels on the CPU; ours is to be the same arithmetic."""
    from onnx.reference import ReferenceEvaluator

    path = tmp_path / "graph.onnx"
    inputs = half_graph(TensorProto.BFLOAT16, path, 1.0)
    form = GpuForm(path)
    assert form.precision == "bfloat16"
    expected = ReferenceEvaluator(onnx.load(str(path))).run(None, inputs)[0]
    found = form.run([inputs])[0]["y"]
    # one product may be summed in another order and rounded to the neighbour
    assert relative_error(found, np.asarray(expected, np.float32)) < 2e-3
    exact = half_graph(TensorProto.FLOAT, path, 1.0)
    single = GpuForm(path).run([exact])[0]["y"]
    assert 5e-4 < relative_error(found, single) < 1e-2


def test_headroom_is_asked_for_before_anything_overflows(tmp_path: Path) -> None:
    path = tmp_path / "graph.onnx"
    inputs = half_graph(TensorProto.FLOAT16, path, 1500.0)
    report = verify_form("half", path, None, [("one", inputs)])
    assert 1.0 < report.headroom < HEADROOM and report.non_finite == 0.0
    assert "holds" in report.problem and "at least 4 are wanted" in report.problem
    assert set(report.over) <= {"c", "p", "sum"} and report.over
    fine = verify_form("half", path, None, [("one", inputs)], headroom=1.0)
    assert fine.problem == "" and 4e-3 < allowed_error(fine) < 1e-2


def test_onnx_missing_is_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "onnx", None)
    assert main(["engine", "verify"]) == 1
    assert "pip install 'cooper_ros[export]'" in capsys.readouterr().err
