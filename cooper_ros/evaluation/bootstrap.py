"""Intervals of figures by resampling scenes.

Frames and questions of one scene share its room, light and objects, so they are not independent:
the scene is what is drawn again, never the single question.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")

SAMPLES = 500
LEVEL = 0.95


def interval(
    scenes: Sequence[T],
    statistic: Callable[[Sequence[T]], float],
    *,
    samples: int = SAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval of `statistic` over `scenes`: (low, high).

    `statistic` gets a list of scenes, some of them repeated. Draws on which it is NaN are left
    out; (NaN, NaN) without scenes or without any finite or infinite draw. The same seed and number
    of scenes always draw the same scenes, so intervals of different figures are paired.
    """
    if not scenes:
        return math.nan, math.nan
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(samples):
        chosen = rng.integers(len(scenes), size=len(scenes))
        value = statistic([scenes[index] for index in chosen])
        if not math.isnan(value):
            values.append(value)
    if not values:
        return math.nan, math.nan
    ordered = np.sort(values)
    # Nearest order statistic: interpolating between a finite and an infinite value gives NaN.
    tail = (1.0 - level) / 2.0
    low = int(math.floor(tail * (len(ordered) - 1)))
    high = int(math.ceil((1.0 - tail) * (len(ordered) - 1)))
    return float(ordered[low]), float(ordered[high])


def mean_of(groups: Sequence[Sequence[float]]) -> float:
    """Mean of all values of all groups, NaN values left out; NaN without any."""
    values = np.concatenate([np.asarray(group, np.float64) for group in groups] or [np.empty(0)])
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else math.nan


def median_of(groups: Sequence[Sequence[float]]) -> float:
    """Median of all values of all groups, NaN values left out, infinite ones kept."""
    values = np.concatenate([np.asarray(group, np.float64) for group in groups] or [np.empty(0)])
    values = np.sort(values[~np.isnan(values)])
    if not values.size:
        return math.nan
    low, high = values[(values.size - 1) // 2], values[values.size // 2]
    return float(low) if low == high else float((low + high) / 2.0)
