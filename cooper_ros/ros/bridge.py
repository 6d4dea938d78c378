"""Encodings that only cv_bridge knows (rgb16, 16-bit Bayer and the like), where it is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image

from cooper_ros.core.pictures import REFUSED_PIXELS


def rgb_by_cv_bridge(msg: Image) -> NDArray[np.uint8] | None:
    """The picture as RGB uint8 [H, W, 3]; None where cv_bridge is missing or does not know it.

    Only for encodings that are not in our own table: cv_bridge copies more than we do, and which
    encodings it knows depends on its build.
    """
    height, width = int(msg.height), int(msg.width)
    if not (0 < height * width <= REFUSED_PIXELS and len(msg.data) == int(msg.step) * height):
        return None
    try:
        # Here, not above: it is not needed for what cameras usually send, and its import fails
        # where it was built against another NumPy.
        from cv_bridge import CvBridge

        found: Any = np.asarray(CvBridge().imgmsg_to_cv2(msg, "rgb8"))
    except Exception:  # whatever it raises, the message is refused with the list of what we know
        return None
    if found.dtype != np.uint8 or found.shape != (height, width, 3):
        return None
    return np.ascontiguousarray(found)
