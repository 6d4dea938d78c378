"""A graph's GPU form, run on the CPU: with its own arithmetic, and as a float32 twin whose largest
values are measured.

ONNX Runtime computes float16 on the CPU, rounding after every operator. bfloat16 it lacks for
convolutions and products; there the twin rounds every value that the form holds in bfloat16, which
is the same arithmetic. The twin shows what the half-precision numbers have to hold: an overflow is
found as the tensor where it begins, not as an output of NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.errors import BackendError

Arrays = Mapping[str, NDArray[Any]]
Outputs = dict[str, NDArray[Any]]

LARGEST = {"float32": 3.4028235e38, "bfloat16": 3.3895314e38, "float16": 65504.0}
"""Largest number of each format."""
WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"
NUMPY_TYPES: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
}
_STORED, _EXACT = ".stored", ".exact"


@dataclass(frozen=True)
class Probe:
    """A tensor that the form holds in half precision.

    Attributes:
        tensor, operator: its name, and the operator that makes it.
        weight: the stored weight that this operator uses, if any.
        constant: it is the same for every input, and needs no headroom.
    """

    tensor: str
    operator: str
    weight: str = ""
    constant: bool = False

    def __str__(self) -> str:
        made_by = f"{self.operator} of {self.weight}" if self.weight else self.operator
        return f"'{self.tensor}' ({made_by})"


class GpuForm:
    """The ONNX file of a GPU form. It keeps no weights between calls: of a large model there is
    room for one copy, so give all inputs at once.

    Attributes:
        path: the file; its weights lie beside it.
        precision: ``float16``, ``bfloat16``, or ``float32`` for a form without half precision.
    """

    def __init__(self, path: Path) -> None:
        """Raises BackendError for a file that is no ONNX file, or without the package onnx."""
        self.path = path
        onnx = require_onnx()
        try:
            self._model = onnx.load_from_string(path.read_bytes())
            self._types = _types(self._model)
        except Exception as error:  # of protobuf and of the shape inference, which are not public
            raise BackendError(f"{path} cannot be read as ONNX: {error!s:.200}") from error
        found = set(self._types.values())
        kinds = onnx.TensorProto
        self.precision = "float32"
        if kinds.FLOAT16 in found:
            self.precision = "float16"
        elif kinds.BFLOAT16 in self._computed():
            self.precision = "bfloat16"

    def _computed(self) -> set[int]:
        outputs = (name for node in self._model.graph.node for name in node.output)
        return {self._types.get(name, 0) for name in outputs}

    def run(self, inputs: Sequence[Arrays]) -> list[Outputs]:
        """Outputs by name, of the form's own arithmetic, as float32, for each of several inputs."""
        if self.precision == "bfloat16":
            return [outputs for outputs, _ in self.measure(inputs)]
        return CpuSession(self.path).run(inputs)

    def measure(self, inputs: Sequence[Arrays]) -> list[tuple[Outputs, dict[Probe, float]]]:
        """For each of several inputs the twin's outputs by name, and the largest absolute value of
        every tensor that the form holds in half precision."""
        twin, probes = self._twin()
        found = []
        for outputs in CpuSession(self.path, twin.SerializeToString()).run(inputs):
            peaks = {probe: float(outputs.pop(_peak(i))) for i, probe in enumerate(probes)}
            found.append((outputs, peaks))
        return found

    def _weight(self, node: Any) -> str:
        stored = (n for n in node.input[1:2] if n.endswith((".weight", ".weight_float16")))
        return next(stored, "").removesuffix("_float16").removesuffix(".weight")

    def _twin(self) -> tuple[Any, list[Probe]]:
        """The model in float32 with an output for the largest value of each half tensor."""
        onnx = require_onnx()
        kinds, helper = onnx.TensorProto, onnx.helper
        twin = type(self._model)()
        twin.CopyFrom(self._model)
        graph, half = twin.graph, getattr(kinds, self.precision.upper(), kinds.FLOAT16)
        rounds = self.precision == "bfloat16"
        if self.precision == "float32":
            return twin, []
        first, nodes, probes = [], [], []
        constants = {initializer.name for initializer in graph.initializer}
        for initializer in graph.initializer:
            if initializer.data_type == half:
                first += _widened(initializer)
        for value in (*graph.input, *graph.output):
            if value.type.tensor_type.elem_type == half:
                value.type.tensor_type.elem_type = kinds.FLOAT
        for node in graph.node:
            _cast_to_float(node, half)
            nodes.append(node)
            constant = bool(node.input) and constants.issuperset(filter(None, node.input))
            if constant:
                constants.update(node.output)
            for i, name in enumerate(node.output):
                if self._types.get(name) != half:
                    continue
                if rounds:
                    node.output[i] = name + _EXACT
                    nodes += _rounded(name + _EXACT, name, half)
                probes.append(Probe(name, node.op_type, self._weight(node), constant))
                nodes += _measured(name, len(probes) - 1)
                graph.output.append(helper.make_tensor_value_info(_peak(len(probes) - 1), 1, []))
        del graph.node[:]
        graph.node.extend([*first, *nodes])
        return twin, probes


