"""How often something happens."""

from __future__ import annotations

import time
from collections import deque

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
