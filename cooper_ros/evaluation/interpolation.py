"""Interpolation of scattered depths without any model: what completion has to beat."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Vector = NDArray[Any]  # f64


def interpolated(points: Vector, values: Vector, at: Vector) -> Vector:
    """`values` f64 [n] known at pixels `points` f64 [n, 2], linear over a Delaunay triangulation
    at pixels `at` f64 [m, 2]; outside the triangles the nearest point's value."""
    result = _nearest(points, values, at)
    for a, b, c in _triangles(points):
        corner = points[c]
        sides = np.stack([points[a] - corner, points[b] - corner], axis=1)
        if abs(np.linalg.det(sides)) < 1e-6:
            continue
        low, high = points[[a, b, c]].min(axis=0), points[[a, b, c]].max(axis=0)
        near = np.flatnonzero(((at >= low) & (at <= high)).all(axis=1))
        first, second = np.linalg.solve(sides, (at[near] - corner).T)
        third = 1.0 - first - second
        inside = np.minimum(np.minimum(first, second), third) >= -1e-9
        mixed = first * values[a] + second * values[b] + third * values[c]
        result[near[inside]] = mixed[inside]
    return result


def _nearest(points: Vector, values: Vector, at: Vector) -> Vector:
    square = (at**2).sum(1)[:, None] + (points**2).sum(1)[None] - 2.0 * at @ points.T
    return np.asarray(values[np.argmin(square, axis=1)], np.float64)


def _triangles(points: Vector) -> list[tuple[int, int, int]]:
    """Corners of the Delaunay triangles as indices into `points`."""
    low, high = points.min(axis=0), points.max(axis=0)
    size = np.ceil(high - low).astype(int) + 3
    division = cv2.Subdiv2D((0, 0, int(size[0]), int(size[1])))
    known = {}
    for index, (x, y) in enumerate(np.asarray(points - low + 1.0, np.float32)):
        division.insert((float(x), float(y)))
        known[(float(x), float(y))] = index
    found = []
    for row in division.getTriangleList():
        corners = [known.get((float(row[i]), float(row[i + 1]))) for i in (0, 2, 4)]
        a, b, c = corners
        if a is not None and b is not None and c is not None:  # not a corner of the outer frame
            found.append((a, b, c))
    return found
