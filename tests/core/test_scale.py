"""Metric scale from anchors: recovery, robustness, honesty of intervals, refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cooper_ros.core.anchors import (
    Anchors,
    anchors_from_depth,
    anchors_from_floor,
    anchors_from_points,
    gravity_from_tilt,
    thin,
)
from cooper_ros.core.camera import Intrinsics
from cooper_ros.core.errors import IntrinsicsError, ScaleError
from cooper_ros.core.geometry import points
from cooper_ros.core.scale import LINEAR, LOG, MetricScaler, ScaleState
from cooper_ros.core.types import ScaleReport, ScaleSource

CAMERA = Intrinsics.from_fov(70.0, 160, 120)
METRIC = ScaleState.of_model(LOG, metric=True)


def room(rng: np.random.Generator, height_m: float = 1.0, pitch: float = 0.25) -> np.ndarray:
    """True depth of a floor, a wall and some boxes, f32 [120, 160]."""
    down = gravity_from_tilt(pitch)
    rays = points(np.ones((120, 160), np.float32), CAMERA).astype(np.float64)
    slope = rays @ down
    with np.errstate(divide="ignore"):
        floor = np.where(slope > 1e-3, height_m / slope, np.inf)
    depth = np.minimum(floor, rng.uniform(3.0, 6.0))
    for _ in range(6):
        x, y = rng.integers(0, 130), rng.integers(20, 90)
        w, h = rng.integers(15, 40, 2)
        patch = depth[y : y + h, x : x + w]
        depth[y : y + h, x : x + w] = np.minimum(patch, rng.uniform(0.8, 3.5))
    return depth.astype(np.float32)


def distorted(rng: np.random.Generator, truth: np.ndarray, share: float = 0.06) -> np.ndarray:
    """A model's depth: smooth and per-object errors of about `share`."""
    error = rng.normal(0, share, (6, 8))
    smooth = np.kron(error, np.ones((20, 20)))
    return (truth * np.exp(smooth)).astype(np.float32)


def sampled(
    rng: np.random.Generator, truth: np.ndarray, count: int, noise: float = 0.02, bad: float = 0.0
) -> Anchors:
    v, u = rng.integers(0, 120, count), rng.integers(0, 160, count)
    depth = truth[v, u] * np.exp(rng.normal(0, noise, count))
    wrong = rng.random(count) < bad
    depth[wrong] = rng.uniform(0.5, 12.0, int(wrong.sum()))
    shared = np.full((count, 1), 0.01)
    return Anchors(
        u.astype(float), v.astype(float), depth, np.full(count, 0.02), "lidar", shared
    )


def absrel(fit_depth: np.ndarray, truth: np.ndarray) -> float:
    return float(np.nanmedian(np.abs(fit_depth - truth) / truth))


@pytest.mark.parametrize(("factor", "exponent"), [(1.0, 1.0), (1.5, 1.0), (0.7, 1.2), (1.3, 0.85)])
def test_known_factor_and_exponent_are_recovered(factor: float, exponent: float) -> None:
    rng = np.random.default_rng(1)
    truth = room(rng)
    nominal = ((truth / factor) ** (1 / exponent)).astype(np.float32)
    fit = MetricScaler(LOG).fit(nominal, [sampled(rng, truth, 300, 0.001)], CAMERA, METRIC)
    assert fit.problem == ""
    assert fit.state.scale == pytest.approx(factor, rel=0.02)
    assert fit.state.exponent == pytest.approx(exponent, abs=0.02)
    assert absrel(fit.state.metres(nominal), truth) < 0.01


@pytest.mark.parametrize(("scale", "shift"), [(65.0, 0.0), (20.0, 0.5), (5.0, -0.3)])
def test_affine_relative_depth_becomes_metric(scale: float, shift: float) -> None:
    rng = np.random.default_rng(2)
    truth = room(rng)
    nominal = ((truth - shift) / scale * 10.0).astype(np.float32)  # as if the range were 10 m
    prior = ScaleState.of_model(LINEAR, metric=False)
    fit = MetricScaler(LINEAR).fit(nominal, [sampled(rng, truth, 300, 0.002)], CAMERA, prior)
    assert fit.problem == "" and fit.state.method == "affine"
    assert fit.state.scale == pytest.approx(scale / 10.0, rel=0.05)
    assert absrel(fit.state.metres(nominal), truth) < 0.02


def test_ten_percent_and_forty_percent_of_wrong_anchors_do_not_move_the_fit() -> None:
    errors = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        truth = room(rng)
        nominal = distorted(rng, truth * 0.75)
        bad = 0.1 if seed % 2 else 0.35
        fit = MetricScaler(LOG).fit(nominal, [sampled(rng, truth, 120, bad=bad)], CAMERA, METRIC)
        assert fit.problem == ""
        errors.append(abs(math.log(fit.state.scale * 0.75)))
    assert np.median(errors) < 0.05 and max(errors) < 0.2


