"""The precision of a GPU form follows from what the graph computes: measured, never assumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from onnx import TensorProto, helper
from small_model import small_config, small_model

from cooper_ros.deploy.gpu_forms import GpuForm
from cooper_ros.deploy.verify import HEADROOM, verify_form
from cooper_ros.export import precision
from cooper_ros.export.gpu_writer import GpuFormWriter, TracedGraph, save_graph
from cooper_ros.export.parity import torch_outputs
from cooper_ros.export.rescale import RESCALED, CannotRescale, rescale
from cooper_ros.export.signatures import TRACE, example_sizes, graph_signatures
from cooper_ros.export.tracing import ExportError, trace_graph
from cooper_ros.export.weights import write_shards
from cooper_ros.model.graphs import build_graphs
from cooper_ros.runtime.examples import example_inputs
from cooper_ros.runtime.selftest import relative_error

DECODERS = ("autoencoder_decoder", "class_decoder")


def silent(*_: Any) -> None:
    """Nobody listens."""


class Folder:
    """The two decoders of the small model, with a stream as large as FLUX's, traced."""

    def __init__(self, path: Path) -> None:
        self.path = path
        model = small_model()
        with torch.no_grad():
            decoder = model.autoencoder.vae.decoder
            for name, parameter in decoder.named_parameters():
                if name.startswith("conv_in") or name.split(".")[-2] in ("conv2", "0"):
                    parameter *= 20000.0
        self.config = small_config()
        state = {n: t.detach() for n, t in model.named_parameters()}
        index = write_shards(state, path, 10**8, silent)
        self.external = {name: stored.external(name, path) for name, stored in index.items()}
        names = {id(t): n for n, t in model.named_parameters()}
        self.modules = build_graphs(model)
        self.signatures = graph_signatures(self.config)
        self.graphs: dict[str, TracedGraph] = {}
        self.cases: dict[str, Any] = {}
        for graph in DECODERS:
            signature = self.signatures[graph]
            inputs = example_inputs(signature, example_sizes(self.config, graph, TRACE), 64)
            traced, weights = trace_graph(self.modules[graph], signature, inputs, names)
            cpu = traced.clone()
            precision.store_weights(cpu, weights, self.external)
            save_graph(cpu, path / f"{graph}.cpu.onnx")
            self.graphs[graph] = TracedGraph(traced, weights)
            self.cases[graph] = [("traced", inputs)]


