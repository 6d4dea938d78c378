"""Frames and photos that lie decoded in the memory of the GPU that trains.

A step on a GPU takes a twentieth of a second; to decode its pictures on the host takes ten times
that. So every shard is decoded once, by threads beside the training, and a batch is a gather.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cooper_ros.core.errors import CooperError
from cooper_ros.sim.packed import (
    DEPTH_TABLE,
    PackedFrame,
    unpack_depth_code,
    unpack_labels,
    unpack_rgb,
)

from .device import put
from .frames import FrameBatch, FrameStore, fit, opened
from .photos import PhotoStore, view

MEMORY_SHARE = 0.5
"""Of what the GPU has free when training starts, for frames."""
HOST_FRAMES = 4000
"""Room for frames where memory is not counted: on a CPU, in tests."""
BYTES_A_PIXEL = 6
THREADS = 6
WAITING = 12
"""Decoded shards that may wait for their place."""

Decoded = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]


def decoded(frames: Sequence[PackedFrame]) -> Decoded:
    """Pictures u8[n,3,H,W], depth codes, classes and instances u8[n,H,W]."""
    labels = [unpack_labels(frame) for frame in frames]
    rgb = np.stack([unpack_rgb(frame) for frame in frames])
    return (
        np.ascontiguousarray(rgb.transpose(0, 3, 1, 2)),
        np.stack([unpack_depth_code(frame) for frame in frames]),
        np.stack([classes for classes, _ in labels]),
        np.stack([instances for _, instances in labels]),
    )


@dataclass
class Bytes:
    """Decoded frames side by side: ``rgb`` ``[N, 3, H, W]``, the others ``[N, H, W]``, uint8."""

    rgb: Tensor
    depth: Tensor
    classes: Tensor
    instances: Tensor
    count: int = 0

    @classmethod
    def room_for(cls, count: int, height: int, width: int) -> Bytes:
        """Empty places."""
        rgb = torch.empty(count, 3, height, width, dtype=torch.uint8)
        maps = torch.empty(3, count, height, width, dtype=torch.uint8)
        return cls(rgb, maps[0], maps[1], maps[2])

    def add(self, new: Decoded) -> None:
        """Put frames behind those that are there."""
        end = self.count + len(new[0])
        for own, values in zip(
            (self.rgb, self.depth, self.classes, self.instances), new, strict=True
        ):
            own[self.count : end] = put(torch.from_numpy(values))
        self.count = end


class ResidentStore(FrameStore):
    """A folder's frames in the memory of the device that computes.

    `refresh` takes in what the threads have decoded and does not wait; the constructor waits for
    the shards that are there. When the memory's share is full, later shards are left out.

    Args:
        capacity: frames at most (0: by the free memory).
    """

    def __init__(self, folder: str | Path, capacity: int = 0) -> None:
        self.capacity = capacity
        self.pool = ThreadPoolExecutor(THREADS, "decode")
        self.asked: set[Path] = set()
        self.waiting: deque[tuple[Path, Future[Any]]] = deque()
        self.bytes: Bytes | None = None
        self.table = put(torch.from_numpy(DEPTH_TABLE))
        super().__init__(folder)
        while self.waiting:
            self._take()
            self._ask()

    def refresh(self) -> int:
        """Take in finished shards, ask for more; returns the number of frames held."""
        while self.waiting and self.waiting[0][1].done():
            self._take()
        self._ask()
        return len(self)

    def full(self) -> bool:
        """Whether no shard of the size of the last one fits any more."""
        return (
            self.bytes is not None
            and bool(self.sizes)
            and (self.bytes.count + self.sizes[-1] > len(self.bytes.rgb))
        )

    def _ask(self) -> None:
        files = sorted([*self.folder.glob("*.npz"), *self.folder.glob("*.parquet")])
        for path in files:
            if self.full() or len(self.waiting) >= WAITING:
                return
            if path not in self.asked:
                self.asked.add(path)
                self.waiting.append((path, self.pool.submit(_opened_and_decoded, path)))

    def _take(self) -> None:
        path, future = self.waiting.popleft()
        arrays, frames, new = future.result()
        height, width = new[1].shape[1:]
        if self.bytes is None:
            self.capacity = self.capacity or _capacity(height * width)
            self.bytes = Bytes.room_for(self.capacity, height, width)
        if self.bytes.count + len(frames) > len(self.bytes.rgb):
            return
        self.take(path, arrays, frames)
        self.bytes.add(new)

    def batch(self, index: Tensor) -> FrameBatch:
        """Frames at their stored size."""
        if self.bytes is None:
            raise CooperError(f"no frames in {self.folder}")
        index = index.cpu()
        at = put(index)
        known = put(torch.ones(len(index), dtype=torch.bool, device="cpu"))
        intrinsics = np.stack([self.intrinsics[i] for i in index.tolist()])
        return FrameBatch(
            self.bytes.rgb[at].float() / 127.5 - 1,
            self.table[self.bytes.depth[at].long()],
            self.bytes.classes[at].long(),
            self.bytes.instances[at],
            put(torch.from_numpy(intrinsics)),
            index,
            False,
            known,
            known,
        )


def _opened_and_decoded(
    path: Path,
) -> tuple[dict[str, NDArray[Any]], list[PackedFrame], Decoded]:
    arrays, frames = opened(path)
    return arrays, frames, decoded(frames)


def _capacity(pixels: int) -> int:
    if torch.get_default_device().type == "cpu":
        return HOST_FRAMES
    free, _ = torch.cuda.mem_get_info()
    return int(MEMORY_SHARE * free) // (BYTES_A_PIXEL * pixels)


class ResidentPhotos(PhotoStore):
    """Random views of photos, cut once: to cut them anew for every batch takes longer than a step.

    Args:
        views: of each photo.
        size: (width, height) of a view; batches of another shape are cut out of it.
    """

    def __init__(
        self, folder: str | Path, split: str, size: tuple[int, int], views: int = 16
    ) -> None:
        super().__init__(folder, split)
        self.size, self.views = size, views
        numbers = [n for n in range(len(self)) for _ in range(views)]
        with ThreadPoolExecutor(THREADS, "photo") as pool:
            made = list(pool.map(self._view, numbers, range(len(numbers))))
        self.rgb = put(torch.from_numpy(np.stack([rgb.transpose(2, 0, 1) for rgb, _ in made])))
        self.labels = put(torch.from_numpy(np.stack([labels for _, labels in made])))

    def _view(self, number: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        return view(*self.decode(number), *self.size, np.random.default_rng(seed))

    def batch(
        self, numbers: list[int], width: int, height: int, rng: np.random.Generator | None = None
    ) -> FrameBatch:
        """As `PhotoStore.batch`; with ``rng`` one of the views of each photo."""
        if rng is None:
            return super().batch(numbers, width, height)
        chosen = np.array(numbers) * self.views + rng.integers(self.views, size=len(numbers))
        at = put(torch.from_numpy(chosen))
        cut = self.without_depth(self.rgb[at].float() / 127.5 - 1, self.labels[at].long())
        return fit(cut, width, height, float(rng.random()))


_stores: dict[Path, ResidentStore] = {}
_photos: dict[tuple[Path, tuple[int, int]], ResidentPhotos] = {}


def resident_frames(folder: str | Path) -> ResidentStore:
    """The frames of a folder, decoded once in a process that trains several stages."""
    path = Path(folder).resolve()
    if path not in _stores:
        _stores[path] = ResidentStore(path)
    _stores[path].refresh()
    return _stores[path]


def resident_photos(folder: str | Path, size: tuple[int, int]) -> ResidentPhotos:
    """Views of the training photos of a folder, likewise."""
    key = (Path(folder).resolve(), size)
    if key not in _photos:
        _photos[key] = ResidentPhotos(folder, "train", size)
    return _photos[key]


def on_gpu() -> bool:
    """Whether steps compute on a GPU."""
    return torch.get_default_device().type == "cuda"
