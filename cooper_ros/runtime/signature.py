"""Names, element types and symbolic shapes of a graph's tensors, as the manifest stores them.

A dimension is an integer, a symbol (``"past"``) or a sum of symbols and integers
(``"past+seq"``, ``"tokens+2"``).  The exporter, the self-test and the engine builder all read
shapes from here, so that the ONNX graphs, the host code and the engine profiles cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cooper_ros.core.errors import ModelFolderError, shown
from cooper_ros.runtime.schema import MAX_NAME

Dimension = int | str

GRAPH_FORMS = ("cpu", "gpu")
PRECISIONS = ("float32", "float16", "bfloat16")
MAX_TOLERANCE = 0.1

NUMPY_DTYPES: dict[str, Any] = {
    "float32": np.float32,
    "float16": np.float16,
    "int64": np.int64,
}


def evaluate_dimension(dimension: Dimension, sizes: Mapping[str, int]) -> int:
    """Return the size of one dimension; only sums of symbols and integers are understood.

    Raises:
        ModelFolderError: a symbol without a size.
    """
    if isinstance(dimension, int):
        return dimension
    total = 0
    for term in dimension.split("+"):
        name = term.strip()
        if name.isdigit():
            total += int(name)
        elif name in sizes:
            total += sizes[name]
        else:
            raise ModelFolderError(
                f"dimension '{dimension}' uses the symbol '{name}', which has no size here; "
                f"known: {', '.join(sorted(sizes)) or 'none'}"
            )
    return total


@dataclass(frozen=True)
class TensorSpec:
    """One input or output: name, element type (``float32``, ``float16``, ``int64``), shape."""

    name: str
    dtype: str
    shape: tuple[Dimension, ...]

    def resolve(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Return the concrete shape for the given symbol sizes."""
        return tuple(evaluate_dimension(d, sizes) for d in self.shape)

    def is_dynamic(self) -> bool:
        """Return whether any dimension depends on a symbol."""
        return any(isinstance(d, str) for d in self.shape)

    def to_dict(self) -> dict[str, Any]:
        """Return the manifest form."""
        return {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> TensorSpec:
        """Read the manifest form.

        Raises:
            ModelFolderError: a field is missing or of the wrong type.
        """
        try:
            name, dtype, shape = value["name"], value["dtype"], value["shape"]
        except (KeyError, TypeError) as error:
            raise ModelFolderError(f"a tensor entry of the manifest lacks {error}") from error
        valid_shape = isinstance(shape, list) and all(
            (type(d) is int and 0 <= d < 2**31) or (isinstance(d, str) and 0 < len(d) <= MAX_NAME)
            for d in shape
        )
        valid_name = isinstance(name, str) and len(name) <= MAX_NAME
        if not valid_name or dtype not in NUMPY_DTYPES or not valid_shape:
            raise ModelFolderError(
                f"tensor entry {shown(value)} is not understood: dtype must be one of "
                f"{', '.join(NUMPY_DTYPES)}, shape a list of integers and symbols"
            )
        return cls(name, dtype, tuple(shape))


@dataclass(frozen=True)
class GraphSignature:
    """Inputs and outputs of one graph, in order."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def input_names(self) -> list[str]:
        """Return the input names in order."""
        return [t.name for t in self.inputs]

    def output_names(self) -> list[str]:
        """Return the output names in order."""
        return [t.name for t in self.outputs]

    @classmethod
    def from_dict(cls, name: str, value: Mapping[str, Any]) -> GraphSignature:
        """Read a manifest entry ``{"inputs": [...], "outputs": [...]}``.

        Raises:
            ModelFolderError: the entry is malformed.
        """
        return cls(name, _tensors(name, value, "inputs"), _tensors(name, value, "outputs"))


@dataclass(frozen=True)
class GraphSettings:
    """What an engine is held to, for one graph.

    Attributes:
        tolerance: largest relative error of its self-test by form (``cpu``, ``gpu``); forms that
            are not named have the default.
        precision: number format that an engine computes in, one of `PRECISIONS`; None leaves it
            to the builder.
    """

    tolerance: Mapping[str, float]
    precision: str | None = None

    @classmethod
    def from_dict(cls, name: str, value: Mapping[str, Any]) -> GraphSettings:
        """Read a manifest entry; both fields may be missing.

        Raises:
            ModelFolderError: a tolerance is no number above 0 and up to `MAX_TOLERANCE`, or a form
                or a precision is unknown.
        """
        tolerance, precision = value.get("tolerance", {}), value.get("precision")
        where = f"manifest: graphs.{name}"
        if not isinstance(tolerance, dict) or not set(tolerance) <= set(GRAPH_FORMS):
            raise ModelFolderError(
                f"{where}.tolerance must be numbers by form ({', '.join(GRAPH_FORMS)}), got "
                f"{shown(tolerance)}"
            )
        for form, number in tolerance.items():
            if type(number) not in (int, float) or not 0.0 < number <= MAX_TOLERANCE:
                raise ModelFolderError(
                    f"{where}.tolerance.{form} must be above 0 and at most {MAX_TOLERANCE:g}, got "
                    f"{shown(number)}"
                )
        if precision is not None and precision not in PRECISIONS:
            raise ModelFolderError(
                f"{where}.precision must be one of {', '.join(PRECISIONS)}, got {shown(precision)}"
            )
        return cls({form: float(number) for form, number in tolerance.items()}, precision)


def _tensors(graph: str, value: Mapping[str, Any], key: str) -> tuple[TensorSpec, ...]:
    entries = value.get(key) if isinstance(value, Mapping) else None
    if not isinstance(entries, Sequence) or isinstance(entries, (str, bytes)) or not entries:
        raise ModelFolderError(f"graph '{graph}' of the manifest has no list of {key}")
    return tuple(TensorSpec.from_dict(entry) for entry in entries)
