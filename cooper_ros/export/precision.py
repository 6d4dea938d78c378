"""The two forms of a graph: float32 computation for CPUs, strongly typed half precision for GPUs.

Both are made from the same traced float32 graph.  The CPU form only casts stored weights to
float32 (ONNX Runtime folds that when it loads).  The GPU form computes matrix products and
convolutions in half precision, and everything whose sum or exponent can leave half precision's
range or digits (normalisations, softmax, sines) in float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from cooper_ros.export.tracing import ExportError

FLOAT = ir.DataType.FLOAT

# Work done in half precision: the products that carry the cost.
HALF_OPS = frozenset({"MatMul", "Gemm", "Conv", "ConvTranspose"})
# Work done in float32: sums over many elements, quotients, exponentials.
FULL_OPS = frozenset(
    {
        "Softmax", "LayerNormalization", "InstanceNormalization", "GroupNormalization",
        "ReduceMean", "ReduceSum", "Pow", "Sqrt", "Reciprocal", "Exp", "Log", "Sin", "Cos",
    }
)  # fmt: skip
# These only move values; a mixture of precisions is brought to half.
MOVING_OPS = frozenset({"Concat"})
# Cache rows are the only inputs and outputs that are large and stay on the device.
HALF_TENSORS = frozenset({"past_k", "past_v", "new_k", "new_v"})


def store_weights(
    model: ir.Model, weights: Mapping[str, str], stored: Mapping[str, ir.ExternalTensor]
) -> None:
    """Point weights at their stored bytes and cast them to float32 where stored otherwise.

    Args:
        model: traced float32 graph; changed in place.
        weights: stored tensor name by initializer name.
        stored: byte range in the shards by stored tensor name.
    """
    for initializer, name in weights.items():
        _replace_initializer(model, initializer, stored[name], {FLOAT})


def to_half(
    model: ir.Model,
    weights: Mapping[str, str],
    stored: Mapping[str, ir.ExternalTensor],
    half: ir.DataType = ir.DataType.FLOAT16,
) -> None:
    """Turn a traced float32 graph into the strongly typed GPU form, in place.

    Inputs and outputs stay float32 except the key/value cache.

    Raises:
        ExportError: the graph has control flow, which no graph of ours should have.
    """
    _HalfConverter(model, weights, half).convert()
    for initializer, name in weights.items():
        _replace_initializer(model, initializer, stored[name], {FLOAT, half})


class _HalfConverter:
    """Walks the nodes in order, decides each one's precision and inserts the casts."""

    def __init__(self, model: ir.Model, weights: Mapping[str, str], half: ir.DataType) -> None:
        self._graph = model.graph
        self._half = half
        self._weights = frozenset(weights)
        self._casts: dict[tuple[ir.Value, ir.DataType], ir.Value] = {}

    def convert(self) -> None:
        for value in self._graph.inputs:
            if value.name in HALF_TENSORS:
                _set_type(value, self._half)
        for node in list(self._graph):
            if any(a.type == ir.AttributeType.GRAPH for a in node.attributes.values()):
                raise ExportError(f"node '{node.name}' ({node.op_type}) is control flow")
            self._convert_node(node)
        for index, value in enumerate(self._graph.outputs):
            wanted = self._half if value.name in HALF_TENSORS else FLOAT
            if self._is_float(value) and value.dtype != wanted:
                self._cast_output(index, value, wanted)

    def _is_float(self, value: ir.Value | None) -> bool:
        return value is not None and value.dtype in (FLOAT, self._half)

    def _is_constant(self, value: ir.Value) -> bool:
        return value.is_initializer()

    def _convert_node(self, node: ir.Node) -> None:
        floats = [v for v in node.inputs if v is not None and self._is_float(v)]
        if not floats and not any(self._is_float(v) for v in node.outputs):
            return
        if node.op_type == "Cast":
            # The traced graph is float32 throughout, so this is a conversion from integers.
            return
        precision = self._precision(node, floats)
        for index, value in enumerate(node.inputs):
            if value is not None and self._is_float(value) and not _is_shape_operand(node, index):
                node.replace_input_with(index, self._cast(value, precision))
        for value in node.outputs:
            if self._is_float(value):
                _set_type(value, precision)

    def _precision(self, node: ir.Node, floats: Sequence[ir.Value]) -> ir.DataType:
        if node.op_type in HALF_OPS:
            return self._half
        if node.op_type in FULL_OPS:
            return FLOAT
        varying = {v.dtype for v in floats if not self._is_constant(v)}
        if not varying:
            return self._half
        if node.op_type in MOVING_OPS:
            return self._half if self._half in varying else FLOAT
        return FLOAT if FLOAT in varying else self._half

    def _cast(self, value: ir.Value, precision: ir.DataType) -> ir.Value:
        if self._is_constant(value):
            if value.name in self._weights:
                return _weight_view(self._graph, value, precision)
            return self._constant(value, precision)
        if value.dtype == precision:
            return value
        key = (value, precision)
        if key not in self._casts:
            node = _cast_node(value, precision, f"{value.name}_{precision.name.lower()}")
            producer = value.producer()
            if producer is None:
                self._graph.insert_before(self._graph[0], node)
            else:
                self._graph.insert_after(producer, node)
            self._casts[key] = node.outputs[0]
        return self._casts[key]

    def _constant(self, value: ir.Value, precision: ir.DataType) -> ir.Value:
        if precision == FLOAT:
            return value
        name = f"{value.name}_{precision.name.lower()}"
        if name not in self._graph.initializers:
            assert value.const_value is not None
            array = value.const_value.numpy()
            with np.errstate(over="ignore"):  # what overflows is found when the form is measured
                half = array.astype(np.float32).astype(precision.numpy())
            converted = ir.tensor(half, dtype=precision, name=name)
            self._graph.register_initializer(
                ir.Value(
                    name=name, type=ir.TensorType(precision), shape=value.shape,
                    const_value=converted,
                )
            )  # fmt: skip
        return self._graph.initializers[name]

    def _cast_output(self, index: int, value: ir.Value, wanted: ir.DataType) -> None:
        name = value.name
        value.name = f"{name}_{value.dtype.name.lower()}" if value.dtype else f"{name}_raw"
        node = _cast_node(value, wanted, str(name))
        self._graph.append(node)
        self._graph.outputs[index] = node.outputs[0]