def test_more_anchors_give_less_error_and_narrower_intervals() -> None:
    median, width = [], []
    for count in (1, 4, 16, 200):
        error, half = [], []
        for seed in range(30):
            rng = np.random.default_rng(seed)
            truth = room(rng)
            nominal = distorted(rng, truth * float(np.exp(rng.normal(0, 0.25))))
            fit = MetricScaler(LOG).fit(nominal, [sampled(rng, truth, count)], CAMERA, METRIC)
            assert fit.problem == "", fit.problem
            error.append(absrel(fit.state.metres(nominal), truth))
            half.append(float(fit.state.half_widths(np.array([2.0]))[0]))
        median.append(np.median(error))
        width.append(np.median(half))
    assert median[0] > median[2] and median[3] < 0.06 and median[1] < 0.12
    assert width == sorted(width, reverse=True)


@pytest.mark.parametrize("count", [1, 4, 30, 300])
def test_ninety_percent_intervals_cover_ninety_percent(count: int) -> None:
    inside = []
    for seed in range(60):
        rng = np.random.default_rng(1000 + seed)
        truth = room(rng)
        nominal = distorted(rng, truth * float(np.exp(rng.normal(0, 0.25))), 0.10)
        fit = MetricScaler(LOG).fit(nominal, [sampled(rng, truth, count)], CAMERA, METRIC)
        v, u = rng.integers(0, 120, 20), rng.integers(0, 160, 20)
        p = nominal[v, u].astype(np.float64)
        error = np.abs(np.log(truth[v, u] / fit.state.metres(p)))
        inside.append(np.mean(error <= fit.state.half_widths(p)))
    assert np.mean(inside) >= 0.86
    if count >= 30:  # with fewer, what the exponent may be makes them wider
        assert np.mean(inside) <= 0.97


def test_a_shared_error_of_the_source_does_not_average_out() -> None:
    rng = np.random.default_rng(3)
    truth = room(rng)
    nominal = distorted(rng, truth, 0.02)
    one = sampled(rng, truth, 2000, 0.005)
    sure = Anchors(one.u, one.v, one.depth_m, one.sigma, "sure")
    unsure = Anchors(one.u, one.v, one.depth_m, one.sigma, "unsure", np.full((2000, 1), 0.08))
    spread = [
        float(
            MetricScaler(LOG).fit(nominal, [anchors], CAMERA, METRIC)
            .state.uncertainty(np.array([2.0]))[0]
        )
        for anchors in (sure, unsure)
    ]
    assert spread[0] < 0.02 and 0.06 < spread[1] < 0.09


def test_floor_and_points_together_beat_either() -> None:
    def error(use_floor: bool, points_: int) -> float:
        found = []
        for seed in range(40):
            rng = np.random.default_rng(seed)
            truth = room(rng)
            nominal = distorted(rng, truth * float(np.exp(rng.normal(0, 0.25))), 0.05)
            anchors = []
            if use_floor:
                mask = is_floor(truth, 1.0, 0.25)
                height = 1.0 * float(np.exp(rng.normal(0, 0.02)))
                gravity = gravity_from_tilt(0.25 + rng.normal(0, 0.009))
                anchors.append(anchors_from_floor(mask, CAMERA, height, gravity))
            if points_:
                anchors.append(sampled(rng, truth, points_, bad=0.1))
            fit = MetricScaler(LOG).fit(nominal, anchors, CAMERA, METRIC)
            found.append(abs(math.log(fit.state.metres(np.array([2.0]))[0] / 2.0 /
                                      np.median(truth / nominal))))
        return float(np.percentile(found, 90))

    floor, few, both = error(True, 0), error(False, 4), error(True, 4)
    assert both < few and both <= floor * 1.1


def is_floor(depth: np.ndarray, height_m: float, pitch: float) -> np.ndarray:
    below = points(depth, CAMERA).astype(np.float64) @ gravity_from_tilt(pitch)
    return np.asarray(np.abs(below - height_m) < 0.01)


def test_floor_depth_is_exact_for_a_tilted_camera() -> None:
    for pitch, roll in ((0.2, 0.0), (0.6, 0.1), (0.0, -0.05)):
        gravity = gravity_from_tilt(pitch, roll)
        mask = np.zeros((120, 160), bool)
        mask[90:] = True
        anchors = anchors_from_floor(mask, CAMERA, 0.4, gravity)
        x = (anchors.u - CAMERA.cx) / CAMERA.fx
        y = (anchors.v - CAMERA.cy) / CAMERA.fy
        xyz = np.stack([x, y, np.ones_like(x)], 1) * anchors.depth_m[:, None]
        assert np.allclose(xyz @ gravity, 0.4)
        near, far = anchors.depth_m.argmin(), anchors.depth_m.argmax()
        assert anchors.shared[near, 1] < anchors.shared[far, 1]
    assert gravity_from_tilt(0.3)[2] > 0  # a camera looking down sees gravity ahead of it


