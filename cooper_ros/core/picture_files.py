"""JPEG and PNG bytes: what their header says, and decoding no more of them than is needed.

Pictures come from other processes: their size is read and judged before any memory is given to
them, and no other parser than those of JPEG and PNG is within reach.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.errors import InvalidImageError
from cooper_ros.core.pictures import WORK_PIXELS, check_size, decoding_scale, reduced

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # by colour type; a palette is colour
SQUEEZED = 1032
"""How many bytes one byte of deflate can stand for at most."""

REDUCED_COLOUR = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
REDUCED_GREY = {
    1: cv2.IMREAD_GRAYSCALE,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}


@dataclass(frozen=True)
class PictureHeader:
    """`kind`: "jpeg" or "png"; size [px], channels stored, and bits of each."""

    kind: str
    width: int
    height: int
    channels: int
    bits: int


def read_header(data: bytes) -> PictureHeader | None:
    """The header of a JPEG or PNG; None for anything else, or one that ends too early."""
    if data.startswith(PNG_SIGNATURE):
        return _png_header(data)
    return _jpeg_header(data) if data.startswith(b"\xff\xd8\xff") else None


def _png_header(data: bytes) -> PictureHeader | None:
    if len(data) < 33 or data[12:16] != b"IHDR":
        return None
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    channels = PNG_CHANNELS.get(data[25])
    return PictureHeader("png", width, height, channels, data[24]) if channels else None


def _jpeg_header(data: bytes) -> PictureHeader | None:
    place = 2
    while place + 9 < len(data):
        if data[place] != 0xFF:
            return None
        marker = data[place + 1]
        if marker in (0xFF, 0x01) or 0xD0 <= marker <= 0xD8:  # fill bytes and marks without length
            place += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height = int.from_bytes(data[place + 5 : place + 7], "big")
            width = int.from_bytes(data[place + 7 : place + 9], "big")
            return PictureHeader("jpeg", width, height, data[place + 9], data[place + 4])
        if length < 2 or marker in (0xD9, 0xDA):
            return None
        place += 2 + length
    return None


def _check(data: bytes, header: PictureHeader) -> None:
    check_size(header.width, header.height)
    size = f"{header.width}x{header.height}"
    if header.kind == "png":
        least = header.height * (header.width * header.bits // 8) // SQUEEZED
        if len(data) < least:  # before gigabytes are set aside for it
            raise InvalidImageError(
                f"PNG of {size} in {len(data)} bytes is damaged: it needs at least {least}"
            )


def decode_picture(
    data: bytes, header: PictureHeader, pixels: int | None = WORK_PIXELS, grey: bool = False
) -> NDArray[Any]:
    """The picture as stored: BGR uint8 [h, w, 3], or grey uint8 or uint16 [h, w] where `grey`.

    Made smaller until it has at most `pixels` (None: never): a JPEG is decoded at a smaller scale.
    Orientation marks are ignored: a turned picture would not be the one that was calibrated.
    Raises InvalidImageError for one that is too large or damaged.
    """
    _check(data, header)
    width, height = header.width, header.height
    scale = 1
    if pixels is not None and header.kind == "jpeg":
        scale = decoding_scale(width, height, pixels)
    flags = (REDUCED_GREY if grey else REDUCED_COLOUR)[scale] | cv2.IMREAD_IGNORE_ORIENTATION
    if grey and header.bits > 8:
        flags |= cv2.IMREAD_ANYDEPTH
    try:
        found: Any = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        found = None
    expected = -(-height // scale), -(-width // scale)
    if found is None or found.shape[:2] != expected:
        raise InvalidImageError(
            f"{header.kind} image {width}x{height} is damaged and cannot be read"
        )
    return found if pixels is None else reduced(found, pixels)
