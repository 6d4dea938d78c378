"""Keys and values of the tokens read so far: linear, preallocated, shared between forks.

An image prefix is read once and then continued in several ways (depth prompt, segmentation prompt,
every question). `fork` is free: forks look at the same buffer, each with its own length. The buffer
is append-only as far as any living fork can see, so a fork may write behind its end when no other
fork reaches further; otherwise it first takes a copy (copy on write). A fork that is dropped gives
its tail back, so questions asked one after another reuse the same memory without copying.

Not safe for use from several threads at once.
"""

from __future__ import annotations

import weakref

import numpy as np

from cooper_ros.runtime.backend import Float

BLOCK = 256
"""Capacity grows in multiples of this many tokens, and at least by half."""


class _Buffer:
    """Storage [L, 1, G, capacity, E] twice, and the caches that look at it."""

    def __init__(self, layers: int, heads: int, width: int, capacity: int) -> None:
        self.keys = np.zeros((layers, 1, heads, capacity, width), dtype=np.float32)
        self.values = np.zeros_like(self.keys)
        self.views: weakref.WeakSet[KVCache] = weakref.WeakSet()

    @property
    def capacity(self) -> int:
        return int(self.keys.shape[3])


class KVCache:
    """Keys and values of one sequence; `length` tokens. Batch is 1."""

    def __init__(self, layers: int, heads: int, width: int, capacity: int = BLOCK) -> None:
        self._buffer = _Buffer(layers, heads, width, max(capacity, 1))
        self._buffer.views.add(self)
        self.length = 0

    def fork(self) -> KVCache:
        """Another cache with the same content. Copies nothing."""
        other = KVCache.__new__(KVCache)
        other._buffer = self._buffer
        other.length = self.length
        self._buffer.views.add(other)
        return other

    @property
    def keys(self) -> Float:
        """View [L, 1, G, length, E]; do not write to it, do not keep it across `append`."""
        return self._buffer.keys[:, :, :, : self.length]

    @property
    def values(self) -> Float:
        """View [L, 1, G, length, E], as `keys`."""
        return self._buffer.values[:, :, :, : self.length]

    def append(self, new_keys: Float, new_values: Float) -> None:
        """Add [L, 1, G, S, E] at the end. Forks do not see it."""
        expected = self._buffer.keys.shape
        if new_keys.shape != new_values.shape or (
            new_keys.shape[:3] + new_keys.shape[4:] != expected[:3] + expected[4:]
        ):
            raise ValueError(
                f"keys {new_keys.shape} and values {new_values.shape} do not fit {expected}"
            )
        end = self.length + new_keys.shape[3]
        if end > self._buffer.capacity or self._shared_behind_end():
            self._move(end)
        self._buffer.keys[:, :, :, self.length : end] = new_keys
        self._buffer.values[:, :, :, self.length : end] = new_values
        self.length = end

    def reserve(self, tokens: int) -> None:
        """Make room for so many tokens more, so that later appends need no move."""
        if self.length + tokens > self._buffer.capacity:
            self._move(self.length + tokens)

    def truncate(self, length: int) -> None:
        """Forget all but the first `length` tokens."""
        if not 0 <= length <= self.length:
            raise ValueError(f"cannot keep {length} of {self.length} tokens")
        self.length = length

    def shares_storage_with(self, other: KVCache) -> bool:
        """Whether both look at the same memory (for tests and memory accounts)."""
        return self._buffer is other._buffer

    def _shared_behind_end(self) -> bool:
        return any(view.length > self.length for view in self._buffer.views if view is not self)

    def _move(self, needed: int) -> None:
        """Take a private, larger buffer with the own content."""
        layers, _, heads, capacity, width = self._buffer.keys.shape
        if needed > capacity:
            needed = max(needed, capacity + capacity // 2)
        size = -(-max(needed, 1) // BLOCK) * BLOCK
        fresh = _Buffer(layers, heads, width, size)
        fresh.keys[:, :, :, : self.length] = self.keys
        fresh.values[:, :, :, : self.length] = self.values
        self._buffer.views.discard(self)
        self._buffer = fresh
        fresh.views.add(self)
