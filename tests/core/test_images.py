"""The resize rule, tensors, and maps back to camera size."""

from __future__ import annotations

import numpy as np
import pytest

from cooper_ros.core.errors import InvalidImageError
from cooper_ros.core.images import (
    ResizeRule,
    composite_on_white,
    from_tensor,
    resize_depth,
    resize_labels,
    resize_score,
    to_tensor,
)

VAE, VIT_980, VIT_518 = (
    ResizeRule(1024, 512, 16),
    ResizeRule(980, 224, 14),
    ResizeRule(518, 224, 14),
)


def test_sizes_of_the_conformance_data(golden):
    for case in golden.cases["resize_cases_wh"]:
        assert VAE.size(*case["in"]) == tuple(case["vae_1024_512_16"])
        assert VIT_980.size(*case["in"]) == tuple(case["vit_980_224_14"])
        assert VIT_518.size(*case["in"]) == tuple(case["vit_518_224_14"])


@pytest.mark.parametrize("name", ["vae", "vit"])
def test_pixels_of_the_conformance_data(golden, name):
    rule = ResizeRule(*golden.cases[f"{name}_transform"])
    pixels = to_tensor(rule.resize(golden.arrays["image"]))
    assert pixels == pytest.approx(golden.arrays[f"{name}_pixels"], abs=1e-5)


def test_rounding_is_half_to_even():
    rule = ResizeRule(1024, 16, 16)
    assert rule.size(40, 40) == (32, 32)  # 2.5 -> 2
    assert rule.size(56, 56) == (64, 64)  # 3.5 -> 4


def test_too_many_pixels_shrink_by_the_area_ratio():
    rule = ResizeRule(4096, 16, 16, max_pixels=1_000_000)
    # 2000 x 1000 has twice the pixels: both sides are halved, not divided by sqrt(2)
    assert rule.size(2000, 1000) == (1008, 496)


def test_nano_rules_give_the_same_token_grid():
    vision, maps = ResizeRule(192, 96, 16), ResizeRule(96, 48, 8)
    for size in ((640, 480), (1280, 720), (480, 640), (848, 480)):
        width, height = vision.size(*size)
        assert maps.size(*size) == (width // 2, height // 2)
    assert vision.size(640, 480) == (192, 144)


def test_empty_images_are_refused():
    with pytest.raises(InvalidImageError):
        VAE.size(0, 480)
    with pytest.raises(InvalidImageError):
        VAE.resize(np.zeros((4, 4), np.uint8))


def test_tensor_round_trip_is_within_one_level():
    rgb = np.arange(256 * 3, dtype=np.uint32).astype(np.uint8).reshape(16, 16, 3)
    tensor = to_tensor(rgb)
    assert tensor.shape == (3, 16, 16) and tensor.min() == -1.0 and tensor.max() == 1.0
    assert np.abs(from_tensor(tensor).astype(int) - rgb).max() <= 1
    wild = np.full((3, 2, 2), 5.0, np.float32)
    assert (from_tensor(wild) == 255).all()


def test_transparent_pixels_become_white():
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[0, 0] = (10, 20, 30, 255)
    rgba[1, 1] = (0, 0, 0, 128)
    rgb = composite_on_white(rgba)
    assert rgb[0, 0].tolist() == [10, 20, 30]
    assert rgb[0, 1].tolist() == [255, 255, 255]
    assert rgb[1, 1].tolist() == pytest.approx([127, 127, 127], abs=1)


def test_depth_grows_linearly_in_the_logarithm():
    depth = np.array([[1.0, 4.0]], np.float32)
    grown = resize_depth(depth, 4, 1)[0]
    assert grown == pytest.approx([1.0, 4**0.25, 4**0.75, 4.0], rel=1e-3)


def test_unknown_depth_does_not_bleed():
    depth = np.full((6, 6), 2.0, np.float32)
    depth[:, :3] = np.nan
    grown = resize_depth(depth, 24, 24)
    known = np.isfinite(grown)
    assert known[:, 13:].all() and not known[:, :10].any()
    assert grown[known] == pytest.approx(np.full(known.sum(), 2.0), rel=1e-5)
    assert np.isnan(resize_depth(np.full((4, 4), np.nan, np.float32), 8, 8)).all()
    zero = np.zeros((4, 4), np.float32)
    assert np.isnan(resize_depth(zero, 8, 8)).all()


def test_labels_keep_their_ids():
    labels = np.array([[1, 7], [7, 1]], np.uint8)
    grown = resize_labels(labels, 7, 5)
    assert grown.dtype == np.uint8 and set(np.unique(grown)) == {1, 7}
    assert np.array_equal(resize_labels(resize_labels(labels, 8, 6), 2, 2), labels)


def test_scores_stay_between_their_neighbours():
    score = np.random.default_rng(0).random((9, 12)).astype(np.float32)
    grown = resize_score(score, 64, 48)
    assert grown.shape == (48, 64)
    assert grown.min() >= score.min() - 1e-6 and grown.max() <= score.max() + 1e-6