@pytest.fixture(scope="module")
def loud(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return Folder(tmp_path_factory.mktemp("loud"))


def test_an_overflowing_stream_is_divided_exactly(loud: Folder) -> None:
    shard = next(loud.path.glob("*.safetensors"))
    before = shard.read_bytes()
    writer = GpuFormWriter(loud.path, loud.external, "float16", silent)
    entries = writer.write(loud.graphs, loud.cases)
    for graph in DECODERS:
        check = entries[graph]["gpu_check"]
        assert entries[graph]["precision"] == "float16" and check["divided_by"] >= 4.0
        assert check["peak"] * check["divided_by"] > 65504.0 / HEADROOM
        assert check["relative_error"] < 2e-3
        (_, inputs), = loud.cases[graph]
        signature = loud.signatures[graph]
        expected = torch_outputs(loud.modules[graph], signature, inputs)
        form = GpuForm(loud.path / f"{graph}.gpu.onnx")
        ((twin, _),) = form.measure([inputs])  # float32: only constants are rounded
        (found,) = form.run([inputs])
        for name, value in expected.items():
            assert relative_error(found[name], value) < 2e-3
            assert relative_error(twin[name], value) < 2e-3
    assert shard.read_bytes() == before  # the weights are shared and stay as they are


def test_the_division_changes_nothing_but_the_numbers_inside(loud: Folder) -> None:
    """In float32 throughout: same function, every tensor of the stream smaller by the factor."""
    for graph in DECODERS:
        traced = loud.graphs[graph]
        model = traced.model.clone()
        first = next(node for node in model.graph if node.op_type == "Conv").outputs[0]
        smaller = rescale(model, [str(first.name)], 64.0, traced.weights, loud.external)
        assert len(smaller) > 10
        added = [name for name in model.graph.initializers if name.startswith(RESCALED)]
        assert len(added) > 3
        precision.store_weights(model, traced.weights, loud.external)
        path = loud.path / f"{graph}.divided.onnx"
        save_graph(model, path)
        report = verify_form(
            graph, path, loud.path / f"{graph}.cpu.onnx", loud.cases[graph], allowed=5e-6
        )
        assert report.problem == "" and report.precision == "float32"


def test_as_v2_had_it_the_decoder_fails(loud: Folder, tmp_path: Path) -> None:
    graph = DECODERS[0]
    traced = loud.graphs[graph]
    plain = traced.model.clone()
    precision.to_half(plain, traced.weights, loud.external)
    path = loud.path / "plain.onnx"
    save_graph(plain, path)
    report = verify_form(graph, path, loud.path / f"{graph}.cpu.onnx", loud.cases[graph])
    assert report.non_finite > 0.9 and "float16 ends at 65504" in report.problem


# -- graphs made by hand --------------------------------------------------------------------------


def by_hand(path: Path, name: str, gain: float, *operators: str) -> TracedGraph:
    """x [1,8] times a matrix of that gain, through operators, times a small one; written."""
    random = np.random.RandomState(len(name))
    large = gain * random.normal(size=(8, 8)).astype(np.float32)
    small = random.normal(size=(8, 8)).astype(np.float32) / gain
    nodes = [helper.make_node("MatMul", ["x", "large"], ["v0"], name="first")]
    for i, operator in enumerate(operators):
        inputs = [f"v{i}", "v0"] if operator == "Add" else [f"v{i}"]
        nodes.append(helper.make_node(operator, inputs, [f"v{i + 1}"], name=operator))
    nodes.append(helper.make_node("MatMul", [f"v{len(operators)}", "small"], ["y"]))
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8])],
        [onnx.numpy_helper.from_array(v, n) for v, n in ((large, "large"), (small, "small"))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    model = onnx.shape_inference.infer_shapes(model)
    model.ir_version = 9
    (path / f"{name}.cpu.onnx").write_bytes(model.SerializeToString())
    return TracedGraph(ir.from_proto(model), {})


def choose(path: Path, **gains: float) -> dict[str, str]:
    """Precision by graph."""
    graphs = {name: by_hand(path, name, gain, "Abs") for name, gain in gains.items()}
    inputs = {"x": np.linspace(-1, 1, 8, dtype=np.float32)[None]}
    cases = {name: [("one", inputs)] for name in graphs}
    entries = GpuFormWriter(path, {}, "float16", silent).write(graphs, cases)
    return {name: entry["precision"] for name, entry in entries.items()}


def test_precision_by_what_is_measured(tmp_path: Path) -> None:
    chosen = choose(
        tmp_path, vision_encoder=3e5, autoencoder_encoder=1.0, autoencoder_decoder=3e5, und=1.0,
        gen=3e5,
    )  # fmt: skip
    assert chosen == {
        "vision_encoder": "bfloat16",
        "autoencoder_encoder": "float16",
        "autoencoder_decoder": "float32",  # bfloat16 has three digits: a picture needs more
        "und": "bfloat16",  # its keys and values go to gen
        "gen": "bfloat16",
    }


def test_without_measuring_the_autoencoder_is_float32(tmp_path: Path) -> None:
    """A bfloat16 checkpoint made a bfloat16 autoencoder, and nobody was told."""
    graphs = {name: by_hand(tmp_path, name, 1.0) for name in ("und", *DECODERS)}
    entries = GpuFormWriter(tmp_path, {}, "bfloat16", silent).write(graphs, {})
    assert {n: e["gpu_dtype"] for n, e in entries.items()} == {
        "und": "bfloat16", "autoencoder_decoder": "float32", "class_decoder": "float32",
    }  # fmt: skip
    assert all("gpu_check" not in entry for entry in entries.values())


def test_a_graph_that_no_precision_computes_is_refused(tmp_path: Path) -> None:
    graph = by_hand(tmp_path, "vision_encoder", 1.0)
    by_hand(tmp_path, "vision_encoder", 1.0, "Neg")  # the CPU form is another function
    inputs = {"x": np.ones((1, 8), np.float32)}
    with pytest.raises(ExportError, match="'vision_encoder' in float32: output 'y' differs"):
        GpuFormWriter(tmp_path, {}, "float16", silent).write(
            {"vision_encoder": graph}, {"vision_encoder": [("one", inputs)]}
        )


@pytest.mark.parametrize(
    ("operators", "reason"),
    [(("Sigmoid",), "Sigmoid.* reads the stream"), ((), "output of the graph")],
)
def test_streams_that_cannot_be_divided(
    tmp_path: Path, operators: tuple[str, ...], reason: str
) -> None:
    graph = by_hand(tmp_path, "vision_encoder", 1.0, *operators)
    with pytest.raises(CannotRescale, match=reason):
        rescale(graph.model, ["v0"], 16.0, {}, {})
    with pytest.raises(CannotRescale, match="no tensor of the graph"):
        rescale(graph.model, ["elsewhere"], 16.0, {}, {})
