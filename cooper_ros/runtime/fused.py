"""Drawn maps as one segment of context tokens: what a cell's depth and classes are, in numbers.

The maps of a frame are read back into metres and classes, and each cell (the pixels of one latent
token) becomes one token: a linear map of its features. Separate tokens per map would leave it to
attention to bring the depth and the name of one place together; measured, that is what a small
model learns last. Features of a cell, in this order:

- ln z on a `grid` x `grid` raster of the cell (means), 0.7 subtracted;
- its sine and cosine at each of `waves` [1 / ln m], so that a few per cent can be told apart;
- the share of each class on a `class_grid` x `class_grid` raster of the cell.

A map that was not drawn yet has zeros. `training.fused` holds the same in torch; a test holds them
equal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]

CENTRE = 0.7
"""ln 2 m: what indoor depths scatter around."""


@dataclass(frozen=True)
class FusedSettings:
    """Numbers of the features; `cell` is the side of a cell in pixels of the map."""

    classes: int
    cell: int = 8
    grid: int = 4
    waves: tuple[float, ...] = (2.0, 8.0)
    class_grid: int = 2

    def __post_init__(self) -> None:
        if self.classes < 1 or self.cell % self.grid or self.cell % self.class_grid:
            raise ValueError(
                f"a cell of {self.cell} pixels has no raster of {self.grid} and {self.class_grid}"
            )

    @property
    def depth_width(self) -> int:
        """Features of the depth map."""
        return self.grid**2 * (1 + 2 * len(self.waves))

    @property
    def width(self) -> int:
        """Features of a cell."""
        return self.depth_width + self.class_grid**2 * self.classes


def features(
    settings: FusedSettings,
    rows: int,
    columns: int,
    depth_m: Float | None,
    labels: NDArray[np.integer] | None,
) -> Float:
    """f32 [rows * columns, width] of depth f32 [h, w] in metres and class ids [h, w] at the size
    of a map (rows * cell x columns * cell); unknown depth (NaN) counts as 10 m.

    Raises ValueError for maps of another size.
    """
    size = (rows * settings.cell, columns * settings.cell)
    for name, given in (("depth", depth_m), ("labels", labels)):
        if given is not None and given.shape != size:
            raise ValueError(f"{name} of shape {given.shape}, expected {size}")
    out = np.zeros((rows * columns, settings.width), np.float32)
    if depth_m is not None:
        metres = np.nan_to_num(depth_m.astype(np.float32), nan=10.0, posinf=10.0)
        log = np.log(np.maximum(metres, 1e-3)) - np.float32(CENTRE)
        pooled = _raster(log[..., None], rows, columns, settings.grid)
        parts = [pooled]
        for wave in settings.waves:
            parts += [np.sin(wave * pooled), np.cos(wave * pooled)]
        out[:, : settings.depth_width] = np.concatenate(parts, 1)
    if labels is not None:
        one_hot = np.eye(settings.classes, dtype=np.float32)[labels]
        out[:, settings.depth_width :] = _raster(one_hot, rows, columns, settings.class_grid)
    return out


def _raster(values: Float, rows: int, columns: int, grid: int) -> Float:
    """[h, w, C] to means [rows * columns, grid * grid * C], order (row, column, channel)."""
    height, width, channels = values.shape
    step = height // (rows * grid)
    cells = values.reshape(rows, grid, step, columns, grid, width // (columns * grid), channels)
    means = cells.mean((2, 5))  # [rows, grid, columns, grid, C]
    return means.transpose(0, 2, 1, 3, 4).reshape(rows * columns, grid * grid * channels)
