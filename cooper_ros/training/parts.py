"""Where the seconds of a step go: `with part("draw"): ...`, processor time by name."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

Figures = dict[str, float | Tensor]
"""What a step logs. Tensors stay where they are until a line is written: to read one is to wait
for the device."""


class Parts:
    """Seconds by part since the last `take`."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def add(self, name: str, seconds: float) -> None:
        """Book seconds on a part."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def take(self) -> dict[str, float]:
        """What was booked; starts anew."""
        taken, self.seconds = self.seconds, {}
        return taken


_booked = Parts()


@contextmanager
def part(name: str) -> Iterator[None]:
    """Book the processor time of a block of the present process under `name`. Blocks within
    blocks count in both."""
    start = time.process_time()
    try:
        yield
    finally:
        _booked.add(name, time.process_time() - start)


def add(name: str, seconds: float) -> None:
    """Book seconds on a part."""
    _booked.add(name, seconds)


def take() -> dict[str, float]:
    """Seconds by part since the last call."""
    return _booked.take()
