"""The definitions of distance, extent and free space, against numbers computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cooper_ros.core import geometry
from cooper_ros.core.errors import IntrinsicsError
from cooper_ros.core.types import Intrinsics

DISTORTED = Intrinsics(
    300.0, 310.0, 315.0, 244.0, 640, 480, (0.12, -0.08, 0.001, -0.002, 0.01)
)
FISHEYE = Intrinsics(
    280.0, 280.0, 319.5, 239.5, 640, 480, (0.02, -0.01, 0.003, 0.0), "equidistant"
)
CAMERAS = [
    Intrinsics.from_fov(60.0, 640, 480),
    Intrinsics(700.0, 650.0, 300.2, 260.7, 640, 480),
    DISTORTED,
    FISHEYE,
]


@pytest.mark.parametrize("camera", CAMERAS)
def test_projection_undoes_back_projection(camera):
    rng = np.random.default_rng(1)
    for _ in range(50):
        u, v = rng.uniform(40, 600), rng.uniform(40, 440)
        z = rng.uniform(0.2, 10.0)
        point = geometry.back_project(camera, u, v, z)
        assert point[2] == pytest.approx(z)
        assert geometry.project(camera, point) == pytest.approx((u, v), abs=0.02)


@pytest.mark.parametrize("camera", CAMERAS)
def test_rays_are_back_projections_at_one_metre(camera):
    rays = geometry.pixel_rays(camera)
    assert rays.shape == (480, 640, 3) and rays.dtype == np.float32
    for u, v in ((0, 0), (320, 240), (639, 479), (17, 401)):
        assert rays[v, u] == pytest.approx(geometry.back_project(camera, u, v, 1.0), abs=1e-5)


def test_points_behind_the_camera_have_no_pixel():
    assert all(math.isnan(value) for value in geometry.project(CAMERAS[0], (0.0, 0.0, -1.0)))


def test_distance_at_100_degrees_differs_from_depth_by_30_percent():
    camera = Intrinsics.from_fov(100.0, 640, 480)
    depth = np.full((480, 640), 2.0, np.float32)
    edge = np.zeros((480, 640), bool)
    edge[235:245, 0:10] = True
    # at the border of the image tan(50 deg) = 1.19, so r = z sqrt(1 + 1.19^2) = 1.56 z
    assert geometry.object_distance(depth, edge, camera) == pytest.approx(2.0 * 1.53, rel=0.02)
    inner = np.zeros((480, 640), bool)
    inner[238:242, 94:98] = True  # 0.83 of the half width of 1.19: sqrt(1 + 0.69) = 1.30
    assert geometry.object_distance(depth, inner, camera) == pytest.approx(2.6, rel=0.02)


def test_distance_is_the_median_of_ranges_and_ignores_unknown_pixels():
    camera = Intrinsics.from_fov(70.0, 64, 48)
    rng = np.random.default_rng(2)
    depth = rng.uniform(1.0, 3.0, (48, 64)).astype(np.float32)
    mask = rng.random((48, 64)) < 0.2
    rays = geometry.pixel_rays(camera)
    expected = np.median(np.linalg.norm(rays[mask] * depth[mask][:, None], axis=1))
    assert geometry.object_distance(depth, mask, camera) == pytest.approx(expected, rel=1e-5)
    spoiled = depth.copy()
    outside = np.flatnonzero(mask)[::3]
    spoiled.reshape(-1)[outside] = (np.nan, 0.0, -1.0, np.inf)[0]
    kept = mask.copy()
    kept.reshape(-1)[outside] = False
    for bad in (np.nan, 0.0, -1.0, np.inf):
        spoiled.reshape(-1)[outside] = bad
        assert geometry.object_distance(spoiled, mask, camera) == pytest.approx(
            geometry.object_distance(depth, kept, camera)
        )


def test_precomputed_ranges_rays_and_indices_change_nothing():
    camera = Intrinsics.from_fov(70.0, 64, 48)
    rng = np.random.default_rng(3)
    depth = rng.uniform(1.0, 3.0, (48, 64)).astype(np.float32)
    mask = rng.random((48, 64)) < 0.2
    index, ranges = np.flatnonzero(mask), geometry.ranges(depth, camera)
    rays = geometry.pixel_rays(camera)
    assert geometry.object_distance(depth, index, camera, ranges=ranges) == pytest.approx(
        geometry.object_distance(depth, mask, camera)
    )
    assert geometry.object_point(depth, index, camera, rays=rays) == pytest.approx(
        geometry.object_point(depth, mask, camera)
    )
    assert geometry.free_space_ahead(depth, camera, ranges=ranges) == pytest.approx(
        geometry.free_space_ahead(depth, camera)
    )


def test_nothing_visible_is_nan_never_zero():
    camera = Intrinsics.from_fov(70.0, 64, 48)
    depth = np.full((48, 64), np.nan, np.float32)
    mask = np.ones((48, 64), bool)
    for value in (
        geometry.object_distance(depth, mask, camera),
        geometry.object_distance_stddev(depth, mask, camera),
        geometry.distance_between(depth, mask, mask, camera),
        geometry.free_space_ahead(depth, camera),
        *geometry.object_point(depth, mask, camera),
        *geometry.object_extent(depth, mask, camera)[:2],
        geometry.object_anchor(depth, mask, camera)[2],
    ):
        assert math.isnan(value)
    assert math.isnan(geometry.object_distance(np.ones_like(depth), ~mask, camera))


def test_anchor_recovers_the_distance():
    camera = Intrinsics.from_fov(95.0, 128, 96)
    rng = np.random.default_rng(4)
    depth = rng.uniform(0.5, 4.0, (96, 128)).astype(np.float32)
    mask = np.zeros((96, 128), bool)
    mask[60:80, 90:121] = True
    u, v, z = geometry.object_anchor(depth, mask, camera)
    assert (u, v) == (105.0, 69.5)
    reached = math.dist(geometry.back_project(camera, u, v, z), (0.0, 0.0, 0.0))
    assert reached == pytest.approx(geometry.object_distance(depth, mask, camera), rel=1e-6)


def test_distance_between_uses_median_points(scene):
    first = scene.put("mug", 10, 30, 9, 9, 1.5)
    second = scene.put("chair", 60, 20, 15, 21, 3.0)
    camera = scene.intrinsics
    expected = math.dist(
        geometry.back_project(camera, 14, 34, 1.5), geometry.back_project(camera, 67, 30, 3.0)
    )
    assert geometry.distance_between(scene.depth, first, second, camera) == pytest.approx(
        expected, rel=1e-5
    )


def test_extent_of_a_board():
    camera = Intrinsics.from_fov(60.0, 320, 240)
    depth = np.full((240, 320), 2.0, np.float32)
    mask = np.zeros((240, 320), bool)
    mask[50:150, 100:220] = True
    width, height, known = geometry.object_extent(depth, mask, camera)
    assert not known
    # 5 to 95 % of an even board is 90 % of it
    assert width == pytest.approx(0.9 * 119 * 2.0 / camera.fx, rel=0.02)
    assert height == pytest.approx(0.9 * 99 * 2.0 / camera.fy, rel=0.02)


@pytest.mark.parametrize("tilt_deg", [0.0, 10.0, 20.0])
def test_extent_follows_gravity(tilt_deg):
    """A vertical 1 m x 0.5 m board seen by a camera that looks down keeps its height."""
    tilt = math.radians(tilt_deg)
    camera = Intrinsics.from_fov(90.0, 320, 240)
    gravity = np.array([0.0, math.cos(tilt), math.sin(tilt)])
    ahead = np.array([0.0, -math.sin(tilt), math.cos(tilt)])  # horizontal, in the camera frame
    corner = 2.0 * ahead
    rays = geometry.pixel_rays(camera).astype(np.float64)
    z = (corner @ ahead) / (rays @ ahead)
    points = rays * z[..., None]
    up = points @ gravity
    mask = (z > 0) & (np.abs(points[..., 0]) < 0.25) & (np.abs(up) < 0.5)
    width, height, known = geometry.object_extent(z.astype(np.float32), mask, camera, gravity)
    assert known
    assert height == pytest.approx(0.9, abs=0.06)
    assert width == pytest.approx(0.45, abs=0.03)


def test_extent_of_a_camera_on_its_side():
    camera = Intrinsics.from_fov(60.0, 320, 240)
    depth = np.full((240, 320), 2.0, np.float32)
    mask = np.zeros((240, 320), bool)
    mask[100:140, 60:260] = True  # long along the image's x axis, which points down here
    width, height, known = geometry.object_extent(depth, mask, camera, (1.0, 0.0, 0.0))
    assert known and height == pytest.approx(0.9 * 199 * 2.0 / camera.fx, rel=0.02)
    assert width == pytest.approx(0.9 * 39 * 2.0 / camera.fy, rel=0.05)


def test_free_space_looks_at_the_central_sector_only():
    camera = Intrinsics.from_fov(80.0, 96, 72)
    depth = np.full((72, 96), 5.0, np.float32)
    depth[:, :30] = 0.5  # beside the way
    depth[:20] = 0.5  # above 30 %
    depth[52:] = 0.5  # below 70 %
    assert geometry.free_space_ahead(depth, camera) == pytest.approx(5.0, rel=0.03)
    depth[30:40, 44:52] = 1.2
    assert geometry.free_space_ahead(depth, camera) == pytest.approx(1.2, rel=0.03)


def test_free_space_ignores_a_speck():
    camera = Intrinsics.from_fov(80.0, 96, 72)
    depth = np.full((72, 96), 5.0, np.float32)
    depth[35, 47:49] = 0.3
    assert geometry.free_space_ahead(depth, camera) == pytest.approx(5.0, rel=0.03)


def test_spread_is_robust():
    camera = Intrinsics.from_fov(10.0, 64, 48)
    rng = np.random.default_rng(5)
    depth = (2.0 + 0.1 * rng.normal(size=(48, 64))).astype(np.float32)
    mask = np.ones((48, 64), bool)
    depth[0, :] = 9.0
    assert geometry.object_distance_stddev(depth, mask, camera) == pytest.approx(0.1, rel=0.1)


def test_sizes_must_agree():
    camera = Intrinsics.from_fov(80.0, 96, 72)
    with pytest.raises(IntrinsicsError, match="96x72"):
        geometry.ranges(np.ones((48, 64), np.float32), camera)


def test_patch_rays_of_the_centre_patch():
    camera = Intrinsics.from_fov(90.0, 192, 144)
    rays = geometry.patch_rays(camera, 16)
    assert rays.shape == (12 * 9, 5)
    x, y = (7.5 - camera.cx) / camera.fx, (7.5 - camera.cy) / camera.fy
    assert rays[0] == pytest.approx([x, y, x * x, y * y, math.log(16 / camera.fx)], abs=1e-6)
    assert rays[:, 0].reshape(9, 12).sum() == pytest.approx(0.0, abs=1e-4)
