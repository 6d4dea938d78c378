"""Frames for training: shards in memory, sampling, crops and scales with their intrinsics."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .device import draw, draw_indices, put, rand, randn

FIELDS = ("rgb", "depth", "classes", "instances", "intrinsics", "free_space")


@dataclass
class FrameBatch:
    """Frames of one size.

    rgb float ``[B,3,H,W]`` in [-1,1]; depth float ``[B,H,W]`` m; classes long ``[B,H,W]``;
    instances uint8;
    intrinsics ``[B,4]`` (fx, fy, cx, cy of this size); index: frame numbers in the store
    (on the host).
    """

    rgb: Tensor
    depth: Tensor
    classes: Tensor
    instances: Tensor
    intrinsics: Tensor
    index: Tensor
    flipped: bool

    def rays(self, patch: int) -> Tensor:
        """Ray inputs ``[B, N, 5]``, the same numbers as
        :func:`cooper_ros.runtime.rays.patch_rays`."""
        h, w = self.rgb.shape[-2] // patch, self.rgb.shape[-1] // patch
        fx, fy, cx, cy = (self.intrinsics[:, i, None, None] for i in range(4))
        u = torch.arange(w)[None, None, :] * patch + (patch - 1) / 2
        v = torch.arange(h)[None, :, None] * patch + (patch - 1) / 2
        x = ((u - cx) / fx).expand(-1, h, w)
        y = ((v - cy) / fy).expand(-1, h, w)
        size = torch.log(patch / fx).expand(-1, h, w)
        return torch.stack([x, y, x * x, y * y, size], -1).flatten(1, 2)


class FrameStore:
    """All shards (npz or Parquet) of a folder in memory; ``rank`` of ``world`` takes every
    world-th shard."""

    def __init__(self, folder: str | Path, rank: int = 0, world: int = 1) -> None:
        self.folder, self.rank, self.world = Path(folder), rank, world
        self.seen: set[Path] = set()
        self.loaded: list[Path] = []
        self.parts: dict[str, list[Tensor]] = {k: [] for k in FIELDS}
        self.frame_objects: list[np.ndarray] = []
        self.sizes: list[int] = []
        self.refresh()

    def refresh(self) -> int:
        """Load shards that appeared since; returns the number of frames now held."""
        files = sorted([*self.folder.glob("*.npz"), *self.folder.glob("*.parquet")])
        for i, path in enumerate(files):
            if path not in self.seen and i % self.world == self.rank:
                self.add_shard(path)
        self.set_offsets()
        return len(self)

    def add_shard(self, path: Path) -> None:
        """Load one shard, npz or Parquet, behind those that are there."""
        self.seen.add(path)
        self.loaded.append(path)
        z = _read(path)
        count = len(z["rgb"])
        for key in FIELDS:
            self.parts[key].append(torch.from_numpy(np.ascontiguousarray(z[key])))
        rows = z["objects"]
        of_frame = rows[:, 0].astype(int)
        self.frame_objects += [rows[of_frame == k] for k in range(count)]
        self.sizes.append(count)
        self.set_offsets()

    def set_offsets(self) -> None:
        """Where each shard's frames begin, after shards came or went."""
        self.offsets = np.concatenate([[0], np.cumsum(self.sizes)]).astype(int)

    def __len__(self) -> int:
        return int(sum(self.sizes))

    def class_frequency(self, classes: int) -> Tensor:
        """Pixels per class ``[classes]``, from every seventh frame held now."""
        found = torch.cat([c[::7].flatten() for c in self.parts["classes"]]).long()
        return put(torch.bincount(found, minlength=classes).float())

    def gather(self, key: str, index: Tensor) -> Tensor:
        """Rows of one field, in host memory as the frames are."""
        shard = np.searchsorted(self.offsets, index.numpy(), side="right") - 1
        return torch.stack(
            [
                self.parts[key][s][i - self.offsets[s]]
                for s, i in zip(shard, index.tolist(), strict=True)
            ]
        )

    def batch(self, index: Tensor) -> FrameBatch:
        """Frames at their stored size."""
        index = index.cpu()
        rgb = put(self.gather("rgb", index)).permute(0, 3, 1, 2).float() / 127.5 - 1
        return FrameBatch(
            rgb,
            put(self.gather("depth", index)).float(),
            put(self.gather("classes", index)).long(),
            put(self.gather("instances", index)),
            put(self.gather("intrinsics", index)).float(),
            index,
            False,
        )


def _read(path: Path) -> dict[str, np.ndarray]:
    if path.suffix == ".parquet":
        from cooper_ros.sim.parquet import read_parquet

        return read_parquet(path)
    with np.load(path) as arrays:
        return {key: arrays[key] for key in (*FIELDS, "objects")}


def flip(b: FrameBatch) -> FrameBatch:
    """Mirror left and right; the principal point moves with it."""
    k = b.intrinsics.clone()
    k[:, 2] = b.rgb.shape[-1] - 1 - k[:, 2]
    return FrameBatch(
        b.rgb.flip(3),
        b.depth.flip(2),
        b.classes.flip(2),
        b.instances.flip(2),
        k,
        b.index,
        not b.flipped,
    )


def crop(b: FrameBatch, x0: int, y0: int, width: int, height: int) -> FrameBatch:
    """A window of all frames; intrinsics follow."""
    k = b.intrinsics.clone()
    k[:, 2] -= x0
    k[:, 3] -= y0
    h, w = b.rgb.shape[-2:]
    ys, xs = slice(y0, y0 + height), slice(x0, x0 + width)
    return FrameBatch(
        b.rgb[:, :, ys, xs],
        b.depth[:, ys, xs],
        b.classes[:, ys, xs],
        b.instances[:, ys, xs],
        k,
        b.index,
        b.flipped,
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
    return FrameBatch(
        rgb,
        b.depth[:, ys][:, :, xs],
        b.classes[:, ys][:, :, xs],
        b.instances[:, ys][:, :, xs],
        k,
        b.index,
        b.flipped,
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


def fit(b: FrameBatch, width: int, height: int, at: float = 0.5) -> FrameBatch:
    """The largest window of that shape (at a relative place), scaled to ``width`` x ``height``."""
    full_h, full_w = b.rgb.shape[-2:]
    scale = min(full_w / width, full_h / height)
    w, h = round(width * scale), round(height * scale)
    if (w, h) != (full_w, full_h):
        b = crop(b, int(at * (full_w - w)), int(at * (full_h - h)), w, h)
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
