"""The exported graphs: equal to torch, weights as byte ranges, no torch needed to run them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from small_model import SHARD_BYTES, small_config, small_model

from cooper_ros.core.errors import BackendError
from cooper_ros.export.parity import onnx_outputs, torch_outputs
from cooper_ros.export.signatures import CHECK, TRACE, example_sizes, graph_signatures
from cooper_ros.export.tracing import ExportError
from cooper_ros.export.weights import read_index
from cooper_ros.model.graphs import build_graphs
from cooper_ros.runtime.examples import example_inputs
from cooper_ros.runtime.folder import GRAPH_NAMES, OPTIONAL_GRAPHS, ModelFolder
from cooper_ros.runtime.onnx_backend import OnnxBackend
from cooper_ros.runtime.selftest import relative_error, run_selftest

EVERY = (*GRAPH_NAMES, *OPTIONAL_GRAPHS)


def _torch_graphs() -> dict[str, torch.nn.Module]:
    model = small_model()
    for parameter in model.parameters():
        parameter.data = parameter.data.half().float()  # what the folder stores
    return build_graphs(model)


def _inputs(graph: str, sizes: dict[str, int]) -> dict[str, np.ndarray[Any, Any]]:
    return example_inputs(graph_signatures(small_config())[graph], sizes, 64, seed=1)


@pytest.mark.parametrize("which", [TRACE, CHECK])
@pytest.mark.parametrize("graph", EVERY)
@pytest.mark.parametrize(("kind", "tolerance"), [("cpu", 1e-5), ("gpu", 1e-2)])
def test_graph_equals_torch(
    model_folder: Path, graph: str, which: int, kind: str, tolerance: float
) -> None:
    config = small_config()
    signature = graph_signatures(config)[graph]
    inputs = _inputs(graph, example_sizes(config, graph, which))
    expected = torch_outputs(_torch_graphs()[graph], signature, inputs)
    path = ModelFolder.open(model_folder).graph_file(graph, kind)
    outputs = onnx_outputs(path, signature, inputs)
    for name, value in expected.items():
        assert relative_error(outputs[name], value) < tolerance, name


@pytest.mark.parametrize("sizes", [{"past": 0}, {"past": 0, "seq": 1, "tokens": 1, "batch": 1}])
@pytest.mark.parametrize("graph", ["und", "gen"])
def test_empty_past_and_single_tokens(
    model_folder: Path, graph: str, sizes: dict[str, int]
) -> None:
    config = small_config()
    signature = graph_signatures(config)[graph]
    inputs = _inputs(graph, {**example_sizes(config, graph, TRACE), **sizes})
    expected = torch_outputs(_torch_graphs()[graph], signature, inputs)
    outputs = OnnxBackend(ModelFolder.open(model_folder), threads=1).run(graph, inputs)
    for name, value in expected.items():
        assert relative_error(outputs[name], value) < 1e-5, name


def test_selftest_passes_and_notices_a_difference(model_folder: Path) -> None:
    folder = ModelFolder.open(model_folder)
    backend = OnnxBackend(folder, threads=1)
    results = run_selftest(folder, backend)
    assert {r.graph for r in results} == set(EVERY)
    assert all(r.passed for r in results)

    class Wrong:
        """Answers with one per cent too much."""

        def run(self, graph: str, inputs: Any) -> dict[str, Any]:
            return {k: v * np.float32(1.01) for k, v in backend.run(graph, inputs).items()}

    assert not any(r.passed for r in run_selftest(folder, Wrong()))


def test_weights_are_stored_once_in_half_precision(model_folder: Path) -> None:
    folder = ModelFolder.open(model_folder)
    shards = sorted(model_folder.glob("*.safetensors"))
    names: list[str] = []
    for shard in shards:
        index = read_index(shard)
        names += index
        assert {t.dtype.name for t in index.values()} == {"FLOAT16"}
        assert shard.stat().st_size < SHARD_BYTES + 20_000 or len(index) == 1
    assert len(shards) > 1
    assert sorted(names) == sorted(dict(small_model().named_parameters()))
    graphs = sum(
        folder.graph_file(g, k).stat().st_size for g in EVERY for k in ("cpu", "gpu")
    )
    parameters = folder.manifest["weights"]["parameters"]
    assert sum(s.stat().st_size for s in shards) < 2 * parameters + 40_000
    for graph in EVERY:
        for kind in ("cpu", "gpu"):
            _check_external(folder, graph, kind)
    assert graphs < 2_000_000


def _check_external(folder: ModelFolder, graph: str, kind: str) -> None:
    """Every weight of a graph is exactly the byte range of a stored tensor."""
    stored = {
        (t.file, t.offset): t
        for shard in folder.path.glob("*.safetensors")
        for t in read_index(shard).values()
    }
    model = onnx.load(str(folder.graph_file(graph, kind)), load_external_data=False)
    external = 0
    for tensor in model.graph.initializer:
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            assert len(tensor.raw_data) < 16 * 1024, tensor.name
            continue
        entry = {item.key: item.value for item in tensor.external_data}
        found = stored[entry["location"], int(entry["offset"])]
        assert found.length == int(entry["length"])
        assert found.shape == tuple(tensor.dims)
        external += 1
    assert external > 10


def test_changing_a_shard_changes_the_output(model_folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(model_folder, tmp_path / "copy"))
    name = "language_model.lm_head.weight"
    entries = [read_index(s)[name] for s in copy.glob("*.safetensors") if name in read_index(s)]
    assert len(entries) == 1
    shard = copy / entries[0].file
    data = bytearray(shard.read_bytes())
    half = np.frombuffer(data, np.float16, entries[0].length // 2, entries[0].offset) * 2
    data[entries[0].offset : entries[0].offset + entries[0].length] = half.tobytes()
    shard.write_bytes(data)
    inputs = _inputs("und", example_sizes(small_config(), "und", TRACE))
    before = OnnxBackend(ModelFolder.open(model_folder), threads=1).run("und", inputs)
    after = OnnxBackend(ModelFolder.open(copy, check="size"), threads=1).run("und", inputs)
    assert relative_error(after["logits"], 2 * before["logits"]) < 1e-3
    assert relative_error(after["new_k"], before["new_k"]) < 1e-6


def test_embedding_is_the_stored_table(model_folder: Path) -> None:
    table = small_model().language_model.model.embed_tokens.weight.detach().half().float().numpy()
    ids = np.array([3, 0, 7, 3])
    rows = OnnxBackend(ModelFolder.open(model_folder), threads=1).embed(ids)
    np.testing.assert_array_equal(rows, table[ids])


def test_the_folder_is_a_checkpoint_too(model_folder: Path) -> None:
    from cooper_ros.model.checkpoint import load_model

    loaded = load_model(model_folder).state_dict()
    for name, value in small_model().state_dict().items():
        assert torch.equal(loaded[name], value.half()), name


def test_no_path_of_the_exporting_machine_is_stored(model_folder: Path) -> None:
    here = str(Path(__file__).resolve().parents[2]).encode()
    for path in model_folder.iterdir():
        data = path.read_bytes()
        assert here not in data and b"site-packages" not in data, path.name


def test_runtime_needs_no_torch(model_folder: Path) -> None:
    program = f"""
