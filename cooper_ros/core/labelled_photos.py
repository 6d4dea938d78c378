"""Real photos whose pixels somebody called by name, in places.

A folder holds `index.jsonl` (one line per photo: `id`, `split` train or val), `photos/ID.jpg` and
`labels/ID.png`: class ids at half size or any other, `UNNAMED` where a pixel is none of the classes
that labels can name, `UNKNOWN` where nothing is known.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.classes import CLASS_NAMES
from cooper_ros.core.errors import CooperError

UNNAMED = 254
UNKNOWN = 255
ENDINGS = (".jpg", ".jpeg", ".png")

OCCURS_PIXELS = 2000
"""Labelled pixels from which on a class counts as one that occurs."""

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


class LabelledPhotos:
    """The photos of one split in memory (about 40 kB each)."""

    def __init__(self, folder: str | Path, split: str) -> None:
        """Raises CooperError for a folder without index, photo or labels, or without the split."""
        self.folder = Path(folder)
        index = self.folder / "index.jsonl"
        if not index.exists():
            raise CooperError(f"{index} is missing: a folder of photos needs it")
        try:
            lines = index.read_text(encoding="utf-8").splitlines()
            rows = [json.loads(line) for line in lines if line]
            names = [str(row["id"]) for row in rows if row.get("split") == split]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CooperError(f"{index}: a line needs id and split: {error}") from error
        self.photos = [self._read(name) for name in names]
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
        """Picture u8[H,W,3] and labels u8[h,w]. Raises CooperError when one cannot be read."""
        photo = self.photos[number]
        picture = cv2.imdecode(np.frombuffer(photo.picture, np.uint8), cv2.IMREAD_COLOR)
        labels = cv2.imdecode(np.frombuffer(photo.labels, np.uint8), cv2.IMREAD_UNCHANGED)
        if picture is None or labels is None or labels.ndim != 2:
            raise CooperError(f"{self.folder}: photo {photo.name} cannot be read")
        return picture[..., ::-1].astype(np.uint8), labels.astype(np.uint8)

    def each(self) -> Iterator[tuple[str, NDArray[np.uint8], NDArray[np.uint8]]]:
        """(id, picture, labels) of every photo."""
        for number, photo in enumerate(self.photos):
            yield photo.name, *self.decode(number)
