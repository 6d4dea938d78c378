"""Repeated timing of a call: median and 90th percentile, after a warm-up."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Timing:
    """Wall times [s] of repeated calls."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median [s]."""
        return float(np.median(self.seconds))

    @property
    def p90(self) -> float:
        """90th percentile [s]."""
        return float(np.percentile(self.seconds, 90))

    def to_dict(self) -> dict[str, float]:
        """`median_ms`, `p90_ms`, `hz` (of the median), `runs`."""
        return {
            "median_ms": 1e3 * self.median,
            "p90_ms": 1e3 * self.p90,
            "hz": 1.0 / self.median if self.median > 0 else float("inf"),
            "runs": float(len(self.seconds)),
        }


def measure(
    calls: Sequence[Callable[[], object]],
    *,
    warm_up: int = 2,
    clock: Callable[[], float] = time.perf_counter,
) -> Timing:
    """Run every call once and time it, after running the first `warm_up` of them untimed."""
    for call in calls[:warm_up]:
        call()
    seconds = []
    for call in calls:
        started = clock()
        call()
        seconds.append(clock() - started)
    return Timing(tuple(seconds))
