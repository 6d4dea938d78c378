"""Lens distortion out and in again: exact geometry, no edges that fold back."""

from __future__ import annotations

import numpy as np
import pytest

from cooper_ros.core.camera import Intrinsics
from cooper_ros.core.projection import normalized_coordinates, project_points
from cooper_ros.core.rectify import MAX_SLOPE, rectifier_for

LENSES = {
    "plumb_bob": Intrinsics(
        210.0, 212.0, 158.0, 121.0, 320, 240, (-0.28, 0.07, 0.001, -0.0005, 0.0)
    ),
    "rational_polynomial": Intrinsics(
        210.0, 210.0, 160.0, 120.0, 320, 240, (-0.1, 0.02, 0.0, 0.0, 0.0, 0.05, 0.0, 0.0),
        "rational_polynomial",
    ),
    "equidistant": Intrinsics(
        150.0, 150.0, 160.0, 120.0, 320, 240, (0.01, -0.003, 0.001, 0.0), "equidistant"
    ),
    "fisheye wider than a pinhole": Intrinsics(
        95.0, 95.0, 160.0, 120.0, 320, 240, (0.01, -0.003, 0.001, 0.0), "equidistant"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LENSES)
def test_a_pixel_of_the_view_looks_along_the_same_ray(name: str) -> None:
    lens = LENSES[name]
    found = rectifier_for(lens)
    assert found is not None
    columns, rows = np.meshgrid(np.arange(320.0), np.arange(240.0))
    u_map = found.map_to_view(columns.astype(np.float32))
    v_map = found.map_to_view(rows.astype(np.float32))
    seen = np.isfinite(u_map)
    assert seen.mean() > 0.5
    x, y = normalized_coordinates(found.pinhole, columns[seen], rows[seen])
    u, v = project_points(lens, np.stack([x, y, np.ones_like(x)], 1))
    assert np.abs(u - u_map[seen]).max() <= 0.51 and np.abs(v - v_map[seen]).max() <= 0.51


@pytest.mark.parametrize("name", LENSES)
def test_there_and_back_again(name: str) -> None:
    lens = LENSES[name]
    found = rectifier_for(lens)
    assert found is not None
    columns = np.meshgrid(np.arange(320.0), np.arange(240.0))[0].astype(np.float32)
    back = found.map_to_image(found.map_to_view(columns))
    known = np.isfinite(back)
    slopes = np.hypot(*normalized_coordinates(lens, *np.meshgrid(np.arange(320), np.arange(240))))
    inside = slopes < 0.9 * MAX_SLOPE
    assert known[inside].mean() > 0.97
    magnified = max(1.0, lens.fx / found.pinhole.fx)
    assert np.abs(back[known] - columns[known]).max() <= 1.5 * magnified + 1.0


def test_straight_lines_become_straight() -> None:
    lens = LENSES["plumb_bob"]
    found = rectifier_for(lens)
    assert found is not None
    image = np.zeros((240, 320, 3), np.uint8)
    t = np.linspace(-0.6, 0.6, 4000)
    u, v = project_points(lens, np.stack([t, np.full_like(t, -0.4), np.ones_like(t)], 1))
    inside = (u > 1) & (u < 318) & (v > 1) & (v < 238)
    image[np.rint(v[inside]).astype(int), np.rint(u[inside]).astype(int)] = 255
    view = found.rectify(image)[..., 0]
    rows, _ = np.nonzero(view > 60)
    expected = -0.4 * found.pinhole.fy + found.pinhole.cy
    assert len(rows) > 100 and np.abs(rows - expected).max() < 1.6
    bent = np.nonzero(image[..., 0])[0]
    assert np.ptp(bent) > 2 * np.ptp(rows)


def test_labels_keep_their_type_and_cameras_without_distortion_need_nothing() -> None:
    found = rectifier_for(LENSES["equidistant"])
    assert found is not None
    labels = np.arange(240 * 320, dtype=np.uint16).reshape(240, 320)
    assert found.map_to_image(labels).dtype == np.uint16
    assert found.rectify(np.zeros((240, 320, 3), np.uint8)).shape == (240, 320, 3)
    assert rectifier_for(None) is None
    assert rectifier_for(Intrinsics.from_fov(70.0, 320, 240)) is None
    assert rectifier_for(LENSES["equidistant"]) is found
