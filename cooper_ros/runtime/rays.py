"""Where each vision token looks: the camera-ray input of models that have a ray embedding."""

from __future__ import annotations

import numpy as np

from cooper_ros.core.types import Intrinsics
from cooper_ros.runtime.backend import Float

NOMINAL_FOV_DEG = 60.0
"""Horizontal field of view assumed where no intrinsics are known. Depth is then not metric."""


def patch_rays(intrinsics: Intrinsics, rows: int, columns: int, patch: int) -> Float:
    """float32 [rows * columns, 5], row-major: x, y, x^2, y^2, ln(patch / fx) at each patch centre.

    x = (u - cx) / fx and y = (v - cy) / fy are the direction of the pixel ray (z = 1). `intrinsics`
    may be of any image of the same view; they are scaled to the vision image of
    columns * patch x rows * patch pixels.
    """
    scaled = intrinsics.require_valid().scaled(columns * patch, rows * patch)
    u = np.arange(columns) * patch + (patch - 1) / 2.0
    v = np.arange(rows) * patch + (patch - 1) / 2.0
    x, y = np.meshgrid((u - scaled.cx) / scaled.fx, (v - scaled.cy) / scaled.fy)
    size = np.full_like(x, np.log(patch / scaled.fx))
    rays = np.stack([x, y, x**2, y**2, size], axis=-1)
    return rays.reshape(rows * columns, 5).astype(np.float32)


def nominal_intrinsics(width: int, height: int) -> Intrinsics:
    """Intrinsics to feed a ray model when the camera's are unknown; never to measure with."""
    return Intrinsics.from_fov(NOMINAL_FOV_DEG, width, height)
