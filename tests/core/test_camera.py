"""Intrinsics and frames."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cooper_ros.core import geometry
from cooper_ros.core.errors import IntrinsicsError, InvalidImageError
from cooper_ros.core.types import Frame, Intrinsics


def test_field_of_view_round_trip():
    for degrees in (45.0, 60.0, 100.0):
        camera = Intrinsics.from_fov(degrees, 640, 480)
        assert camera.is_valid and camera.hfov_deg == pytest.approx(degrees)
        assert camera.scaled(96, 72).hfov_deg == pytest.approx(degrees)


def test_scaling_keeps_the_rays():
    camera = Intrinsics(600.0, 590.0, 310.0, 250.0, 640, 480, (0.1, 0.0, 0.0, 0.0, 0.0))
    small = camera.scaled(320, 240)
    # the centre of a 2 x 2 block is the centre of the pixel it becomes
    assert geometry.back_project(small, 100, 50, 1.0) == pytest.approx(
        geometry.back_project(camera, 200.5, 100.5, 1.0)
    )
    back = small.scaled(640, 480)
    assert (back.fx, back.cx, back.cy) == pytest.approx((camera.fx, camera.cx, camera.cy))


def test_cropping_keeps_the_rays():
    camera = Intrinsics(600.0, 590.0, 310.0, 250.0, 640, 480)
    window = camera.cropped(100, 40, 200, 100)
    assert (window.width, window.height) == (200, 100)
    assert geometry.back_project(window, 5, 6, 2.0) == pytest.approx(
        geometry.back_project(camera, 105, 46, 2.0)
    )


@pytest.mark.parametrize("values", [(0.0, 1.0), (-3.0, 1.0), (math.nan, 1.0), (1.0, math.inf)])
def test_unusable_intrinsics_are_named(values):
    camera = Intrinsics(*values, 0.0, 0.0, 640, 480)
    assert not camera.is_valid
    with pytest.raises(IntrinsicsError, match="fx="):
        geometry.pixel_rays(camera)


def test_field_of_view_must_make_sense():
    for degrees in (0.0, 180.0, -10.0):
        with pytest.raises(IntrinsicsError):
            Intrinsics.from_fov(degrees, 64, 48)


def test_frame_checks_what_it_is_given():
    good = np.zeros((48, 64, 3), np.uint8)
    assert Frame(good, Intrinsics.from_fov(60, 64, 48)).width == 64
    for bad in (good.astype(np.float32), good[..., 0], good[..., :2], good[:0]):
        with pytest.raises(InvalidImageError):
            Frame(bad)
    with pytest.raises(IntrinsicsError, match="64x48"):
        Frame(good, Intrinsics.from_fov(60, 640, 480))
