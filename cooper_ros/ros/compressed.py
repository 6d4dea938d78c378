"""`sensor_msgs/CompressedImage` as RGB, its `format` read as image_transport's subscriber reads it.

"ENCODING; jpeg compressed bgr8": ENCODING is that of the image before it was compressed. A colour
image was turned to BGR, the order of the codec, only where "compressed bgr" says so: without it,
red and blue of the file are exchanged. A mosaic ("bayer_...") is a grey picture that has to be
demosaiced. Depth travels as PNG too, and is no picture. A bare "jpeg" or "png" is the file as it
is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage

from cooper_ros.core.errors import InvalidImageError, shown
from cooper_ros.core.picture_files import PictureHeader, decode_picture, read_header
from cooper_ros.core.pictures import WORK_PIXELS, grey_to_8_bits, reduced
from cooper_ros.ros.encodings import ENCODINGS, Rgb

COLOURS = ("rgb", "bgr", "8UC3", "16UC3")
"""How the encodings start whose channels have an order."""
DEPTH_ENCODINGS = ("16UC1", "32FC1")


@dataclass(frozen=True)
class Format:
    """`encoding`: of the image before it was compressed, "" if not told; `swapped`: red and blue
    are exchanged in the file; `depth`: it is no picture."""

    encoding: str
    swapped: bool
    depth: bool


def read_format(text: str) -> Format:
    """What the field `format` says."""
    first, separator, rest = text.partition(";")
    encoding = first.strip() if separator else ""
    colour = encoding.startswith(COLOURS)
    depth = encoding in DEPTH_ENCODINGS or "compresseddepth" in text.lower()
    return Format(encoding, colour and "compressed bgr" not in rest, depth)


def decode_compressed(msg: CompressedImage, pixels: int | None = WORK_PIXELS) -> Rgb:
    """RGB uint8 with at most `pixels` (None: as many as there are), the size that the picture has,
    and the range of a deep grey one. Raises InvalidImageError."""
    form, data = read_format(msg.format), bytes(msg.data)
    if form.depth:
        raise InvalidImageError(
            f"compressed image of format {shown(msg.format)} is depth, not a picture: remap "
            "`image` to the camera's colour topic"
        )
    header = read_header(data)
    if header is None:
        raise InvalidImageError(
            f"compressed image ({len(data)} bytes, format {msg.format[:40]!r}) is not a readable "
            "JPEG or PNG"
        )
    size = (header.width, header.height)
    if header.channels == 1 and form.encoding.startswith("bayer_"):
        return Rgb(_demosaiced(data, header, form.encoding, pixels), size)
    if header.channels == 1 and header.bits > 8:
        if not form.encoding:
            raise InvalidImageError(
                f"16-bit PNG of format {shown(msg.format)} may be depth or a grey picture: say "
                '"mono16; png compressed" for a picture'
            )
        grey, limits = grey_to_8_bits(decode_picture(data, header, pixels, grey=True))
        return Rgb(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), size, limits)  # type: ignore[arg-type]
    stored = decode_picture(data, header, pixels)
    return Rgb(stored if form.swapped else _exchanged(stored), size)


def _exchanged(bgr: NDArray[Any]) -> NDArray[np.uint8]:
    """BGR as RGB, in the same memory."""
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=bgr)  # type: ignore[return-value]


def _demosaiced(
    data: bytes, header: PictureHeader, encoding: str, pixels: int | None
) -> NDArray[np.uint8]:
    """A mosaic needs all its pixels before it can be made smaller."""
    known = ENCODINGS.get(encoding.replace("16", "8"))
    if known is None or known.to_rgb is None:
        raise InvalidImageError(f"compressed image encoding {shown(encoding)} is not supported")
    mosaic = decode_picture(data, header, None, grey=True)
    if mosaic.dtype != np.uint8:
        mosaic = grey_to_8_bits(mosaic)[0]
    rgb = known.to_rgb(mosaic)
    return rgb if pixels is None else reduced(rgb, pixels)
