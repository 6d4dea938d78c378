"""Frames for training: packed in memory, sampling, crops and scales with their intrinsics."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cooper_ros.core.errors import CooperError
from cooper_ros.sim.packed import PackedFrame, unpack_depth, unpack_labels, unpack_rgb
from cooper_ros.sim.shards import TABLES, frames_of, read_shard

from .device import draw, draw_indices, put, rand, randn

FREQUENCY_FRAMES = 300
"""Frames from which class frequencies are counted."""


@dataclass
class FrameBatch:
    """Frames of one size.

    rgb float ``[B,3,H,W]`` in [-1,1]; depth float ``[B,H,W]`` m; classes long ``[B,H,W]``;
    instances uint8;
    intrinsics ``[B,4]`` (fx, fy, cx, cy of this size); index: frame numbers in the store
    (on the host); window: (left, top, width, height) where the stored frames were cut;
    known ``[B]``: whether the model is told the camera; metric ``[B]``: whether
    the depth is true (photos have none).
    """

    rgb: Tensor
    depth: Tensor
    classes: Tensor
    instances: Tensor
    intrinsics: Tensor
    index: Tensor
    flipped: bool
    known: Tensor
    metric: Tensor
    window: tuple[int, ...] = ()

    def rays(self, patch: int) -> Tensor:
        """Ray inputs ``[B, N, 5]``, the same numbers as
        :func:`cooper_ros.runtime.rays.patch_rays`; zeros where the camera is unknown."""
        h, w = self.rgb.shape[-2] // patch, self.rgb.shape[-1] // patch
        fx, fy, cx, cy = (self.intrinsics[:, i, None, None] for i in range(4))
        u = torch.arange(w)[None, None, :] * patch + (patch - 1) / 2
        v = torch.arange(h)[None, :, None] * patch + (patch - 1) / 2
        x = ((u - cx) / fx).expand(-1, h, w)
        y = ((v - cy) / fy).expand(-1, h, w)
        size = torch.log(patch / fx).expand(-1, h, w)
        rays = torch.stack([x, y, x * x, y * y, size], -1).flatten(1, 2)
        return torch.where(self.known[:, None, None], rays, 0.0)


class FrameStore:
    """All shards (npz or Parquet) of a folder in memory; ``rank`` of ``world`` takes every
    world-th shard.

    A frame stays packed (about 27 kB) until a batch needs it. Frames are of one size; a shard of
    another one is refused.
    """

    def __init__(self, folder: str | Path, rank: int = 0, world: int = 1) -> None:
        self.folder, self.rank, self.world = Path(folder), rank, world
        self.seen: set[Path] = set()
        self.loaded: list[Path] = []
        self.frames: list[PackedFrame] = []
        self.names: list[int] = []
        """Numbers by which the frames held now are known as long as they stay."""
        self.frame_objects: list[np.ndarray] = []
        self.intrinsics: list[np.ndarray] = []
        self.free_space: list[float] = []
        self.sizes: list[int] = []
        self.shape: tuple[int, int] | None = None
        self.refresh()

    def refresh(self) -> int:
        """Load shards that appeared since; returns the number of frames now held."""
        files = sorted([*self.folder.glob("*.npz"), *self.folder.glob("*.parquet")])
        for i, path in enumerate(files):
            if path not in self.seen and i % self.world == self.rank:
                self.add_shard(path)
        return len(self)

    def add_shard(self, path: Path) -> None:
        """Load one shard, npz or Parquet, behind those that are there.

        Raises CooperError naming a shard that is damaged or of another picture size.
        """
        self.take(path, *opened(path))

    def take(self, path: Path, arrays: dict[str, Any], frames: list[PackedFrame]) -> None:
        """Put a shard that was opened behind those that are there.

        Raises CooperError naming one of another picture size.
        """
        self._check_shape(path, frames)
        self.seen.add(path)
        self.loaded.append(path)
        rows = arrays["objects"]
        of_frame = rows[:, 0].astype(int)
        first = self.names[-1] + 1 if self.names else 0
        self.names += range(first, first + len(frames))
        self.frames += frames
        self.frame_objects += [rows[of_frame == k] for k in range(len(frames))]
        self.intrinsics += list(arrays["intrinsics"].astype(np.float32))
        self.free_space += [float(v) for v in arrays["free_space"]]
        self.sizes.append(len(frames))

    def _check_shape(self, path: Path, frames: list[PackedFrame]) -> None:
        height, width = unpack_depth(frames[0]).shape
        if self.shape not in (None, (height, width)):
            assert self.shape is not None
            raise CooperError(
                f"{path} holds frames of {width}x{height} pixels, the shards before it of "
                f"{self.shape[1]}x{self.shape[0]}: train on one size"
            )
        self.shape = (height, width)

    def drop_oldest(self) -> Path:
        """Forget the shard that came first; returns its path."""
        count = self.sizes.pop(0)
        parts: tuple[list[Any], ...] = (
            self.frames, self.names, self.frame_objects, self.intrinsics, self.free_space
        )  # fmt: skip
        for part in parts:
            del part[:count]
        return self.loaded.pop(0)

    def next_room(self) -> int:
        """Number of the room after those seen, for a stream of rooms; 0 for a folder."""
        return 0

    def __len__(self) -> int:
        return len(self.frames)

    def class_frequency(self, classes: int) -> Tensor:
        """Pixels per class ``[classes]``, from some of the frames held now."""
        step = max(1, len(self) // FREQUENCY_FRAMES)
        count = np.zeros(classes)
        for frame in self.frames[::step]:
            count += np.bincount(unpack_labels(frame)[0].ravel(), minlength=classes)[:classes]
        return put(torch.from_numpy(count).float())

    def rooms_free_space(self, index: Tensor) -> list[float]:
        """Free space ahead [m] of frames."""
        return [self.free_space[i] for i in index.tolist()]

    def batch(self, index: Tensor) -> FrameBatch:
        """Frames at their stored size."""
        index = index.cpu()
        chosen = [self.frames[i] for i in index.tolist()]
        labels = [unpack_labels(frame) for frame in chosen]

        def stacked(arrays: list[Any]) -> Tensor:
            return put(torch.from_numpy(np.stack(arrays)))

        known = put(torch.ones(len(chosen), dtype=torch.bool, device="cpu"))
        return FrameBatch(
            stacked([unpack_rgb(f) for f in chosen]).permute(0, 3, 1, 2).float() / 127.5 - 1,
            stacked([unpack_depth(f) for f in chosen]),
            stacked([classes for classes, _ in labels]).long(),
            stacked([instances for _, instances in labels]),
            stacked([self.intrinsics[i] for i in index.tolist()]),
            index,
            False,
            known,
            known,
        )


def opened(path: Path) -> tuple[dict[str, Any], list[PackedFrame]]:
    """Arrays and frames of a shard. Raises CooperError naming one that is damaged."""
    arrays = _read(path)
    missing = [name for name in (*TABLES, "rgb") if name not in arrays]
    if missing:
        raise CooperError(f"{path} has no array {missing[0]}: render it anew (cooper data sim)")
    try:
        return arrays, frames_of(arrays)
    except CooperError as error:
        raise CooperError(f"{path}: {error}") from error


def _read(path: Path) -> dict[str, np.ndarray]:
    if path.suffix == ".parquet":
        from cooper_ros.sim.parquet import read_parquet

        return read_parquet(path)
    return read_shard(path)


def flip(b: FrameBatch) -> FrameBatch:
    """Mirror left and right; the principal point moves with it."""
    k = b.intrinsics.clone()
    k[:, 2] = b.rgb.shape[-1] - 1 - k[:, 2]
    return replace(
        b,
        rgb=b.rgb.flip(3),
        depth=b.depth.flip(2),
        classes=b.classes.flip(2),
        instances=b.instances.flip(2),
        intrinsics=k,
        flipped=not b.flipped,
    )


def crop(b: FrameBatch, x0: int, y0: int, width: int, height: int) -> FrameBatch:
    """A window of all frames; intrinsics follow."""
    k = b.intrinsics.clone()
    k[:, 2] -= x0
    k[:, 3] -= y0
    h, w = b.rgb.shape[-2:]
    ys, xs = slice(y0, y0 + height), slice(x0, x0 + width)
    return replace(
        b,
        rgb=b.rgb[:, :, ys, xs],
        depth=b.depth[:, ys, xs],
        classes=b.classes[:, ys, xs],
        instances=b.instances[:, ys, xs],
        intrinsics=k,
        window=(*b.window, x0, y0, width, height),
    )


def resize(b: FrameBatch, width: int, height: int) -> FrameBatch:
    """Antialiased pictures, nearest truth; intrinsics follow (pixel centres at integers)."""
    h, w = b.rgb.shape[-2:]
    sx, sy = width / w, height / h
    k = b.intrinsics.clone()
    k[:, 0] *= sx
    k[:, 1] *= sy
    k[:, 2] = (k[:, 2] + 0.5) * sx - 0.5
    k[:, 3] = (k[:, 3] + 0.5) * sy - 0.5
    rgb = F.interpolate(b.rgb, (height, width), mode="bilinear", antialias=True)
    ys = ((torch.arange(height) + 0.5) / sy).long()
    xs = ((torch.arange(width) + 0.5) / sx).long()
    return replace(
        b,
        rgb=rgb,
        depth=b.depth[:, ys][:, :, xs],
        classes=b.classes[:, ys][:, :, xs],
        instances=b.instances[:, ys][:, :, xs],
        intrinsics=k,
    )


def hue_turn(angle: Tensor) -> Tensor:
    """Rotations ``[B, 3, 3]`` about the axis (1, 1, 1) by ``[B]`` rad (Rodrigues)."""
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / 3**0.5
    return cos * torch.eye(3) + sin * cross + (1 - cos) * torch.full((3, 3), 1 / 3)


def jitter(rgb: Tensor, g: torch.Generator) -> Tensor:
    """Brightness, contrast, gamma, hue, saturation, colour cast and noise, per frame.

    Hue matters: rooms have a few hundred textures and paints, and a colour is learnt as the mark
    of a class long before its shape.
    """
    n = len(rgb)

    def u(lo: float, hi: float, c: int = 1) -> Tensor:
        return rand(n, c, 1, 1, g=g) * (hi - lo) + lo

    gamma = torch.exp(u(-0.35, 0.35))
    x = ((rgb + 1) / 2).clamp(1e-4, 1) ** gamma * 2 - 1
    x = x * u(0.75, 1.25) * u(0.93, 1.07, 3) + u(-0.15, 0.15)
    # A turn about the grey axis mixes the channels and keeps brightness (half of the frames).
    angle = (rand(n, g=g) - 0.5) * 2.4 * (rand(n, g=g) < 0.5)
    x = torch.einsum("nij,njhw->nihw", hue_turn(angle), x)
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * u(0.4, 1.4)
    return x + randn(x.shape, g) * 0.04 * u(0, 1)


def window(
    full: tuple[int, int], size: tuple[int, int], at: float = 0.5
) -> tuple[int, int, int, int]:
    """(left, top, width, height) of the largest window of the shape of ``size`` in a picture of
    (width, height) ``full``, at a relative place."""
    scale = min(full[0] / size[0], full[1] / size[1])
    w, h = round(size[0] * scale), round(size[1] * scale)
    return int(at * (full[0] - w)), int(at * (full[1] - h)), w, h


def fit(b: FrameBatch, width: int, height: int, at: float = 0.5) -> FrameBatch:
    """The largest window of that shape (at a relative place), scaled to ``width`` x ``height``."""
    full_h, full_w = b.rgb.shape[-2:]
    x0, y0, w, h = window((full_w, full_h), (width, height), at)
    if (w, h) != (full_w, full_h):
        b = crop(b, x0, y0, w, h)
    return b if (w, h) == (width, height) else resize(b, width, height)


def sample_batch(
    store: FrameStore, size: int, g: torch.Generator, width: int, height: int, augment: bool = True
) -> FrameBatch:
    """A random batch at ``width`` x ``height``, mirrored half of the time and with other
    colours."""
    b = store.batch(draw_indices(len(store), size, g))
    b = fit(b, width, height, draw(g))
    if augment:
        if draw(g) < 0.5:
            b = flip(b)
        b.rgb = jitter(b.rgb, g)
    return b
