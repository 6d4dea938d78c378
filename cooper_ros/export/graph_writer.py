"""Every graph of a model in both forms, written and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx_ir as ir
import torch
from torch import Tensor, nn

from cooper_ros.core.types import Frame
from cooper_ros.deploy.recording import drawn_pictures, record_inputs
from cooper_ros.deploy.verify import MAX_PARAMETERS, Cases, measured_cases
from cooper_ros.export import precision
from cooper_ros.export.gpu_writer import GpuFormWriter, TracedGraph, save_graph
from cooper_ros.export.parity import Arrays, check_parity, torch_outputs
from cooper_ros.export.profiles import graph_profiles, real_sizes
from cooper_ros.export.signatures import CHECK, STORED, TRACE, example_sizes, graph_signatures
from cooper_ros.export.tracing import ExportError, trace_graph
from cooper_ros.export.weights import Progress, StoredTensor
from cooper_ros.model.backend import TorchBackend
from cooper_ros.model.configuration import CooperConfig
from cooper_ros.model.graphs import build_graphs
from cooper_ros.model.modeling import CooperModel
from cooper_ros.runtime.context import Engine
from cooper_ros.runtime.examples import example_inputs
from cooper_ros.runtime.loading import known_tokens_only
from cooper_ros.runtime.selftest import (
    REAL,
    SELFTEST,
    SMALL,
    TOLERANCE,
    WHOLE_BYTES,
    position_limit,
    save_selftest,
    seeded_inputs,
)
from cooper_ros.runtime.signature import GraphSignature
from cooper_ros.runtime.spec import ModelSpec
from cooper_ros.runtime.tokenizer import Tokenizer

# A derived constant above this would be a weight that is stored a second time inside a graph.
INLINE_BYTES = 16 * 1024


class GraphWriter:
    """Traces every graph on the meta device, writes both forms and checks them."""

    def __init__(
        self,
        config: CooperConfig,
        spec: ModelSpec,
        tokenizer: Tokenizer,
        state: Mapping[str, Tensor],
        index: Mapping[str, StoredTensor],
        folder: Path,
        progress: Progress,
        check: bool = True,
        frames: Sequence[Frame] | None = None,
    ) -> None:
        """`frames`: pictures by which the ranges of the GPU forms are measured; None: drawn ones.
        Without `check` nothing is measured."""
        self._config = config
        self._spec = known_tokens_only(spec, tokenizer)
        self._tokenizer = tokenizer
        self._state = state
        self._external = {name: stored.external(name, folder) for name, stored in index.items()}
        self._folder = folder
        self._check_parity = check
        self._progress = progress
        self._frames = frames
        self._signatures = graph_signatures(config)

    def write(self) -> dict[str, Any]:
        """Write all graphs and the self-test; return the graphs' manifest entries."""
        # Tracing needs shapes only, and no second copy of a large model.
        with torch.device("meta"):
            shapes = CooperModel(self._config)
        names = {id(t): n for n, t in [*shapes.named_parameters(), *shapes.named_buffers()]}
        traced = build_graphs(shapes)
        total = 2 * len(traced)
        entries: dict[str, Any] = {}
        gpu: dict[str, TracedGraph] = {}
        for number, (name, module) in enumerate(traced.items()):
            self._progress(name, number, total)
            entries[name], gpu[name] = self._write_cpu(module, self._signatures[name], names)
        cases = self._compare(entries) if self._check_parity else {}

        def report(name: str) -> None:
            self._progress(f"{name} for GPUs", len(traced) + list(traced).index(name), total)

        dtypes = {str(t.dtype).removeprefix("torch.") for t in self._state.values()}
        half = "bfloat16" if "bfloat16" in dtypes else "float16"
        forms = GpuFormWriter(self._folder, self._external, half, report).write(gpu, cases)
        self._progress("graphs", total, total)
        return {name: {**entry, **forms[name]} for name, entry in entries.items()}

    def _compare(self, entries: dict[str, Any]) -> dict[str, Cases]:
        """Check the CPU forms against torch and store the self-test.

        Returns:
            by graph the inputs with which its GPU form is measured.
        """
        model = self._float_model()
        modules = build_graphs(model)
        small: dict[str, tuple[Arrays, Arrays]] = {}
        real: dict[str, tuple[Mapping[str, int], Arrays]] = {}
        stored: dict[str, list[tuple[str, Arrays]]] = {}
        for name, signature in self._signatures.items():
            module = modules[name]
            entries[name]["parity"], small[name] = self._check(module, signature)
            sizes = real_sizes(signature, graph_profiles(self._spec)[name])
            inputs = seeded_inputs(REAL, signature, self._spec, sizes)
            real[name] = sizes, torch_outputs(module, signature, inputs)
            stored[name] = [(SMALL, small[name][0]), (REAL, inputs)]
        self._save_selftest(small, real)
        recorded = self._recorded(model)
        return {
            name: tuple(measured_cases(found, recorded.get(name, ())))
            for name, found in stored.items()
        }

    def _save_selftest(
        self,
        small: Mapping[str, tuple[Arrays, Arrays]],
        real: Mapping[str, tuple[Mapping[str, int], Arrays]],
    ) -> None:
        """Small cases as they are where they are small indeed, else like those of real size."""
        arrays = (a for case in small.values() for values in case for a in values.values())
        if sum(array.nbytes for array in arrays) <= WHOLE_BYTES:
            save_selftest(self._folder / SELFTEST, small, {REAL: real})
            return
        seeded = {
            name: (example_sizes(self._config, name, STORED), outputs)
            for name, (_, outputs) in small.items()
        }
        save_selftest(self._folder / SELFTEST, {}, {SMALL: seeded, REAL: real})

    def _recorded(self, model: CooperModel) -> dict[str, list[dict[str, Any]]]:
        if sum(t.numel() for t in self._state.values()) > MAX_PARAMETERS:
            return {}
        engine = Engine(TorchBackend(model), self._spec, self._tokenizer)
        frames = drawn_pictures() if self._frames is None else self._frames
        return record_inputs(engine, self._signatures, frames)

    def _float_model(self) -> CooperModel:
        with torch.device("meta"):
            model = CooperModel(self._config)
        model.load_state_dict({n: t.float() for n, t in self._state.items()}, assign=True)
        return model.eval()

    def _write_cpu(
        self, module: nn.Module, signature: GraphSignature, names: Mapping[int, str]
    ) -> tuple[dict[str, Any], TracedGraph]:
        """Write the CPU form; its manifest entry, and the traced graph for the other form."""
        inputs = self._inputs(signature, TRACE)
        cpu, weights = trace_graph(module, signature, inputs, names)
        _refuse_large_constants(cpu, weights, signature.name)
        traced = TracedGraph(cpu.clone(), weights)
        precision.store_weights(cpu, weights, self._external)
        file = f"{signature.name}.cpu.onnx"
        save_graph(cpu, self._folder / file)
        entry = {
            "cpu": file,
            "inputs": [t.to_dict() for t in signature.inputs],
            "outputs": [t.to_dict() for t in signature.outputs],
        }
        return entry, traced

    def _inputs(self, signature: GraphSignature, which: int) -> Arrays:
        sizes = example_sizes(self._config, signature.name, which)
        return example_inputs(signature, sizes, position_limit(signature.name, self._spec))

    def _check(
        self, module: nn.Module, signature: GraphSignature
    ) -> tuple[dict[str, Any], tuple[Arrays, Arrays]]:
        cases = {}
        for case, which in (("traced", TRACE), ("other shape", CHECK), ("self-test", STORED)):
            inputs = self._inputs(signature, which)
            cases[case] = inputs, torch_outputs(module, signature, inputs)
        worst = check_parity(self._folder / f"{signature.name}.cpu.onnx", signature, cases)
        return {"relative_error": float(f"{worst:.2g}"), "tolerance": TOLERANCE}, cases["self-test"]


def _refuse_large_constants(model: ir.Model, weights: Mapping[str, str], graph: str) -> None:
    for name, value in model.graph.initializers.items():
        size = value.const_value.nbytes if value.const_value is not None else 0
        if name not in weights and size >= INLINE_BYTES:
            raise ExportError(
                f"graph '{graph}' holds the constant '{name}' of {size} bytes, which is no stored "
                "tensor: make it a parameter or buffer, or compute it in the graph"
            )
