"""Does a backend give on this machine what the model gave where it was exported?

Two cases per graph: a small one, stored as it is, and one of the size of a real picture, because
engines have been silently wrong at real sizes alone. Of that the inputs are a seed and the expected
outputs sums (`sketch`), so that the file stays small for a model of any size; a large model's small
case is stored like that too.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.errors import ModelFolderError, shown
from cooper_ros.runtime.examples import example_inputs
from cooper_ros.runtime.folder import ModelFolder
from cooper_ros.runtime.signature import GraphSignature
from cooper_ros.runtime.spec import ModelSpec

SELFTEST = "selftest.npz"
TOLERANCE = 1e-3
SMALL, REAL = "small", "real"
SEEDS = {SMALL: 0, REAL: 1}
"""Of the inputs that are made anew."""
WHOLE_BYTES = 2**20
"""Small cases are stored as they are up to this size, all together."""
SKETCH_SUMS = 512
"""Sums that stand for an output; they estimate a relative error to about six per cent of it."""
MAX_SYMBOLS = 16
MAX_INPUT_VALUES = 2**27
"""Numbers that one input of a case may have: a foreign file must not ask for all memory."""

Arrays = Mapping[str, NDArray[Any]]


class GraphRunner(Protocol):
    """A backend that runs a graph by name. One that runs another form of the graphs than ``cpu``
    says so by an attribute ``form``."""

    def run(self, graph: str, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Outputs by name."""
        ...


@dataclass(frozen=True)
class SelfTestResult:
    """One output: relative error (norm of the difference over the norm), whether it passed, what
    was allowed, and the case (``small``, ``real``) in which the error was largest."""

    graph: str
    output: str
    error: float
    passed: bool
    allowed: float = TOLERANCE
    case: str = SMALL


@dataclass(frozen=True)
class SelfTestCase:
    """Inputs of a graph and its expected outputs, which are sketches where ``sketched``."""

    name: str
    inputs: Arrays
    expected: Arrays
    sketched: bool = False

    def error(self, name: str, value: NDArray[Any]) -> float:
        """Relative error of an output."""
        if not self.sketched:
            return relative_error(value, self.expected[name])
        with np.errstate(invalid="ignore", over="ignore"):
            return relative_error(sketch(value), self.expected[name])


def relative_error(value: NDArray[Any], expected: NDArray[Any]) -> float:
    """Norm of the difference over the norm of ``expected``; infinite for wrong shapes or NaN."""
    if value.shape != expected.shape or not np.all(np.isfinite(value)):
        return float("inf")
    difference = np.linalg.norm(value.astype(np.float64) - expected.astype(np.float64))
    return float(difference / max(float(np.linalg.norm(expected.astype(np.float64))), 1e-12))


def sketch(value: NDArray[Any]) -> NDArray[np.float64]:
    """A few sums of all numbers of an output, each number with a random sign in a random sum: f64
    [SKETCH_SUMS]. Norms of differences are those of the outputs, within a few per cent."""
    flat = np.asarray(value, np.float64).reshape(-1)
    random = np.random.RandomState(flat.size % 2**32)
    places = random.randint(0, 2 * SKETCH_SUMS, flat.size)
    signs = np.where(places & 1, 1.0, -1.0)
    sums = np.bincount(places >> 1, signs * flat, SKETCH_SUMS)
    return np.asarray(sums, np.float64)


def seeded_inputs(
    case: str, signature: GraphSignature, spec: ModelSpec, sizes: Mapping[str, int]
) -> Arrays:
    """The inputs of a graph in the case `small` or `real`, of these sizes."""
    limit = position_limit(signature.name, spec)
    return example_inputs(signature, sizes, limit, SEEDS[case])


def position_limit(graph: str, spec: ModelSpec) -> int:
    """Positions of the table of a graph's tokens."""
    side = spec.vision_grid_side if graph == "vision_encoder" else spec.latent_grid_side
    return side * side


def save_selftest(
    path: Any,
    whole: Mapping[str, tuple[Arrays, Arrays]],
    seeded: Mapping[str, Mapping[str, tuple[Mapping[str, int], Arrays]]] | None = None,
) -> None:
    """Write a self-test.

    Args:
        path: file to write.
        whole: inputs and expected outputs by graph, stored as `graph/in/name`, `graph/out/name`.
        seeded: by case and graph the sizes of inputs that are made anew and their outputs, stored
            as `graph/case/symbols`, `graph/case/sizes` and `graph/case/out/name`.
    """
    arrays: dict[str, Any] = {}
    for graph, (inputs, outputs) in whole.items():
        arrays.update({f"{graph}/in/{name}": value for name, value in inputs.items()})
        arrays.update({f"{graph}/out/{name}": value for name, value in outputs.items()})
    for case, graphs in (seeded or {}).items():
        for graph, (sizes, outputs) in graphs.items():
            arrays[f"{graph}/{case}/symbols"] = np.array(list(sizes))
            arrays[f"{graph}/{case}/sizes"] = np.array(list(sizes.values()), np.int64)
            for name, value in outputs.items():
                arrays[f"{graph}/{case}/out/{name}"] = sketch(value).astype(np.float32)
    np.savez_compressed(path, **arrays)


