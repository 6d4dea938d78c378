"""Metric anchors: pixels whose depth is known from something other than the model.

Three kinds of evidence become one thing: range points seen by the camera, a registered depth
image, and the floor under a camera of known height and tilt. Each anchor has an error of its own
(`sigma`) and shares errors with the others of its source (`shared`): a lidar with a wrong scale, a
camera mounted 2 cm lower than written down. Shared errors do not average out over many anchors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from cooper_ros.core.errors import IntrinsicsError, ScaleError
from cooper_ros.core.projection import normalized_coordinates, project_points
from cooper_ros.core.types import Intrinsics

Array = NDArray[np.float32]
Vector = NDArray[Any]  # f64

MIN_DEPTH_M = 0.05
MAX_DEPTH_M = 10_000.0  # no range sensor sees farther; larger numbers are damage
MAX_POINTS = 20_000  # in front of the camera; a cloud of more is thinned evenly
OCCLUSION_CELL_PX = 1 / 80  # of the image width: window in which nearer points hide farther ones
OCCLUSION_RATIO = 1.15
GRID = 64  # most samples per image side taken from a dense depth image or from the floor
EDGE_RATIO = 1.08  # neighbouring depths that differ by more are an object's edge
FLOOR_BIAS = 0.15  # how differently a model scales floor and objects, one standard deviation
MIN_FLOOR_SLOPE = 0.06  # n . ray: floor seen at less than about 3 degrees says nothing


@dataclass(frozen=True, eq=False)
class Anchors:
    """Pixels of known depth from one source.

    `u`, `v` f64 [n] [px]; `depth_m` f64 [n] along the optical axis; `sigma` f64 [n] own error as
    share of the depth; `shared` f64 [n, k]: effect on ln(depth) of k errors that all anchors of the
    source have in common, one standard deviation each. `source` is a name for people. What is not
    `representative` (the floor: large and easy) says nothing of how wrong depth is elsewhere.
    """

    u: Vector
    v: Vector
    depth_m: Vector
    sigma: Vector
    source: str
    shared: Vector = field(default_factory=lambda: np.zeros((0, 0)))
    representative: bool = True

    def __post_init__(self) -> None:
        count = len(self.u)
        if any(len(column) != count for column in (self.v, self.depth_m, self.sigma)):
            raise ScaleError(f"anchors of {self.source!r}: columns have different lengths")
        if self.shared.shape[0] != count:
            object.__setattr__(self, "shared", np.zeros((count, 0)))

    def __len__(self) -> int:
        return len(self.u)

    def take(self, index: NDArray[np.integer] | NDArray[np.bool_]) -> Anchors:
        """Those at `index`."""
        return Anchors(
            self.u[index],
            self.v[index],
            self.depth_m[index],
            self.sigma[index],
            self.source,
            self.shared[index],
            self.representative,
        )


def _anchors(
    u: Vector, v: Vector, depth_m: Vector, sigma: float, bias: float, source: str
) -> Anchors:
    shared = np.full((len(u), 1), bias)
    return Anchors(u, v, depth_m, np.full(len(u), sigma), source, shared)


def anchors_from_points(
    points: ArrayLike,
    intrinsics: Intrinsics,
    *,
    sigma: float = 0.02,
    bias: float = 0.01,
    source: str = "range points",
) -> Anchors:
    """Anchors of points f [n, 3] in the camera optical frame [m].

    Points behind the camera, outside the image or not finite are left out, and so are those that
    the camera cannot see because nearer points lie in front (a lidar looks past edges).
    """
    xyz: Vector = np.asarray(points, np.float64).reshape(-1, 3)
    with np.errstate(invalid="ignore"):
        z = xyz[:, 2]
        xyz = xyz[np.isfinite(xyz).all(axis=1) & (z > MIN_DEPTH_M) & (z < MAX_DEPTH_M)]
    if intrinsics.is_distorted:  # far outside the view the lens polynomial folds back into it
        slope = np.hypot(xyz[:, 0], xyz[:, 1]) / xyz[:, 2]
        xyz = xyz[slope <= 1.05 * _widest_slope(intrinsics)]
    xyz = xyz[:: max(1, len(xyz) // MAX_POINTS)]
    u, v = project_points(intrinsics, xyz)
    with np.errstate(invalid="ignore"):
        inside = (
            (u > -0.5)
            & (v > -0.5)
            & (u < intrinsics.width - 0.5)
            & (v < intrinsics.height - 0.5)
        )
    u, v, z = u[inside], v[inside], xyz[inside, 2]
    seen = _unhidden(u, v, z, intrinsics.width)
    return _anchors(u[seen], v[seen], z[seen], sigma, bias, source)


def _widest_slope(intrinsics: Intrinsics) -> float:
    """Largest tangent of the angle to the optical axis in the image."""
    width, height = intrinsics.width - 1, intrinsics.height - 1
    u = np.array([0, width / 2, width, 0, width, 0, width / 2, width])
    v = np.array([0, 0, 0, height / 2, height / 2, height, height, height])
    x, y = normalized_coordinates(intrinsics, u, v)
    return float(np.nanmax(np.hypot(x, y)))


def _unhidden(u: Vector, v: Vector, z: Vector, width: int) -> NDArray[np.bool_]:
    """Points with nothing clearly nearer in their neighbourhood (3x3 cells)."""
    if not len(u):
        return np.zeros(0, bool)
    cell = max(width * OCCLUSION_CELL_PX, 2.0)
    column = (np.floor((u + 0.5) / cell)).astype(np.int64) + 1
    row = (np.floor((v + 0.5) / cell)).astype(np.int64) + 1
    nearest = np.full((row.max() + 2, column.max() + 2), np.inf, np.float32)
    np.minimum.at(nearest, (row, column), z.astype(np.float32))
    around = cv2.erode(nearest, np.ones((3, 3), np.uint8))
    return np.asarray(z <= OCCLUSION_RATIO * around[row, column])


def anchors_from_depth(
    depth: Array,
    intrinsics: Intrinsics,
    *,
    sigma: float = 0.02,
    bias: float = 0.01,
    source: str = "depth image",
) -> Anchors:
    """Anchors of a registered depth image f32 [h, w] in metres (REP-118 z; NaN, inf or <= 0 where
    unknown), of the same view as `intrinsics` but of any size. Pixels at depth edges are left out:
    there a sensor and a camera rarely agree which side is seen.
    """
    if depth.ndim != 2 or min(depth.shape) < 1:
        raise ScaleError(f"a depth image needs shape [H, W], got {list(depth.shape)}")
    height, width = depth.shape
    ratio = (width * intrinsics.height) / (height * intrinsics.width)
    if not math.isclose(ratio, 1.0, rel_tol=0.02):
        raise IntrinsicsError(
            f"the depth image is {width}x{height}, the camera image "
            f"{intrinsics.width}x{intrinsics.height}: register it to the camera (same view and "
            "aspect ratio)"
        )
    with np.errstate(invalid="ignore"):
        known = np.isfinite(depth) & (depth > MIN_DEPTH_M)
    plane = np.where(known, depth, np.float32(0.0)).astype(np.float32)
    kernel = np.ones((3, 3), np.uint8)
    low = cv2.erode(np.where(known, plane, np.float32(np.inf)).astype(np.float32), kernel)
    smooth = known & (cv2.dilate(plane, kernel) / EDGE_RATIO <= low)
    rows = np.unique(np.linspace(0, height - 1, min(GRID, height)).round().astype(np.int64))
    columns = np.unique(np.linspace(0, width - 1, min(GRID, width)).round().astype(np.int64))
    at = np.ix_(rows, columns)
    chosen = smooth[at]
    v, u = np.meshgrid(rows, columns, indexing="ij")
    u_px = (u[chosen] + 0.5) * intrinsics.width / width - 0.5
    v_px = (v[chosen] + 0.5) * intrinsics.height / height - 0.5
    return _anchors(u_px, v_px, plane[at][chosen].astype(np.float64), sigma, bias, source)


def gravity_from_tilt(pitch_rad: float, roll_rad: float = 0.0) -> Vector:
    """Unit vector of gravity in the optical frame (x right, y down, z forward).

    `pitch_rad` > 0 looks down; `roll_rad` > 0 turns the camera clockwise as seen from behind it.
    """
    down = math.cos(pitch_rad)
    return np.array(
        [down * math.sin(roll_rad), down * math.cos(roll_rad), math.sin(pitch_rad)], np.float64
    )


def anchors_from_floor(
    floor: NDArray[np.bool_],
    intrinsics: Intrinsics,
    height_m: float,
    gravity: ArrayLike,
    *,
    height_sigma: float = 0.02,
    tilt_sigma_rad: float = 0.012,
    sigma: float = 0.03,
    source: str = "ground plane",
) -> Anchors:
    """Anchors of floor pixels: bool [h, w], of the same view as `intrinsics` but of any size.

    The floor is the plane `height_m` below the camera, at right angles to `gravity` (points down,
    optical frame): z = height / (n . ray). `height_sigma` is a share of the height; an error of the
    tilt moves ln z by |ray| / (n . ray) per radian, so pixels near the horizon count little.
    """
    if not (math.isfinite(height_m) and height_m > 0.0):
        raise ScaleError(f"the camera's height must be above 0 m, got {height_m}")
    down: Vector = np.asarray(gravity, np.float64).reshape(3)
    length = float(np.linalg.norm(down))
    if not (math.isfinite(length) and length > 1e-6):
        raise ScaleError(f"gravity must be a vector that points down, got {down.tolist()}")
    down = down / length
    inner = cv2.erode(floor.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1)
    rows, columns = np.nonzero(inner)
    step = max(1, len(rows) // (GRID * GRID))
    rows, columns = rows[::step], columns[::step]
    u = (columns + 0.5) * intrinsics.width / floor.shape[1] - 0.5
    v = (rows + 0.5) * intrinsics.height / floor.shape[0] - 0.5
    x, y = normalized_coordinates(intrinsics, u, v)
    ray_length = np.sqrt(x**2 + y**2 + 1.0)
    slope = down[0] * x + down[1] * y + down[2]
    seen = slope > MIN_FLOOR_SLOPE * ray_length
    u, v, slope, ray_length = u[seen], v[seen], slope[seen], ray_length[seen]
    shared = np.stack(
        [
            np.full(len(u), math.hypot(height_sigma, FLOOR_BIAS)),
            tilt_sigma_rad * ray_length / slope,
        ],
        axis=1,
    )
    own = np.full(len(u), sigma)
    return Anchors(u, v, height_m / slope, own, source, shared, representative=False)


def thin(
    anchors: Anchors, prediction: Vector, intrinsics: Intrinsics, cells: tuple[int, int] = (16, 12)
) -> tuple[Anchors, Vector]:
    """One anchor per cell of the image, and its prediction: the one with the middle ratio.

    A depth map's errors are the same over centimetres: a thousand points on one wall are no
    thousand witnesses. `prediction` f64 [n] is the model's depth at each anchor.
    """
    if not len(anchors):
        return anchors, prediction
    columns, rows = cells
    cell = np.clip((anchors.u + 0.5) * columns / intrinsics.width, 0, columns - 1).astype(np.int64)
    cell = cell + columns * np.clip(
        (anchors.v + 0.5) * rows / intrinsics.height, 0, rows - 1
    ).astype(np.int64)
    order = np.lexsort((anchors.depth_m / prediction, cell))
    ordered = cell[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    counts = np.diff(np.r_[starts, len(ordered)])
    chosen = order[starts + (counts - 1) // 2]
    return anchors.take(chosen), prediction[chosen]
