"""The GPU form of every graph, in the smallest precision that holds what the graph computes.

float16 where the largest value that was measured keeps a factor of headroom; else float16 with the
overflowing stream divided by a power of two (`rescale`), which is exact; else bfloat16, or float32
for the autoencoder, whose pictures bfloat16 would spoil. Nothing is chosen by a model's name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from cooper_ros.deploy.gpu_forms import LARGEST
from cooper_ros.deploy.verify import (
    DEFAULT_ALLOWED,
    HEADROOM,
    Cases,
    GraphReport,
    allowed_error,
    verify_form,
)
from cooper_ros.export import precision
from cooper_ros.export.rescale import CannotRescale, rescale
from cooper_ros.export.tracing import ExportError
from cooper_ros.runtime.selftest import TOLERANCE

HALVES = {"float16": ir.DataType.FLOAT16, "bfloat16": ir.DataType.BFLOAT16}
GROUPS = (("und", "gen"),)
"""Graphs that hand each other keys and values, and so compute in one precision."""
CHOICES = ("float16", "bfloat16", "float32")
PICTURE_CHOICES = ("float16", "float32")
PICTURE_GRAPHS = ("autoencoder_encoder", "autoencoder_decoder", "class_decoder")
WORST = {"float32": 5e-3, "float16": 1e-2, "bfloat16": 5e-2}
"""A form with a larger error is not taken, by precision."""
EXPORT_HEADROOM = 1.25 * HEADROOM
"""More than `cooper engine verify` asks for: it measures on other machines and pictures."""


@dataclass
class TracedGraph:
    """A float32 graph as it was traced, and the stored tensor name of each weight in it."""

    model: ir.Model
    weights: Mapping[str, str]


@dataclass(frozen=True)
class _Form:
    """A form that was written, what was measured of it, and by what a stream was divided."""

    precision: str
    report: GraphReport | None = None
    divided_by: float = 1.0


class GpuFormWriter:
    """Tries precisions until a form computes what the CPU form computes."""

    def __init__(
        self,
        folder: Path,
        external: Mapping[str, ir.ExternalTensor],
        half: str,
        report: Callable[[str], None],
    ) -> None:
        """`half` is what graphs get that are not measured; `report` hears of each graph's turn."""
        self._folder = folder
        self._external = external
        self._half = half
        self._report = report

    def write(
        self, graphs: Mapping[str, TracedGraph], cases: Mapping[str, Cases]
    ) -> dict[str, Any]:
        """Write `GRAPH.gpu.onnx` for all graphs; return what the manifest says about them.

        Args:
            graphs: by name; their CPU forms are in the folder.
            cases: inputs by graph name; without any, nothing is measured.

        Raises:
            ExportError: no form of a graph computes what it should.
        """
        entries: dict[str, Any] = {}
        single = [(n,) for n in graphs if not any(n in group for group in GROUPS)]
        for group in (*single, *GROUPS):
            names = [name for name in group if name in graphs]
            forms = self._choose({n: graphs[n] for n in names}, cases)
            entries.update({name: _entry(name, forms[name]) for name in names})
        return entries

    def _choose(
        self, graphs: Mapping[str, TracedGraph], cases: Mapping[str, Cases]
    ) -> dict[str, _Form]:
        if not cases:
            return {name: self._unmeasured(name, graph) for name, graph in graphs.items()}
        for name in graphs:
            self._report(name)
        choices = PICTURE_CHOICES if set(graphs) <= set(PICTURE_GRAPHS) else CHOICES
        problem = ""
        for choice in choices:
            forms: dict[str, _Form] = {}
            for name, graph in graphs.items():
                forms[name] = self._try(name, graph, choice, cases[name])
                report = forms[name].report
                if report is not None and report.problem:
                    problem = f"the GPU form of graph '{name}' in {choice}: {report.problem}"
                    break
            else:
                return forms
        raise ExportError(problem)

    def _unmeasured(self, name: str, graph: TracedGraph) -> _Form:
        """An autoencoder's stream is known to leave float16; the others have what they are stored
        in."""
        chosen = "float32" if name in PICTURE_GRAPHS else self._half
        self._write(name, graph.model.clone(), graph, chosen)
        return _Form(chosen)

    def _try(self, name: str, graph: TracedGraph, choice: str, cases: Cases) -> _Form:
        self._write(name, graph.model.clone(), graph, choice)
        report = self._measure(name, choice, cases)
        if choice != "float16" or not report.over or not math.isfinite(report.peak):
            return _Form(choice, report)
        smaller = graph.model.clone()
        wanted = report.peak * EXPORT_HEADROOM / LARGEST[choice]
        factor = 2.0 ** math.ceil(math.log2(wanted))
        tensors = {n for o in report.over for n in (o, o.removesuffix("_float16"))}
        try:
            rescale(smaller, tensors, factor, graph.weights, self._external)
        except CannotRescale:
            return _Form(choice, report)
        self._write(name, smaller, graph, choice)
        return _Form(choice, self._measure(name, choice, cases), factor)

    def _measure(self, name: str, choice: str, cases: Cases) -> GraphReport:
        path, reference = (self._folder / f"{name}.{form}.onnx" for form in ("gpu", "cpu"))
        return verify_form(name, path, reference, cases, WORST[choice], EXPORT_HEADROOM)

    def _write(self, name: str, model: ir.Model, graph: TracedGraph, choice: str) -> None:
        if choice == "float32":
            precision.store_weights(model, graph.weights, self._external)
        else:
            precision.to_half(model, graph.weights, self._external, HALVES[choice])
        save_graph(model, self._folder / f"{name}.gpu.onnx")


def _entry(name: str, form: _Form) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "gpu": f"{name}.gpu.onnx",
        "gpu_dtype": form.precision,
        "precision": form.precision,
        "tolerance": {"cpu": TOLERANCE, "gpu": DEFAULT_ALLOWED[form.precision]},
    }
    report = form.report
    if report is not None:
        entry["tolerance"]["gpu"] = allowed_error(report)
        entry["gpu_check"] = {
            "relative_error": float(f"{report.error:.2g}"),
            "peak": float(f"{report.peak:.3g}"),
            "tensor": report.tensor,
            "divided_by": form.divided_by,
            "cases": report.cases,
        }
    return entry


def save_graph(model: ir.Model, path: Path) -> None:
    """Write a graph with its name and ours, without what every engine infers."""
    model.graph.name = path.name.removesuffix(".onnx")
    model.producer_name = "cooper_ros"
    _remove_unused_constants(model)
    proto = ir.to_proto(model)
    # Types and shapes between the nodes are half of such a file, and every engine infers them.
    del proto.graph.value_info[:]
    path.write_bytes(proto.SerializeToString())


def _remove_unused_constants(model: ir.Model) -> None:
    """Constants that were replaced by others in half precision."""
    graph = model.graph
    for name, value in list(graph.initializers.items()):
        if not value.uses() and value not in graph.outputs:
            del graph.initializers[name]


__all__ = ["GpuFormWriter", "TracedGraph", "save_graph"]
