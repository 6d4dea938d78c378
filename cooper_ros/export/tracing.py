"""One torch module to one clean float32 ONNX graph whose weights are still the torch parameters."""

from __future__ import annotations

import gc
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes
import torch
from onnxscript.optimizer import fold_constants_ir
from torch import nn

from cooper_ros.core.errors import CooperError
from cooper_ros.export.reshapes import simplify_reshapes
from cooper_ros.runtime.signature import GraphSignature, TensorSpec

# 20 is the newest opset whose attention and normalisations are written as plain operators; the
# fused ones of 23 are missing from the TensorRT of JetPack 6.
OPSET = 20


class ExportError(CooperError):
    """A graph cannot be exported as a model folder needs it."""


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's notices about packages that we do not need out of the console."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def _without_collections() -> Iterator[None]:
    """Tracing makes millions of objects that live until its end: looking for garbage among them
    takes a fifth of its time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def trace_graph(
    module: nn.Module,
    signature: GraphSignature,
    inputs: Mapping[str, np.ndarray[Any, Any]],
    names: Mapping[int, str],
) -> tuple[ir.Model, dict[str, str]]:
    """Trace ``module`` with dynamic dimensions as the signature says.

    Args:
        module: a graph module in evaluation mode, float32; the meta device will do.
        signature: names and symbolic shapes of inputs and outputs.
        inputs: example inputs by name.
        names: stored tensor name by ``id()`` of each parameter and buffer of the model.

    Returns:
        the graph, and the stored tensor name of each weight initializer by initializer name.

    Raises:
        ExportError: torch froze a dimension that must stay dynamic, or used a constant that is no
            parameter.
    """
    device = next(module.parameters()).device  # may be the meta device: only shapes matter
    arguments = tuple(torch.from_numpy(inputs[t.name]).to(device) for t in signature.inputs)
    shapes = tuple(_dynamic_shape(t) for t in signature.inputs)
    try:
        with _quiet(), _without_collections():
            program = torch.onnx.export(
                module,
                arguments,
                dynamo=True,
                opset_version=OPSET,
                dynamic_shapes=shapes,
                input_names=signature.input_names(),
                output_names=signature.output_names(),
                optimize=False,
                verbose=False,
            )
    except Exception as error:  # torch raises many kinds; all mean the same to the caller
        raise ExportError(f"graph '{signature.name}' cannot be traced: {error}") from error
    assert program is not None
    model = program.model
    weights = _weight_names(module, model, names, signature.name)
    for name in weights:
        # Values come later, from the shards; passes must neither read nor fold them.
        model.graph.initializers[name].const_value = None
    _simplify(model, set(weights))
    simplify_reshapes(model)
    _remove_unused(model)
    used = model.graph.initializers
    return model, {k: v for k, v in weights.items() if k in used}


def _dynamic_shape(tensor: TensorSpec) -> dict[int, Any]:
    return {
        axis: torch.export.Dim.DYNAMIC
        for axis, dimension in enumerate(tensor.shape)
        if isinstance(dimension, str)
    }


def _weight_names(
    module: nn.Module, model: ir.Model, names: Mapping[int, str], graph: str
) -> dict[str, str]:
    """Map initializers to stored tensors by the identity of the parameter they came from."""
    local = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    weights: dict[str, str] = {}
    for name in model.graph.initializers:
        tensor = local.get(name)
        if tensor is None:
            continue
        if id(tensor) not in names:
            raise ExportError(f"graph '{graph}' uses '{name}', which the checkpoint does not hold")
        weights[name] = names[id(tensor)]
    return weights


def _simplify(model: ir.Model, weights: set[str]) -> None:
    """Fold constants, but never a weight: initializers must stay byte ranges of the shards."""

    def should_fold(node: ir.Node) -> bool | None:
        touches = any(v is not None and v.name in weights for v in node.inputs)
        return False if touches else None

    passes.InlinePass()(model)
    fold_constants_ir(
        model,
        onnx_shape_inference=True,
        input_size_limit=4096,
        output_size_limit=4096,
        should_fold=should_fold,
    )
    simplify = ir.passes.Sequential(
        passes.RemoveUnusedNodesPass(),
        passes.RemoveUnusedFunctionsPass(),
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        passes.IdentityEliminationPass(),
        passes.CommonSubexpressionEliminationPass(),
        passes.OutputFixPass(),
        passes.NameFixPass(),
    )
    simplify(model)


def _remove_unused(model: ir.Model) -> None:
    remove = ir.passes.Sequential(
        passes.RemoveUnusedNodesPass(),
        passes.RemoveUnusedOpsetsPass(),
        # Names of source files and of the machine have no business in a shipped file.
        passes.ClearMetadataAndDocStringPass(),
    )
    remove(model)
