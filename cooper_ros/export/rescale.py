"""The same function with smaller numbers inside: a stream that overflows float16, divided exactly.

A convolutional decoder adds block after block to one stream, and reads it through normalisations
only, which do not see its scale. Such a stream may be divided by any power of two: by its sources
(the input of a convolution or product that starts it), by the biases added to it, and by the
epsilon of the normalisations that read it. Everything else stays, the stored weights too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import onnx_ir as ir

# One operand is the stream, the output is in proportion to it; others are not floating or constant.
PROPORTIONAL = frozenset(
    {
        "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Expand", "Identity", "Resize",
        "Pad", "DepthToSpace", "SpaceToDepth", "AveragePool", "MaxPool", "Split", "Gather", "Mul",
        "Div", "Relu", "Tile", "Cast",
    }
)  # fmt: skip
SUMS = frozenset({"Add", "Sub", "Concat"})
# The second operand is a stored weight, a third one a bias.
PRODUCTS = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm"})
# Blind to the scale of their first operand but for epsilon.
NORMS = frozenset({"InstanceNormalization", "GroupNormalization", "LayerNormalization"})
IGNORED = frozenset({"Shape", "Size"})
RESCALED = "rescaled_"
"""How the names of constants that this adds begin."""
LARGEST_CONSTANT = 16 * 1024


class CannotRescale(Exception):
    """The tensors are not part of a stream that only normalisations read."""


def rescale(
    model: ir.Model,
    tensors: Iterable[str],
    factor: float,
    weights: Mapping[str, str],
    stored: Mapping[str, ir.ExternalTensor],
) -> list[str]:
    """Divide the streams that hold `tensors` by `factor`, in place.

    Args:
        model: traced float32 graph.
        tensors: names of values; those that are not in the graph are left out.
        factor: a power of two, so that every division is exact.
        weights: stored tensor name by initializer name.
        stored: bytes of the stored tensors.

    Returns:
        names of the values that are smaller now.

    Raises:
        CannotRescale: the graph may be changed by half and must not be used.
    """
    stream = _Stream(model, weights)
    for value in _named(model, set(tensors)):
        stream.add(value)
    if not stream.values:
        raise CannotRescale("no tensor of the graph")
    stream.grow()
    _Divider(model, factor, weights, stored).divide(stream.values)
    return [str(value.name) for value in stream.values]


def _named(model: ir.Model, names: set[str]) -> list[ir.Value]:
    return [v for node in model.graph for v in node.outputs if v.name in names]


class _Stream:
    """The values that must be divided together."""

    def __init__(self, model: ir.Model, weights: Mapping[str, str]) -> None:
        self._outputs = set(model.graph.outputs)
        self._weights = weights
        self.values: dict[ir.Value, None] = {}
        self._new: list[ir.Value] = []

    def add(self, value: ir.Value | None) -> None:
        """Make a value part of the stream."""
        if value is None or value in self.values:
            return
        if value.producer() is None or value in self._outputs:
            raise CannotRescale(f"'{value.name}' is an input or output of the graph")
        self.values[value] = None
        self._new.append(value)

    def grow(self) -> None:
        """Add all that is tied to the stream.

        Producers first: whether a product starts the stream or carries it on shows only when
        nothing more joins, so a product's input is never pulled in by its output.
        """
        while self._new:
            value = self._new.pop()
            self._backwards(value.producer())
            for node, index in list(value.uses()):
                self._forwards(node, index)

    def _backwards(self, node: ir.Node | None) -> None:
        assert node is not None
        if node.op_type in PRODUCTS:
            if not _is_constant(node.inputs[1]):
                raise CannotRescale(f"'{node.name}' multiplies two varying tensors")
            return
        if node.op_type in SUMS:
            for value in node.inputs:
                if value is not None and not _is_constant(value):
                    self.add(value)
            return
        if node.op_type in PROPORTIONAL:
            varying = [v for v in node.inputs if v is not None and _varies(v)]
            if len(varying) == 1:
                self.add(varying[0])
                return
        raise CannotRescale(f"'{node.name}' ({node.op_type}) makes the stream")

    def _forwards(self, node: ir.Node, index: int) -> None:
        if node.op_type in IGNORED or (node.op_type in NORMS and index == 0):
            return
        known = node.op_type in SUMS or (node.op_type in PROPORTIONAL and index == 0)
        if node.op_type in PRODUCTS:
            known = index == 0 and _is_constant(node.inputs[1])
        elif node.op_type in ("Mul", "Div"):
            known = sum(v is not None and _varies(v) for v in node.inputs) == 1
            known = known and (node.op_type == "Mul" or index == 0)
        elif node.op_type == "Pad" and not _pads_with_zero(node):
            known = False
        elif node.op_type == "Cast":
            known = all(v.dtype == ir.DataType.FLOAT for v in node.outputs)
        if not known:
            raise CannotRescale(f"'{node.name}' ({node.op_type}) reads the stream")
        for value in node.outputs:
            self.add(value)


class _Divider:
    """Divides sources, biases and epsilons of a complete stream."""

    def __init__(
        self,
        model: ir.Model,
        factor: float,
        weights: Mapping[str, str],
        stored: Mapping[str, ir.ExternalTensor],
    ) -> None:
        self._graph = model.graph
        self._factor = factor
        self._weights = weights
        self._stored = stored
        self._divisor: ir.Value | None = None

    def divide(self, values: Mapping[ir.Value, None]) -> None:
        """Change every node that makes or reads the stream."""
        for node in list(self._graph):
            makes = any(v in values for v in node.outputs)
            if makes and node.op_type in PRODUCTS:
                if node.inputs[0] not in values:
                    self._divide_input(node)
                if len(node.inputs) > 2 and node.inputs[2] is not None:
                    self._divide_constant(node, 2)
            elif makes and node.op_type in SUMS:
                for index, value in enumerate(node.inputs):
                    if value is None or value in values:
                        continue
                    if value.is_initializer():
                        self._divide_constant(node, index)
                    else:
                        self._divide_input(node, index)
            elif node.op_type in NORMS and node.inputs[0] in values:
                self._divide_epsilon(node)

    def _divide_input(self, node: ir.Node, index: int = 0) -> None:
        """The input rather than the weight: a weight may then still be one that an engine takes
        from the file, as all of them do."""
        if self._divisor is None:
            array = np.array(1.0 / self._factor, np.float32)
            self._divisor = self._constant(f"{RESCALED}divisor", array)
        source = node.inputs[index]
        assert source is not None
        name = f"{RESCALED}{node.outputs[0].name}_{index}"
        smaller = ir.Node(
            "", "Mul", [source, self._divisor], name=f"node_{name}",
            outputs=[ir.Value(name=name, type=source.type, shape=source.shape)],
        )  # fmt: skip
        self._graph.insert_before(node, smaller)
        node.replace_input_with(index, smaller.outputs[0])

    def _divide_constant(self, node: ir.Node, index: int) -> None:
        value = node.inputs[index]
        assert value is not None
        if not value.is_initializer():
            raise CannotRescale(f"'{value.name}' is added to the stream")
        name = f"{RESCALED}{value.name}"
        if name not in self._graph.initializers:
            tensor = (
                self._stored[self._weights[str(value.name)]]
                if (value.name in self._weights)
                else value.const_value
            )
            if tensor is None or tensor.nbytes > LARGEST_CONSTANT // 2:
                raise CannotRescale(f"'{value.name}' is added to the stream")
            self._constant(name, tensor.numpy().astype(np.float32) / np.float32(self._factor))
        node.replace_input_with(index, self._graph.initializers[name])

    def _divide_epsilon(self, node: ir.Node) -> None:
        found = node.attributes.get("epsilon")
        epsilon = found.as_float() if found is not None else 1e-5
        node.attributes["epsilon"] = ir.AttrFloat32("epsilon", epsilon / self._factor**2)

    def _constant(self, name: str, array: np.ndarray) -> ir.Value:
        value = ir.Value(
            name=name,
            type=ir.TensorType(ir.DataType.FLOAT),
            shape=ir.Shape(array.shape),
            const_value=ir.tensor(array, name=name),
        )
        self._graph.register_initializer(value)
        return value


def _is_constant(value: ir.Value | None) -> bool:
    """Whether a value is an initializer, or made of initializers alone (a transposed weight)."""
    if value is None or value.is_initializer():
        return value is not None
    node = value.producer()
    given = [] if node is None else [v for v in node.inputs if v is not None]
    return bool(given) and all(_is_constant(v) for v in given)


def _varies(value: ir.Value) -> bool:
    """Whether a value is floating and no constant."""
    return value.dtype == ir.DataType.FLOAT and not _is_constant(value)


def _pads_with_zero(node: ir.Node) -> bool:
    mode = node.attributes.get("mode")
    if mode is not None and mode.as_string() != "constant":
        return True
    value = node.inputs[2] if len(node.inputs) > 2 else None
    return value is None or (
        value.const_value is not None and not np.any(value.const_value.numpy())
    )


__all__ = ["CannotRescale", "rescale"]
