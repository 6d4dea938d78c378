"""Questions of several clients, taken in turns, so that one that asks a lot cannot starve others.

Every client has a lane. The lane that was served longest ago comes first; then each lane gives one
question per round. A client may fill the whole queue while it is alone; when somebody with fewer
questions comes, the longest lane gives its newest one up.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from typing import Generic, Protocol, TypeVar

from cooper_ros.ros.refusals import BusyError

MAX_CLIENTS = 256
"""Names of clients remembered: a stream of ever new names must not fill the memory."""


class Asked(Protocol):
    """What is queued: something that a client, named or not (""), asked for."""

    client: str


AskedType = TypeVar("AskedType", bound=Asked)


class FairQueue(Generic[AskedType]):
    """A bounded queue with one lane per client. Its owner holds a lock."""

    def __init__(self) -> None:
        self._lanes: dict[str, deque[AskedType]] = {}
        self._served: OrderedDict[str, None] = OrderedDict()
        """Clients in the order in which they were served last."""

    def __len__(self) -> int:
        return sum(map(len, self._lanes.values()))

    def __contains__(self, item: AskedType) -> bool:
        return item in self._lanes.get(item.client, ())

    def put(self, item: AskedType, limit: int, client_limit: int) -> AskedType | None:
        """Queue it; the result is what had to give way for it, if anything.

        `limit`: how many may wait; `client_limit`: how many of one client. Raises BusyError.
        """
        mine = len(self._lanes.get(item.client, ()))
        if mine >= client_limit:
            raise BusyError(
                f"{mine} questions of {_named(item.client)} are waiting already (parameter "
                "client_queue_size); ask again later"
            )
        displaced = None
        if len(self) >= limit:
            longest = max(self._lanes, key=lambda client: len(self._lanes[client]))
            if len(self._lanes[longest]) <= mine + 1:  # moving the shortage is no help
                raise BusyError(
                    f"{len(self)} questions are waiting already (parameter queue_size); "
                    "ask again later"
                )
            displaced = self._lanes[longest].pop()
        self._lanes.setdefault(item.client, deque()).append(item)
        return displaced

    def in_order(self) -> list[AskedType]:
        """Everything that waits, next one first."""
        age = {client: number for number, client in enumerate(self._served)}
        # a stable sort: clients that were never served come first, as they arrived
        clients = sorted(self._lanes, key=lambda client: age.get(client, -1))
        rounds = max(map(len, self._lanes.values()), default=0)
        return [
            self._lanes[client][number]
            for number in range(rounds)
            for client in clients
            if number < len(self._lanes[client])
        ]

    def position(self, item: AskedType) -> int | None:
        """How many are before it; None if it does not wait."""
        waiting = self.in_order()
        return waiting.index(item) if item in waiting else None

    def remove(self, item: AskedType, *, served: bool = False) -> bool:
        """Take it out; False if it was not there. `served`: its client had its turn with it."""
        lane = self._lanes.get(item.client)
        if lane is None or item not in lane:
            return False
        lane.remove(item)
        if not lane:
            del self._lanes[item.client]
        if served:
            self._served[item.client] = None
            self._served.move_to_end(item.client)
            if len(self._served) > MAX_CLIENTS:
                self._served.popitem(last=False)
        return True

    def clear(self) -> None:
        """Forget everything that waits."""
        self._lanes.clear()


class RateLimit:
    """A bucket of tokens per client: a burst of one second's worth, then `rate_hz` a second."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def check(self, client: str, rate_hz: float, now: float | None = None) -> None:
        """Count one request; raise BusyError if the client asks too often. 0 = no limit."""
        if rate_hz <= 0.0:
            return
        now = time.monotonic() if now is None else now
        capacity = max(rate_hz, 1.0)
        tokens, before = self._buckets.pop(client, (capacity, now))
        tokens = min(capacity, tokens + (now - before) * rate_hz)
        allowed = tokens >= 1.0
        self._buckets[client] = (tokens - 1.0 if allowed else tokens, now)
        if len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        if not allowed:
            raise BusyError(
                f"{_named(client)} asks more than {rate_hz:g} times a second (parameter "
                "client_rate_hz); wait for answers, or ask less often"
            )


def _named(client: str) -> str:
    return f"client {client[:40]!r}" if client else "clients without a name"
