"""Pieces of one object that something nearer cuts apart.

A table leg behind a chair and the table top above it are two regions of the picture and one table.
Two pieces of a class at about the same distance are joined when what is seen between them is nearer
than both, so that the object may well go on behind it; or when one is far smaller: at one distance
objects of a class have similar sizes, so the small piece is a part that thin connections lost.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Indices = NDArray[np.integer]

SAME_LOG_RANGE = 0.15  # as for neighbouring pieces
FRAGMENT_LOG_RANGE = 0.25  # the median of a few pixels tells less
FRAGMENT_SHARE = 0.15  # of the larger piece's pixels
HIDDEN_SHARE = 0.6  # of the way from piece to piece
MAX_PIXELS = 256  # per piece, when the way between two is looked for


def join_occluded(
    pieces: Sequence[Indices], mask: NDArray[np.bool_], ranges: Array
) -> list[Indices]:
    """Objects from the pieces of one class, flat pixel indices each.

    `mask` bool [H, W] of the class, `ranges` f32 [H, W] in metres. Larger pieces take up smaller
    ones; a piece of unknown distance stays alone.
    """
    objects: list[Indices] = []
    distances: list[float] = []
    for piece in sorted(pieces, key=lambda item: -item.size):
        distance = _log_median(ranges, piece)
        for number, other in enumerate(objects):
            if _one_object(other, distances[number], piece, distance, mask, ranges):
                objects[number] = np.concatenate([other, piece])
                break
        else:
            objects.append(piece)
            distances.append(distance)
    return objects


def _one_object(
    large: Indices,
    large_log: float,
    small: Indices,
    small_log: float,
    mask: NDArray[np.bool_],
    ranges: Array,
) -> bool:
    gap = abs(large_log - small_log)  # NaN: every comparison below is false
    if small.size < FRAGMENT_SHARE * large.size:
        return gap < FRAGMENT_LOG_RANGE
    if not gap < SAME_LOG_RANGE:
        return False
    rows, columns = _way(large, small, mask.shape[1])
    outside = ~mask[rows, columns]
    if not outside.any():
        return True
    between = ranges[rows[outside], columns[outside]]
    with np.errstate(invalid="ignore"):
        nearer = between < math.exp(min(large_log, small_log))
    return bool(nearer.mean() >= HIDDEN_SHARE)


def _way(first: Indices, second: Indices, width: int) -> tuple[Indices, Indices]:
    """(rows, columns) of the straight way between the nearest pixels of two pieces."""
    r1, c1 = np.divmod(first[:: max(1, first.size // MAX_PIXELS)], width)
    r2, c2 = np.divmod(second[:: max(1, second.size // MAX_PIXELS)], width)
    squared = (r1[:, None] - r2[None]) ** 2 + (c1[:, None] - c2[None]) ** 2
    i, j = np.unravel_index(int(np.argmin(squared)), squared.shape)
    count = int(math.sqrt(float(squared[i, j]))) + 2
    rows = np.rint(np.linspace(r1[i], r2[j], count)).astype(np.int64)
    return rows, np.rint(np.linspace(c1[i], c2[j], count)).astype(np.int64)


def _log_median(ranges: Array, index: Indices) -> float:
    values = ranges.reshape(-1)[index]
    values = values[np.isfinite(values)]
    return float(np.log(np.median(values))) if values.size else math.nan
