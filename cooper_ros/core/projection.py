"""Pixels, viewing rays and points: the pinhole model with lens distortion.

Integer coordinates are pixel centres; points are in the camera optical frame [m].
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from cooper_ros.core.sized_cache import sized_cache
from cooper_ros.core.types import Intrinsics, Point3

Array = NDArray[np.float32]


def normalized_coordinates(
    intrinsics: Intrinsics, u: ArrayLike, v: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """x / z and y / z of the viewing rays through pixels (u, v), lens distortion removed."""
    intrinsics.require_valid()
    u64, v64 = np.broadcast_arrays(np.asarray(u, np.float64), np.asarray(v, np.float64))
    if not intrinsics.is_distorted:
        return (u64 - intrinsics.cx) / intrinsics.fx, (v64 - intrinsics.cy) / intrinsics.fy
    pixels = np.stack([u64, v64], -1).reshape(-1, 1, 2)
    coefficients = np.asarray(intrinsics.distortion, np.float64)
    if intrinsics.distortion_model == "equidistant":
        plane = cv2.fisheye.undistortPoints(pixels, intrinsics.matrix(), coefficients[:4])
    else:
        plane = cv2.undistortPoints(pixels, intrinsics.matrix(), coefficients)
    plane = np.asarray(plane, np.float64).reshape(*u64.shape, 2)
    return plane[..., 0], plane[..., 1]


@sized_cache(64.0)
def pixel_rays(intrinsics: Intrinsics) -> Array:
    """K^-1 (u, v, 1) of every pixel: f32 [H, W, 3], read-only (the result is cached)."""
    columns = np.arange(intrinsics.width)[None, :]
    rows = np.arange(intrinsics.height)[:, None]
    x, y = normalized_coordinates(intrinsics, columns, rows)
    rays = np.empty((intrinsics.height, intrinsics.width, 3), np.float32)
    rays[..., 0], rays[..., 1], rays[..., 2] = x, y, 1.0
    rays.flags.writeable = False
    return rays


@sized_cache(32.0)
def ray_lengths(intrinsics: Intrinsics) -> Array:
    """|K^-1 (u, v, 1)| of every pixel: f32 [H, W], read-only; range = z times this."""
    rays = pixel_rays(intrinsics)
    lengths = np.sqrt(rays[..., 0] ** 2 + rays[..., 1] ** 2 + np.float32(1.0))
    lengths.flags.writeable = False
    return lengths


def back_project(intrinsics: Intrinsics, u: float, v: float, z: float) -> Point3:
    """The point [m] seen at pixel (u, v) with depth `z` [m]."""
    x, y = normalized_coordinates(intrinsics, u, v)
    return float(x) * z, float(y) * z, float(z)


def project_points(
    intrinsics: Intrinsics, points: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixels (u, v), f64 [n] each, of points f [n, 3] [m] in the camera optical frame.

    NaN for points that are not in front of the camera.
    """
    intrinsics.require_valid()
    xyz = np.asarray(points, np.float64).reshape(-1, 3)
    with np.errstate(invalid="ignore"):
        front = xyz[:, 2] > 0.0
    pixels = np.full((len(xyz), 2), np.nan)
    if intrinsics.is_distorted and front.any():
        coefficients = np.asarray(intrinsics.distortion, np.float64)
        zero = np.zeros(3)
        seen = xyz[front].reshape(-1, 1, 3)
        if intrinsics.distortion_model == "equidistant":
            found, _ = cv2.fisheye.projectPoints(
                seen, zero, zero, intrinsics.matrix(), coefficients[:4]
            )
        else:
            found, _ = cv2.projectPoints(seen, zero, zero, intrinsics.matrix(), coefficients)
        pixels[front] = np.asarray(found).reshape(-1, 2)
    elif front.any():
        plane = xyz[front, :2] / xyz[front, 2:]
        pixels[front] = plane * (intrinsics.fx, intrinsics.fy) + (intrinsics.cx, intrinsics.cy)
    return pixels[:, 0], pixels[:, 1]


def project(intrinsics: Intrinsics, point: ArrayLike) -> tuple[float, float]:
    """Pixel (u, v) of a point [m] in the camera optical frame; NaN when not in front."""
    u, v = project_points(intrinsics, np.asarray(point, np.float64).reshape(1, 3))
    return float(u[0]), float(v[0])


def patch_rays(intrinsics: Intrinsics, patch: int) -> Array:
    """Camera-ray features of vision tokens: f32 [N, 5], N = (H // patch) * (W // patch), row-major.

    Columns (x, y, x^2, y^2, ln(patch / fx)) with x = (u - cx) / fx, y = (v - cy) / fy at the centre
    of each patch. `intrinsics` are those of the resized vision image.
    """
    intrinsics.require_valid()
    centre = (patch - 1) / 2.0
    u = np.arange(intrinsics.width // patch) * patch + centre
    v = np.arange(intrinsics.height // patch) * patch + centre
    x, y = normalized_coordinates(intrinsics, u[None, :], v[:, None])
    scale = np.full(x.shape, math.log(patch / intrinsics.fx))
    return np.stack([x, y, x**2, y**2, scale], -1).reshape(-1, 5).astype(np.float32)
