"""Forks share memory and never see each other's additions."""

from __future__ import annotations

import numpy as np
import pytest

from cooper_ros.runtime.cache import BLOCK, KVCache


def rows(*values: float) -> np.ndarray:
    return np.broadcast_to(
        np.array(values, np.float32)[None, None, None, :, None], (2, 1, 3, len(values), 4)
    ).copy()


def content(cache: KVCache) -> list[float]:
    np.testing.assert_array_equal(cache.keys, -cache.values)
    return cache.keys[1, 0, 2, :, 3].tolist()


def add(cache: KVCache, *values: float) -> None:
    cache.append(rows(*values), -rows(*values))


def new() -> KVCache:
    return KVCache(2, 3, 4)


def test_append_keeps_order_and_grows() -> None:
    cache = new()
    for value in range(BLOCK + 5):
        add(cache, float(value))
    assert content(cache) == [float(value) for value in range(BLOCK + 5)]


def test_fork_copies_nothing_and_first_writer_stays_in_place() -> None:
    cache = new()
    add(cache, 1, 2)
    fork = cache.fork()
    assert fork.shares_storage_with(cache)
    add(fork, 3)
    assert fork.shares_storage_with(cache)
    assert content(cache) == [1, 2]
    assert content(fork) == [1, 2, 3]


def test_second_writer_takes_a_copy() -> None:
    cache = new()
    add(cache, 1)
    first, second = cache.fork(), cache.fork()
    add(first, 2)
    add(second, 9)
    assert not second.shares_storage_with(first)
    assert (content(cache), content(first), content(second)) == ([1], [1, 2], [1, 9])
    add(cache, 5)
    assert (content(cache), content(first), content(second)) == ([1, 5], [1, 2], [1, 9])


def test_dropped_fork_gives_its_tail_back() -> None:
    cache = new()
    add(cache, 1)
    for question in (2.0, 3.0, 4.0):
        fork = cache.fork()
        add(fork, question)
        assert fork.shares_storage_with(cache)
        assert content(fork) == [1, question]
        del fork
    assert content(cache) == [1]


def test_fork_of_a_fork_keeps_what_it_saw() -> None:
    cache = new()
    add(cache, 1)
    middle = cache.fork()
    add(middle, 2)
    late = middle.fork()
    del middle
    other = cache.fork()
    add(other, 7)
    assert content(late) == [1, 2]
    assert content(other) == [1, 7]


def test_reserve_prevents_moves() -> None:
    cache = new()
    cache.reserve(10 * BLOCK)
    fork = cache.fork()
    for value in range(10 * BLOCK):
        add(fork, float(value))
    assert fork.shares_storage_with(cache)


def test_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        new().append(np.zeros((2, 1, 3, 1, 5)), np.zeros((2, 1, 3, 1, 5)))