def test_the_floor_says_nothing_above_the_horizon() -> None:
    mask = np.ones((120, 160), bool)
    anchors = anchors_from_floor(mask, CAMERA, 0.5, gravity_from_tilt(0.0))
    assert len(anchors) and anchors.v.min() > CAMERA.cy + 0.05 * CAMERA.fy


@pytest.mark.parametrize("height", [0.0, -1.0, math.nan, math.inf])
def test_impossible_heights_are_refused(height: float) -> None:
    with pytest.raises(ScaleError, match="height"):
        anchors_from_floor(np.ones((4, 4), bool), CAMERA, height, (0, 1, 0))
    with pytest.raises(ScaleError, match="gravity"):
        anchors_from_floor(np.ones((4, 4), bool), CAMERA, 1.0, (0, 0, 0))


def test_points_that_the_camera_cannot_see_are_left_out() -> None:
    near = np.array([[0.0, 0.0, 1.0]])
    hidden = np.array([[0.01, 0.0, 3.0]])
    beside = np.array([[1.0, 0.0, 3.0]])
    behind = np.array([[0.0, 0.0, -2.0], [np.nan, 0, 1], [0, np.inf, 1], [9.0, 0.0, 1.0]])
    anchors = anchors_from_points(np.concatenate([near, hidden, beside, behind]), CAMERA)
    assert sorted(anchors.depth_m) == [1.0, 3.0]
    assert anchors.u.max() == pytest.approx(CAMERA.cx + CAMERA.fx / 3)
    assert len(anchors_from_points(np.zeros((0, 3)), CAMERA)) == 0


def test_points_far_outside_the_view_do_not_fold_back_through_the_lens() -> None:
    lens = Intrinsics(100.0, 100.0, 79.5, 59.5, 160, 120, (-0.3, 0.05, 0.0, 0.0, 0.0))
    wide = np.array([[3.0 * math.cos(t), 3.0 * math.sin(t), 1.0] for t in np.linspace(0, 6, 50)])
    assert len(anchors_from_points(wide, lens)) == 0


def test_a_depth_image_of_another_size_lands_on_the_same_pixels() -> None:
    rng = np.random.default_rng(5)
    truth = room(rng)
    half = anchors_from_depth(truth[::2, ::2].copy(), CAMERA)
    assert half.u.max() <= 159.5 and half.v.max() <= 119.5
    row, column = np.rint(half.v).astype(int), np.rint(half.u).astype(int)
    ratio = half.depth_m / truth[np.clip(row, 0, 119), np.clip(column, 0, 159)]
    assert np.median(np.abs(ratio - 1)) < 0.02
    with pytest.raises(IntrinsicsError, match="register"):
        anchors_from_depth(np.ones((120, 120), np.float32), CAMERA)
    with pytest.raises(ScaleError):
        anchors_from_depth(np.ones(5, np.float32), CAMERA)


def test_depth_edges_and_unknown_pixels_give_no_anchors() -> None:
    depth = np.full((120, 160), 4.0, np.float32)
    depth[:, :80] = 1.0
    depth[:20] = np.nan
    depth[20:40] = 0.0
    depth[40:60] = np.inf
    anchors = anchors_from_depth(depth, CAMERA)
    assert len(anchors) > 100
    assert anchors.v.min() >= 60 and not np.any(np.abs(anchors.u - 79.5) < 1.0)


def test_thinning_keeps_one_middle_anchor_per_cell() -> None:
    u = np.array([1.0, 2.0, 3.0, 150.0])
    v = np.full(4, 5.0)
    depth = np.array([1.0, 2.0, 9.0, 4.0])
    anchors = Anchors(u, v, depth, np.full(4, 0.02), "x")
    kept, prediction = thin(anchors, np.ones(4), CAMERA)
    assert sorted(kept.depth_m) == [2.0, 4.0] and len(prediction) == 2


def test_anchors_of_another_scene_are_refused_with_a_reason() -> None:
    rng = np.random.default_rng(7)
    nominal = room(rng)
    v, u = rng.integers(0, 120, 300), rng.integers(0, 160, 300)
    depth = np.exp(rng.uniform(math.log(0.2), math.log(30.0), 300))
    anchors = Anchors(u.astype(float), v.astype(float), depth, np.full(300, 0.02), "lidar")
    fit = MetricScaler(LOG).fit(nominal, [anchors], CAMERA, METRIC)
    assert "lidar" in fit.problem


