"""sensor_msgs images and camera infos <-> numpy, by our own converter.

cv_bridge breaks between NumPy and OpenCV majors, and a robot's camera path should not depend on
which of them is installed; it is only asked for encodings that we do not have. Reading makes no
copy where the bytes already are what is asked for; writing makes one. Every message is checked
before a byte is touched, because `step`, `height` and `data` come from another process and
contradict each other more often than one thinks.
"""

from __future__ import annotations

import array
import io
import math
import sys
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from cooper_ros.core.errors import IntrinsicsError, InvalidImageError, shown
from cooper_ros.core.projection import normalized_coordinates, project
from cooper_ros.core.types import Intrinsics
from cooper_ros.ros.bridge import rgb_by_cv_bridge
from cooper_ros.ros.encodings import ENCODINGS, Encoding, find_encoding

MAX_PIXELS = 64_000_000
"""Largest picture accepted [px]: a few bytes of JPEG can otherwise claim gigabytes."""

DISTORTION_COUNTS = {
    "plumb_bob": (4, 5),
    "rational_polynomial": (8, 12, 14),
    "equidistant": (4,),
}
"""Lens models and their numbers of coefficients, as OpenCV takes them."""

LENS_TOLERANCE = 0.05
"""How far from its pixel a viewing ray may come back to the image, in image widths."""

ASPECT_TOLERANCE = 0.01
"""Relative difference of aspect ratio up to which a camera_info may be scaled to an image."""

STEEPEST_RAY = 50.0
"""Largest |x / z| or |y / z| of a viewing ray: 89 degrees off the axis."""

NARROWEST_VIEW = 1e-3
"""Smallest image width over focal length: a view of 0.06 degrees."""

STILL_PICTURES = ("JPEG", "PNG")
"""What `sensor_msgs/CompressedImage` may hold here; other parsers stay out of reach of messages."""


def _check_layout(msg: Image, encoding: Encoding) -> None:
    """Raise InvalidImageError when size, step and data contradict each other."""
    width, height, step = int(msg.width), int(msg.height), int(msg.step)
    if width < 1 or height < 1:
        raise InvalidImageError(f"image is {width}x{height}: width and height must be at least 1")
    if width * height > MAX_PIXELS:
        raise InvalidImageError(f"image is {width}x{height}, more than {MAX_PIXELS} pixels")
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


def image_to_rgb(msg: Image) -> NDArray[np.uint8]:
    """Read an image as RGB uint8 [H, W, 3]; no copy for rgb8, one for the others.

    An encoding that is not in our table is left to cv_bridge where it is installed. Raises
    InvalidImageError for encodings that hold no picture (16UC1, 32FC1), and for unknown ones.
    """
    if msg.encoding not in ENCODINGS and (bridged := rgb_by_cv_bridge(msg)) is not None:
        return bridged
    encoding = find_encoding(msg.encoding)
    if encoding.to_rgb is None:
        raise InvalidImageError(
            f"image encoding {msg.encoding} holds raw values (depth), not a picture: "
            "remap `image` to the camera's colour topic"
        )
    rgb: NDArray[np.uint8] = encoding.to_rgb(image_to_array(msg))
    return rgb


def image_to_depth(msg: Image) -> NDArray[np.float32]:
    """Read a depth image as float32 [H, W] metres, NaN where unknown (REP-118).

    32FC1 is metres already (no copy); 16UC1 and mono16 are millimetres with 0 for unknown.
    """
    if msg.encoding not in ("32FC1", "16UC1", "mono16"):
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
    """Decode a JPEG or PNG message to RGB uint8 [H, W, 3]."""
    data = bytes(msg.data)
    try:
        # Only the header is read here, before any memory is given to the picture.
        with PillowImage.open(io.BytesIO(data), formats=STILL_PICTURES) as header:
            width, height = header.size
    except (UnidentifiedImageError, OSError, ValueError, PillowImage.DecompressionBombError) as why:
        raise InvalidImageError(
            f"compressed image ({len(data)} bytes, format {msg.format[:40]!r}) is not a readable "
            "JPEG or PNG"
        ) from why
    if width * height > MAX_PIXELS:
        raise InvalidImageError(f"compressed image is {width}x{height}: over {MAX_PIXELS} pixels")
    # As stored: a turned picture would not be the one that the calibration is for.
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if bgr is None or bgr.shape[:2] != (height, width):
        raise InvalidImageError(f"compressed image {width}x{height} is damaged and cannot be read")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


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


