"""Completion: anchors' residuals spread over the picture; robust, honest, quick by its shape."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from cooper_ros.core.anchors import Anchors, anchors_from_depth
from cooper_ros.core.camera import Intrinsics
from cooper_ros.core.completion import Completed, DepthCompleter
from cooper_ros.core.kriging import MAX_ANCHORS, Field, Kernel, Points, _gauss
from cooper_ros.core.scale import LINEAR, LOG, MetricScaler, ScaleState

CAMERA = Intrinsics.from_fov(70.0, 160, 120)
PRIOR = ScaleState.of_model(LOG, metric=True)


def scene(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(true depth, a model's depth) f32 [120, 160]: a floor, a wall and boxes; the model's scale is
    wrong for all, and otherwise for each thing and from place to place."""
    rng = np.random.default_rng(seed)
    rows = np.arange(120)[:, None] + np.zeros((1, 160))
    truth = np.minimum(150.0 / np.maximum(rows - 30.0, 1.0), rng.uniform(3.0, 5.0))
    wrong = np.full(truth.shape, 0.4)
    for _ in range(6):
        x, y = rng.integers(0, 120), rng.integers(10, 90)
        w, h = rng.integers(20, 50, 2)
        box = np.zeros(truth.shape, bool)
        box[y : y + h, x : x + w] = True
        depth = rng.uniform(0.8, 3.0)
        box &= truth > depth
        truth[box], wrong[box] = depth, 0.4 + rng.normal(0.0, 0.12)
    smooth = cv2.resize(rng.normal(0.0, 0.12, (3, 4)), (160, 120), interpolation=cv2.INTER_CUBIC)
    model = truth * np.exp(wrong + smooth)
    return truth.astype(np.float32), model.astype(np.float32)


