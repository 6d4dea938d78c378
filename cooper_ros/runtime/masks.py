"""Attention biases: 0 where a query may see a key, MASKED where not."""

from __future__ import annotations

import numpy as np

from cooper_ros.runtime.backend import MASKED, Float


def full_bias(batch: int, new: int, past: int) -> Float:
    """[B, 1, new, past + new]: an image segment sees all the past and all of itself."""
    return np.zeros((batch, 1, new, past + new), dtype=np.float32)


def apart_bias(batch: int, new: int, past: int) -> Float:
    """[B, 1, new, past + new]: a segment that sees all of itself and nothing before it."""
    bias = np.zeros((batch, 1, new, past + new), dtype=np.float32)
    bias[..., :past] = MASKED
    return bias


def causal_bias(batch: int, new: int, past: int) -> Float:
    """[B, 1, new, past + new]: text sees all the past, itself and what stands before it."""
    block = np.triu(np.full((new, new), MASKED, dtype=np.float32), k=1)
    bias = np.concatenate([np.zeros((new, past), dtype=np.float32), block], axis=1)
    return np.broadcast_to(bias, (batch, 1, new, past + new)).copy()
