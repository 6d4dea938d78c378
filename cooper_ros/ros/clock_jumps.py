"""Time that runs back: a bag that is played again, a simulation that was reset.

What is remembered from before then belongs to another world: tracks, the scale of a moment ago,
frames that were asked about, readings of other sensors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.clock import JumpThreshold, TimeJump
from rclpy.duration import Duration

BACK_S = 0.5
"""Images that overtake one another on their way are no jump [s]."""


class ClockJumps:
    """Watches the node's clock and the stamps of its images.

    `on_clock(seconds)` is called in the executor when the clock ran back by so much. Both are
    needed: a bag can be played again without anybody having set the clock.
    """

    def __init__(self, clock: Any, on_clock: Callable[[float], None]) -> None:
        self._newest: dict[str, int] = {}
        self._on_clock = on_clock
        threshold = JumpThreshold(
            min_forward=None, min_backward=Duration(nanoseconds=-round(BACK_S * 1e9)),
            on_clock_change=False,
        )  # fmt: skip
        self._handle = clock.create_jump_callback(threshold, post_callback=self._jumped)

    def close(self) -> None:
        """Stop watching the clock."""
        self._handle.unregister()

    def ran_back_s(self, camera: str, stamp_ns: int) -> float:
        """By how much [s] this image's time is before that of the one before; 0 for no jump."""
        before = self._newest.get(camera, 0)
        if not stamp_ns:  # the driver gives no times
            return 0.0
        back_s = (before - stamp_ns) / 1e9
        if 0.0 <= back_s < BACK_S:
            return 0.0
        self._newest[camera] = stamp_ns
        return max(back_s, 0.0)

    def _jumped(self, jump: TimeJump) -> None:
        self._newest.clear()
        self._on_clock(-jump.delta.nanoseconds / 1e9)
