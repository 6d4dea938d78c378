"""The renderer against geometry that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cooper_ros.core import geometry
from cooper_ros.core.classes import CLASS_IDS
from cooper_ros.sim import camera
from cooper_ros.sim.scene import Scene

SIZE = (192, 144)


def _level_pose(height_m: float, hfov_deg: float) -> camera.Pose:
    """At the room's centre, looking along +x, not tilted."""
    position = np.array([0.0, 0.0, height_m])
    return camera.look_at(position, position + [1.0, 0, 0], 0.0, hfov_deg)


def test_box_has_the_right_depth_and_pixels(renderer, bare_world):
    # front face at x = 1.5 - 0.1, centred on the optical axis
    renderer.load(bare_world("box", 0.2, (1.5, 0.0, 0.9)))
    renderer.look(_level_pose(1.0, 60.0))
    view = renderer.geometry()
    mask = view.classes == CLASS_IDS["mug"]
    k = camera.intrinsics(60.0, *SIZE)
    assert np.allclose(view.depth[mask], 1.4, atol=1e-4)
    rows, columns = np.nonzero(mask)
    half = k.fx * 0.1 / 1.4
    assert abs(columns.min() - (k.cx - half)) <= 1 and abs(columns.max() - (k.cx + half)) <= 1
    assert abs(rows.min() - (k.cy - half)) <= 1 and abs(rows.max() - (k.cy + half)) <= 1
    assert set(np.unique(view.instances[mask])) == {3}  # after floor, ceiling and walls


@pytest.mark.parametrize("hfov_deg", [50.0, 95.0])
def test_small_ball_appears_where_the_intrinsics_project_it(renderer, bare_world, hfov_deg):
    renderer.load(bare_world("ball", 0.05, (1.6, 0.5, 1.3)))
    renderer.look(_level_pose(1.0, hfov_deg))
    view = renderer.geometry()
    rows, columns = np.nonzero(view.classes == CLASS_IDS["mug"])
    # room (x forward, y left, z up) to optical frame (x right, y down, z forward)
    u, v = geometry.project(camera.intrinsics(hfov_deg, *SIZE), (-0.5, -0.3, 1.6))
    assert abs(columns.mean() - u) < 0.7 and abs(rows.mean() - v) < 0.7


def test_floor_and_walls_back_project_onto_their_planes(renderer):
    scene = Scene(1, "test", size=SIZE)
    checked = 0
    for pose, view in scene.views(renderer, 3):
        points = geometry.points(view.depth, camera.intrinsics(pose.hfov_deg, *SIZE))
        matrix = camera.optical_pose(pose)
        room = points.reshape(-1, 3).astype(float) @ matrix[:3, :3].T + matrix[:3, 3]
        labels = view.classes.ravel()
        assert np.abs(room[labels == CLASS_IDS["floor"], 2]).max(initial=0) < 1e-3
        walls = room[labels == CLASS_IDS["wall"]]
        gap = np.minimum(
            np.abs(np.abs(walls[:, 0]) - scene.room.half_x),
            np.abs(np.abs(walls[:, 1]) - scene.room.half_y),
        )
        assert np.percentile(gap, 99) < 0.02  # the skirting stands 1.5 cm out
        checked += len(walls)
    assert checked > 1000


def test_gravity_points_down_in_the_optical_frame():
    level = camera.gravity(_level_pose(1.0, 60.0))
    assert np.allclose(level, [0, 1, 0])
    position = np.array([0.0, 0.0, 1.0])
    down = camera.gravity(camera.look_at(position, position + [1.0, 0, -1.0], 0.0, 60.0))
    assert np.allclose(down, [0, np.sqrt(0.5), np.sqrt(0.5)])


def test_views_worth_keeping_are_not_too_near(renderer):
    for _, view in Scene(2, "test", size=SIZE).views(renderer, 3):
        assert np.median(view.depth) > 0.45 and view.depth.max() <= 10.0
        assert np.bincount(view.classes.ravel()).max() < 0.9 * view.classes.size
