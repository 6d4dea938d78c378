"""Depth figures against cases worked out by hand and plain numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cooper_ros.evaluation.depth import (
    METRICS,
    align_affine,
    align_inverse,
    align_median,
    aligned_errors,
    bin_figures,
    bin_sums,
    confident_half,
    depth_errors,
)


def test_by_hand() -> None:
    truth = np.array([[1.0, 2.0], [4.0, 8.0]], np.float32)
    predicted = np.array([[1.1, 1.0], [4.0, 12.0]], np.float32)
    errors = depth_errors(predicted, truth)
    assert errors["absrel"] == pytest.approx((0.1 + 0.5 + 0.0 + 0.5) / 4, abs=1e-6)
    assert errors["sqrel"] == pytest.approx((0.01 + 0.5 + 0.0 + 2.0) / 4, abs=1e-6)
    assert errors["rmse"] == pytest.approx(math.sqrt((0.01 + 1 + 16) / 4), abs=1e-6)
    logs = [math.log(1.1), math.log(0.5), 0.0, math.log(1.5)]
    assert errors["rmse_log"] == pytest.approx(
        math.sqrt(sum(x * x for x in logs) / 4), abs=1e-6
    )
    # ratios 1.1, 2.0, 1.0, 1.5 against 1.25, 1.5625, 1.953
    assert [errors[f"delta{k}"] for k in (1, 2, 3)] == [0.5, 0.75, 0.75]


def test_unknown_pixels_take_no_part() -> None:
    truth = np.array([[1.0, 0.0, np.nan, 2.0]], np.float32)
    predicted = np.array([[1.5, 9.0, 9.0, np.nan]], np.float32)
    assert depth_errors(predicted, truth)["absrel"] == pytest.approx(0.5)
    nothing = depth_errors(np.full_like(truth, np.nan), truth)
    assert set(nothing) == set(METRICS) and all(math.isnan(value) for value in nothing.values())


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="truth is"):
        depth_errors(np.ones((2, 2)), np.ones((2, 3)))


def test_median_alignment_removes_a_factor() -> None:
    truth = np.random.default_rng(0).uniform(0.5, 6.0, (20, 30))
    assert depth_errors(align_median(truth * 0.3, truth), truth)["absrel"] < 1e-9
    # a shift is not removed
    assert depth_errors(align_median(truth + 1.0, truth), truth)["absrel"] > 0.05


def test_affine_alignment_is_least_squares() -> None:
    rng = np.random.default_rng(1)
    truth = rng.uniform(0.5, 6.0, (20, 30))
    assert depth_errors(align_affine(0.2 * truth - 3.0, truth), truth)["absrel"] < 1e-9
    noisy = truth + rng.normal(0, 0.7, truth.shape)
    a = np.stack([noisy.ravel(), np.ones(noisy.size)], 1)
    solution, *_ = np.linalg.lstsq(a, truth.ravel(), rcond=None)
    wanted = (a @ solution).reshape(truth.shape)
    np.testing.assert_allclose(align_affine(noisy, truth), wanted, rtol=1e-9)
    np.testing.assert_allclose(align_affine(np.full_like(truth, 2.0), truth), truth.mean())


def test_inverse_alignment_is_robust_and_stays_in_range() -> None:
    rng = np.random.default_rng(3)
    truth = rng.uniform(0.5, 6.0, (40, 50))
    predicted = 1.0 / (2.0 / truth + 0.3)
    assert depth_errors(align_inverse(predicted, truth), truth)["absrel"] < 1e-6
    wrong = rng.random(truth.shape) < 0.15
    spoiled = np.where(wrong, 0.5, truth)
    aligned = align_inverse(predicted, spoiled)
    assert depth_errors(aligned[~wrong], truth[~wrong])["absrel"] < 0.02
    assert aligned.min() >= 0.3 and aligned.max() <= 8.0
    constant = align_inverse(np.full_like(truth, 2.0), truth)
    assert np.ptp(constant) == 0.0
    assert 1.0 / np.mean(1.0 / truth) < constant[0, 0] <= np.median(truth)
    hole = predicted.copy()
    hole[0, 0] = np.nan
    assert np.isnan(align_inverse(hole, truth)).sum() == 1


def test_relative_map_is_used_where_there_are_no_metres() -> None:
    truth = np.random.default_rng(2).uniform(1.0, 5.0, (10, 10))
    relative = (truth - 1.0) / 4.0
    errors = aligned_errors(np.full_like(truth, np.nan), relative, truth)
    assert math.isnan(errors["metric"]["absrel"])
    assert errors["affine_aligned"]["absrel"] < 1e-9


def test_range_bins() -> None:
    truth = np.array([[0.5, 1.5, 1.6, 12.0]])
    predicted = np.array([[1.0, 1.5, 0.8, 12.0]])
    figures = bin_figures(bin_sums(predicted, truth) * 2)  # doubling all sums changes no figure
    near = figures["0.25-1 m"]
    assert (near["share"], near["absrel"], near["rmse"]) == pytest.approx((1 / 3, 1.0, 0.5))
    assert (near["delta1"], near["delta2"], near["delta3"]) == (0.0, 0.0, 0.0)
    middle = figures["1-2 m"]  # one right, one by a factor of 2
    assert (middle["delta1"], middle["delta3"]) == (0.5, 0.5)
    assert middle["rmse"] == pytest.approx((0.8**2 / 2) ** 0.5)
    assert figures["1-2 m"]["absrel"] == pytest.approx(0.25)
    assert figures["1-2 m"]["delta1"] == 0.5
    assert math.isnan(figures["3-5 m"]["absrel"])


def test_confidence_that_knows_the_errors() -> None:
    truth = np.ones((1, 4))
    predicted = np.array([[1.0, 1.1, 1.5, 2.0]])
    confidence = np.array([[0.9, 0.8, 0.2, 0.1]])
    sure, unsure = confident_half(predicted, truth, confidence)
    assert (sure, unsure) == (pytest.approx(0.05), pytest.approx(0.75))
    assert math.isnan(confident_half(predicted, truth, np.full((1, 4), np.nan))[0])
