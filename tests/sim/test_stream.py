"""The simulated camera and the camera effects."""

from __future__ import annotations

import numpy as np
import pytest

from cooper_ros.core.classes import CLASS_IDS
from cooper_ros.sim import photo
from cooper_ros.sim.stream import SimCamera


def test_frames_move_and_their_truth_fits():
    with SimCamera(seed=1, width=160, height=120) as camera:
        frames = [camera.step() for _ in range(4)]
    first, last = frames[0], frames[-1]
    assert first.rgb.shape == (120, 160, 3) and first.depth.dtype == np.float32
    assert first.labels.dtype == np.uint8 and first.instances.dtype == np.uint16
    assert first.intrinsics.width == 160 and first.intrinsics.is_valid
    assert not np.array_equal(first.rgb, last.rgb) and not np.array_equal(first.depth, last.depth)
    assert 0 < np.linalg.norm(first.pose[:3, 3] - last.pose[:3, 3]) < 0.2  # 0.3 s of slow swaying
    assert len(first.objects) >= 3 and first.free_space_m > 0
    for item in first.objects:
        mask = first.instances == item.instance
        assert CLASS_IDS[item.label] == item.class_id
        assert set(first.labels[mask]) == {item.class_id}
        assert item.pixels == pytest.approx(mask.sum(), rel=0.15, abs=12)
        rows, columns = np.nonzero(mask)
        touched = {0, 119} & set(rows) or {0, 159} & set(columns)
        assert item.whole == (not touched)
        assert abs(np.median(columns) - item.u) < 2 and abs(np.median(rows) - item.v) < 2
        assert item.distance >= first.depth[mask].min() * 0.99
    distances = [item.distance for item in first.objects]
    assert distances == sorted(distances)


def test_a_seed_gives_the_same_film():
    films = []
    for _ in range(2):
        with SimCamera(seed=2, width=96, height=72) as camera:
            films.append([camera.step().rgb for _ in range(2)])
    assert all(np.array_equal(a, b) for a, b in zip(*films, strict=True))


def test_reducing_averages_blocks():
    picture = np.zeros((2, 4, 3), np.uint8)
    picture[:, :2] = [[[0, 10, 255], [4, 10, 255]], [[8, 10, 255], [12, 10, 255]]]
    assert photo.reduce(picture, 2, 1).tolist() == [[[6, 10, 255], [0, 0, 0]]]


def test_camera_effects_are_seeded_and_keep_the_picture():
    clean = np.tile(np.linspace(30, 220, 64, dtype=np.float32)[None, :, None], (48, 1, 3))
    one, same, other = (photo.photograph(clean, np.random.default_rng(s)) for s in (3, 3, 4))
    assert one.dtype == np.uint8 and one.shape == clean.shape
    assert np.array_equal(one, same) and not np.array_equal(one, other)
    correlation = np.corrcoef(one.ravel().astype(float), clean.ravel())[0, 1]
    assert correlation > 0.95


def test_exposure_brightens_the_dark_and_dims_the_bright():
    dark, bright = (np.full((8, 8, 3), value, np.float32) for value in (20, 230))
    assert photo.exposure_gain(dark) > 1.5 and photo.exposure_gain(bright) < 0.8
