"""Depth of a frame from its anchors: completed where that holds, the fit where it does not."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from cooper_ros.core.anchors import Anchors
from cooper_ros.core.camera import Intrinsics
from cooper_ros.core.metric_depth import (
    completed_depth,
    confidence_of,
    filled_depth,
    fitted_depth,
    rows_of,
    source_on,
    width_on,
)
from cooper_ros.core.scale import LOG, MetricScaler, ScaleState
from cooper_ros.core.segments import build_segmentation
from cooper_ros.core.types import DepthMap, ObjectReference, ScaleReport, ScaleSource

CAMERA = Intrinsics.from_fov(70.0, 80, 60)
PRIOR = ScaleState.of_model(LOG, metric=True)
TRUTH = np.full((60, 80), 4.0, np.float32)
TRUTH[20:50, 10:40] = 1.5
MODEL = TRUTH * 0.8
MODEL[20:50, 10:40] *= 1.15  # what one scale for all cannot mend
NOTHING = np.full_like(TRUTH, np.nan)
DRAWN = DepthMap(MODEL, NOTHING, NOTHING, True, ScaleSource.MODEL_PRIOR, CAMERA)
ROWS, COLUMNS = (a.ravel() for a in np.mgrid[4:60:13, 5:80:14])


def points(depth: np.ndarray | None = None, **fields: object) -> Anchors:
    rows, columns = ROWS, COLUMNS
    depth = TRUTH[rows, columns].astype(float) if depth is None else depth
    count = len(depth)
    one = Anchors(
        columns[:count].astype(float), rows[:count].astype(float), depth, np.full(count, 0.01), "/p"
    )
    return replace(one, **fields)  # type: ignore[arg-type]


def completed(*anchors: Anchors) -> DepthMap:
    fit = MetricScaler().fit(MODEL, anchors, CAMERA, PRIOR)
    report = fit.report((0.25, 10.0))
    return completed_depth(DRAWN, MODEL, fit.state, report, anchors, CAMERA)


def error(depth: DepthMap) -> float:
    return float(np.mean(np.abs(depth.depth / TRUTH - 1.0)))


def test_anchors_complete_the_depth_and_its_provenance_says_so() -> None:
    fit = MetricScaler().fit(MODEL, [points()], CAMERA, PRIOR)
    plain = fitted_depth(DRAWN, MODEL, fit.state, fit.report((0.25, 10.0)))
    found = completed(points())
    assert error(found) < 0.5 * error(plain)
    assert plain.scale is not None and found.scale is not None
    assert (plain.scale.method, found.scale.method) == ("power", "completion")
    assert math.isnan(plain.scale.completion_rmse_m) and found.scale.completion_rmse_m < 1.0
    assert (found.scale.scale, found.scale.exponent) == (plain.scale.scale, plain.scale.exponent)
    assert found.scale_source is ScaleSource.ANCHORED and found.scale.anchor_sources == ("/p",)
    assert plain.half_width is None and plain.confidence is NOTHING


def test_interval_and_confidence_are_better_at_good_anchors_than_away_from_them() -> None:
    left = COLUMNS < 40
    found = completed(points().take(left))
    assert found.half_width is not None and found.confidence_method == "error_below_25pct"
    at = ROWS[left], COLUMNS[left]
    assert found.half_width[at].mean() < 0.8 * found.half_width[:, 60:].mean()
    assert found.confidence[at].mean() > found.confidence[:, 60:].mean()
    assert 0.0 <= found.confidence.min() and found.confidence.max() <= 1.0
    unsure = points(sigma=np.full(len(ROWS), 0.3)).take(left)
    wide = completed(unsure).half_width
    assert wide is not None and wide[at].mean() > 1.3 * found.half_width[at].mean()


def test_confidence_is_the_share_within_25_percent() -> None:
    half = np.array([[math.log(1.25), 1e-3, 10.0, np.nan]], np.float32)
    assert confidence_of(half)[0] == pytest.approx([0.9, 1.0, 0.05, 0.0], abs=0.01)


@pytest.mark.parametrize("kind", ["one point", "only a floor", "none on known depth"])
def test_with_too_few_anchors_the_fit_is_all_there_is(kind: str) -> None:
    given = {
        "one point": points().take(np.array([0])),
        "only a floor": points(representative=False),
        "none on known depth": points(),
    }[kind]
    model = NOTHING if kind == "none on known depth" else MODEL
    report = PRIOR.report(ScaleSource.ANCHORED, (0.25, 10.0))
    found = completed_depth(DRAWN, model, PRIOR, report, [given], CAMERA)
    assert found.scale == report and found.half_width is None
    np.testing.assert_array_equal(found.depth, PRIOR.metres(model).astype(np.float32))


def test_anchors_that_all_contradict_each_other_are_not_spread() -> None:
    wrong = np.exp(np.random.default_rng(3).uniform(-2.0, 3.0, len(ROWS)))
    report = PRIOR.report(ScaleSource.ANCHORED, (0.25, 10.0), message="before")
    found = completed_depth(DRAWN, MODEL, PRIOR, report, [points(wrong)], CAMERA)
    np.testing.assert_allclose(found.depth, MODEL, rtol=1e-6)
    assert found.scale is not None and found.scale.method == "power" and found.half_width is None
    assert found.scale.message.startswith("before; depth was not completed: only ")


def test_a_report_gives_the_interval_by_rising_depth() -> None:
    depth = np.geomspace(0.5, 8.0, 600, dtype=np.float32).reshape(20, 30)
    rows = rows_of(depth, depth / 10.0)
    assert len(rows) == 12 and all(a[0] < b[0] for a, b in zip(rows, rows[1:], strict=False))
    assert all(width == pytest.approx(metres / 10.0, rel=1e-3) for metres, width in rows)
    assert len(rows_of(np.full((4, 4), 2.0, np.float32), depth[:4, :4])) == 1
    assert rows_of(NOTHING, NOTHING) == ()


def test_the_interval_of_an_answer_is_that_of_its_object() -> None:
    labels = np.zeros(TRUTH.shape, np.uint8)
    labels[20:50, 10:40] = 1
    segmentation = build_segmentation(labels, np.ones_like(TRUTH), ("wall", "box"))
    item = next(ObjectReference.from_segment(s) for s in segmentation.segments if s.label == "box")
    width = np.where(labels == 1, np.float32(0.05), np.float32(0.4))
    depth = replace(DRAWN, half_width=width)
    assert width_on(depth, item, segmentation) == pytest.approx(0.05)
    assert math.isnan(width_on(DRAWN, item, segmentation))
    assert math.isnan(width_on(depth, item, None))
    report = ScaleReport(half_widths=((0.5, 0.4), (5.0, 0.4)))
    assert report.length_bounds(1.5, [1.5]) == report.bounds(1.5)
    assert report.length_bounds(1.5, [1.5], [math.nan]) == report.bounds(1.5)
    low, high = report.length_bounds(1.5, [1.5], [0.05])
    assert (low, high) == pytest.approx((1.5 * math.exp(-0.05), 1.5 * math.exp(0.05)))
    one, both = (report.length_bounds(2.0, [1.5, 4.0], w) for w in ([0.05], [0.05, 0.05]))
    assert both[1] < one[1] < report.length_bounds(2.0, [1.5, 4.0])[1]
    sensed = replace(depth, sensed=labels == 0, scale_source=ScaleSource.EXTERNAL)
    assert source_on(sensed, item, segmentation) is ScaleSource.ANCHORED
    assert source_on(replace(depth, sensed=None), item, segmentation) is ScaleSource.MODEL_PRIOR


@pytest.mark.parametrize("complete", [True, False])
def test_holes_of_a_sensor_are_filled_with_the_interval_of_what_fills_them(complete: bool) -> None:
    sensor = TRUTH.copy()
    sensor[:, 50:] = np.nan
    fit = MetricScaler().fit(MODEL, [points()], CAMERA, PRIOR)
    report = fit.report((0.25, 10.0))
    filling = fitted_depth(DRAWN, MODEL, fit.state, report)
    if complete:
        filling = completed(points())
    external = ScaleReport(ScaleSource.EXTERNAL, "sensor", 1.0, 1.0, 0.0)
    found = filled_depth(sensor, filling, external, 0.03)
    np.testing.assert_array_equal(found.depth[:, :50], TRUTH[:, :50])
    np.testing.assert_array_equal(found.depth[:, 50:], filling.depth[:, 50:])
    assert found.sensed is not None and found.half_width is not None and found.scale is not None
    assert found.scale_source is ScaleSource.EXTERNAL and found.scale.method == "sensor"
    assert found.half_width[:, :50] == pytest.approx(0.03)
    assert found.half_width[:, 50:].min() > 0.03
    assert found.sensed[:, :50].all() and not found.sensed[:, 50:].any()
