"""The definition of every measured quantity, one function each.

Segment distances, training labels, evaluation truth, measured values and decoded values all come
from, or are trained on, these functions, so that "distance" means one thing everywhere.

Shared conventions
- `depth`: f32 [H, W], z along the optical axis [m] (REP-118); NaN, inf or <= 0 = no measurement.
- `mask`: bool [H, W], or the flat indices of its pixels (integer [n], faster for repeated use).
- `intrinsics` describe the same H x W image. Integer coordinates are pixel centres.
- `rays` = `pixel_rays(intrinsics)` and `ranges` = `ranges(depth, intrinsics)` may be passed in by
  callers that evaluate many masks on one depth image.
- No valid pixel: NaN, never 0.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cooper_ros.core.errors import IntrinsicsError
from cooper_ros.core.projection import (
    back_project,
    normalized_coordinates,
    patch_rays,
    pixel_rays,
    project,
    ray_lengths,
)
from cooper_ros.core.types import UNKNOWN_POINT, Intrinsics, Point3

__all__ = [
    "back_project",
    "distance_between",
    "free_space_ahead",
    "mask_centre",
    "mask_indices",
    "normalized_coordinates",
    "object_anchor",
    "object_distance",
    "object_distance_stddev",
    "object_extent",
    "object_point",
    "patch_rays",
    "pixel_rays",
    "points",
    "project",
    "ranges",
    "ray_lengths",
]

Array = NDArray[np.float32]
Mask = NDArray[np.bool_] | NDArray[np.integer]

EXTENT_PERCENTILES = (5.0, 95.0)
FREE_SPACE_PERCENTILE = 5.0
FREE_SPACE_HALF_WIDTH = 0.15  # |x / z|
FREE_SPACE_ROWS = (0.30, 0.70)  # fraction of the image height


def _check_size(depth: Array, intrinsics: Intrinsics) -> None:
    if depth.shape != (intrinsics.height, intrinsics.width):
        raise IntrinsicsError(
            f"depth is {depth.shape[1]}x{depth.shape[0]}, intrinsics are for "
            f"{intrinsics.width}x{intrinsics.height}: use Intrinsics.scaled"
        )


def ranges(depth: Array, intrinsics: Intrinsics) -> Array:
    """Euclidean distance [m] from the optical centre to every pixel's surface: f32 [H, W].

    NaN where the depth is not a positive finite number.
    """
    _check_size(depth, intrinsics)
    with np.errstate(invalid="ignore"):
        usable = np.isfinite(depth) & (depth > 0)
        result = np.where(usable, depth * ray_lengths(intrinsics), np.float32(np.nan))
    return result.astype(np.float32, copy=False)


def points(depth: Array, intrinsics: Intrinsics) -> Array:
    """Back-projected points, camera optical frame [m]: f32 [H, W, 3], NaN where unknown."""
    _check_size(depth, intrinsics)
    with np.errstate(invalid="ignore"):
        z = np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(np.nan))
    return (pixel_rays(intrinsics) * z[..., None]).astype(np.float32, copy=False)


def mask_indices(mask: Mask) -> NDArray[np.integer]:
    """Flat pixel indices of a mask; indices pass through."""
    if mask.dtype == np.bool_:
        return np.flatnonzero(mask)
    return mask.reshape(-1)  # type: ignore[return-value]


def _masked_points(
    depth: Array, mask: Mask, intrinsics: Intrinsics, rays: Array | None
) -> Array:
    """Valid points of a mask: f32 [n, 3]."""
    _check_size(depth, intrinsics)
    index = mask_indices(mask)
    z = depth.reshape(-1)[index]
    with np.errstate(invalid="ignore"):
        usable = np.isfinite(z) & (z > 0)
    index, z = index[usable], z[usable]
    directions = pixel_rays(intrinsics) if rays is None else rays
    return directions.reshape(-1, 3)[index] * z[:, None]


def _masked_ranges(
    depth: Array, mask: Mask, intrinsics: Intrinsics, range_map: Array | None
) -> Array:
    """Valid ranges of a mask: f32 [n]."""
    index = mask_indices(mask)
    if range_map is not None:
        values = range_map.reshape(-1)[index]
    else:
        _check_size(depth, intrinsics)
        values = depth.reshape(-1)[index] * ray_lengths(intrinsics).reshape(-1)[index]
    with np.errstate(invalid="ignore"):
        return values[np.isfinite(values) & (values > 0)]


def object_distance(
    depth: Array, mask: Mask, intrinsics: Intrinsics, *, ranges: Array | None = None
) -> float:
    """Distance to an object [m]: median over its visible pixels of |z K^-1 (u, v, 1)|."""
    values = _masked_ranges(depth, mask, intrinsics, ranges)
    return float(np.median(values)) if values.size else math.nan


def object_distance_stddev(
    depth: Array, mask: Mask, intrinsics: Intrinsics, *, ranges: Array | None = None
) -> float:
    """Robust spread of the visible ranges [m]: 1.4826 times the median absolute deviation."""
    values = _masked_ranges(depth, mask, intrinsics, ranges)
    if not values.size:
        return math.nan
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def object_point(
    depth: Array, mask: Mask, intrinsics: Intrinsics, *, rays: Array | None = None
) -> Point3:
    """Component-wise medians [m] of an object's visible points, camera optical frame."""
    visible = _masked_points(depth, mask, intrinsics, rays)
    if not len(visible):
        return UNKNOWN_POINT
    x, y, z = np.median(visible, axis=0)
    return float(x), float(y), float(z)