import json, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "transformers", "diffusers", "onnx"):
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
from cooper_ros.runtime.folder import ModelFolder
from cooper_ros.runtime.onnx_backend import OnnxBackend
from cooper_ros.runtime.selftest import run_selftest
folder = ModelFolder.open({str(model_folder)!r})
results = run_selftest(folder, OnnxBackend(folder, threads=1))
print(json.dumps([[r.graph, r.passed] for r in results]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert len(results) == 10 and all(passed for _, passed in results)


def test_wrong_shapes_and_missing_rays_are_typed_errors(model_folder: Path) -> None:
    backend = OnnxBackend(ModelFolder.open(model_folder), threads=1)
    with pytest.raises(BackendError, match="autoencoder_decoder"):
        backend.autoencoder_decoder(np.zeros((1, 5, 4, 4), np.float32))
    with pytest.raises(BackendError, match="rays"):
        backend.vision_encoder(np.zeros((1, 3, 28, 28), np.float32), np.arange(4))
    backend.close()
    with pytest.raises(BackendError, match="closed"):
        backend.autoencoder_encoder(np.zeros((1, 3, 8, 8), np.float32))


def test_unknown_provider_is_a_typed_error(model_folder: Path) -> None:
    with pytest.raises(BackendError, match="known: cpu, cuda"):
        OnnxBackend(ModelFolder.open(model_folder), provider="abacus")


def test_gpu_form_is_half_precision_where_it_counts(model_folder: Path) -> None:
    path = ModelFolder.open(model_folder).graph_file("gen", "gpu")
    model = onnx.shape_inference.infer_shapes(onnx.load(str(path), load_external_data=False))
    types = {i.name: i.data_type for i in model.graph.initializer}
    types |= {v.name: v.type.tensor_type.elem_type for v in model.graph.value_info}
    types |= {v.name: v.type.tensor_type.elem_type for v in model.graph.input}
    half, full = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    operands = {
        op: {types[i] for n in model.graph.node if n.op_type == op for i in n.input}
        for op in ("MatMul", "Softmax")
    }
    assert operands == {"MatMul": {half}, "Softmax": {full}}
    assert types["past_k"] == half and types["latents"] == full


def test_weights_that_half_precision_cannot_hold_are_refused(tmp_path: Path) -> None:
    from cooper_ros.export.exporter import ExportOptions, export_model
    from cooper_ros.runtime.tokenizer import Tokenizer

    model = small_model()
    model.llm2vae.weight.data[0, 0] = 1e6
    with pytest.raises(ExportError, match=re.escape("llm2vae.weight")):
        export_model(
            model, Tokenizer.from_vocabulary(), tmp_path / "out", ExportOptions(dtype="float16")
        )
    assert not (tmp_path / "out").exists()


def test_a_folder_with_other_things_is_not_overwritten(tmp_path: Path) -> None:
    from cooper_ros.export.exporter import export_model
    from cooper_ros.runtime.tokenizer import Tokenizer

    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ExportError, match="no model folder"):
        export_model(small_model(), Tokenizer.from_vocabulary(), tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
