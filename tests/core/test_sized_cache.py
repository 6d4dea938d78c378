"""Caches whose size in memory is bounded."""

from __future__ import annotations

import numpy as np

from cooper_ros.core.sized_cache import MOST, sized_cache


def test_what_is_large_goes_when_it_is_not_used_any_more() -> None:
    made: list[int] = []

    @sized_cache(1.0)
    def zeros(kib: int) -> np.ndarray | None:
        made.append(kib)
        return np.zeros(kib * 1024, np.uint8) if kib else None

    assert zeros(100) is zeros(100) and made == [100]
    large = zeros(5000)
    assert zeros(5000) is large, "the newest is kept, however large"
    zeros(100)  # made again; the large one goes
    assert made == [100, 5000, 100]
    assert zeros(0) is zeros(0) is None
    zeros(5000)
    assert made == [100, 5000, 100, 0, 5000]
    for size in (200, 300, 400):
        zeros(size)
    made.clear()
    for size in (400, 300, 200):
        zeros(size)
    assert made == []


def test_small_things_are_bounded_by_number() -> None:
    made: list[int] = []

    @sized_cache(1.0)
    def nothing(number: int) -> None:
        made.append(number)

    for number in range(MOST + 1):
        nothing(number)
    nothing(MOST)
    nothing(0)
    assert len(made) == MOST + 2
