"""Depth and palette codes, and the official colour map."""

from __future__ import annotations

import numpy as np
import pytest

from cooper_ros.core.classes import CLASS_NAMES
from cooper_ros.core.codecs import DepthCodec, PaletteCodec, spectral_colormap, sphere_palette
from cooper_ros.core.errors import CooperError, InvalidImageError


@pytest.mark.parametrize("codec", [DepthCodec(0.25, 10.0, "log"), DepthCodec(1e-3, 10.0, "linear")])
def test_depth_round_trip(codec):
    depth = np.linspace(codec.min_m, codec.max_m, 48 * 64, dtype=np.float32).reshape(48, 64)
    picture = codec.encode(depth)
    assert picture.shape == (3, 48, 64) and picture.dtype == np.float32
    assert picture.min() == pytest.approx(-1.0) and picture.max() == pytest.approx(1.0)
    assert np.all(np.diff(picture[0].ravel()) > 0)  # near is dark
    assert codec.decode(picture) == pytest.approx(depth, rel=1e-4, abs=1e-6)


def test_depth_formulas():
    depth = np.full((1, 1), 1.0, np.float32)
    log = DepthCodec(0.25, 4.0, "log")
    assert log.code(depth) == pytest.approx(0.5)  # ln 4 / ln 16
    assert DepthCodec(0.5, 2.5, "linear").code(depth) == pytest.approx(0.25)
    assert log.encode(depth) == pytest.approx(np.zeros((3, 1, 1)), abs=1e-6)


def test_log_code_has_even_relative_error():
    codec = DepthCodec(0.25, 10.0, "log")
    depth = np.array([[0.5, 1.0, 2.0, 8.0]], np.float32)
    shifted = codec.decode(codec.encode(depth) + 0.05)
    ratio = shifted / depth
    assert ratio == pytest.approx(np.full((1, 4), ratio[0, 0]), rel=1e-4)


def test_depth_outside_the_range_is_clamped_and_unknown_stays_unknown():
    codec = DepthCodec(0.25, 10.0)
    depth = np.array([[0.1, 50.0, np.inf, np.nan, 0.0, -1.0]], np.float32)
    grey = codec.encode(depth)[0, 0]
    assert grey[:3] == pytest.approx([-1.0, 1.0, 1.0])
    assert np.isnan(grey[3:]).all()


def test_reading_clamps_each_channel_before_the_mean():
    codec = DepthCodec(0.25, 10.0)
    picture = np.array([3.0, -1.0, -1.0], np.float32).reshape(3, 1, 1)
    assert codec.relative(picture) == pytest.approx(1.0 / 3.0)


@pytest.mark.parametrize("arguments", [(0.0, 10.0), (5.0, 1.0), (0.25, 10.0, "cubic")])
def test_depth_codec_refuses_nonsense(arguments):
    with pytest.raises(CooperError):
        DepthCodec(*arguments)


def test_pictures_need_three_channels():
    with pytest.raises(InvalidImageError, match="3, H, W"):
        DepthCodec(0.25, 10.0).decode(np.zeros((1, 4, 4), np.float32))


def _palette(count: int = len(CLASS_NAMES)) -> PaletteCodec:
    return PaletteCodec(tuple(f"c{i}" for i in range(count)), sphere_palette(count))


def test_palette_colours_are_well_separated():
    for count in (4, 15, 27):
        colours = sphere_palette(count)
        assert np.linalg.norm(colours, axis=1) == pytest.approx(np.ones(count), abs=1e-3)
        distance = np.linalg.norm(colours[:, None] - colours[None], axis=2)
        # even caps of the sphere: the distance of a hexagonal packing is 3.8 / sqrt(count)
        assert distance[~np.eye(count, dtype=bool)].min() > 0.82 * 3.8 / np.sqrt(count)


def test_no_colour_is_the_middle_of_two_others():
    colours = sphere_palette(27)
    middles = (colours[:, None] + colours[None]) / 2.0
    gap = np.linalg.norm(middles[:, :, None] - colours[None, None], axis=3)
    first, second = np.triu_indices(27, 1)
    for k in range(27):
        other = (first != k) & (second != k)
        assert gap[first[other], second[other], k].min() > 0.2


def test_palette_is_a_function_of_count_and_seed():
    assert np.array_equal(sphere_palette(12), sphere_palette(12))
    assert not np.array_equal(sphere_palette(12), sphere_palette(12, seed=1))


def test_palette_round_trip_and_score():
    codec = _palette()
    labels = np.random.default_rng(0).integers(0, 27, (36, 48))
    picture = codec.encode(labels)
    decoded, score = codec.decode(picture)
    assert decoded.dtype == np.uint8 and np.array_equal(decoded, labels)
    noisy = picture + np.random.default_rng(1).normal(0, 0.1, picture.shape).astype(np.float32)
    decoded, noisy_score = codec.decode(noisy)
    assert (decoded == labels).mean() > 0.98
    assert noisy_score.mean() < score.mean()


def test_score_is_a_probability():
    codec = _palette(4)
    picture = np.random.default_rng(2).uniform(-1, 1, (3, 6, 8)).astype(np.float32)
    logits = codec.logits(picture)
    expected = np.exp(logits) / np.exp(logits).sum(0)
    labels, score = codec.decode(picture)
    assert np.array_equal(labels, expected.argmax(0))
    assert score == pytest.approx(expected.max(0), rel=1e-4)
    direct = ((picture[None] - codec.colours[:, :, None, None]) ** 2).sum(1)
    assert logits == pytest.approx(-codec.temperature * direct, abs=1e-4)


def test_palette_refuses_unknown_ids_and_wrong_tables():
    with pytest.raises(CooperError, match="0..3"):
        _palette(4).encode(np.full((2, 2), 4))
    with pytest.raises(CooperError, match="colours"):
        PaletteCodec(("a", "b"), sphere_palette(3))


def test_colour_map_ends_and_order():
    picture = spectral_colormap(np.array([[0.0, 0.5, 1.0, 2.0, np.nan]]))
    assert picture.shape == (3, 1, 5) and picture.dtype == np.uint8
    assert picture[:, 0, 0].tolist() == [158, 1, 66]
    assert picture[:, 0, 2].tolist() == [94, 79, 162]
    assert picture[:, 0, 3].tolist() == [94, 79, 162]
    assert picture[:, 0, 4].tolist() == [158, 1, 66]


def test_colour_map_equals_the_conformance_data(golden):
    arrays = golden.arrays
    assert np.array_equal(spectral_colormap(arrays["depth_euler8"]), arrays["depth_spectral"])
