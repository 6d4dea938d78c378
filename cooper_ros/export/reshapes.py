"""Reshapes with constant shapes instead of shapes computed at run time.

The exporter computes every target shape from the input's dimensions: three to five small nodes per
reshape, more than half of all nodes of a graph. Where a dimension is copied from the same place of
the input, the constant 0 says so; one remaining unknown is -1.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir


def simplify_reshapes(model: ir.Model) -> int:
    """Rewrite what can be; returns the number of rewritten nodes.

    No tensor that our graphs reshape is ever empty (an empty past is concatenated first), so -1 is
    never ambiguous.
    """
    count = 0
    for node in model.graph:
        if node.op_type != "Reshape":
            continue
        shape = _constant_shape(node)
        if shape is None:
            continue
        name = f"shape_{node.outputs[0].name}"
        value = ir.Value(
            name=name,
            type=ir.TensorType(ir.DataType.INT64),
            shape=ir.Shape([len(shape)]),
            const_value=ir.tensor(np.array(shape, dtype=np.int64), name=name),
        )
        model.graph.initializers.add(value)
        node.replace_input_with(1, value)
        # With allowzero a 0 would mean an empty dimension.
        node.attributes["allowzero"] = ir.AttrInt64("allowzero", 0)
        count += 1
    return count


def _constant_shape(node: ir.Node) -> list[int] | None:
    """Target shape with 0 and -1, or None where it is constant already or stays unknown."""
    data, target = node.inputs[0], node.inputs[1]
    output = node.outputs[0].shape
    if data is None or target is None or data.shape is None or output is None:
        return None
    producer = target.producer()
    if producer is None or producer.op_type != "Concat":
        return None
    parts = [None if v is None else ir.convenience.get_const_tensor(v) for v in producer.inputs]
    if len(parts) != len(output):
        return None
    shape: list[int] = []
    for axis, (dimension, part) in enumerate(zip(output, parts, strict=True)):
        if part is not None and part.size == 1:
            shape.append(int(part.numpy().item()))
        elif isinstance(dimension, int):
            return None
        elif axis < len(data.shape) and _known_equal(data.shape[axis], dimension):
            shape.append(0)
        else:
            shape.append(-1)
    return shape if shape.count(-1) <= 1 else None


def _known_equal(first: int | ir.SymbolicDim, second: int | ir.SymbolicDim) -> bool:
    """Two unknown dimensions compare as equal, which says nothing."""
    return isinstance(first, ir.SymbolicDim) and first.value is not None and first == second