def _set_type(value: ir.Value, precision: ir.DataType) -> None:
    # A new type object: values, and clones of a graph, may share one.
    value.type = ir.TensorType(precision)


def _is_shape_operand(node: ir.Node, index: int) -> bool:
    """Scales and region of interest of a Resize are float32 by the operator's definition."""
    return node.op_type == "Resize" and index in (1, 2)


def _cast_node(value: ir.Value, precision: ir.DataType, name: str) -> ir.Node:
    return ir.Node(
        "",
        "Cast",
        [value],
        [ir.AttrInt64("to", int(precision))],
        outputs=[ir.Value(name=name, type=ir.TensorType(precision), shape=value.shape)],
        name=f"cast_{name}",
    )


def _weight_view(graph: ir.Graph, value: ir.Value, precision: ir.DataType) -> ir.Value:
    """A placeholder initializer for one weight in one precision; filled when weights are stored."""
    if precision == FLOAT:
        return value
    name = f"{value.name}_{precision.name.lower()}"
    if name not in graph.initializers:
        graph.initializers.add(
            ir.Value(name=name, type=ir.TensorType(precision), shape=value.shape)
        )
    return graph.initializers[name]


def _replace_initializer(
    model: ir.Model, name: str, tensor: ir.ExternalTensor, precisions: set[ir.DataType]
) -> None:
    """Replace float placeholders of a weight by the stored tensor, with casts where they differ."""
    graph = model.graph
    stored: ir.Value | None = None
    for precision in sorted(precisions, key=int):
        key = name if precision == FLOAT else f"{name}_{precision.name.lower()}"
        old = graph.initializers.get(key)
        if old is None:
            continue
        del graph.initializers[key]
        if not old.uses():
            continue
        if stored is None:
            external = _named(tensor, name)
            stored = ir.Value(
                name=name,
                type=ir.TensorType(external.dtype),
                shape=ir.Shape(external.shape),
                const_value=external,
            )
        if tensor.dtype == precision:
            old.replace_all_uses_with(stored)
            continue
        node = _cast_node(stored, precision, f"{name}_{precision.name.lower()}")
        graph.insert_before(graph[0], node)
        old.replace_all_uses_with(node.outputs[0])
    if stored is not None:
        graph.register_initializer(stored)


def _named(tensor: ir.ExternalTensor, name: str) -> ir.ExternalTensor:
    return ir.ExternalTensor(
        tensor.location,
        tensor.offset,
        tensor.length,
        tensor.dtype,
        shape=tensor.shape,
        name=name,
        base_dir=tensor.base_dir,
    )
