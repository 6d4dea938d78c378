"""Images in and out: the official resize rule, tensors, and maps back to camera size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cooper_ros.core.errors import InvalidImageError

Array = NDArray[np.float32]
Picture = NDArray[np.uint8]
Id = TypeVar("Id", bound=np.integer)


@dataclass(frozen=True, slots=True)
class ResizeRule:
    """Target size of an image: long side <= `max_side`, short side >= `min_side`, multiples of
    `stride`.

    The official algorithm with its two quirks: Python's round-half-to-even, and an image over
    `max_pixels` shrinks by the factor max_pixels / area, not by its square root.
    """

    max_side: int
    min_side: int
    stride: int
    max_pixels: int = 1_806_336

    def size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) [px] after the rule. Raises InvalidImageError for an empty image."""
        if width < 1 or height < 1:
            raise InvalidImageError(f"cannot resize an image of {width}x{height} pixels")
        scale = min(self.max_side / max(width, height), 1.0)
        scale = max(scale, self.min_side / min(width, height))
        width, height = self._scaled(width, height, scale)
        if width * height > self.max_pixels:
            width, height = self._scaled(width, height, self.max_pixels / (width * height))
        if max(width, height) > self.max_side:
            width, height = self._scaled(width, height, self.max_side / max(width, height))
        return width, height

    def _scaled(self, width: int, height: int, scale: float) -> tuple[int, int]:
        return self._divisible(round(width * scale)), self._divisible(round(height * scale))

    def _divisible(self, side: int) -> int:
        return max(self.stride, round(side / self.stride) * self.stride)

    def resize(self, rgb: Picture) -> Picture:
        """RGB uint8 [H, W, 3] -> uint8 of `size`: bicubic with antialiasing (Pillow)."""
        check_rgb(rgb)
        return resize_rgb(rgb, *self.size(rgb.shape[1], rgb.shape[0]))


def check_rgb(rgb: Picture) -> None:
    """Raise InvalidImageError unless `rgb` is uint8 [H, W, 3] and not empty."""
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape:
        raise InvalidImageError(f"expected uint8 [H, W, 3], got {rgb.dtype} {list(rgb.shape)}")


def resize_rgb(rgb: Picture, width: int, height: int) -> Picture:
    """Bicubic with antialiasing (Pillow): uint8 [H, W, 3] -> uint8 [height, width, 3]."""
    if (rgb.shape[1], rgb.shape[0]) == (width, height):
        return rgb
    image = Image.fromarray(np.ascontiguousarray(rgb))
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))


def composite_on_white(rgba: Picture) -> Picture:
    """RGBA uint8 [H, W, 4] -> RGB uint8 [H, W, 3] on a white background."""
    if rgba.dtype != np.uint8 or rgba.ndim != 3 or rgba.shape[2] != 4 or 0 in rgba.shape:
        raise InvalidImageError(f"expected uint8 [H, W, 4], got {rgba.dtype} {list(rgba.shape)}")
    image = Image.fromarray(np.ascontiguousarray(rgba), mode=None)
    white = Image.new("RGB", image.size, (255, 255, 255))
    white.paste(image, mask=image.getchannel("A"))
    return np.asarray(white)


def to_tensor(rgb: Picture) -> Array:
    """RGB uint8 [H, W, 3] -> f32 [3, H, W] in [-1, 1] (mean and deviation 0.5)."""
    check_rgb(rgb)
    planes = np.ascontiguousarray(rgb.transpose(2, 0, 1)).astype(np.float32)
    planes /= np.float32(255.0)
    planes -= np.float32(0.5)
    planes /= np.float32(0.5)
    return planes


def from_tensor(picture: Array) -> Picture:
    """f32 [3, H, W] in [-1, 1] -> RGB uint8 [H, W, 3]: clamped, x255, truncated."""
    unit = np.clip(picture * np.float32(0.5) + np.float32(0.5), 0.0, 1.0)
    return np.ascontiguousarray((unit * np.float32(255.0)).astype(np.uint8).transpose(1, 2, 0))


def _resize_plane(plane: Array, width: int, height: int) -> Array:
    shrinking = width * height < plane.shape[0] * plane.shape[1]
    method = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(plane, (width, height), interpolation=method), np.float32)


def resize_depth(depth: Array, width: int, height: int) -> Array:
    """Depth f32 [h, w] in metres -> [height, width]: linear in ln(depth).

    In the logarithm a blend of two depths keeps the relative error even and is positive. Unknown
    pixels take no part; the result is NaN where they outweigh the known ones.
    """
    with np.errstate(invalid="ignore"):
        known = np.isfinite(depth) & (depth > 0)
    logarithm = np.log(np.where(known, depth, np.float32(1.0))).astype(np.float32)
    if known.all():
        resized = _resize_plane(logarithm, width, height)
        return np.exp(resized, out=resized)
    weight = _resize_plane(known.astype(np.float32), width, height)
    total = _resize_plane(logarithm * known.astype(np.float32), width, height)
    enough = weight >= 0.5
    np.divide(total, weight, out=total, where=enough)
    np.exp(total, out=total, where=enough)
    total[~enough] = np.nan
    return total


def nearest_index(size: int, source_size: int) -> NDArray[np.int64]:
    """Index of the nearest of `source_size` pixels for each of `size` pixels: int64 [size]."""
    return ((np.arange(size) + 0.5) * source_size / size).astype(np.int64)


def resize_labels(labels: NDArray[Id], width: int, height: int) -> NDArray[Id]:
    """Ids [h, w] -> [height, width] of the same dtype: nearest pixel centre."""
    rows = nearest_index(height, labels.shape[0])
    # columns of the few source rows first: whole rows are then copied, seven times faster
    return labels[:, nearest_index(width, labels.shape[1])][rows]


def resize_score(score: Array, width: int, height: int) -> Array:
    """Scores or confidences f32 [h, w] in [0, 1] -> [height, width]: linear."""
    return _resize_plane(np.asarray(score, np.float32), width, height)
