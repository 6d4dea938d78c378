"""From `sensor_msgs/CameraInfo` to intrinsics, or to the sentence that says why there are none.

A calibration that contradicts itself or its picture gives no metres: they would be wrong without
anybody seeing it. What is harmless (another resolution of the same shape, spellings, zeros) is
taken.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sensor_msgs.msg import CameraInfo

from cooper_ros.core.errors import IntrinsicsError
from cooper_ros.core.lenses import lens_of
from cooper_ros.core.projection import normalized_coordinates, project
from cooper_ros.core.types import Intrinsics

LENS_TOLERANCE = 0.05
"""How far from its pixel a viewing ray may come back to the image, in image widths."""

ASPECT_TOLERANCE = 0.01
"""Relative difference of aspect ratio up to which a camera_info may be scaled to an image."""

MAX_SKEW = 1e-3
"""Largest skew of K, as share of fx: more is a mistake, no lens has it."""

STEEPEST_RAY = 50.0
"""Largest |x / z| or |y / z| of a viewing ray: 89 degrees off the axis."""

NARROWEST_VIEW = 1e-3
"""Smallest image width over focal length: a view of 0.06 degrees."""

RECTIFIED_TOPIC = "image_rect"
"""How image_proc names pictures without distortion: image_rect, image_rect_color, ..."""


def is_rectified(parameter: str, topic: str) -> bool:
    """Whether pictures of a topic have no distortion: `true`, `false`, or by the name (`auto`)."""
    if parameter != "auto":
        return parameter == "true"
    return any(part.startswith(RECTIFIED_TOPIC) for part in topic.split("/"))


def camera_info_to_intrinsics(
    msg: CameraInfo, width: int, height: int, rectified: bool = False
) -> Intrinsics | None:
    """Intrinsics of a `width` x `height` image from its camera_info; None when uncalibrated.

    A `rectified` image has P and no distortion, another one K and D. An all-zero K is how ROS says
    "uncalibrated"; a good P stands in for it where D is zero. Region of interest and binning are
    applied; an image that was resized with its aspect ratio kept gets scaled intrinsics. Raises
    IntrinsicsError for numbers that cannot be a camera, or a camera_info of another image.
    """
    numbers = _pinhole(msg, rectified)
    if numbers is None:
        return None
    distortion = () if rectified else tuple(float(value) for value in msg.d)
    size = int(msg.width) or width, int(msg.height) or height
    intrinsics = Intrinsics(*numbers, *size, distortion).require_valid()
    model, distortion = lens_of(msg.distortion_model, distortion)
    intrinsics = Intrinsics(*numbers, *size, distortion, model)
    _check_view(intrinsics)
    _check_centre(intrinsics)
    _check_lens(intrinsics)
    intrinsics = _binned(_cropped(intrinsics, msg.roi), msg)
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


def rectified_info(msg: CameraInfo) -> CameraInfo:
    """The camera_info that a rectified image would have of its own: K from P, no distortion."""
    numbers = _pinhole(msg, rectified=True)
    if numbers is None:
        return msg
    fx, fy, cx, cy = numbers
    made = CameraInfo(header=msg.header, width=msg.width, height=msg.height, p=msg.p, roi=msg.roi)
    made.binning_x, made.binning_y = msg.binning_x, msg.binning_y
    made.distortion_model, made.d = "plumb_bob", [0.0] * 5
    made.k = [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0]
    made.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    return made


def _pinhole(msg: CameraInfo, rectified: bool) -> tuple[float, float, float, float] | None:
    """(fx, fy, cx, cy) of the matrix that describes the image; None when uncalibrated."""
    k, p = [float(value) for value in msg.k], [float(value) for value in msg.p]
    zero_k, zero_p = k[0] == 0.0 and k[4] == 0.0, p[0] == 0.0 and p[5] == 0.0
    undistorted = not any(float(value) != 0.0 for value in msg.d)
    if zero_k and zero_p:
        return None
    if rectified and zero_p and not undistorted:
        raise IntrinsicsError(
            "the image is rectified, but P of its camera_info is zero: publish the calibration of "
            "the rectified image, or set the parameter rectified to false"
        )
    if zero_k and not rectified and not undistorted:
        raise IntrinsicsError(
            "K of camera_info is zero, and its P describes the rectified image only: publish K, or "
            "set the parameter rectified to true if the image is rectified"
        )
    if (rectified and not zero_p) or zero_k:
        _check_matrix("P", [p[0], p[1], p[2], *p[4:7], *p[8:11]])
        return p[0], p[5], p[2], p[6]
    _check_matrix("K", k)
    return k[0], k[4], k[2], k[5]


def _check_matrix(name: str, m: list[float]) -> None:
    """Raise IntrinsicsError for entries that no upright pinhole camera has. `m`: row by row."""
    fx, skew = m[0], m[1]
    if abs(skew) > MAX_SKEW * abs(fx):
        raise IntrinsicsError(
            f"{name} of camera_info has a skew of {skew:g} at fx={fx:g}: pixels are not slanted, "
            "calibrate the camera again"
        )
    if abs(m[3]) > MAX_SKEW * abs(fx) or any(m[6:8]) or m[8] not in (0.0, 1.0):
        raise IntrinsicsError(
            f"{name} of camera_info is no camera matrix (rows {m[:3]}, {m[3:6]}, {m[6:]}): it must "
            "be [fx 0 cx], [0 fy cy], [0 0 1]"
        )


def _check_centre(intrinsics: Intrinsics) -> None:
    """Raise IntrinsicsError when the optical axis leaves the sensor, crops aside."""
    cx, cy = intrinsics.cx, intrinsics.cy
    width, height = intrinsics.width, intrinsics.height
    if not (0.0 < cx < width - 1 and 0.0 < cy < height - 1):
        raise IntrinsicsError(
            f"camera_info's principal point ({cx:g}, {cy:g}) is at or beyond the border of its "
            f"{width}x{height} pixels: K is of another resolution, or the image was cropped "
            "without saying so in roi"
        )


def _cropped(intrinsics: Intrinsics, roi: Any) -> Intrinsics:
    """Intrinsics of the region of interest, of all where there is none."""
    if not (roi.width or roi.height or roi.x_offset or roi.y_offset):
        return intrinsics
    right, bottom = roi.x_offset + roi.width, roi.y_offset + roi.height
    if not (roi.width and roi.height) or right > intrinsics.width or bottom > intrinsics.height:
        raise IntrinsicsError(
            f"camera_info's region of interest ({roi.width}x{roi.height} at {roi.x_offset}, "
            f"{roi.y_offset}) is not inside its {intrinsics.width}x{intrinsics.height} pixels"
        )
    return intrinsics.cropped(roi.x_offset, roi.y_offset, roi.width, roi.height)


def _binned(intrinsics: Intrinsics, msg: CameraInfo) -> Intrinsics:
    bin_x, bin_y = max(int(msg.binning_x), 1), max(int(msg.binning_y), 1)
    if (bin_x, bin_y) == (1, 1):
        return intrinsics
    return intrinsics.scaled(
        max(intrinsics.width // bin_x, 1), max(intrinsics.height // bin_y, 1)
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


def _check_lens(intrinsics: Intrinsics) -> None:
    """Raise IntrinsicsError for distortion that cannot be undone."""
    if not intrinsics.is_distorted:
        return
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
