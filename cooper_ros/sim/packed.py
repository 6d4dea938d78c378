"""One frame in about 27 kB: JPEG picture, log depth and labels as PNG.

Thousands of rooms are held in memory while training, and uncompressed a frame of 384x288 pixels
takes 770 kB. Depth is coded as ``(ln z - ln LOW_M) / (ln HIGH_M - ln LOW_M)`` in 8 or 16 bits;
8 bits are steps of 1.8 %, so a pixel is off by at most 0.9 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.errors import CooperError

LOW_M, HIGH_M = 0.12, 12.0
JPEG_QUALITY = 85
_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 4)


@dataclass(frozen=True)
class PackedFrame:
    """Files in memory: `rgb` JPEG (or PNG), `depth` PNG of the log code, `labels` PNG of classes
    (upper half) and instances (lower half)."""

    rgb: bytes
    depth: bytes
    labels: bytes

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.rgb) + len(self.depth) + len(self.labels)


def encode_depth(depth: NDArray[Any], bits: int = 8) -> NDArray[Any]:
    """Metres [H,W] to the log code, u8 or u16; what lies outside the range is clamped."""
    top = 2**bits - 1
    clamped = np.clip(depth.astype(np.float32), LOW_M, HIGH_M)
    share = np.log(clamped / LOW_M) / math.log(HIGH_M / LOW_M)
    return np.round(share * top).astype(np.uint8 if bits == 8 else np.uint16)


def _metres(top: int) -> NDArray[np.float32]:
    table = LOW_M * np.exp(np.arange(top + 1) / top * math.log(HIGH_M / LOW_M))
    return np.asarray(table, np.float32)


DEPTH_TABLE = _metres(255)
"""Metres of the codes of 8 bits."""


def decode_depth(code: NDArray[Any]) -> NDArray[np.float32]:
    """Inverse of `encode_depth`: f32 metres."""
    table = DEPTH_TABLE if code.dtype == np.uint8 else _metres(int(np.iinfo(code.dtype).max))
    return np.asarray(table[code])


def pack(
    rgb: NDArray[np.uint8],
    depth: NDArray[Any],
    classes: NDArray[np.uint8],
    instances: NDArray[np.uint8],
    bits: int = 8,
    lossless: bool = False,
) -> PackedFrame:
    """rgb u8[H,W,3], depth [H,W] in metres, classes and instances u8[H,W]."""
    picture = _file(".png", rgb[..., ::-1], _PNG) if lossless else encode_picture(rgb)
    labels = np.concatenate([classes, instances])
    return PackedFrame(picture, _file(".png", encode_depth(depth, bits), _PNG),
                       _file(".png", labels, _PNG))  # fmt: skip


def encode_picture(rgb: NDArray[np.uint8]) -> bytes:
    """u8[H,W,3] as JPEG."""
    return _file(".jpg", rgb[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))


def _file(kind: str, image: NDArray[Any], parameters: tuple[int, int]) -> bytes:
    done, data = cv2.imencode(kind, np.ascontiguousarray(image), parameters)
    if not done:
        raise CooperError(f"OpenCV could not write a {kind} picture of shape {image.shape}")
    return data.tobytes()


def _image(data: bytes, what: str) -> NDArray[Any]:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if image is None:
        raise CooperError(f"a frame's {what} cannot be read: the shard is damaged")
    return image


def unpack_rgb(frame: PackedFrame) -> NDArray[np.uint8]:
    """u8[H,W,3]."""
    return np.ascontiguousarray(_image(frame.rgb, "picture")[..., ::-1])


def unpack_depth(frame: PackedFrame) -> NDArray[np.float32]:
    """f32[H,W] in metres."""
    return decode_depth(_image(frame.depth, "depth"))


def unpack_depth_code(frame: PackedFrame) -> NDArray[np.uint8]:
    """u8[H,W]: the code of 8 bits, also of frames that hold 16."""
    code = _image(frame.depth, "depth")
    return code if code.dtype == np.uint8 else encode_depth(decode_depth(code))


def unpack_labels(frame: PackedFrame) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Classes and instances, u8[H,W] each."""
    both = _image(frame.labels, "labels")
    half = len(both) // 2
    return both[:half], both[half:]
