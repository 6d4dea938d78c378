"""Does a backend give on this machine what the model gave where it was exported?"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.errors import ModelFolderError, shown
from cooper_ros.runtime.folder import ModelFolder

SELFTEST = "selftest.npz"
TOLERANCE = 1e-3


class GraphRunner(Protocol):
    """A backend that runs a graph by name."""

    def run(self, graph: str, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Outputs by name."""
        ...


@dataclass(frozen=True)
class SelfTestResult:
    """One output: relative error (norm of the difference over the norm), whether it passed, and
    what was allowed."""

    graph: str
    output: str
    error: float
    passed: bool
    allowed: float = TOLERANCE


def relative_error(value: NDArray[Any], expected: NDArray[Any]) -> float:
    """Norm of the difference over the norm of ``expected``; infinite for wrong shapes or NaN."""
    if value.shape != expected.shape or not np.all(np.isfinite(value)):
        return float("inf")
    difference = np.linalg.norm(value.astype(np.float64) - expected.astype(np.float64))
    return float(difference / max(float(np.linalg.norm(expected.astype(np.float64))), 1e-12))


def save_selftest(
    path: Any, cases: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]]
) -> None:
    """Write inputs and expected outputs by graph, as `graph/in/name` and `graph/out/name`."""
    arrays = {}
    for graph, (inputs, outputs) in cases.items():
        arrays.update({f"{graph}/in/{name}": value for name, value in inputs.items()})
        arrays.update({f"{graph}/out/{name}": value for name, value in outputs.items()})
    np.savez_compressed(path, **arrays)


def run_selftest(
    folder: ModelFolder, backend: GraphRunner, tolerance: float = TOLERANCE, form: str = "cpu"
) -> list[SelfTestResult]:
    """Run every stored case.

    Args:
        folder: the model.
        backend: what is to be tested.
        tolerance: largest relative error, where the manifest has none for the graph and form.
        form: form of the graphs that the backend runs.

    Raises:
        ModelFolderError: the self-test file is missing or damaged.
    """
    arrays = _read(folder)
    results = []
    for graph in folder.graphs:
        inputs = _part(arrays, f"{graph}/in/")
        expected = _part(arrays, f"{graph}/out/")
        if not inputs or not expected:
            raise ModelFolderError(f"{folder.file(SELFTEST)} holds no case of graph '{graph}'")
        outputs = backend.run(graph, inputs)
        allowed = folder.graph_settings[graph].tolerance.get(form, tolerance)
        for name, value in expected.items():
            if name not in outputs:
                raise ModelFolderError(
                    f"{folder.file(SELFTEST)} expects the output {shown(name)}, which graph "
                    f"'{graph}' does not have"
                )
            error = relative_error(outputs[name], value)
            results.append(SelfTestResult(graph, name, error, error <= allowed, allowed))
    return results


def _read(folder: ModelFolder) -> dict[str, NDArray[Any]]:
    path = folder.file(SELFTEST)
    try:
        with np.load(io.BytesIO(folder.content(SELFTEST)), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except ModelFolderError:
        raise
    except Exception as error:  # the readers of zip and npy files raise a dozen kinds
        raise ModelFolderError(f"{path} cannot be read: {error!s:.200}") from error


def _part(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name[len(prefix) :]: v for name, v in arrays.items() if name.startswith(prefix)}