def renew_outputs(arrays: dict[str, NDArray[Any]], folder: ModelFolder, runner: GraphRunner,
                  graph: str) -> None:  # fmt: skip
    """Put what a runner gives now in place of a graph's expected outputs, as `read_selftest` has
    them."""
    for case in selftest_cases(arrays, folder, graph):
        where = f"{graph}/{case.name}/out/" if case.sketched else f"{graph}/out/"
        for name, value in runner.run(graph, case.inputs).items():
            new = sketch(value).astype(np.float32) if case.sketched else value
            arrays[where + name] = new


def run_selftest(
    folder: ModelFolder, backend: GraphRunner, tolerance: float = TOLERANCE, form: str = ""
) -> list[SelfTestResult]:
    """Run every stored case; one result for each output, of the case where it was worst.

    Args:
        folder: the model.
        backend: what is to be tested.
        tolerance: largest relative error, where the manifest has none for the graph and form.
        form: form of the graphs that the backend runs; "": what it says itself, else ``cpu``.

    Raises:
        ModelFolderError: the self-test file is missing or damaged.
    """
    form = form or str(getattr(backend, "form", "cpu"))
    arrays = read_selftest(folder)
    results = []
    for graph in folder.graphs:
        allowed = folder.graph_settings[graph].tolerance.get(form, tolerance)
        worst: dict[str, tuple[float, str]] = {}
        for case in selftest_cases(arrays, folder, graph):
            outputs = backend.run(graph, case.inputs)
            for name in case.expected:
                if name not in outputs:
                    raise ModelFolderError(
                        f"{folder.file(SELFTEST)} expects the output {shown(name)}, which graph "
                        f"'{graph}' does not have"
                    )
                error = case.error(name, outputs[name])
                worst[name] = max(worst.get(name, (error, case.name)), (error, case.name))
        for name, (error, where) in worst.items():
            results.append(SelfTestResult(graph, name, error, error <= allowed, allowed, where))
    return results


def selftest_cases(arrays: Arrays, folder: ModelFolder, graph: str) -> Iterator[SelfTestCase]:
    """The cases of a graph among the arrays of a self-test; folders of format 2 have one.

    Raises:
        ModelFolderError: there is none, or its sizes make no sense.
    """
    inputs = _part(arrays, f"{graph}/in/")
    expected = _part(arrays, f"{graph}/out/")
    seeded = {case: _part(arrays, f"{graph}/{case}/out/") for case in SEEDS}
    if not (inputs and expected) and not seeded[SMALL]:
        raise ModelFolderError(f"{folder.file(SELFTEST)} holds no case of graph '{graph}'")
    if inputs and expected:
        yield SelfTestCase(SMALL, inputs, expected)
    for case, sketches in seeded.items():
        if sketches:
            made = _made_inputs(arrays, folder, graph, case)
            yield SelfTestCase(case, made, sketches, sketched=True)


def _made_inputs(arrays: Arrays, folder: ModelFolder, graph: str, case: str) -> Arrays:
    """Inputs of a graph's case that is stored as a seed, after a look at the sizes."""
    where = f"{folder.file(SELFTEST)}: the case '{case}' of graph '{graph}'"
    symbols, sizes = (arrays.get(f"{graph}/{case}/{name}") for name in ("symbols", "sizes"))
    if symbols is None or sizes is None or symbols.dtype.kind != "U" or sizes.dtype != np.int64:
        raise ModelFolderError(f"{where} has no sizes")
    if symbols.shape != sizes.shape or sizes.ndim != 1 or len(sizes) > MAX_SYMBOLS:
        raise ModelFolderError(f"{where} has sizes that do not fit their names")
    found = {str(name): int(size) for name, size in zip(symbols, sizes, strict=True)}
    signature = folder.graphs[graph]
    counts = [math.prod(tensor.resolve(found)) for tensor in signature.inputs]
    if min(found.values(), default=1) < 0 or max(counts) > MAX_INPUT_VALUES:
        raise ModelFolderError(f"{where} has sizes that no model has: {shown(found)}")
    try:
        return seeded_inputs(case, signature, folder.spec, found)
    except (ValueError, LookupError, TypeError) as error:
        raise ModelFolderError(f"{where} has sizes that do not fit: {error!s:.100}") from error


def read_selftest(folder: ModelFolder) -> dict[str, NDArray[Any]]:
    """All arrays of the self-test file by name.

    Raises:
        ModelFolderError: the file is missing or damaged.
    """
    path = folder.file(SELFTEST)
    try:
        with np.load(io.BytesIO(folder.content(SELFTEST)), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except ModelFolderError:
        raise
    except Exception as error:  # the readers of zip and npy files raise a dozen kinds
        raise ModelFolderError(f"{path} cannot be read: {error!s:.200}") from error


def _part(arrays: Arrays, prefix: str) -> dict[str, NDArray[Any]]:
    return {name[len(prefix) :]: v for name, v in arrays.items() if name.startswith(prefix)}
