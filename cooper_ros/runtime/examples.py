"""Random but plausible inputs for a graph signature: traced, compared, and made anew by self-tests.

Drawn from numpy's frozen generator: the same seed gives the same numbers with every version, so a
self-test of real size stores a seed instead of megabytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cooper_ros.runtime.signature import NUMPY_DTYPES, GraphSignature

MASKED = -30000.0  # additive mask of the host code: finite in half precision


def example_inputs(
    signature: GraphSignature,
    sizes: Mapping[str, int],
    position_limit: int,
    seed: int = 0,
) -> dict[str, np.ndarray[Any, Any]]:
    """Return inputs by name.

    Images and latents are in [-1, 1] or normal, times in [0, 1], rotary tables those of real
    angles, masks hide a few past keys (never all), position ids lie below ``position_limit``.
    """
    random = np.random.RandomState([seed, len(signature.name)])
    values: dict[str, np.ndarray[Any, Any]] = {}
    angle: np.ndarray[Any, Any] | None = None
    for tensor in signature.inputs:
        shape = tensor.resolve(sizes)
        value: np.ndarray[Any, Any]
        if tensor.name == "position_ids":
            value = random.permutation(position_limit)[: shape[0]]
        elif tensor.name == "rows":
            value = random.permutation(sizes["seq"])[: shape[0]]
        elif tensor.name == "image":
            value = random.uniform(-1, 1, shape)
        elif tensor.name == "time":
            value = random.uniform(0, 1, shape)
        elif tensor.name in ("cos", "sin"):
            if angle is None:
                angle = random.uniform(0, 6, (*shape[:-1], shape[-1] // 2))
            half = np.cos(angle) if tensor.name == "cos" else np.sin(angle)
            value = np.concatenate([half, half], -1)
        elif tensor.name == "bias":
            value = np.where(random.uniform(size=shape) < 0.25, MASKED, 0.0)
            value[..., -1] = 0.0
        else:
            value = random.normal(size=shape)
        values[tensor.name] = np.ascontiguousarray(value.astype(NUMPY_DTYPES[tensor.dtype]))
    return values
