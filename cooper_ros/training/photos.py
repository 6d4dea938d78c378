"""Real photos beside the simulated frames: what their pixels are called, where somebody says so.

A folder holds `index.jsonl` (one line per photo: `id`, `split` train or val), `photos/ID.jpg` and
`labels/ID.png`: class ids at half size or any other, 254 where a pixel is none of the classes that
labels can name, 255 where nothing is known. Photos have no depth and no camera: the model is told
"unknown camera" (zero rays), and only the class loss sees them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from cooper_ros.core.classes import CLASS_NAMES
from cooper_ros.core.errors import CooperError
from cooper_ros.core.images import nearest_index

from .device import put
from .frames import FrameBatch
from .maps import UNNAMED

UNKNOWN = 255
ENDINGS = (".jpg", ".jpeg", ".png")
OCCURS_PIXELS = 2000
SMALLEST_WINDOW = 0.6
"""Share of a photo's sides that a random window keeps at least."""

NAMEABLE = (
    "floor", "wall", "ceiling", "door", "window", "table", "chair", "sofa", "bed", "cabinet",
    "shelf", "plant", "tv", "picture", "person",
)  # fmt: skip
"""Classes that the labels can say: `UNNAMED` pixels are none of these."""


@dataclass(frozen=True)
class Photo:
    """Files in memory."""

    name: str
    picture: bytes
    labels: bytes


def nameable_ids() -> list[int]:
    """Class ids of `NAMEABLE`."""
    return [CLASS_NAMES.index(name) for name in NAMEABLE]


class PhotoStore:
    """The photos of one split in memory (about 40 kB each)."""

    def __init__(self, folder: str | Path, split: str) -> None:
        self.folder = Path(folder)
        index = self.folder / "index.jsonl"
        if not index.exists():
            raise CooperError(f"{index} is missing: a folder of photos needs it")
        rows = [json.loads(line) for line in index.read_text(encoding="utf-8").splitlines() if line]
        self.photos = [self._read(str(row["id"])) for row in rows if row.get("split") == split]
        if not self.photos:
            raise CooperError(f"{index} names no photo of split {split!r}")

    def _read(self, name: str) -> Photo:
        found = [self.folder / "photos" / (name + end) for end in ENDINGS]
        found = [path for path in found if path.exists()]
        labels = self.folder / "labels" / f"{name}.png"
        if not found or not labels.exists():
            raise CooperError(f"{self.folder}: photo {name} or its labels are missing")
        return Photo(name, found[0].read_bytes(), labels.read_bytes())

    def __len__(self) -> int:
        return len(self.photos)

    def decode(self, number: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Picture u8[H,W,3] and labels u8[h,w]."""
        photo = self.photos[number]
        picture = cv2.imdecode(np.frombuffer(photo.picture, np.uint8), cv2.IMREAD_COLOR)
        labels = cv2.imdecode(np.frombuffer(photo.labels, np.uint8), cv2.IMREAD_UNCHANGED)
        if picture is None or labels is None or labels.ndim != 2:
            raise CooperError(f"{self.folder}: photo {photo.name} cannot be read")
        return picture[..., ::-1].astype(np.uint8), labels.astype(np.uint8)

    def batch(
        self, numbers: list[int], width: int, height: int, rng: np.random.Generator | None = None
    ) -> FrameBatch:
        """Photos at ``width`` x ``height``: the largest window of that shape in the middle, with
        ``rng`` a random one, mirrored half of the time. ``depth`` is 1 everywhere and not
        ``metric``; ``classes`` hold `UNNAMED` and `UNKNOWN` too."""
        views = [view(*self.decode(n), width, height, rng) for n in numbers]
        count = len(views)
        rgb = put(torch.from_numpy(np.stack([v[0] for v in views])))
        classes = put(torch.from_numpy(np.stack([v[1] for v in views]))).long()
        nothing = put(torch.zeros(count, dtype=torch.bool, device="cpu"))
        return FrameBatch(
            rgb.permute(0, 3, 1, 2).float() / 127.5 - 1,
            torch.ones(classes.shape),
            classes,
            torch.zeros(classes.shape, dtype=torch.uint8),
            torch.ones(count, 4),
            torch.full((count,), -1, device="cpu"),
            False,
            nothing,
            nothing,
        )


Predict = Callable[[FrameBatch], tuple[torch.Tensor, torch.Tensor]]


def photo_figures(
    photos: PhotoStore | None, predict: Predict, width: int, height: int
) -> dict[str, float]:
    """`photo_miou` over the nameable classes that occur, and `photo_accuracy`, of all labelled
    pixels; empty without photos. A pixel of no nameable class is right when it is called none of
    them."""
    if photos is None:
        return {}
    count = len(CLASS_NAMES)
    confusion = torch.zeros(count + 1, count + 1)  # the last one: none of the nameable classes
    nameable = torch.tensor(nameable_ids())
    for i in range(0, len(photos), 16):
        b = photos.batch(list(range(i, min(i + 16, len(photos)))), width, height)
        found = predict(b)[1]
        known = b.classes != UNKNOWN
        truth = torch.where(b.classes == UNNAMED, count, b.classes)[known]
        said = torch.where(torch.isin(found, nameable), found, count)[known]
        confusion += torch.bincount(
            truth * (count + 1) + said, minlength=(count + 1) ** 2
        ).view(count + 1, count + 1)
    iou = confusion.diag() / (confusion.sum(0) + confusion.sum(1) - confusion.diag() + 1e-6)
    occurs = [i for i in nameable_ids() if confusion[i].sum() > OCCURS_PIXELS]
    return {
        "photo_miou": float(iou[occurs].mean()),
        "photo_accuracy": float(confusion.diag().sum() / confusion.sum()),
    }


def view(
    picture: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    width: int,
    height: int,
    rng: np.random.Generator | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A window of a photo and of its labels, both ``[height, width]``; labels by nearest pixel."""
    full_h, full_w = picture.shape[:2]
    share = 1.0 if rng is None else float(rng.uniform(SMALLEST_WINDOW, 1.0))
    scale = share * min(full_w / width, full_h / height)
    w, h = min(full_w, round(width * scale)), min(full_h, round(height * scale))
    along, down = (0.5, 0.5) if rng is None else rng.random(2)
    x, y = int(along * (full_w - w)), int(down * (full_h - h))
    shrink = w >= width
    shown = cv2.resize(
        picture[y : y + h, x : x + w], (width, height),
        interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR,
    )  # fmt: skip
    rows = (y + nearest_index(height, h)) * labels.shape[0] // full_h
    columns = (x + nearest_index(width, w)) * labels.shape[1] // full_w
    named = labels[np.ix_(rows, columns)]
    if rng is not None and rng.random() < 0.5:
        shown, named = shown[:, ::-1], named[:, ::-1]
    return np.ascontiguousarray(shown), np.ascontiguousarray(named)