def test_relative_depth_needs_two_distances() -> None:
    rng = np.random.default_rng(8)
    truth = room(rng)
    wall = Anchors(
        np.arange(20.0, 40.0), np.full(20, 10.0), np.full(20, 3.0), np.full(20, 0.02), "tape"
    )
    nominal = (truth * 0.1).astype(np.float32)
    nominal[10, 20:40] = 0.3
    for space in (LINEAR, LOG):
        prior = ScaleState.of_model(space, metric=False)
        fit = MetricScaler(space).fit(nominal, [wall], CAMERA, prior)
        assert "distance" in fit.problem, space
    assert MetricScaler(LOG).fit(nominal, [], CAMERA, METRIC).problem == "no anchors in view"


def test_unusable_predictions_and_anchors_are_left_out() -> None:
    rng = np.random.default_rng(9)
    truth = room(rng)
    nominal = truth.copy()
    nominal[:, :80] = np.nan
    good = sampled(rng, truth, 200)
    good.depth_m[::7] = np.nan
    fit = MetricScaler(LOG).fit(nominal, [good], CAMERA, METRIC)
    assert fit.problem == "" and 0 < fit.anchor_count < 200
    nothing = MetricScaler(LOG).fit(np.full_like(truth, np.nan), [good], CAMERA, METRIC)
    assert nothing.problem


def test_a_calibration_survives_as_text() -> None:
    rng = np.random.default_rng(10)
    truth = room(rng)
    anchors = [sampled(rng, truth, 50)]
    state = MetricScaler(LOG).fit(truth * np.float32(0.8), anchors, CAMERA, METRIC).state
    again = ScaleState.from_text(state.to_text())
    assert again.scale == pytest.approx(state.scale, rel=1e-3)
    assert again.half_widths(np.array([3.0])) == pytest.approx(
        state.half_widths(np.array([3.0])), rel=1e-2
    )


@pytest.mark.parametrize(
    "text",
    ["", "log", "log 1 2 3", "cubic 0 0 1 0 1 0.1 1.6", "log 0 0 -1 0 1 0.1 1.6",
     "log nan 0 1 0 1 0.1 1.6", "log 0 0 1 5 1 0.1 1.6", "log a b c d e f g"],
)
def test_a_broken_calibration_text_is_refused(text: str) -> None:
    with pytest.raises(ScaleError, match="calibrat"):
        ScaleState.from_text(text)


def test_time_makes_a_state_less_certain() -> None:
    state = ScaleState(LOG, np.zeros(2), np.eye(2) * 1e-4, 0.05)
    spread = [float(state.later(t).uncertainty(np.array([2.0]))[0]) for t in (0.0, 1.0, 5.0)]
    assert state.uncertainty(np.array([2.0]))[0] < spread[0] < spread[1] < spread[2] < 0.2


def test_a_report_bounds_lengths_and_knows_what_it_does_not_know() -> None:
    state = ScaleState(LOG, np.array([0.1, 0.0]), np.eye(2) * 1e-4, 0.06)
    report = state.report(ScaleSource.ANCHORED, (0.25, 10.0), anchor_count=3)
    assert report.scale == pytest.approx(math.exp(0.1)) and report.anchor_count == 3
    low, high = report.bounds(2.0)
    assert low < 2.0 < high and high / 2.0 == pytest.approx(2.0 / low)
    assert 0.05 < report.error_90 < 0.2
    assert all(map(math.isnan, ScaleReport().bounds(2.0)))
    assert all(map(math.isnan, report.bounds(math.nan)))
    assert math.isnan(ScaleReport().error_90)


def test_wrong_prior_and_uneven_columns_are_refused() -> None:
    with pytest.raises(ScaleError, match="linear"):
        MetricScaler(LOG).fit(
            np.ones((4, 4), np.float32), [], CAMERA, ScaleState.of_model(LINEAR, metric=True)
        )
    with pytest.raises(ScaleError, match="columns"):
        Anchors(np.zeros(2), np.zeros(2), np.zeros(3), np.zeros(2), "x")
    with pytest.raises(ScaleError, match="space"):
        ScaleState.of_model("cubic", metric=True)


def test_a_floor_that_contradicts_the_points_is_left_out_and_named() -> None:
    rng = np.random.default_rng(11)
    truth = room(rng)
    points_ = sampled(rng, truth, 60)
    v, u = np.nonzero(np.ones((120, 160), bool))
    wrong = np.exp(rng.uniform(math.log(0.1), math.log(30.0), len(u)))
    floor = Anchors(
        u.astype(float), v.astype(float), wrong, np.full(len(u), 0.03), "ground plane",
        representative=False,
    )  # fmt: skip
    fit = MetricScaler(LOG).fit(truth, [points_, floor], CAMERA, METRIC)
    alone = MetricScaler(LOG).fit(truth, [floor], CAMERA, METRIC)
    assert alone.problem
    assert fit.problem == "" and "ground plane" in fit.note
    assert fit.state.scale == pytest.approx(1.0, abs=0.05)
