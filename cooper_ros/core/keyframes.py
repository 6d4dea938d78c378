"""Which frames of a stream get maps: every n-th, and those that show something new."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.uint8]

GRAY_WIDTH = 320
"""Width [px] of the grey images that frames are compared and followed in."""

CELLS = (32, 24)
CHANGED_LEVEL = 12.0
"""A cell of 32 x 24 has changed when its mean brightness differs by more than this (of 255)."""


@dataclass(frozen=True, slots=True)
class KeyframeRule:
    """`every`: at least each n-th frame is a keyframe. `change`: so is one in which this share of
    the picture (0 to 1) differs from the last keyframe; 0 = change is not looked at."""

    every: int = 1
    change: float = 0.0

    @property
    def all_frames(self) -> bool:
        """Whether every frame is a keyframe anyway."""
        return self.every <= 1

    def wants(self, frames_since: int, change: float) -> bool:
        """Whether a frame so many frames after the last keyframe, and so changed, is one."""
        return frames_since >= self.every or 0.0 < self.change <= change

    def same_view(self, change: float) -> bool:
        """Whether a keyframe still shows what a frame with this change shows."""
        return self.change > 0.0 and change < self.change


def small_gray(rgb: NDArray[np.uint8]) -> Gray:
    """The picture in grey, at most `GRAY_WIDTH` wide: uint8 [h, w] of uint8 [H, W, 3]."""
    height, width = rgb.shape[:2]
    small: Any = rgb
    if width > GRAY_WIDTH:
        # Every second pixel of large images first: averaging all of them would take milliseconds.
        stride = max(width // (2 * GRAY_WIDTH), 1)
        size = (GRAY_WIDTH, max(round(height * GRAY_WIDTH / width), 1))
        small = cv2.resize(np.ascontiguousarray(rgb[::stride, ::stride]), size,
                           interpolation=cv2.INTER_AREA)  # fmt: skip
    gray: Any = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    return gray


def cells(gray: Gray) -> NDArray[np.float32]:
    """Mean brightness of the cells of a picture: f32 [24, 32]."""
    return cv2.resize(gray, CELLS, interpolation=cv2.INTER_AREA).astype(np.float32)


def picture_change(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Share of cells (see `cells`) that differ between two pictures, 0 to 1.

    The median difference is taken off first: a camera that adjusts its exposure sees nothing new.
    """
    difference = one - other
    difference = np.abs(difference - np.median(difference))
    return float(np.mean(difference > CHANGED_LEVEL))
