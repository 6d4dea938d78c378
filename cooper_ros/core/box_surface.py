"""The surface that a box without a mask means: the nearest one in it that is not background.

A detector's box holds the object, what stands before it and what is seen beside and through it.
What continues beyond the box at the same distance is background (floor, wall, table top); what
smaller boxes inside it mean are other things. Of the rest the nearest of the prominent distances
counts, and the pixels around it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Box = tuple[int, int, int, int]

NEARER = 0.97  # nearer than what is seen beside the box by this factor: no background
BACKGROUND_WEIGHT = OTHER_WEIGHT = 0.1
CENTRE = 0.6  # spread of the weight about the middle of the box, in box sizes
BIN = 0.02  # of ln(range)
PROMINENT = 0.8  # share of the strongest distance from which on a nearer one counts
DEPTH_SPAN = 0.6  # of ln(range): pixels this close to the distance are of the surface
OWN, OWN_SHARE = 0.2, 0.1
"""Pixels of more than this share of the greatest weight are the object's own, unless they are fewer
than this share of all at its distance."""
MARGIN, GAP = 0.08, 0.02  # of the box's width: how much is looked at beside it, and from where
MAX_SIDE = 64
"""Rows and columns looked at of a box; of a larger one every n-th."""


def box_surface(ranges: Array, box: Box, others: Sequence[Box] = ()) -> NDArray[np.int64]:
    """Flat pixel indices of the surface that a box (x, y, width, height) [px] means.

    `ranges` f32 [H, W] [m], NaN unknown; the box lies inside the image; `others`: the boxes of
    other things. Empty where the box has no depth.
    """
    x, y, width, height = box
    inside = ranges[y : y + height, x : x + width]
    step = max(-(-max(width, height) // MAX_SIDE), 1)
    seen = inside[::step, ::step]
    known = np.isfinite(seen)
    if not known.any():
        return np.zeros(0, np.int64)
    weight = _weights(ranges, box, others, step)
    logs = np.log(seen[known])
    centre = _nearest_peak(logs, weight[known])
    with np.errstate(invalid="ignore", divide="ignore"):
        chosen = np.abs(np.log(inside) - centre) < DEPTH_SPAN
    own = weight > OWN * weight.max()
    own = own.repeat(step, 0).repeat(step, 1)[:height, :width] & chosen
    if np.count_nonzero(own) >= OWN_SHARE * np.count_nonzero(chosen):
        chosen = own  # without what continues beside the box at the object's own distance
    rows, columns = np.nonzero(chosen)
    return (rows + y) * ranges.shape[1] + columns + x


def _weights(ranges: Array, box: Box, others: Sequence[Box], step: int) -> NDArray[np.float64]:
    x, y, width, height = box
    down = (np.arange(0, height, step) + 0.5) / height - 0.5
    across = (np.arange(0, width, step) + 0.5) / width - 0.5
    weight = np.exp(-(down[:, None] ** 2 + across[None] ** 2) / (2.0 * CENTRE**2))
    beside = _beside(ranges, box, step)
    with np.errstate(invalid="ignore"):
        background = ranges[y : y + height : step, x : x + width : step] >= beside[:, None] * NEARER
    weight[background] *= BACKGROUND_WEIGHT
    for left, top, wide, tall in others:
        x0, y0 = max(left, x), max(top, y)
        x1, y1 = min(left + wide, x + width), min(top + tall, y + height)
        smaller = wide * tall < 0.6 * width * height
        if smaller and x1 > x0 and y1 > y0 and (x1 - x0) * (y1 - y0) > 0.5 * wide * tall:
            first = (y0 - y) // step, (x0 - x) // step
            last = -(-(y1 - y) // step), -(-(x1 - x) // step)
            weight[first[0] : last[0], first[1] : last[1]] *= OTHER_WEIGHT
    return weight


def _beside(ranges: Array, box: Box, step: int) -> Array:
    """Per row looked at, the nearer of what is seen to its left and right [m]; NaN unknown."""
    x, y, width, height = box
    margin, gap = max(3, round(MARGIN * width)), max(1, round(GAP * width))
    left = ranges[y : y + height : step, max(x - gap - margin, 0) : max(x - gap, 0)]
    right = ranges[y : y + height : step, x + width + gap : x + width + gap + margin]
    return np.fmin(_row_medians(left), _row_medians(right))


def _row_medians(values: Array) -> Array:
    """Lower median of the known values of each row, NaN without any: f32 [rows]."""
    if not values.shape[1]:
        return np.full(values.shape[0], np.nan, np.float32)
    ordered = np.sort(values, axis=1)  # unknown last
    middle = np.maximum(np.isfinite(values).sum(axis=1) - 1, 0) // 2
    return np.asarray(np.take_along_axis(ordered, middle[:, None], axis=1)[:, 0], np.float32)


def _nearest_peak(logs: Array, weight: NDArray[np.float64]) -> float:
    """ln(range) of the nearest of the prominent distances."""
    low = float(logs.min())
    bins = ((logs - low) / BIN).astype(np.int64)
    count = int(bins.max()) + 1
    histogram = np.bincount(bins, weight, count)
    smooth = np.convolve(histogram, np.ones(7), "full")[3 : 3 + count]
    best = smooth.max()
    padded = np.pad(smooth, 5)
    highest = np.lib.stride_tricks.sliding_window_view(padded, 11).max(axis=1)
    peaks = np.flatnonzero((smooth >= PROMINENT * best) & (smooth == highest))
    return low + (int(peaks[0]) + 0.5) * BIN
