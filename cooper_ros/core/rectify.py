"""Lens distortion taken out of an image for the model, and put back into what it drew.

Networks are trained on pinhole images; robots read results at the pixels of the image they sent.
Depth along the optical axis does not change: only where a pixel lies does.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.projection import normalized_coordinates, project_points
from cooper_ros.core.sized_cache import sized_cache
from cooper_ros.core.types import Intrinsics

MAX_SLOPE = 1.75
"""Tangent of the half field of view that a pinhole image may have (120 degrees)."""

UNDONE_PX = 2.0
"""How far from its pixel a ray may lead back [px]."""


class Rectifier:
    """Maps images of one distorted camera to a pinhole view of the same size, and maps back.

    `pinhole` are the intrinsics of that view: it holds the whole image up to 120 degrees, with
    square pixels. Pixels that one side does not see are unknown on the other.
    """

    def __init__(self, intrinsics: Intrinsics) -> None:
        width, height = intrinsics.width, intrinsics.height
        columns, rows = np.meshgrid(np.arange(width), np.arange(height))
        x, y = normalized_coordinates(intrinsics, columns, rows)
        lost = _not_undone(intrinsics, x, y, columns, rows)
        x, y = np.where(lost, np.nan, x), np.where(lost, np.nan, y)
        self.pinhole = _pinhole(intrinsics, x, y)
        # where each pixel of the view is in the image
        rays = np.stack(
            [*normalized_coordinates(self.pinhole, columns, rows), np.ones(columns.shape)], axis=-1
        ).reshape(-1, 3)
        u, v = project_points(intrinsics, rays)
        with np.errstate(invalid="ignore"):
            widest = 1.02 * float(np.nanmax(np.hypot(x, y)))
            folded = np.hypot(rays[:, 0], rays[:, 1]) > widest  # the lens polynomial turns back
        self._to_view = _maps(np.where(folded, np.nan, u), np.where(folded, np.nan, v), height)
        # where each pixel of the image is in the view
        with np.errstate(invalid="ignore"):
            back_u = x * self.pinhole.fx + self.pinhole.cx
            back_v = y * self.pinhole.fy + self.pinhole.cy
        self._to_image = _maps(back_u.ravel(), back_v.ravel(), height)

    @property
    def nbytes(self) -> int:
        """Size of its tables."""
        return sum(table.nbytes for table in (*self._to_view, *self._to_image))

    def rectify(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """uint8 [H, W, 3] of the camera -> of the pinhole view, black where it saw nothing."""
        return _remap(rgb, self._to_view, cv2.INTER_LINEAR, 0.0)

    def map_to_view(self, values: NDArray[Any]) -> NDArray[Any]:
        """A map [H, W] at the image's pixels -> at the view's (nearest; floats NaN outside)."""
        return _remap(values, self._to_view, cv2.INTER_NEAREST, _unknown(values))

    def picture_to_image(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """uint8 [H, W, 3] at the view's pixels -> at the image's, black where it saw nothing."""
        return _remap(rgb, self._to_image, cv2.INTER_LINEAR, 0.0)

    def map_to_image(self, values: NDArray[Any]) -> NDArray[Any]:
        """A map [H, W] at the view's pixels -> at the image's (nearest; floats NaN outside,
        integers as at the border)."""
        if values.dtype.kind == "f":
            return _remap(values, self._to_image, cv2.INTER_NEAREST, np.nan)
        return _remap(values, self._to_image, cv2.INTER_NEAREST, None)


def _not_undone(
    intrinsics: Intrinsics, x: NDArray[Any], y: NDArray[Any], u: NDArray[Any], v: NDArray[Any]
) -> NDArray[np.bool_]:
    """Pixels whose ray does not lead back to them: corners beyond what a calibration covers."""
    rays = np.stack([x, y, np.ones_like(x)], axis=-1).reshape(-1, 3)
    back_u, back_v = project_points(intrinsics, rays)
    off = np.hypot(back_u.reshape(u.shape) - u, back_v.reshape(v.shape) - v)
    return np.asarray(~(off < UNDONE_PX))


def _pinhole(intrinsics: Intrinsics, x: NDArray[Any], y: NDArray[Any]) -> Intrinsics:
    width, height = intrinsics.width, intrinsics.height
    x0, x1 = np.clip([np.nanmin(x), np.nanmax(x)], -MAX_SLOPE, MAX_SLOPE)
    y0, y1 = np.clip([np.nanmin(y), np.nanmax(y)], -MAX_SLOPE, MAX_SLOPE)
    focal = min((width - 1) / max(x1 - x0, 1e-6), (height - 1) / max(y1 - y0, 1e-6))
    cx = (width - 1) / 2.0 - focal * (x0 + x1) / 2.0
    cy = (height - 1) / 2.0 - focal * (y0 + y1) / 2.0
    return Intrinsics(float(focal), float(focal), float(cx), float(cy), width, height)


def _maps(u: NDArray[Any], v: NDArray[Any], height: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Look-up tables for cv2.remap; unknown becomes far outside."""
    planes = [
        np.nan_to_num(np.clip(plane, -1e4, 3e4), nan=-1e4).astype(np.float32).reshape(height, -1)
        for plane in (u, v)
    ]
    return planes[0], planes[1]


def _unknown(values: NDArray[Any]) -> float:
    return float("nan") if values.dtype.kind == "f" else 0.0


def _remap(
    values: NDArray[Any], maps: tuple[NDArray[Any], NDArray[Any]], method: int, fill: float | None
) -> NDArray[Any]:
    if fill is None:
        return np.asarray(cv2.remap(values, *maps, method, borderMode=cv2.BORDER_REPLICATE))
    border = (fill,) * 4
    return np.asarray(
        cv2.remap(values, *maps, method, borderMode=cv2.BORDER_CONSTANT, borderValue=border)
    )


@sized_cache(64.0)
def rectifier_for(intrinsics: Intrinsics | None) -> Rectifier | None:
    """The rectifier of a calibration (cached); None for one that needs none."""
    if intrinsics is None or not intrinsics.is_valid or not intrinsics.is_distorted:
        return None
    return Rectifier(intrinsics)
