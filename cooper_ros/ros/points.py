"""The depth map as a coloured, labelled point cloud."""

from __future__ import annotations

import array

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from cooper_ros.core.errors import NotMetricError
from cooper_ros.core.projection import normalized_coordinates
from cooper_ros.core.sized_cache import sized_cache
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


@sized_cache(32.0)
def _rays(intrinsics: Intrinsics, stride: int) -> NDArray[np.float32]:
    """x / z and y / z of the rays of every `stride`-th pixel: f32 [h, w, 2], read-only."""
    columns, rows = np.arange(0, intrinsics.width, stride), np.arange(0, intrinsics.height, stride)
    x, y = normalized_coordinates(intrinsics, columns[None, :], rows[:, None])
    rays = np.empty((*x.shape, 2), np.float32)
    rays[..., 0], rays[..., 1] = x, y
    rays.flags.writeable = False
    return rays


def to_point_cloud(
    depth: DepthMap,
    rgb: NDArray[np.uint8],
    segmentation: Segmentation | None,
    header: Header,
    stride: int = 1,
    size: tuple[int, int] | None = None,
) -> PointCloud2:
    """Points of every `stride`-th row and column of an image of `size` (width, height; default:
    that of the maps), in the camera optical frame.

    Organised: one point per pixel, so a neighbour in the cloud is a neighbour in the image; x, y
    and z are NaN where the depth is unknown. `rgb` uint8 [H, W, 3] and `segmentation` have the size
    of the depth map. Raises NotMetricError for depth without scale or camera without intrinsics.
    """
    if not depth.metric or depth.intrinsics is None:
        raise NotMetricError("a point cloud needs metric depth and a calibrated camera")
    height, width = depth.depth.shape
    size = size or (width, height)
    rows = (np.arange(0, size[1], stride) + 0.5) * height / size[1]
    columns = (np.arange(0, size[0], stride) + 0.5) * width / size[0]
    picked = np.ix_(rows.astype(int), columns.astype(int))
    z = depth.depth[picked]
    cloud = np.empty(z.shape, POINT)
    with np.errstate(invalid="ignore"):
        known = np.isfinite(z) & (z > 0.0)
    rays = _rays(depth.intrinsics.scaled(*size), stride)
    z[~known] = np.nan  # a copy, as every picked array
    cloud["z"] = z
    for axis, name in enumerate("xy"):
        np.multiply(rays[..., axis], z, out=cloud[name])
    colour = rgb[picked]
    packed = colour[..., 0].astype(np.uint32)
    for channel in (1, 2):
        packed <<= 8
        packed |= colour[..., channel]
    cloud["rgb"] = packed
    cloud["label"], cloud["instance"] = UNLABELLED, 0
    if segmentation is not None:
        cloud["label"] = segmentation.labels[picked]
        cloud["instance"] = segmentation.instances[picked]
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


