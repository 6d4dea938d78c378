"""sensor_msgs/PointCloud2 -> numpy, checked before a byte is touched."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2, PointField

from cooper_ros.core.errors import ScaleError

MAX_POINTS = 8_000_000
FORMATS = {PointField.FLOAT32: "f4", PointField.FLOAT64: "f8"}


def cloud_to_points(msg: PointCloud2) -> NDArray[np.float32]:
    """The x, y, z of a cloud: f32 [n, 3] in its own frame [m], not finite where unknown.

    Raises ScaleError when fields, steps and data contradict each other.
    """
    width, height, step = int(msg.width), int(msg.height), int(msg.point_step)
    if width * height > MAX_POINTS:
        raise ScaleError(f"point cloud of {width}x{height} points: more than {MAX_POINTS}")
    if width * height == 0:
        return np.zeros((0, 3), np.float32)
    found = {field.name: field for field in msg.fields if field.name in ("x", "y", "z")}
    if len(found) < 3:
        names = ", ".join(field.name[:20] for field in msg.fields[:16]) or "none"
        raise ScaleError(f"point cloud without fields x, y, z (it has: {names})")
    order = ">" if msg.is_bigendian else "<"
    formats, offsets = [], []
    for name in ("x", "y", "z"):
        field = found[name]
        if field.datatype not in FORMATS:
            raise ScaleError(
                f"point cloud field {name} has datatype {field.datatype}; it must be FLOAT32 or "
                "FLOAT64"
            )
        formats.append(order + FORMATS[field.datatype])
        offsets.append(int(field.offset))
        if offsets[-1] + np.dtype(formats[-1]).itemsize > step:
            raise ScaleError(f"point cloud field {name} ends after point_step {step}")
    row = int(msg.row_step) or width * step
    needed = row * (height - 1) + width * step
    if row < width * step or len(msg.data) < needed:
        raise ScaleError(
            f"point cloud of {width}x{height} points of {step} bytes (row_step {msg.row_step}) "
            f"needs {needed} bytes, its data are {len(msg.data)}: the message was cut"
        )
    dtype = np.dtype(
        {"names": ["x", "y", "z"], "formats": formats, "offsets": offsets, "itemsize": step}
    )
    view: NDArray[np.void] = np.ndarray(
        (height, width), dtype, buffer=memoryview(msg.data), strides=(row, step)
    )
    with np.errstate(over="ignore", invalid="ignore"):  # f8 beyond f4 becomes inf: unknown
        columns = [view[name].astype(np.float32) for name in ("x", "y", "z")]
    return np.stack(columns, axis=-1).reshape(-1, 3)
