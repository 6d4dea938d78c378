"""Between latents [1, C, h, w] and latent tokens [N, c]: 2x2 packing and position ids."""

from __future__ import annotations

import numpy as np

from cooper_ros.runtime.backend import Float, Int


def pack_latents(latent: Float, patch: int) -> Float:
    """Latent [1, C, h, w] -> tokens [N, patch*patch*C], row-major over patches, each in the order
    (row in patch, column in patch, channel), channel fastest."""
    _, channels, height, width = latent.shape
    rows, columns = height // patch, width // patch
    tokens = latent.reshape(channels, rows, patch, columns, patch).transpose(1, 3, 2, 4, 0)
    return np.ascontiguousarray(tokens.reshape(rows * columns, patch * patch * channels))


def unpack_latents(tokens: Float, rows: int, columns: int, patch: int) -> Float:
    """Inverse of `pack_latents`: tokens [N, c] -> latent [1, C, rows * patch, columns * patch]."""
    channels = tokens.shape[1] // (patch * patch)
    latent = tokens.reshape(rows, columns, patch, patch, channels).transpose(4, 0, 2, 1, 3)
    return np.ascontiguousarray(latent.reshape(1, channels, rows * patch, columns * patch))


def grid_position_ids(rows: int, columns: int, side: int) -> Int:
    """int64 [rows * columns]: row * side + column, indices into a square position table.

    Raises ValueError when the grid does not fit the table.
    """
    if rows > side or columns > side:
        raise ValueError(f"a grid of {rows}x{columns} tokens exceeds the {side}x{side} table")
    grid = np.arange(rows)[:, None] * side + np.arange(columns)[None, :]
    return grid.reshape(-1).astype(np.int64)