class CpuSession:
    """An ONNX file with its weights beside it, or changed content of it, on the CPU."""

    def __init__(self, path: Path, content: bytes | None = None) -> None:
        """Raises BackendError for what ONNX Runtime does not load."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        if content is not None:
            options.add_session_config_entry(WEIGHTS_FOLDER, str(path.parent))
        try:
            self._session = onnxruntime.InferenceSession(
                content or str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the library's own kinds are not public
            raise BackendError(f"{path.name} does not load: {error!s:.400}") from error
        self._name = path.name

    def run(self, inputs: Sequence[Arrays]) -> list[Outputs]:
        """Outputs by name, as float32, for each of several inputs, which are cast to what the file
        declares.

        Raises:
            BackendError: it does not run on them.
        """
        return [self._run(values) for values in inputs]

    def _run(self, inputs: Arrays) -> Outputs:
        names = [output.name for output in self._session.get_outputs()]
        try:
            with np.errstate(over="ignore"):
                feed = {
                    i.name: inputs[i.name].astype(NUMPY_TYPES[i.type])
                    for i in self._session.get_inputs()
                }
            outputs = self._session.run(names, feed)
        except Exception as error:  # the library's own kinds are not public
            raise BackendError(f"{self._name} does not run: {error!s:.400}") from error
        return {n: np.asarray(v, np.float32) for n, v in zip(names, outputs, strict=True)}


def _types(model: Any) -> dict[str, int]:
    """Element type by tensor name."""
    onnx = require_onnx()
    graph = onnx.shape_inference.infer_shapes(model).graph
    values = (*graph.value_info, *graph.input, *graph.output)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    return types | {value.name: value.data_type for value in graph.initializer}


def _widened(initializer: Any) -> list[Any]:
    """Make a half initializer float32; one whose bytes are elsewhere gets a cast."""
    onnx = require_onnx()
    name = initializer.name
    if initializer.data_location == onnx.TensorProto.EXTERNAL:
        initializer.name = name + _STORED
        return [onnx.helper.make_node("Cast", [name + _STORED], [name], to=onnx.TensorProto.FLOAT)]
    values = np.asarray(onnx.numpy_helper.to_array(initializer), np.float32)
    initializer.CopyFrom(onnx.numpy_helper.from_array(values, name))
    return []


def _cast_to_float(node: Any, half: int) -> None:
    for attribute in node.attribute:
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i == half:
            attribute.i = 1


def _rounded(source: str, target: str, half: int) -> list[Any]:
    make = require_onnx().helper.make_node
    between = source + ".half"
    return [make("Cast", [source], [between], to=half), make("Cast", [between], [target], to=1)]


def _measured(name: str, number: int) -> list[Any]:
    make = require_onnx().helper.make_node
    return [
        make("Abs", [name], [_peak(number) + ".abs"]),
        make("ReduceMax", [_peak(number) + ".abs"], [_peak(number)], keepdims=0),
    ]


def _peak(number: int) -> str:
    return f"peak.{number}"


def require_onnx() -> Any:
    """The package onnx. Raises BackendError that says how to get it."""
    try:
        import onnx
    except ImportError as error:
        raise BackendError("reading graphs needs onnx: pip install 'cooper_ros[export]'") from error
    return onnx


__all__ = ["LARGEST", "CpuSession", "GpuForm", "Probe", "require_onnx"]
