"""How often something happens, and how long it takes."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

WINDOW_S = 10.0


class Rate:
    """Events per second over the last `WINDOW_S` seconds."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def tick(self) -> None:
        """Count one event."""
        now = time.monotonic()
        self._times.append(now)
        self._forget(now)

    def _forget(self, now: float) -> None:
        while self._times and now - self._times[0] > WINDOW_S:
            self._times.popleft()

    @property
    def hz(self) -> float:
        """Mean rate [Hz]; 0 when fewer than two events are known."""
        times = list(self._times)
        now = time.monotonic()
        times = [moment for moment in times if now - moment <= WINDOW_S]
        if len(times) < 2 or times[-1] <= times[0]:
            return 0.0
        return (len(times) - 1) / (times[-1] - times[0])


@dataclass(frozen=True)
class Taken:
    """Time [s] by the clock, and of the processor in this thread; NaN = not measured."""

    wall_s: float = math.nan
    processor_s: float = math.nan

    def __add__(self, other: Taken) -> Taken:
        return Taken(self.wall_s + other.wall_s, self.processor_s + other.processor_s)


class Stopwatch:
    """Context manager; `taken` is what its block took."""

    def __enter__(self) -> Stopwatch:
        self._started = time.monotonic(), time.thread_time()
        self.taken = Taken()
        return self

    def __exit__(self, *_: Any) -> None:
        wall, processor = self._started
        self.taken = Taken(time.monotonic() - wall, time.thread_time() - processor)
