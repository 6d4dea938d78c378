"""The depth map as a coloured, labelled point cloud."""

from __future__ import annotations

import array
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from cooper_ros.core.errors import NotMetricError
from cooper_ros.core.projection import pixel_rays
from cooper_ros.core.types import DepthMap, Intrinsics, Segmentation

UNLABELLED = 65535
"""`label` of every point where there is no segmentation."""

POINT = np.dtype(
    {
        "names": ["x", "y", "z", "rgb", "label", "instance"],
        "formats": ["<f4", "<f4", "<f4", "<u4", "<u2", "<u2"],
        "itemsize": 20,
    }
)
"""One point: metres in the optical frame, 0x00RRGGBB, class id and instance number (0 = none)."""

_KINDS = {"f4": PointField.FLOAT32, "u2": PointField.UINT16}


def point_fields() -> list[PointField]:
    """The layout of `POINT` in a message.

    `rgb` is declared float32 although it holds an integer: the convention of PCL, which RViz,
    Foxglove and depth_image_proc follow.
    """
    fields = []
    for name in POINT.names or ():
        dtype, offset = POINT.fields[name][:2]  # type: ignore[index]
        kind = PointField.FLOAT32 if name == "rgb" else _KINDS[dtype.str[1:]]
        fields.append(PointField(name=name, offset=offset, datatype=kind, count=1))
    return fields


@lru_cache(maxsize=8)
def _rays(intrinsics: Intrinsics, stride: int) -> NDArray[np.float32]:
    """Viewing rays of every `stride`-th pixel: f32 [h, w, 3], read-only."""
    rays = np.ascontiguousarray(pixel_rays(intrinsics)[::stride, ::stride])
    rays.flags.writeable = False
    return rays


def to_point_cloud(
    depth: DepthMap,
    rgb: NDArray[np.uint8],
    segmentation: Segmentation | None,
    header: Header,
    stride: int = 1,
) -> PointCloud2:
    """Points of every `stride`-th row and column, in the camera optical frame.

    Organised: one point per pixel, so a neighbour in the cloud is a neighbour in the image; x, y
    and z are NaN where the depth is unknown. `rgb` uint8 [H, W, 3] and `segmentation` have the size
    of the depth map. Raises NotMetricError for depth without scale or camera without intrinsics.
    """
    if not depth.metric or depth.intrinsics is None:
        raise NotMetricError("a point cloud needs metric depth and a calibrated camera")
    z = depth.depth[::stride, ::stride]
    cloud = np.empty(z.shape, POINT)
    with np.errstate(invalid="ignore"):
        known = np.isfinite(z) & (z > 0.0)
    rays = _rays(depth.intrinsics, stride)
    z = np.where(known, z, np.float32(np.nan))
    cloud["x"], cloud["y"], cloud["z"] = rays[..., 0] * z, rays[..., 1] * z, z
    colour = rgb[::stride, ::stride].astype(np.uint32)
    cloud["rgb"] = (colour[..., 0] << 16) | (colour[..., 1] << 8) | colour[..., 2]
    cloud["label"], cloud["instance"] = UNLABELLED, 0
    if segmentation is not None:
        cloud["label"] = segmentation.labels[::stride, ::stride]
        cloud["instance"] = segmentation.instances[::stride, ::stride]
    data = array.array("B")
    data.frombytes(cloud.data.cast("B") if cloud.flags.c_contiguous else cloud.tobytes())
    return PointCloud2(
        header=header,
        height=cloud.shape[0],
        width=cloud.shape[1],
        fields=point_fields(),
        is_bigendian=False,
        point_step=POINT.itemsize,
        row_step=POINT.itemsize * cloud.shape[1],
        data=data,
        is_dense=bool(known.all()),
    )