def distance_between(
    depth: Array,
    first: Mask,
    second: Mask,
    intrinsics: Intrinsics,
    *,
    rays: Array | None = None,
) -> float:
    """Distance between two objects [m]: between their `object_point`s."""
    return math.dist(
        object_point(depth, first, intrinsics, rays=rays),
        object_point(depth, second, intrinsics, rays=rays),
    )


def object_extent(
    depth: Array,
    mask: Mask,
    intrinsics: Intrinsics,
    gravity: ArrayLike | None = None,
    *,
    rays: Array | None = None,
) -> tuple[float, float, bool]:
    """(width [m], height [m], gravity known): 5 to 95 % extents of the visible points.

    Height is measured along `gravity` (a vector that points down, camera optical frame, any
    length), width along the camera's x axis levelled to the horizontal. Without gravity the image
    axes stand in and the flag is False.
    """
    visible = _masked_points(depth, mask, intrinsics, rays)
    right, down, known = _level_axes(gravity)
    if not len(visible):
        return math.nan, math.nan, known
    low, high = np.percentile(visible @ np.stack([right, down], 1), EXTENT_PERCENTILES, axis=0)
    return float(high[0] - low[0]), float(high[1] - low[1]), known


def _level_axes(
    gravity: ArrayLike | None,
) -> tuple[NDArray[np.float32], NDArray[np.float32], bool]:
    """Horizontal "right" and vertical "down" unit vectors of the camera frame."""
    if gravity is not None:
        down: NDArray[np.float64] = np.asarray(gravity, np.float64).reshape(3)
        length = float(np.linalg.norm(down))
        if math.isfinite(length) and length > 1e-6:
            down = down / length
            # A camera rolled by 90 degrees has its x axis vertical: its y axis is level then.
            axis = np.eye(3)[0 if abs(down[0]) < 0.9 else 1]
            level = axis - float(axis @ down) * down
            right = level / np.linalg.norm(level)
            return right.astype(np.float32), down.astype(np.float32), True
    eye = np.eye(3, dtype=np.float32)
    return eye[0], eye[1], False


def free_space_ahead(
    depth: Array, intrinsics: Intrinsics, *, ranges: Array | None = None
) -> float:
    """Free space ahead [m]: 5th percentile of the range over the central sector.

    Sector: |x / z| < 0.15 and rows from 30 % to 70 % of the image height.
    """
    _check_size(depth, intrinsics)
    first = round(FREE_SPACE_ROWS[0] * intrinsics.height)
    last = max(first + 1, round(FREE_SPACE_ROWS[1] * intrinsics.height))
    window = slice(first, last)
    if ranges is None:
        with np.errstate(invalid="ignore"):
            ranges = depth * ray_lengths(intrinsics)
    sector = np.abs(pixel_rays(intrinsics)[window, :, 0]) < FREE_SPACE_HALF_WIDTH
    values = ranges[window][sector]
    with np.errstate(invalid="ignore"):
        values = values[np.isfinite(values) & (values > 0)]
    return float(np.percentile(values, FREE_SPACE_PERCENTILE)) if values.size else math.nan


def mask_centre(mask: Mask, width: int) -> tuple[float, float]:
    """Median visible pixel (u, v) [px] of a mask of an image `width` pixels wide."""
    index = mask_indices(mask)
    if not index.size:
        return math.nan, math.nan
    rows, columns = np.divmod(index, width)
    return float(np.median(columns)), float(np.median(rows))


def object_anchor(
    depth: Array, mask: Mask, intrinsics: Intrinsics, *, ranges: Array | None = None
) -> tuple[float, float, float]:
    """(u [px], v [px], z [m]) that stands for an object in reasoning text.

    (u, v) is the median visible pixel; z is chosen such that the back-projection of (u, v, z) lies
    at `object_distance`, so a reader of the anchor recovers the distance exactly.
    """
    u, v = mask_centre(mask, intrinsics.width)
    distance = object_distance(depth, mask, intrinsics, ranges=ranges)
    if math.isnan(u) or math.isnan(distance):
        return u, v, math.nan
    x, y = normalized_coordinates(intrinsics, u, v)
    return u, v, distance / math.sqrt(float(x) ** 2 + float(y) ** 2 + 1.0)
