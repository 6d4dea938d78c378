"""Exact object table of a rendered view, by the definitions of `core.geometry`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core import geometry
from cooper_ros.core.classes import STUFF_IDS
from cooper_ros.core.types import Intrinsics

MIN_FRACTION = 0.0015
"""Objects with a smaller share of visible pixels are left out."""

COLUMNS = (
    "frame",
    "class_id",
    "instance",
    "fraction",
    "u",
    "v",
    "z",
    "x",
    "y",
    "distance",
    "width",
    "height",
    "point_x",
    "point_y",
    "point_z",
    "left",
    "top",
    "right",
    "bottom",
)
"""Columns of the object table. fraction: share of the image's pixels; u, v: median visible pixel
divided by the image size; z, x, y: anchor in the optical frame (m), |anchor| = distance; distance,
width, height: metres; point: component-wise median of the visible points (m), between which
distances of two objects are taken; left, top, right, bottom: `visible_edges`."""

EDGES = ("left", "top", "right", "bottom")
EDGE_DIVISOR = 20
"""One twentieth of the visible pixels, 5 %, may lie outside each edge."""


def object_table(
    depth: NDArray[np.float32],
    classes: NDArray[np.uint8],
    instances: NDArray[np.integer],
    intrinsics: Intrinsics,
    gravity: NDArray[np.float64] | None,
    frame: int = 0,
    min_fraction: float = MIN_FRACTION,
) -> NDArray[np.float32]:
    """f32[M, len(COLUMNS)], one row per visible object, nearest first.

    All maps are [H, W]; `gravity` points down in the optical frame (None: image axes).
    """
    order = np.argsort(instances, axis=None, kind="stable")
    numbers, starts = np.unique(instances.ravel()[order], return_index=True)
    groups = np.split(order, starts[1:])
    rays = geometry.pixel_rays(intrinsics)
    ranges = geometry.ranges(depth, intrinsics)
    rows = []
    for number, index in zip(numbers, groups, strict=True):
        class_id = int(classes.ravel()[index[0]])
        fraction = len(index) / depth.size
        if number == 0 or class_id in STUFF_IDS or fraction < min_fraction:
            continue
        u, v, z = geometry.object_anchor(depth, index, intrinsics, ranges=ranges)
        width, height, _ = geometry.object_extent(depth, index, intrinsics, gravity, rays=rays)
        point = geometry.object_point(depth, index, intrinsics, rays=rays)
        x, y, _ = geometry.back_project(intrinsics, u, v, z)
        distance = geometry.object_distance(depth, index, intrinsics, ranges=ranges)
        rows.append(
            (
                frame,
                class_id,
                number,
                fraction,
                u / intrinsics.width,
                v / intrinsics.height,
                z,
                x,
                y,
                distance,
                width,
                height,
                *point,
            )
        )
    numbers = np.array([row[COLUMNS.index("instance")] for row in rows], np.int64)
    plain = np.array(rows, np.float32).reshape(len(rows), len(COLUMNS) - len(EDGES))
    table = np.concatenate([plain, visible_edges(instances, numbers)], 1)
    return table[np.argsort(table[:, COLUMNS.index("distance")], kind="stable")]


def visible_edges(
    instances: NDArray[np.integer], numbers: NDArray[np.integer]
) -> NDArray[np.float32]:
    """f32[M, 4]: left, top, right, bottom of the instances `numbers` [M] in a map [H, W].

    Left is the first pixel column with at least 5 % of the visible pixels in it or left of it,
    right the last one with at least 5 % in it or right of it, both divided by the width; top and
    bottom are the same of rows and height. A mirrored picture has mirrored edges. NaN for a number
    that the map does not show.
    """
    wanted = np.asarray(numbers, np.int64)
    count, (height, width) = len(wanted), instances.shape
    place = np.full(1 + max(int(instances.max(initial=0)), int(wanted.max(initial=0))), count)
    place[wanted] = np.arange(count)
    group = place[instances]
    edges = np.empty((count, 4), np.float32)
    for side, position in ((0, np.arange(width)[None]), (1, np.arange(height)[:, None])):
        size = position.size
        flat = (group * size + position).ravel()
        pixels = np.bincount(flat, minlength=(count + 1) * size).reshape(-1, size)[:count]
        seen = np.cumsum(pixels, 1)
        behind = np.cumsum(pixels[:, ::-1], 1)
        total = seen[:, -1:]
        first = np.argmax(EDGE_DIVISOR * seen >= total, 1)
        last = size - 1 - np.argmax(EDGE_DIVISOR * behind >= total, 1)
        edges[:, side], edges[:, side + 2] = first / size, last / size
        edges[total[:, 0] == 0] = np.nan
    return edges


def free_space(depth: NDArray[np.float32], intrinsics: Intrinsics) -> float:
    """Free space ahead (m), `core.geometry.free_space_ahead`."""
    return geometry.free_space_ahead(depth, intrinsics)
