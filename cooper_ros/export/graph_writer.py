"""Every graph of a model in both forms, written and checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx_ir as ir
import torch
from torch import Tensor, nn

from cooper_ros.export import precision
from cooper_ros.export.examples import example_inputs
from cooper_ros.export.parity import Arrays, check_parity, torch_outputs
from cooper_ros.export.signatures import CHECK, STORED, TRACE, example_sizes, graph_signatures
from cooper_ros.export.tracing import ExportError, trace_graph
from cooper_ros.export.weights import Progress, StoredTensor
from cooper_ros.model.configuration import CooperConfig
from cooper_ros.model.graphs import build_graphs
from cooper_ros.model.modeling import CooperModel
from cooper_ros.runtime.selftest import SELFTEST, TOLERANCE, save_selftest
from cooper_ros.runtime.signature import GraphSignature

# A derived constant above this would be a weight that is stored a second time inside a graph.
INLINE_BYTES = 16 * 1024


class GraphWriter:
    """Traces every graph on the meta device, writes both forms and checks them."""

    def __init__(
        self,
        config: CooperConfig,
        state: Mapping[str, Tensor],
        index: Mapping[str, StoredTensor],
        folder: Path,
        progress: Progress,
        half: ir.DataType = ir.DataType.FLOAT16,
        check: bool = True,
    ) -> None:
        self._config = config
        self._state = state
        self._external = {name: stored.external(name, folder) for name, stored in index.items()}
        self._folder = folder
        self._check_parity = check
        self._progress = progress
        self._half = half

    def write(self) -> dict[str, Any]:
        """Write all graphs; return their manifest entries."""
        # Tracing needs shapes only, and no second copy of a large model.
        with torch.device("meta"):
            shapes = CooperModel(self._config)
        names = {id(t): n for n, t in [*shapes.named_parameters(), *shapes.named_buffers()]}
        signatures = graph_signatures(self._config)
        traced = build_graphs(shapes)
        modules = build_graphs(self._float_model()) if self._check_parity else {}
        entries: dict[str, Any] = {}
        cases: dict[str, tuple[Arrays, Arrays]] = {}
        for number, (name, module) in enumerate(traced.items()):
            self._progress(name, number, len(traced))
            signature = signatures[name]
            entry = self._write_graph(module, signature, names)
            if modules:
                entry["parity"], cases[name] = self._check(modules[name], signature)
            entries[name] = entry
        self._progress("graphs", len(traced), len(traced))
        if cases:
            save_selftest(self._folder / SELFTEST, cases)
        return entries

    def _float_model(self) -> CooperModel:
        with torch.device("meta"):
            model = CooperModel(self._config)
        model.load_state_dict({n: t.float() for n, t in self._state.items()}, assign=True)
        return model.eval()

    def _write_graph(
        self, module: nn.Module, signature: GraphSignature, names: Mapping[int, str]
    ) -> dict[str, Any]:
        inputs = self._inputs(signature, TRACE)
        cpu, weights = trace_graph(module, signature, inputs, names)
        _refuse_large_constants(cpu, weights, signature.name)
        gpu = cpu.clone()
        precision.store_weights(cpu, weights, self._external)
        precision.to_half(gpu, weights, self._external, self._half)
        files = {}
        for kind, graph in (("cpu", cpu), ("gpu", gpu)):
            graph.graph.name = f"{signature.name}.{kind}"
            graph.producer_name = "cooper_ros"
            files[kind] = f"{signature.name}.{kind}.onnx"
            _save(graph, self._folder / files[kind])
        return {
            **files,
            "gpu_dtype": "bfloat16" if self._half == ir.DataType.BFLOAT16 else "float16",
            "inputs": [t.to_dict() for t in signature.inputs],
            "outputs": [t.to_dict() for t in signature.outputs],
        }

    def _inputs(self, signature: GraphSignature, which: int) -> Arrays:
        sizes = example_sizes(self._config, signature.name, which)
        side = (
            self._config.max_patches_per_side
            if signature.name == "vision_encoder"
            else self._config.max_latent_size
        )
        return example_inputs(signature, sizes, side * side)

    def _check(
        self, module: nn.Module, signature: GraphSignature
    ) -> tuple[dict[str, Any], tuple[Arrays, Arrays]]:
        cases = {}
        for case, which in (("traced", TRACE), ("other shape", CHECK), ("self-test", STORED)):
            inputs = self._inputs(signature, which)
            cases[case] = inputs, torch_outputs(module, signature, inputs)
        worst = check_parity(self._folder / f"{signature.name}.cpu.onnx", signature, cases)
        return {"relative_error": float(f"{worst:.2g}"), "tolerance": TOLERANCE}, cases["self-test"]


def _save(graph: ir.Model, path: Path) -> None:
    proto = ir.to_proto(graph)
    # Types and shapes between the nodes are half of such a file, and every engine infers them.
    del proto.graph.value_info[:]
    path.write_bytes(proto.SerializeToString())


def _refuse_large_constants(model: ir.Model, weights: Mapping[str, str], graph: str) -> None:
    for name, value in model.graph.initializers.items():
        size = value.const_value.nbytes if value.const_value is not None else 0
        if name not in weights and size >= INLINE_BYTES:
            raise ExportError(
                f"graph '{graph}' holds the constant '{name}' of {size} bytes, which is no stored "
                "tensor: make it a parameter or buffer, or compute it in the graph"
            )
