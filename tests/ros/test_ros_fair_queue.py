"""Turns between clients, limits for each, and what gives way when the queue is full."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from cooper_ros.ros.fair_queue import MAX_CLIENTS, FairQueue, RateLimit
from cooper_ros.ros.refusals import BusyError


@dataclass(eq=False)
class Item:
    client: str
    number: int = 0

    def __repr__(self) -> str:
        return f"{self.client}{self.number}"


def names(items: list[Item]) -> str:
    return " ".join(map(repr, items))


def filled(*items: tuple[str, int]) -> FairQueue[Item]:
    queue: FairQueue[Item] = FairQueue()
    for client, count in items:
        for number in range(count):
            queue.put(Item(client, number), 100, 100)
    return queue


def test_clients_take_turns() -> None:
    queue = filled(("a", 3), ("b", 1), ("c", 2))
    assert names(queue.in_order()) == "a0 b0 c0 a1 c1 a2"
    assert len(queue) == 6


def test_who_was_served_last_comes_last() -> None:
    queue = filled(("a", 2), ("b", 2))
    queue.remove(queue.in_order()[0], served=True)
    assert names(queue.in_order()) == "b0 a1 b1"
    queue.remove(queue.in_order()[0], served=True)
    assert names(queue.in_order()) == "a1 b1"
    queue.put(Item("c"), 100, 100)
    assert names(queue.in_order()) == "c0 a1 b1", "who never had a turn has waited longest"


def test_taking_one_back_is_no_turn() -> None:
    queue = filled(("a", 2), ("b", 1))
    first = queue.in_order()[0]
    assert queue.position(first) == 0
    assert queue.remove(first) and not queue.remove(first)
    assert queue.position(first) is None and first not in queue
    assert names(queue.in_order()) == "a1 b0"


def test_a_client_has_a_limit_of_its_own() -> None:
    queue: FairQueue[Item] = FairQueue()
    queue.put(Item("a", 0), 10, 2)
    queue.put(Item("a", 1), 10, 2)
    with pytest.raises(BusyError, match="2 questions of client 'a'.*client_queue_size"):
        queue.put(Item("a", 2), 10, 2)
    assert queue.put(Item("b", 0), 10, 2) is None


def test_the_longest_lane_gives_way_to_a_newcomer_and_only_to_one() -> None:
    queue: FairQueue[Item] = FairQueue()
    for number in range(4):
        assert queue.put(Item("a", number), 4, 4) is None
    with pytest.raises(BusyError, match="4 questions are waiting already"):
        queue.put(Item("a", 4), 4, 9)
    displaced = queue.put(Item("b", 0), 4, 4)
    assert repr(displaced) == "a3", "the newest of the longest lane"
    assert repr(queue.put(Item("b", 1), 4, 4)) == "a2"
    with pytest.raises(BusyError):
        queue.put(Item("b", 2), 4, 4)
    assert names(queue.in_order()) == "a0 b0 a1 b1"


def test_a_flood_of_names_does_not_fill_the_memory() -> None:
    queue: FairQueue[Item] = FairQueue()
    limit = RateLimit()
    for number in range(3 * MAX_CLIENTS):
        item = Item(f"client {number}")
        queue.put(item, 4, 4)
        queue.remove(item, served=True)
        limit.check(item.client, 1.0, 0.0)
    assert len(queue) == 0 and not queue._lanes
    assert len(queue._served) == MAX_CLIENTS == len(limit._buckets)


def test_the_rate_of_a_client_is_limited_and_recovers() -> None:
    limit = RateLimit()
    for _ in range(4):
        limit.check("a", 4.0, 0.0)
    with pytest.raises(BusyError, match="client 'a' asks more than 4 times a second"):
        limit.check("a", 4.0, 0.0)
    limit.check("b", 4.0, 0.0)
    limit.check("a", 4.0, 0.25)
    with pytest.raises(BusyError):
        limit.check("a", 4.0, 0.3)
    limit.check("a", 0.0, 0.3)


def test_a_rate_below_one_per_second_still_lets_one_through() -> None:
    limit = RateLimit()
    limit.check("a", 0.5, 0.0)
    with pytest.raises(BusyError):
        limit.check("a", 0.5, 1.0)
    limit.check("a", 0.5, 2.1)
