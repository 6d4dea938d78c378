"""The real TensorRT-RTX builder accepts every GPU graph, for three architectures, without a GPU."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from cooper_ros.cli import main
from cooper_ros.deploy import engines, targets
from cooper_ros.deploy.engines import build_engines, damage, engine_file, list_engines
from cooper_ros.deploy.targets import EngineError
from cooper_ros.runtime.folder import GRAPH_NAMES, OPTIONAL_GRAPHS, ModelFolder, file_sha256

needs_builder = pytest.mark.skipif(
    importlib.util.find_spec(targets.RTX_BUILDER) is None,
    reason="tensorrt_rtx_cu13_bindings is not installed (extra 'tensorrt', x86_64 Linux only)",
)


@needs_builder
@pytest.mark.parametrize("target", ["sm86", "sm89", "sm120"])
@pytest.mark.parametrize("graph", GRAPH_NAMES)
def test_gpu_graph_builds(nano_or_small: Path, graph: str, target: str) -> None:
    folder = ModelFolder.open(nano_or_small)
    (record,) = build_engines(folder, target, (graph,))
    # A plan that had lost its weights would be smaller than they are.
    assert record.bytes > 20_000 and record.layers > 10
    assert damage(record) == ""
    assert record in list_engines()


@needs_builder
def test_optional_graphs_build(nano_or_small: Path) -> None:
    """Those that this model has; tests/export builds one with all of them."""
    folder = ModelFolder.open(nano_or_small)
    for graph in set(OPTIONAL_GRAPHS) & set(folder.graphs):
        (record,) = build_engines(folder, "sm86", (graph,))
        assert damage(record) == ""


@needs_builder
def test_an_engine_is_built_once_and_again_when_damaged(nano_or_small: Path) -> None:
    folder = ModelFolder.open(nano_or_small)
    graph = ("autoencoder_decoder",)
    (first,) = build_engines(folder, "sm86", graph)
    path = engine_file(first)
    written = path.stat().st_mtime_ns
    (again,) = build_engines(folder, "sm86", graph)
    assert again == first and path.stat().st_mtime_ns == written
    path.write_bytes(path.read_bytes()[:-1])
    assert "bytes" in damage(first)
    (rebuilt,) = build_engines(folder, "sm86", graph)
    assert damage(rebuilt) == "" and rebuilt.key == first.key


def test_key_follows_weights_target_and_builder(nano_or_small: Path, tmp_path: Path) -> None:
    folder = ModelFolder.open(nano_or_small)
    sm86, sm89 = targets.find_target("sm86"), targets.find_target("sm89")
    key = engines.engine_key(folder, "und", sm86, "b 1")
    assert key == engines.engine_key(folder, "und", sm86, "b 1")
    copy = Path(shutil.copytree(nano_or_small, tmp_path / "copy"))
    manifest = json.loads((copy / "manifest.json").read_text())
    shard = next(name for name in manifest["files"] if name.endswith(".safetensors"))
    manifest["files"][shard]["sha256"] = "0" * 64
    (copy / "manifest.json").write_text(json.dumps(manifest))
    changed = ModelFolder.open(copy, check="size")
    others = {
        engines.engine_key(folder, "gen", sm86, "b 1"),
        engines.engine_key(folder, "und", sm89, "b 1"),
        engines.engine_key(folder, "und", sm86, "b 2"),
        engines.engine_key(changed, "und", sm86, "b 1"),
    }
    assert len(others) == 4 and key not in others


def _with_graph(source: Path, target: Path, node: onnx.NodeProto, domain: str) -> ModelFolder:
    """A copy of the folder whose decoder is one node."""
    copy = Path(shutil.copytree(source, target))
    signature = ModelFolder.open(source).graphs["autoencoder_decoder"]
    channels = signature.inputs[0].shape[1]
    graph = helper.make_graph(
        [node],
        "decoder",
        [helper.make_tensor_value_info("latent", TensorProto.FLOAT, [1, channels, "h", "w"])],
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, None)],
    )
    opsets = [helper.make_opsetid("", 20)]
    if domain:
        opsets.append(helper.make_opsetid(domain, 1))
    path = copy / "autoencoder_decoder.gpu.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets), str(path))
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["files"][path.name] = {"size": path.stat().st_size, "sha256": file_sha256(path)}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return ModelFolder.open(copy)


@needs_builder
def test_refused_operator_is_named_with_its_node(nano_or_small: Path, tmp_path: Path) -> None:
    node = helper.make_node("Flibber", ["latent"], ["image"], name="the_node", domain="nowhere")
    folder = _with_graph(nano_or_small, tmp_path / "copy", node, "nowhere")
    with pytest.raises(EngineError) as caught:
        build_engines(folder, "sm86", ("autoencoder_decoder",))
    message = str(caught.value)
    assert "autoencoder_decoder" in message
    assert "Flibber" in message and "the_node" in message


def _in_8_bits(path: Path) -> None:
    """A product of fp8 numbers, as quantised engines have it."""
    kinds = TensorProto
    fp8 = helper.make_tensor("w8", kinds.FLOAT8E4M3FN, [64, 64], [0.5, -0.25] * 2048)
    scale = helper.make_tensor("scale", kinds.FLOAT16, [], [0.1])
    zero = helper.make_tensor("zero", kinds.FLOAT8E4M3FN, [], [0.0])
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["x8"]),
        helper.make_node("DequantizeLinear", ["x8", "scale", "zero"], ["x16"]),
        helper.make_node("DequantizeLinear", ["w8", "scale", "zero"], ["w16"]),
        helper.make_node("MatMul", ["x16", "w16"], ["y"]),
    ]
    inputs, outputs = (
        [helper.make_tensor_value_info(name, kinds.FLOAT16, [32, 64])] for name in ("x", "y")
    )
    graph = helper.make_graph(nodes, "fp8", inputs, outputs, [fp8, scale, zero])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), str(path))


@needs_builder
def test_fp8_is_refused_where_the_architecture_lacks_it(tmp_path: Path) -> None:
    """Orin computes as sm86 does: an engine that needs fp8 must not be built for it."""
    _in_8_bits(tmp_path / "fp8.onnx")
    answers = {}
    for name in ("sm86", "sm89"):
        target = targets.find_target(name)
        request = {
            "module": targets.RTX_BUILDER, "onnx": str(tmp_path / "fp8.onnx"),
            "out": str(tmp_path / name), "capability": target.capability, "profile": {},
        }  # fmt: skip
        answers[name] = engines._run_worker(request, "fp8", target)
    assert answers["sm89"]["ok"]
    assert not answers["sm86"]["ok"] and not (tmp_path / "sm86").exists()
    assert "sm86" in " ".join(answers["sm86"]["errors"])
    assert "fp8" in " ".join(answers["sm86"]["errors"])


@needs_builder
def test_a_builder_that_dies_is_an_error_not_the_end(
    nano_or_small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines.sys, "executable", shutil.which("false"))
    folder = ModelFolder.open(nano_or_small)
    with pytest.raises(EngineError, match="ended with code 1"):
        engines._build(folder, "und", targets.find_target("sm86"), targets.RTX_BUILDER, "none")


@needs_builder
def test_device_target_without_a_driver_says_so(nano_or_small: Path) -> None:
    try:
        import ctypes

        ctypes.CDLL("libcuda.so.1")
    except OSError:
        with pytest.raises(EngineError, match="no NVIDIA driver"):
            build_engines(ModelFolder.open(nano_or_small), "device", ("und",))
    else:
        pytest.skip("this machine has an NVIDIA driver")


def test_unknown_target_and_missing_builder(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineError, match="sm86, sm89, sm120, device"):
        targets.find_target("sm1")
    monkeypatch.setattr(targets.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EngineError, match="pip install"):
        targets.find_builder(targets.find_target("sm86"))


@needs_builder
def test_command_line_builds_checks_and_lists(
    nano_or_small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(nano_or_small)
    assert main(["engine", "build", folder, "--target", "sm86", "--json"]) == 0
    built = json.loads(capsys.readouterr().out.splitlines()[-1])["engines"]
    assert [entry["graph"] for entry in built] == list(ModelFolder.open(nano_or_small).graphs)
    assert main(["engine", "check", folder, "--target", "sm86"]) == 0
    assert main(["engine", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out.splitlines()[-1])["engines"]
    assert {entry["key"] for entry in built} <= {entry["key"] for entry in listed}
    Path(engines.engine_directory() / f"{built[0]['key']}.engine").unlink()
    assert main(["engine", "check", folder, "--target", "sm86"]) == 1
