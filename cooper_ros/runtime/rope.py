"""Rotary position tables (half-rotation form, Su et al. 2021), computed in float32."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from cooper_ros.runtime.backend import Float


def rotary_table(positions: ArrayLike, head_dim: int, theta: float) -> tuple[Float, Float]:
    """cos and sin float32 [S, head_dim] of integer positions [S].

    The angle of channel i and of channel i + head_dim/2 is position * theta^(-2i/head_dim).
    """
    exponent = np.arange(0, head_dim, 2, dtype=np.float32) / np.float32(head_dim)
    inverse = (np.float32(1.0) / np.float32(theta) ** exponent).astype(np.float32)
    angles = np.asarray(positions, dtype=np.float32)[:, None] * inverse[None, :]
    angles = np.concatenate([angles, angles], axis=-1)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