def pixels(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([seed, count])
    return np.divmod(rng.permutation(120 * 160)[:count], 160)


def sensor(
    truth: np.ndarray, rows: np.ndarray, columns: np.ndarray, **wrong: np.ndarray
) -> Anchors:
    depth = wrong.get("depth", truth[rows, columns].astype(float))
    sigma = wrong.get("sigma", np.full(len(rows), 0.01))
    shared = wrong.get("shared", np.zeros((len(rows), 0)))
    return Anchors(columns.astype(float), rows.astype(float), depth, sigma, "points", shared)


def both(
    truth: np.ndarray, model: np.ndarray, anchors: Anchors
) -> tuple[float, float, Completed, np.ndarray]:
    """(error of the fit, of completion, what was completed, the fitted depth)."""
    state = MetricScaler().fit(model, [anchors], CAMERA, PRIOR).state
    completed = DepthCompleter().complete(model, [anchors], CAMERA, state)
    assert completed is not None
    fitted = state.metres(model)
    errors = [float(np.mean(np.abs(one - truth) / truth)) for one in (fitted, completed.depth)]
    return errors[0], errors[1], completed, fitted


@pytest.mark.parametrize(("count", "most"), [(4, 0.95), (16, 0.75), (64, 0.5), (256, 0.35)])
def test_completion_is_better_than_the_fit_and_more_so_with_more_points(
    count: int, most: float
) -> None:
    errors = []
    for seed in range(6):
        truth, model = scene(seed)
        errors.append(both(truth, model, sensor(truth, *pixels(seed, count)))[:2])
    fit, completed = np.mean(errors, axis=0)
    assert completed <= most * fit


def test_a_third_of_outliers_costs_little() -> None:
    clean, dirty, found = [], [], []
    for seed in range(6):
        truth, model = scene(seed)
        rows, columns = pixels(seed, 64)
        depth = truth[rows, columns].astype(float)
        clean.append(both(truth, model, sensor(truth, rows, columns))[1])
        depth[:19] *= np.random.default_rng(seed).choice([0.3, 0.5, 2.0, 4.0], 19)
        _, error, completed, _ = both(truth, model, sensor(truth, rows, columns, depth=depth))
        dirty.append(error)
        found.append((completed.inlier[:19].mean(), completed.inlier[19:].mean()))
    assert np.mean(dirty) <= 1.34 * np.mean(clean)
    bad, good = np.mean(found, axis=0)
    assert bad < 0.1 and good > 0.85


@pytest.mark.parametrize(("count", "wrong"), [(16, 5), (64, 19)])
def test_outliers_cost_little_more_than_the_points_they_took_the_place_of(
    count: int, wrong: int
) -> None:
    left_out, dirty = [], []
    for seed in range(8):
        truth, model = scene(seed)
        rows, columns = pixels(seed, count)
        depth = truth[rows, columns].astype(float)
        depth[:wrong] *= np.random.default_rng(seed).choice([0.3, 0.5, 2.0, 4.0], wrong)
        good = sensor(truth, rows[wrong:], columns[wrong:])
        left_out.append(both(truth, model, good)[1])
        dirty.append(both(truth, model, sensor(truth, rows, columns, depth=depth))[1])
    assert np.mean(dirty) <= 1.34 * np.mean(left_out)


def test_where_the_fit_holds_back_a_factor_the_points_carry_it() -> None:
    """The prior of a model's metres holds a fit to few points back; completion must not stop where
    it stopped."""
    kept = []
    for seed in range(8):
        truth, model = scene(seed)
        anchors = sensor(truth, *pixels(seed, 4))
        completed = DepthCompleter().complete(model, [anchors], CAMERA, PRIOR)  # no fit at all
        assert completed is not None
        off, before = (np.median(np.log(d / truth)) for d in (completed.depth, model))
        kept.append(abs(off / before))
    assert np.mean(kept) < 0.19


def test_flying_pixels_between_two_surfaces_lose_their_weight() -> None:
    truth = np.full((120, 160), 3.0, np.float32)
    rows, columns = pixels(3, 64)
    depth = truth[rows, columns].astype(float)
    depth[5:8] = 1.6, 1.9, 1.3
    completed = both(truth, truth, sensor(truth, rows, columns, depth=depth))[2]
    assert completed.inlier[5:8].mean() < 0.4 and completed.trusted <= 62
    left = np.abs(completed.depth[rows[5:8], columns[5:8]] - 3.0) / np.abs(depth[5:8] - 3.0)
    assert left.max() < 0.5 and left.mean() < 0.25
    assert float(np.median(completed.depth)) == pytest.approx(3.0, abs=0.01)


def test_one_lidar_line_is_never_worse_than_the_fit() -> None:
    for seed in range(6):
        truth, model = scene(seed)
        columns = np.random.default_rng(seed).permutation(160)[:64]
        fit, completed, _, _ = both(truth, model, sensor(truth, np.full(64, 60), columns))
        assert completed <= 1.03 * fit


@pytest.mark.parametrize(("kind", "most"), [("holed", 0.95), ("noise far away", 0.7)])
def test_a_depth_camera_completes_the_rest_of_the_picture(kind: str, most: float) -> None:
    errors = []
    for seed in range(6):
        truth, model = scene(seed)
        depth = truth.copy()
        if kind == "holed":
            depth[:, 60:] = np.nan
        else:
            far = truth > 2.5
            depth[far] *= np.exp(np.random.default_rng(seed).normal(0.0, 0.3, int(far.sum())))
        errors.append(both(truth, model, anchors_from_depth(depth, CAMERA))[:2])
    fit, completed = np.mean(errors, axis=0)
    assert completed <= most * fit


def test_intervals_cover_and_are_narrower_near_anchors() -> None:
    covered, near = [], []
    for seed in range(12):
        truth, model = scene(seed)
        for count in (16, 64):
            rows, columns = pixels(seed, count)
            completed = both(truth, model, sensor(truth, rows, columns))[2]
            width = completed.half_width
            assert width is not None
            covered.append(np.mean(np.abs(np.log(truth / completed.depth)) <= width))
            near.append(width[rows, columns].mean() / width.mean())
    assert 0.85 <= np.mean(covered) <= 0.97
    assert np.mean(near) < 0.8


def test_an_unsure_anchor_moves_less_and_widens_the_interval() -> None:
    flat = np.full((120, 160), 2.0, np.float32)
    rows, columns = np.array([20, 100, 20, 100, 60]), np.array([20, 20, 140, 140, 80])
    depth = np.array([2.0, 2.0, 2.0, 2.0, 2.2])
    moved, width = [], []
    for sigma in (0.01, 0.2):
        own = np.array([0.01, 0.01, 0.01, 0.01, sigma])
        anchors = sensor(flat, rows, columns, depth=depth, sigma=own)
        completed = DepthCompleter().complete(flat, [anchors], CAMERA, PRIOR)
        assert completed is not None and completed.half_width is not None
        moved.append(float(completed.depth[60, 80]) - 2.0)
        width.append(float(completed.half_width[60, 80]))
    assert 0.15 < moved[0] < 0.22 and moved[1] < 0.5 * moved[0]
    assert width[1] > 1.2 * width[0]


def test_an_error_that_all_anchors_share_is_not_taken_for_the_pictures() -> None:
    flat = np.full((120, 160), 2.0, np.float32)
    rows, columns = pixels(1, 32)
    depth = np.full(32, 2.2)
    shifts = []
    for bias in (0.0, 0.3):
        shared = np.full((32, 1), bias)
        anchors = sensor(flat, rows, columns, depth=depth, shared=shared)
        completed = DepthCompleter().complete(flat, [anchors], CAMERA, PRIOR)
        assert completed is not None
        shifts.append(float(np.median(completed.depth)) - 2.0)
    assert shifts[0] == pytest.approx(0.2, abs=0.02)
    assert shifts[1] < 0.5 * shifts[0]


def test_a_residual_stays_on_its_surface() -> None:
    model = np.full((120, 160), 4.0, np.float32)
    model[40:80, 60:100] = 1.0
    rows, columns = np.array([60, 60, 60, 20]), np.array([80, 20, 140, 80])
    depth = np.array([1.15, 4.0, 4.0, 4.0])
    anchors = sensor(model, rows, columns, depth=depth)
    completed = DepthCompleter().complete(model, [anchors], CAMERA, PRIOR)
    assert completed is not None
    assert completed.depth[45, 65] > 1.08  # the box, far from its anchor
    assert completed.depth[45, 57] == pytest.approx(4.0, rel=0.05)  # the wall beside it


@pytest.mark.parametrize("scale", [1, 4])
def test_the_grid_reads_what_the_direct_kernel_says(scale: int) -> None:
    truth, model = scene(4)
    size = (160 * scale, 120 * scale)
    model = np.asarray(cv2.resize(model, size, interpolation=cv2.INTER_LINEAR), np.float32)
    camera = Intrinsics.from_fov(70.0, *size)
    rows, columns = pixels(4, 64)
    anchors = sensor(truth, rows, columns)
    anchors = Anchors(
        anchors.u * scale, anchors.v * scale, anchors.depth_m, anchors.sigma, "points"
    )
    completed = DepthCompleter().complete(model, [anchors], camera, PRIOR)
    assert completed is not None
    points = Points.sample(model, [anchors], camera, PRIOR)
    field = Field.solve(points, Kernel(), PRIOR.noise)
    errors = []
    for v, u in zip(*pixels(9, 100), strict=True):
        v, u = v * scale, u * scale
        x, y = (u + 0.5) / size[0] - 0.5, (v + 0.5 - size[1] / 2) / size[0]
        log = math.log(model[v, u])
        direct = field.mean(np.array([x]), np.array([y]), np.array([log])).item()
        errors.append(abs(math.log(completed.depth[v, u]) - log - direct))
    assert np.median(errors) < 0.004 and np.mean(errors) < 0.01


def test_holes_stay_holes_and_without_anchors_there_is_nothing_to_add() -> None:
    truth, model = scene(1)
    model[10:20, 30:50] = np.nan
    model[30, 30] = 0.0
    completed = both(truth, model, sensor(truth, *pixels(1, 16)))[2]
    assert completed.half_width is not None
    for plane in (completed.depth, completed.half_width):
        assert np.isnan(plane[10:20, 30:50]).all() and np.isnan(plane[30, 30])
        assert np.isfinite(plane).sum() == 120 * 160 - 201
    hole = sensor(truth, np.array([15, 16]), np.array([40, 41]))
    assert DepthCompleter().complete(model, [hole], CAMERA, PRIOR) is None
    assert DepthCompleter().complete(model, [], CAMERA, PRIOR) is None


def test_the_models_depth_is_left_as_it_was() -> None:
    truth, model = scene(1)
    model[10:20, 30:50] = 0.0
    before = model.copy()
    both(truth, model, sensor(truth, *pixels(1, 16)))
    np.testing.assert_array_equal(model, before)


def test_products_of_three_kernel_values_are_normal_numbers() -> None:
    """Far from an anchor they were denormal, which cost twenty times the arithmetic."""
    far = _gauss(np.array([-0.5]), np.linspace(-0.5, 0.5, 400), 0.039)
    assert far.dtype == np.float32 and (far**3 > np.finfo(np.float32).tiny).all()
    assert far.min() < 1e-10


def test_depth_of_the_linear_form_is_completed_too() -> None:
    truth, model = scene(2)
    relative = ((truth - 0.3) / 2.0).astype(np.float32)
    anchors = sensor(truth, *pixels(2, 64))
    prior = ScaleState.of_model(LINEAR, metric=False)
    state = MetricScaler(LINEAR).fit(relative, [anchors], CAMERA, prior).state
    completed = DepthCompleter().complete(relative, [anchors], CAMERA, state)
    assert completed is not None
    assert float(np.nanmean(np.abs(completed.depth - truth) / truth)) < 0.02


def test_many_anchors_are_thinned() -> None:
    truth, model = scene(5)
    completed = both(truth, model, sensor(truth, *pixels(5, 4000)))[2]
    assert MAX_ANCHORS * 0.8 <= completed.anchor_count <= MAX_ANCHORS
