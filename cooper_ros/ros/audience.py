"""Whether anybody is left who could hear an answer: work for a client that has gone is stopped."""

from __future__ import annotations

import time
from collections.abc import Callable

from cooper_ros.core.errors import GenerationCancelled

LOOK_S = 0.5
"""How often the graph is asked [s]; two looks in a row without a client mean that it has gone."""


class Audience:
    """The clients of one interface. DDS tells how many there are, not which of them asked: work
    goes on while any is left.

    `count()` gives their number; an error of it (a middleware that cannot tell) counts as one.
    """

    def __init__(
        self, count: Callable[[], int], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._count = count
        self._now = now
        self._next = 0.0
        self._empty = 0

    def rest(self) -> None:
        """Nobody waits for anything: the next look is a first one."""
        self._next, self._empty = 0.0, 0

    def has_left(self) -> bool:
        """Whether two looks in a row found nobody. Cheap: looks at most every `LOOK_S`."""
        now = self._now()
        if now >= self._next:
            self._next = now + LOOK_S
            self._empty = 0 if self._heads() else self._empty + 1
        return self._empty >= 2

    def _heads(self) -> int:
        try:
            return self._count()
        except Exception:  # not every middleware has this function
            return 1


def nobody_listens() -> GenerationCancelled:
    """The reason with which such work ends."""
    return GenerationCancelled("the client has gone; nobody is left who could hear the answer")
