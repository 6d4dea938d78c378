"""Image messages as small JPEG pictures for a browser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cooper_ros.ros.conversion import image_to_array, read_message
from cooper_ros.ros.messages import time_to_ns
from cooper_ros.ros.overlay import depth_picture

MAX_WIDTH = 960
"""Pictures are made smaller until they fit [px]: a page needs no more."""
JPEG_QUALITY = 82
SMOOTHING = 0.2
"""How fast the colour range of depth follows the picture: a jumping scale cannot be read."""


@dataclass(frozen=True)
class Picture:
    """A JPEG with what the page says about it.

    `stamp_ns`: acquisition time of the camera image; `width`, `height` [px]: of that image, in
    which pixels are meant; `near`, `far`: ends of the colour scale, in `unit` ("m", or "" for
    relative depth), None for a picture that is no depth.
    """

    jpeg: bytes
    stamp_ns: int
    width: int
    height: int
    near: float | None = None
    far: float | None = None
    unit: str = ""


class DepthRange:
    """Colour range of a stream of depth maps: 2nd to 98th percentile, following slowly."""

    def __init__(self) -> None:
        self._ends: tuple[float, float] | None = None

    def follow(self, depth: NDArray[np.float32]) -> tuple[float, float]:
        """The range for this map [same unit]; (0, 1) while nothing is known."""
        known = depth[np.isfinite(depth)]
        if known.size:
            low, high = (float(v) for v in np.percentile(known[:: max(known.size // 20000, 1)],
                                                         (2, 98)))  # fmt: skip
            if self._ends is None:
                self._ends = low, high
            else:
                self._ends = (
                    self._ends[0] + SMOOTHING * (low - self._ends[0]),
                    self._ends[1] + SMOOTHING * (high - self._ends[1]),
                )
        return self._ends or (0.0, 1.0)


def camera_picture(message: Any) -> Picture:
    """Image or CompressedImage of any encoding the node reads."""
    found = read_message(message)
    return _picture(found.rgb, message, size=found.size)


def coloured_depth(message: Any, limits: DepthRange, unit: str) -> Picture:
    """32FC1 depth [m] or relative depth: bright near, dark far, grey where unknown."""
    depth = np.asarray(image_to_array(message), np.float32)
    near, far = limits.follow(depth)
    return _picture(depth_picture(depth, near, far), message, near, far, unit)


def _picture(
    rgb: NDArray[np.uint8],
    message: Any,
    near: float | None = None,
    far: float | None = None,
    unit: str = "",
    size: tuple[int, int] | None = None,
) -> Picture:
    height, width = rgb.shape[:2]
    if width > MAX_WIDTH:
        small = (MAX_WIDTH, max(round(height * MAX_WIDTH / width), 1))
        rgb = cv2.resize(rgb, small, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    width, height = size or (width, height)
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    stamp_ns = time_to_ns(message.header.stamp)
    return Picture(data.tobytes(), stamp_ns, width, height, near, far, unit)
