"""sensor_msgs images <-> numpy, by our own converter.

cv_bridge breaks between NumPy and OpenCV majors, and a robot's camera path should not depend on
which of them is installed; it is only asked for encodings that we do not have. Reading makes no
copy where the bytes already are what is asked for; writing makes one. Every message is checked
before a byte is touched, because `step`, `height` and `data` come from another process and
contradict each other more often than one thinks.
"""

from __future__ import annotations

import array
import sys
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image

from cooper_ros.core.errors import InvalidImageError, shown
from cooper_ros.core.pictures import WORK_PIXELS, check_size, grey_to_8_bits, reduced
from cooper_ros.ros.bridge import rgb_by_cv_bridge
from cooper_ros.ros.camera_infos import camera_info_to_intrinsics, intrinsics_to_camera_info
from cooper_ros.ros.compressed import decode_compressed
from cooper_ros.ros.encodings import DEPTHS, ENCODINGS, PICTURES, Encoding, Rgb, find_encoding

__all__ = [
    "array_to_image",
    "camera_info_to_intrinsics",
    "compressed_to_rgb",
    "image_to_array",
    "image_to_depth",
    "image_to_rgb",
    "intrinsics_to_camera_info",
    "read_image",
    "read_message",
    "to_bytes",
]


def _check_layout(msg: Image, encoding: Encoding) -> None:
    """Raise InvalidImageError when size, step and data contradict each other."""
    width, height, step = int(msg.width), int(msg.height), int(msg.step)
    check_size(width, height)
    if (encoding.even_width and width % 2) or (encoding.even_height and height % 2):
        raise InvalidImageError(
            f"{msg.encoding} shares chroma between neighbours and needs an even size, "
            f"got {width}x{height}"
        )
    row_bytes = width * encoding.channels * np.dtype(encoding.dtype).itemsize
    if step < row_bytes:
        raise InvalidImageError(
            f"image step is {step} bytes, but {width} pixels of {msg.encoding} need {row_bytes}: "
            "the publisher must set step to the length of one row in bytes"
        )
    expected = step * encoding.stored_rows(height)
    if len(msg.data) != expected:
        raise InvalidImageError(
            f"image data holds {len(msg.data)} bytes, but {height} rows of step {step} in "
            f"{msg.encoding} are {expected}: the message was cut or its size is wrong"
        )


def image_to_array(msg: Image) -> NDArray[Any]:
    """Read an image as it is stored: [H, W] or [H, W, C] in the machine's byte order.

    A view of `msg.data` (no copy) unless the byte order has to change. `nv12` and `nv21` come as
    [H * 3 / 2, W]. Raises InvalidImageError for an unknown encoding or contradicting sizes.
    """
    encoding = find_encoding(msg.encoding)
    _check_layout(msg, encoding)
    dtype = np.dtype(encoding.dtype)
    big = bool(msg.is_bigendian)
    stored = dtype.newbyteorder(">" if big else "<")
    rows = encoding.stored_rows(int(msg.height))
    shape: tuple[int, ...] = (rows, int(msg.width))
    strides: tuple[int, ...] = (int(msg.step), encoding.channels * dtype.itemsize)
    if encoding.channels > 1:
        shape, strides = (*shape, encoding.channels), (*strides, dtype.itemsize)
    view: NDArray[Any] = np.ndarray(shape, stored, buffer=memoryview(msg.data), strides=strides)
    if dtype.itemsize > 1 and big != (sys.byteorder == "big"):
        return view.astype(dtype)
    return view.view(dtype)


def read_image(msg: Image, pixels: int | None = WORK_PIXELS) -> Rgb:
    """Read an image as RGB uint8 with at most `pixels` (None: as many as it has).

    One copy at most, and none for rgb8 that is small enough. An encoding that is not in our table
    is left to cv_bridge where it is installed. Raises InvalidImageError for encodings that hold no
    picture (16UC1, 32FC1), and for unknown ones.
    """
    size = (int(msg.width), int(msg.height))
    if msg.encoding not in ENCODINGS and (bridged := rgb_by_cv_bridge(msg)) is not None:
        return Rgb(_at_most(bridged, pixels), size)
    encoding = find_encoding(msg.encoding, PICTURES)
    if not encoding.is_picture:
        raise InvalidImageError(
            f"image encoding {msg.encoding} holds raw values (depth), not a picture: "
            f"remap `image` to the camera's colour topic, of {', '.join(PICTURES)}"
        )
    stored = image_to_array(msg)
    if encoding.mixable:  # made smaller before it is copied
        stored = _at_most(stored, pixels)
    if encoding.to_rgb is None:
        grey, limits = grey_to_8_bits(stored)
        return Rgb(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), size, limits)  # type: ignore[arg-type]
    return Rgb(_at_most(encoding.to_rgb(stored), pixels), size)


def _at_most(values: NDArray[Any], pixels: int | None) -> NDArray[Any]:
    return values if pixels is None else reduced(values, pixels)


def image_to_rgb(msg: Image) -> NDArray[np.uint8]:
    """`read_image` at the size of the image: RGB uint8 [H, W, 3]."""
    return read_image(msg, None).rgb


def image_to_depth(msg: Image) -> NDArray[np.float32]:
    """Read a depth image as float32 [H, W] metres, NaN where unknown (REP-118).

    32FC1 is metres already (no copy); 16UC1 and mono16 are millimetres with 0 for unknown.
    """
    if msg.encoding not in DEPTHS:
        raise InvalidImageError(
            f"a depth image must be 32FC1 [m] or 16UC1 [mm], got {shown(msg.encoding)}"
        )
    values = image_to_array(msg)
    if msg.encoding == "32FC1":
        return values
    depth = values.astype(np.float32) * np.float32(0.001)
    depth[values == 0] = np.nan
    return depth


def compressed_to_rgb(msg: CompressedImage) -> NDArray[np.uint8]:
    """Decode a JPEG or PNG message at its own size: RGB uint8 [H, W, 3]."""
    return decode_compressed(msg, None).rgb


def read_message(msg: Image | CompressedImage, pixels: int | None = WORK_PIXELS) -> Rgb:
    """A picture message of either type, see `read_image`."""
    if isinstance(msg, CompressedImage):
        return decode_compressed(msg, pixels)
    return read_image(msg, pixels)


def to_bytes(values: NDArray[Any]) -> array.array[int]:
    """Bytes of an array as the `array.array('B')` that rclpy stores without a check per element."""
    out = array.array("B")
    out.frombytes(np.ascontiguousarray(values).data.cast("B"))
    return out


def array_to_image(values: NDArray[Any], encoding: str, header: Any = None) -> Image:
    """Make an Image of [H, W] or [H, W, C] values in the given encoding (one copy).

    `header`: a std_msgs/Header to put in; raises InvalidImageError when shape or dtype do not fit.
    """
    row = find_encoding(encoding)
    channels = 1 if values.ndim == 2 else values.shape[-1]
    if values.ndim not in (2, 3) or channels != row.channels or values.dtype != row.dtype:
        raise InvalidImageError(
            f"{encoding} needs {row.channels} channel(s) of {np.dtype(row.dtype)}, got shape "
            f"{list(values.shape)} of {values.dtype}"
        )
    msg = Image()
    if header is not None:
        msg.header = header
    msg.height = values.shape[0] * row.rows_denominator // row.rows_numerator
    msg.width = values.shape[1]
    msg.encoding = encoding
    msg.is_bigendian = int(sys.byteorder == "big")
    msg.step = values.shape[1] * channels * values.dtype.itemsize
    msg.data = to_bytes(values)
    return msg
