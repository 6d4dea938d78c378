"""Image files as people have them: any format of Pillow, upright, of any depth and size, as RGB."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from cooper_ros.core.errors import InvalidImageError
from cooper_ros.core.images import composite_on_white
from cooper_ros.core.pictures import (
    REFUSED_PIXELS,
    WORK_PIXELS,
    check_size,
    grey_to_8_bits,
    reduced,
    size_within,
)

DEEP_MODES = ("I", "F")
"""How Pillow's modes of more than 8 bits a pixel start: I, I;16, I;16B, F."""
TIFF_BITS, ORIENTATION = 258, 274
"""Numbers of the tags with the bits of each channel, and with how a picture is turned."""
TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
FAILURES = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
"""What Pillow raises on files that are damaged or none."""


@dataclass(frozen=True, eq=False)
class ImageFile:
    """`rgb` uint8 [h, w, 3], perhaps smaller than the picture, whose `size` (width, height) [px] is
    that of the picture as it is looked at; `grey_range`: what became black and white of a deep one.
    """

    rgb: NDArray[np.uint8]
    size: tuple[int, int]
    grey_range: tuple[float, float] | None = None


def read_image_file(path: Path, pixels: int = WORK_PIXELS) -> ImageFile:
    """Read a picture with at most so many pixels; a larger one is made smaller, JPEG while it is
    decoded. Turned as its EXIF says; transparent ones lie on white; deep grey and float ones are
    brought to 8 bits by the range they use. Raises InvalidImageError that names the file.
    """
    if not path.is_file():
        raise InvalidImageError(f"there is no image file {path}")
    try:
        # As a stream: Pillow maps a TIFF with a name into memory, and mixes up one that is turned.
        with _large_pictures(), path.open("rb") as file, Image.open(file) as image:
            check_size(*image.size)
            return _read(image, path, pixels)
    except InvalidImageError as error:
        raise InvalidImageError(f"{path}: {error}") from error
    except UnidentifiedImageError as error:
        if _is_tiff(path):
            return _by_opencv(path, 1, pixels)
        raise InvalidImageError(f"{path} cannot be read as an image: {error}") from error
    except FAILURES as error:
        raise InvalidImageError(f"{path} cannot be read as an image: {error}") from error


@contextmanager
def _large_pictures() -> Iterator[None]:
    """Pillow's own limit is lower than ours, and warns about half of it."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = REFUSED_PIXELS
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is wrong becomes an error, or does no harm
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _read(image: Any, path: Path, pixels: int) -> ImageFile:
    width, height = image.size
    deep = _deep_colour(image)  # asked first: reading the EXIF of a PNG decodes it
    orientation = int(image.getexif().get(ORIENTATION, 1))
    size = (height, width) if orientation >= 5 else (width, height)
    drafted = image.format in ("JPEG", "MPO")
    if drafted:
        image.draft("RGB", size_within(width, height, pixels))
    elif deep:
        return _by_opencv(path, orientation, pixels)
    image.load()
    upright = ImageOps.exif_transpose(image)
    if not drafted:  # some formats count as turned from the start
        size = upright.size
    if image.mode.startswith(DEEP_MODES):
        grey, limits = grey_to_8_bits(reduced(np.asarray(upright), pixels))
        return ImageFile(np.repeat(grey[..., None], 3, axis=2), size, limits)
    if "A" in upright.getbands() or "transparency" in upright.info:
        rgba = reduced(np.asarray(upright.convert("RGBA")), pixels)
        return ImageFile(composite_on_white(rgba), size)
    rgb = reduced(np.asarray(upright.convert("RGB")), pixels)
    return ImageFile(np.ascontiguousarray(rgb), size)


def _deep_colour(image: Any) -> bool:
    """Whether it has colours of more than 8 bits, of which Pillow would keep the upper 8."""
    if image.format == "TIFF":
        bits = image.tag_v2.get(TIFF_BITS, 8)
        return image.mode == "RGB" and max(bits if isinstance(bits, tuple) else (bits,)) > 8
    if image.format == "PNG":
        return image.mode == "RGB" and any("16" in str(tile[3]) for tile in image.tile)
    return False


def _is_tiff(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in TIFF_SIGNATURES


def _by_opencv(path: Path, orientation: int, pixels: int) -> ImageFile:
    """Deep colours and float colours, which Pillow does not keep."""
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        found: Any = cv2.imread(str(path), flags)
    except cv2.error:
        found = None
    if found is None:
        raise InvalidImageError(f"{path} cannot be read as an image")
    check_size(found.shape[1], found.shape[0])
    values, limits = grey_to_8_bits(reduced(found, pixels))
    rgb = _turned(values[..., ::-1], orientation)
    size = found.shape[1::-1] if orientation < 5 else found.shape[:2]
    return ImageFile(np.ascontiguousarray(rgb), size, limits)


def _turned(values: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """A picture with this EXIF orientation (1 to 8) as it is looked at."""
    if orientation >= 5:
        values = values.swapaxes(0, 1)
    flip_rows, flip_columns = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    return values[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