def camera_info_to_intrinsics(msg: CameraInfo, width: int, height: int) -> Intrinsics | None:
    """Intrinsics of a `width` x `height` image from its camera_info; None when uncalibrated.

    An all-zero K is how ROS says "uncalibrated". Region of interest and binning are applied; an
    image that was resized with its aspect ratio kept gets scaled intrinsics. Raises
    IntrinsicsError for numbers that cannot be a camera, or a camera_info of another image.
    """
    k = [float(value) for value in msg.k]
    if k[0] == 0.0 and k[4] == 0.0:
        return None
    intrinsics = Intrinsics(
        k[0],
        k[4],
        k[2],
        k[5],
        int(msg.width) or width,
        int(msg.height) or height,
        tuple(float(value) for value in msg.d),
        msg.distortion_model or "plumb_bob",
    ).require_valid()
    _check_distortion(intrinsics)
    roi = msg.roi
    if roi.width and roi.height:
        intrinsics = intrinsics.cropped(roi.x_offset, roi.y_offset, roi.width, roi.height)
    bin_x, bin_y = max(int(msg.binning_x), 1), max(int(msg.binning_y), 1)
    if (bin_x, bin_y) != (1, 1):
        intrinsics = intrinsics.scaled(
            max(intrinsics.width // bin_x, 1), max(intrinsics.height // bin_y, 1)
        )
    _check_view(intrinsics)
    if (intrinsics.width, intrinsics.height) == (width, height):
        return intrinsics
    ratio = (width * intrinsics.height) / (height * intrinsics.width)
    if math.isclose(ratio, 1.0, rel_tol=ASPECT_TOLERANCE):
        return intrinsics.scaled(width, height)
    raise IntrinsicsError(
        f"camera_info is for {intrinsics.width}x{intrinsics.height}, the image is "
        f"{width}x{height}: they are not from the same camera mode, so no metres can be given"
    )


def _check_view(intrinsics: Intrinsics) -> None:
    """Raise IntrinsicsError for finite numbers that no camera has: their rays would overflow."""
    fx, fy, cx, cy = intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy
    width, height = intrinsics.width, intrinsics.height
    steepest = max(abs(cx), abs(width - cx)) / fx, max(abs(cy), abs(height - cy)) / fy
    if max(steepest) > STEEPEST_RAY or min(width / fx, height / fy) < NARROWEST_VIEW:
        raise IntrinsicsError(
            f"camera_info (fx={fx:g}, fy={fy:g}, cx={cx:g}, cy={cy:g}) is no camera that sees "
            f"{width}x{height} pixels: focal lengths and centre must be in pixels of this image"
        )


def _check_distortion(intrinsics: Intrinsics) -> None:
    """Raise IntrinsicsError for a lens model that is unknown, or cannot be undone."""
    if not intrinsics.is_distorted:
        return
    name, count = intrinsics.distortion_model, len(intrinsics.distortion)
    if count not in DISTORTION_COUNTS.get(name, ()):
        known = ", ".join(f"{key} with {counts}" for key, counts in DISTORTION_COUNTS.items())
        raise IntrinsicsError(
            f"camera_info has {count} distortion coefficients of model {name[:40]!r}; known are "
            f"{known}: rectify the image, or correct the calibration"
        )
    # Half way to the corners: at the corners themselves calibrations are extrapolated, and those
    # of usable wide lenses need not be exact there.
    columns = (0.25 * intrinsics.width, 0.75 * intrinsics.width)
    rows = (0.25 * intrinsics.height, 0.75 * intrinsics.height)
    for pixel in ((u, v) for u in columns for v in rows):
        x, y = normalized_coordinates(intrinsics, *pixel)
        back = project(intrinsics, (float(x), float(y), 1.0))
        if not math.dist(back, pixel) < LENS_TOLERANCE * intrinsics.width:  # NaN fails as well
            raise IntrinsicsError(
                f"camera_info's distortion coefficients {intrinsics.distortion} cannot be undone: "
                "calibrate the camera again, or rectify the image"
            )
    edge = np.linspace(0.0, 1.0, 9)
    u, v = edge * (intrinsics.width - 1), edge[:, None] * (intrinsics.height - 1)
    rays = np.stack(normalized_coordinates(intrinsics, u, v))
    if not (np.abs(rays) <= STEEPEST_RAY).all():  # NaN fails as well
        raise IntrinsicsError(
            f"camera_info's distortion coefficients {intrinsics.distortion} give no viewing ray "
            "for pixels near the edge: calibrate the camera again, or rectify the image"
        )


def intrinsics_to_camera_info(intrinsics: Intrinsics, header: Any = None) -> CameraInfo:
    """CameraInfo with K, P, identity R and the distortion coefficients."""
    msg = CameraInfo()
    if header is not None:
        msg.header = header
    fx, fy, cx, cy = intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy
    msg.width, msg.height = intrinsics.width, intrinsics.height
    msg.distortion_model = intrinsics.distortion_model
    msg.d = list(intrinsics.distortion) or [0.0] * 5
    msg.k = [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0]
    msg.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    msg.p = [fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return msg
