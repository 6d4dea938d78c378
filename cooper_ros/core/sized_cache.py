"""Remembering results by their size in memory, not by their number."""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

Result = TypeVar("Result")


def sized_cache(limit_mib: float) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Decorator: remember results that have `nbytes` (others count nothing), together at most
    `limit_mib`; the one used last is always kept.

    What a 4K camera needs would otherwise stay in memory after the camera has gone: a small one
    needs no new entries that could push it out.
    """
    limit = limit_mib * 2**20

    def decorate(function: Callable[..., Result]) -> Callable[..., Result]:
        known: OrderedDict[tuple[Hashable, ...], Any] = OrderedDict()
        lock = threading.Lock()

        @functools.wraps(function)
        def remembered(*key: Hashable) -> Result:
            with lock:
                found = key in known
                result = known.get(key)
            if not found:
                result = function(*key)
            with lock:
                known[key] = result
                known.move_to_end(key)
                total = sum(getattr(value, "nbytes", 0) for value in known.values())
                while total > limit and len(known) > 1:
                    _, oldest = known.popitem(last=False)
                    total -= getattr(oldest, "nbytes", 0)
                while len(known) > MOST:
                    known.popitem(last=False)
            return result  # type: ignore[return-value]

        return remembered

    return decorate


MOST = 64
"""Entries, however small they are."""
