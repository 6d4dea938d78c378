"""Real photos beside the simulated frames: what their pixels are called, where somebody says so.

The folder is that of `core.labelled_photos`. Photos have no depth and no camera: the model is told
"unknown camera" (zero rays), and only the class loss sees them.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from cooper_ros.core.classes import CLASS_NAMES
from cooper_ros.core.images import nearest_index
from cooper_ros.core.labelled_photos import (
    OCCURS_PIXELS,
    UNKNOWN,
    UNNAMED,
    LabelledPhotos,
    nameable_ids,
)

from .device import put
from .frames import FrameBatch

SMALLEST_WINDOW = 0.6
"""Share of a photo's sides that a random window keeps at least."""


class PhotoStore(LabelledPhotos):
    """Photos of one split as batches for training."""

    def batch(
        self, numbers: list[int], width: int, height: int, rng: np.random.Generator | None = None
    ) -> FrameBatch:
        """Photos at ``width`` x ``height``: the largest window of that shape in the middle, with
        ``rng`` a random one, mirrored half of the time. ``depth`` is 1 everywhere and not
        ``metric``; ``classes`` hold `UNNAMED` and `UNKNOWN` too."""
        views = [view(*self.decode(n), width, height, rng) for n in numbers]
        rgb = put(torch.from_numpy(np.stack([v[0] for v in views])))
        classes = put(torch.from_numpy(np.stack([v[1] for v in views]))).long()
        return self.without_depth(rgb.permute(0, 3, 1, 2).float() / 127.5 - 1, classes)

    @staticmethod
    def without_depth(rgb: torch.Tensor, classes: torch.Tensor) -> FrameBatch:
        """Pictures ``[B, 3, H, W]`` with labels ``[B, H, W]`` and without depth or camera."""
        count = len(rgb)
        nothing = put(torch.zeros(count, dtype=torch.bool, device="cpu"))
        return FrameBatch(
            rgb,
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
        confusion += torch.bincount(truth * (count + 1) + said, minlength=(count + 1) ** 2).view(
            count + 1, count + 1
        )
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
