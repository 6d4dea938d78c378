"""Transforms between frames at the time of an image, from TF where tf2 is installed.

Without tf2 (it does not come from the Python package index) only equal frames can be related, and
the errors say so.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cooper_ros.core.errors import FrameError

Matrix = NDArray[np.float64]

CACHE_S = 30.0
"""How long transforms are remembered [s]: longer than an answer takes."""


def bare(frame_id: str) -> str:
    """A frame id without the leading slash that TF of ROS 1 had: they name the same frame."""
    return frame_id.lstrip("/")


def matrix_of(transform: Any) -> Matrix:
    """geometry_msgs/Transform -> f64 [4, 4]. Raises FrameError for a broken rotation."""
    q, t = transform.rotation, transform.translation
    quaternion = np.array([q.x, q.y, q.z, q.w], np.float64)
    length = float(np.linalg.norm(quaternion))
    translation = np.array([t.x, t.y, t.z], np.float64)
    if not (np.isfinite(translation).all() and 0.5 < length < 2.0):
        raise FrameError(f"TF holds no rigid transform: quaternion {quaternion.tolist()}")
    x, y, z, w = quaternion / length
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, 3] = translation
    return matrix


def transform_points(matrix: Matrix, points: ArrayLike) -> Matrix:
    """Points f [n, 3] through a rigid transform: f64 [n, 3]; not finite stays so."""
    with np.errstate(invalid="ignore"):  # NaN and inf mean "no return": every cloud has them
        return np.asarray(points, np.float64).reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]


class Frames:
    """Looks transforms up. `buffer` stands in for tf2's in tests."""

    def __init__(self, node: Any, use_tf: bool = True, buffer: Any = None) -> None:
        self._buffer, self._listener = buffer, None
        self._why_not = "" if use_tf else " (parameter use_tf is false)"
        if buffer is None and use_tf:
            try:
                tf2_ros = importlib.import_module("tf2_ros")
            except ImportError:
                self._why_not = " (tf2_ros is not installed: apt install ros-$ROS_DISTRO-tf2-ros)"
            else:  # pragma: no cover - needs a full ROS installation
                from rclpy.duration import Duration

                self._buffer = tf2_ros.Buffer(cache_time=Duration(seconds=CACHE_S))
                self._listener = tf2_ros.TransformListener(self._buffer, node)

    @property
    def available(self) -> bool:
        """Whether TF can be asked."""
        return self._buffer is not None

    def lookup(self, target: str, source: str, stamp_ns: int) -> Matrix:
        """f64 [4, 4] that takes points of `source` to `target` at this time.

        Raises FrameError that names the frames and the reason.
        """
        target, source = bare(target), bare(source)
        if target == source:
            return np.eye(4)
        if self._buffer is None:
            raise FrameError(f"cannot relate frame {source!r} to {target!r}{self._why_not}")
        from rclpy.time import Time

        try:
            found = self._buffer.lookup_transform(target, source, Time(nanoseconds=stamp_ns))
        except Exception as error:  # tf2's exceptions share no base that exists without tf2
            raise FrameError(f"TF cannot relate frame {source!r} to {target!r}: {error}") from error
        return matrix_of(found.transform)

    def forget(self) -> None:
        """Drop all transforms: they are from a time that has not come yet."""
        if self._buffer is not None:
            self._buffer.clear()

    def close(self) -> None:
        """Stop listening."""
        listener, self._listener, self._buffer = self._listener, None, None
        if listener is not None:  # pragma: no cover - needs a full ROS installation
            listener.unregister()
