"""Does every GPU form of a model folder compute, on the CPU, what the float32 form computes?

A builder accepts a graph that gives nothing but NaN. Here each form runs with its own arithmetic on
the self-test's inputs and on what the model's graphs get when it looks at pictures; error, largest
value and headroom tell whether a GPU could be right. No GPU is asked, none is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.errors import CooperError, ModelFolderError
from cooper_ros.core.types import Frame
from cooper_ros.deploy.gpu_forms import LARGEST, CpuSession, GpuForm, Probe, require_onnx
from cooper_ros.deploy.recording import drawn_pictures, record_inputs
from cooper_ros.runtime.folder import ModelFolder
from cooper_ros.runtime.selftest import read_selftest, relative_error, selftest_cases
from cooper_ros.runtime.signature import MAX_TOLERANCE

Arrays = Mapping[str, NDArray[Any]]
Cases = Sequence[tuple[str, Arrays]]
"""Names of cases and their inputs."""

HEADROOM = 4.0
"""How many times the largest value seen a format must hold: a frame may be brighter than those."""
DEFAULT_ALLOWED = {"float32": 5e-3, "float16": 5e-3, "bfloat16": 4e-2}
"""Allowed error by precision where the manifest has none. GPUs multiply float32 with the digits of
float16 (TF32), so that float32 is allowed no less."""
MAX_PARAMETERS = 2e9
"""Models above look at no pictures here: one would take hours."""
MEASURED_NUMBERS = 150_000
"""Largest inputs of a stored case that is run here beside pictures."""


@dataclass(frozen=True)
class GraphReport:
    """What was found of one graph's GPU form.

    Attributes:
        graph, precision: which graph, and what its GPU form computes in.
        cases: number of inputs that it ran on.
        error, output, case: largest relative error to float32, and where.
        allowed: what the error may be.
        peak, tensor: largest absolute value held in half precision, and in which tensor.
        headroom: how many times the peak the format holds.
        non_finite: share of all output numbers that are infinite or no number.
        over: tensors that leave less than the wanted headroom.
        problem: why this form cannot be used; "" where it can.
    """

    graph: str
    precision: str
    cases: int = 0
    error: float = 0.0
    output: str = ""
    case: str = ""
    allowed: float = 0.0
    peak: float = 0.0
    tensor: str = ""
    headroom: float = float("inf")
    non_finite: float = 0.0
    over: tuple[str, ...] = ()
    problem: str = ""


def verify_folder(
    folder: ModelFolder,
    frames: Iterable[Frame] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[GraphReport]:
    """Run all GPU forms of a folder; one report each, and one per graph without GPU form.

    `frames`: pictures to look at; None: drawn ones. Raises ModelFolderError for a damaged folder,
    BackendError without onnx or ONNX Runtime.
    """
    require_onnx()
    recorded = _recorded(folder, drawn_pictures() if frames is None else frames)
    arrays = read_selftest(folder)
    reports = []
    for number, graph in enumerate(folder.graphs):
        if progress:
            progress(graph, number, len(folder.graphs))
        stored = [(c.name, c.inputs) for c in selftest_cases(arrays, folder, graph)]
        cases = measured_cases(stored, recorded.get(graph, ()))
        reports.append(_verify(folder, graph, cases))
    if progress:
        progress("graphs", len(folder.graphs), len(folder.graphs))
    return reports


def measured_cases(
    stored: Sequence[tuple[str, Arrays]], recorded: Sequence[Arrays]
) -> list[tuple[str, Arrays]]:
    """The cases on which a form is run on the CPU: those of the self-test, then pictures.

    Where pictures were looked at, a stored case of more than `MEASURED_NUMBERS` is left to the
    device's own self-test: attention over 4000 tokens takes a CPU minutes a graph.
    """
    cases = [
        (name, inputs) for name, inputs in stored
        if not recorded or sum(a.size for a in inputs.values()) <= MEASURED_NUMBERS
    ]  # fmt: skip
    return cases + [(f"picture {i}", call) for i, call in enumerate(recorded, 1)]


def _recorded(folder: ModelFolder, frames: Iterable[Frame]) -> dict[str, list[Any]]:
    from cooper_ros.runtime.loading import open_engine

    parameters = folder.manifest.get("weights", {}).get("parameters", 0)
    if parameters > MAX_PARAMETERS:
        return {}
    return record_inputs(open_engine(folder.path, threads=1).engine, folder.graphs, frames)


def _verify(folder: ModelFolder, graph: str, cases: Cases) -> GraphReport:
    settings = folder.graph_settings[graph]
    entry = folder.manifest["graphs"][graph]
    # the CPU form of an int8 folder is no measure: there the twin of the GPU form is
    reference = None if "cpu_precision" in entry else folder.graph_file(graph, "cpu")
    try:
        path = folder.graph_file(graph, "gpu")
    except ModelFolderError as error:
        return GraphReport(graph, "none", problem=str(error))
    report = verify_form(graph, path, reference, cases, settings.tolerance.get("gpu"))
    said = settings.precision or entry.get("gpu_dtype")
    if not report.problem and said != report.precision:
        text = f"the manifest says {said}, the file computes in {report.precision}"
        return GraphReport(**{**vars(report), "problem": text})
    return report


def verify_form(
    graph: str,
    path: Path,
    reference: Path | None,
    cases: Cases,
    allowed: float | None = None,
    headroom: float = HEADROOM,
) -> GraphReport:
    """Run one GPU form on all cases and compare it with the float32 form `reference` (None: with
    its own twin in float32). Never raises for a form that is wrong: the report says it."""
    precision = "unknown"
    try:
        form = GpuForm(path)
        precision = form.precision
        limit = allowed or DEFAULT_ALLOWED[precision]
        return _Measured(graph, form, limit, headroom).over(cases, reference)
    except CooperError as error:
        return GraphReport(graph, precision, problem=str(error))


class _Measured:
    """Collects over cases what a form computes."""

    def __init__(self, graph: str, form: GpuForm, allowed: float, headroom: float) -> None:
        self._graph, self._form, self._allowed = graph, form, allowed
        self._wanted = headroom
        self._peaks: dict[Probe, float] = {}
        self._worst = (0.0, "", "")
        self._numbers = self._bad = 0

    def over(self, cases: Cases, reference: Path | None) -> GraphReport:
        """The report after all cases."""
        inputs = [values for _, values in cases]
        measured = self._form.measure(inputs)
        expected = [outputs for outputs, _ in measured]
        if reference is not None:
            expected = CpuSession(reference).run(inputs)
        for _, peaks in measured:
            for probe, peak in peaks.items():
                seen = self._peaks.get(probe, 0.0)
                self._peaks[probe] = max(seen, float("inf") if np.isnan(peak) else peak)
        for (name, _), found, wanted in zip(cases, self._form.run(inputs), expected, strict=True):
            self._compare(name, found, wanted)
        return self._report(len(cases))

    def _compare(self, case: str, found: Arrays, expected: Arrays) -> None:
        for output, value in expected.items():
            got = found.get(output, np.zeros(0, np.float32))
            self._numbers += got.size
            self._bad += int((~np.isfinite(got)).sum())
            self._worst = max(self._worst, (relative_error(got, value), output, case))

    def _report(self, cases: int) -> GraphReport:
        error, output, case = self._worst
        largest = LARGEST[self._form.precision]
        varying = {probe: peak for probe, peak in self._peaks.items() if not probe.constant}
        top = max(varying, key=lambda probe: varying[probe], default=None)
        peak = varying[top] if top else 0.0
        report = GraphReport(
            graph=self._graph,
            precision=self._form.precision,
            cases=cases,
            error=error,
            output=output,
            case=case,
            allowed=self._allowed,
            peak=peak,
            tensor=str(top) if top else "",
            headroom=largest / peak if peak else float("inf"),
            non_finite=self._bad / max(self._numbers, 1),
            over=tuple(p.tensor for p, v in varying.items() if v * self._wanted > largest),
        )
        return GraphReport(**{**vars(report), "problem": self._problem(report, largest)})

    def _problem(self, report: GraphReport, largest: float) -> str:
        first = next((p for p, peak in self._peaks.items() if peak > largest), None)
        if first is not None:
            return (
                f"tensor {first} reaches {self._peaks[first]:.3g}, {report.precision} ends at "
                f"{largest:.5g}"
            )
        if report.headroom < self._wanted:
            return (
                f"tensor {report.tensor} reaches {report.peak:.3g}: {report.precision} holds "
                f"{report.headroom:.2g} times that, at least {self._wanted:g} are wanted"
            )
        if not report.error <= report.allowed:
            return (
                f"output '{report.output}' differs by {report.error:.2g} in case '{report.case}' "
                f"(allowed {report.allowed:g})"
            )
        return ""


def allowed_error(report: GraphReport) -> float:
    """What an engine's error may be, of what its arithmetic costs on the CPU: four times that, for
    other orders of summing, and no less than the precision's default."""
    wanted = max(DEFAULT_ALLOWED[report.precision], 4.0 * report.error)
    return min(float(f"{wanted:.2g}"), MAX_TOLERANCE)


__all__ = ["DEFAULT_ALLOWED", "GraphReport", "allowed_error", "verify_folder", "verify_form"]
