"""Repeated timing of a call: median and 90th percentile, after a warm-up.

Wall time is what a robot waits for; processor time says what the work costs when other processes
share the machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Timing:
    """Wall times and processor times (all threads of this process) of repeated calls [s]."""

    seconds: tuple[float, ...]
    processor_seconds: tuple[float, ...] = ()

    @property
    def median(self) -> float:
        """Median [s]."""
        return float(np.median(self.seconds))

    @property
    def p90(self) -> float:
        """90th percentile [s]."""
        return float(np.percentile(self.seconds, 90))

    def __add__(self, other: Timing) -> Timing:
        """Call by call, one after the other."""
        return Timing(
            tuple(a + b for a, b in zip(self.seconds, other.seconds, strict=True)),
            tuple(
                a + b
                for a, b in zip(self.processor_seconds, other.processor_seconds, strict=True)
            ),
        )

    def to_dict(self) -> dict[str, float]:
        """`median_ms`, `p90_ms`, `hz` (of the median), `processor_ms` (median), `runs`."""
        processor = self.processor_seconds
        return {
            "median_ms": 1e3 * self.median,
            "p90_ms": 1e3 * self.p90,
            "hz": 1.0 / self.median if self.median > 0 else float("inf"),
            "processor_ms": 1e3 * float(np.median(processor)) if processor else float("nan"),
            "runs": len(self.seconds),
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
    seconds, processor = [], []
    for call in calls:
        started, worked = clock(), time.process_time()
        call()
        seconds.append(clock() - started)
        processor.append(time.process_time() - worked)
    return Timing(tuple(seconds), tuple(processor))
