"""Camera pictures of any size and bit depth as the small 8-bit RGB that is looked at.

A model draws maps of some hundred pixels a side: a larger picture than `WORK_PIXELS` only costs
memory. Results are told in the pixels of the picture that came in.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.errors import InvalidImageError

WORK_PIXELS = 921_600
"""Largest picture that is worked on [px], 1280 x 720; larger ones are made smaller when read."""

MAX_PIXELS = 16_000_000
"""Largest picture of which full-size maps are made [px], unless told otherwise."""

REFUSED_PIXELS = 256_000_000
"""Pictures above this are not read at all [px]."""

DARKEST, BRIGHTEST, FLATTEST = 6, 249, 3
"""A picture is black up to the first level, white from the second on, and of one colour when its
levels differ by no more than the third (of 255)."""

NARROW = 1.0 / 8.0
"""A deep grey picture that uses less than this share of its bits is stretched to what it uses."""
TAILS = (0.1, 99.9)
"""Percentiles of a stretched grey picture that become black and white."""
SAMPLES = 65536

Values = TypeVar("Values", bound=np.generic)


def check_size(width: int, height: int) -> None:
    """Raise InvalidImageError for an empty picture, or one that is too large to be read."""
    if width < 1 or height < 1:
        raise InvalidImageError(f"image is {width}x{height}: width and height must be at least 1")
    if width * height > REFUSED_PIXELS:
        raise InvalidImageError(
            f"image is {width}x{height}, more than {REFUSED_PIXELS // 1_000_000} megapixels"
        )


def size_within(width: int, height: int, pixels: int) -> tuple[int, int]:
    """(width, height) of a picture made smaller until it has at most so many pixels."""
    if width * height <= pixels:
        return width, height
    scale = math.sqrt(pixels / (width * height))
    small = max(int(width * scale), 1), max(int(height * scale), 1)
    if 1 in small:  # a strip: one side cannot shrink any further
        return min(small[0], pixels), min(small[1], pixels)
    return small


def decoding_scale(width: int, height: int, pixels: int) -> int:
    """1, 2, 4 or 8: how much smaller a JPEG may be decoded and still have `pixels` or more."""
    return next((n for n in (8, 4, 2) if width * height >= pixels * n * n), 1)


def reduced(values: NDArray[Values], pixels: int = WORK_PIXELS) -> NDArray[Values]:
    """A picture [H, W] or [H, W, C] with at most so many pixels; itself if it has no more."""
    height, width = values.shape[:2]
    size = size_within(width, height, pixels)
    if size == (width, height):
        return values
    stored: Any = values
    return cv2.resize(stored, size, interpolation=cv2.INTER_AREA)


def _sample(values: NDArray[Any]) -> NDArray[Any]:
    """Evenly spaced pixels of a picture, at most about `SAMPLES`: every level that matters."""
    step = max(math.isqrt(values.shape[0] * values.shape[1] // SAMPLES), 1)
    return values[::step, ::step]


def grey_range(values: NDArray[Any]) -> tuple[float, float]:
    """(black, white) of a grey picture [H, W] of any number type.

    Integers: 0 to the largest number of 8, 10, 12, 14 or 16 bits that it needs, for cameras put few
    bits into many. Floats: 0 to 1, or to 255, or as integers. A picture that uses a small part of
    its range (a thermal one), or has negative numbers, is stretched to what it uses.
    """
    known = values[np.isfinite(values)] if values.dtype.kind == "f" else values.reshape(-1)
    if not known.size:
        return 0.0, 1.0
    least, most = float(known.min()), float(known.max())
    tops = [float(2**bits - 1) for bits in (8, 10, 12, 14, 16)]
    if values.dtype.kind == "f":
        tops.insert(0, 1.0)
    top = next((top for top in tops if most <= top), most)
    sample = _sample(values)
    low, high = np.percentile(sample[np.isfinite(sample)] if sample.dtype.kind == "f" else sample,
                              TAILS)  # fmt: skip
    stretched = high > low and (high - low < NARROW * top) and low > NARROW * top
    if least < 0.0 or stretched:
        return (float(low), float(high)) if high > low else (least, max(most, least + 1.0))
    return 0.0, top


def grey_to_8_bits(values: NDArray[Any]) -> tuple[NDArray[np.uint8], tuple[float, float]]:
    """A grey picture [H, W] of any number type as uint8, and the values that became 0 and 255."""
    low, high = grey_range(values)
    scaled = (values.astype(np.float32) - np.float32(low)) * np.float32(255.999 / (high - low))
    np.nan_to_num(scaled, copy=False, nan=0.0, posinf=255.0, neginf=0.0)
    return np.clip(scaled, 0.0, 255.0).astype(np.uint8), (low, high)


def blank_problem(rgb: NDArray[np.uint8]) -> str:
    """That a picture shows nothing (all black, all white, one colour), for people; "" if not."""
    sample = _sample(rgb)
    least, most = sample.min(axis=(0, 1)), sample.max(axis=(0, 1))
    if most.max() <= DARKEST:
        return "the picture is all black: is the lens covered, or the exposure too short?"
    if least.min() >= BRIGHTEST:
        return "the picture is all white: is the exposure too long?"
    if (most.astype(int) - least).max() <= FLATTEST:
        return "the picture is of one colour: does the camera show anything?"
    return ""


def window(
    values: NDArray[Values], box: tuple[int, int, int, int], size: tuple[int, int]
) -> NDArray[Values]:
    """The part of a map [h, w] in a box (x, y, width, height) of the image of `size` (width,
    height) that it covers: a view, at least one pixel where the box is inside."""
    height, width = values.shape[:2]
    sx, sy = width / size[0], height / size[1]
    x, y, across, down = box
    columns = slice(math.floor(x * sx), math.ceil((x + across) * sx))
    rows = slice(math.floor(y * sy), math.ceil((y + down) * sy))
    return values[rows, columns]
