"""Metres from anchors without ROS: maps and answers follow them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cooper_ros.core.anchors import Anchors, anchors_from_points
from cooper_ros.core.errors import ScaleError
from cooper_ros.core.projection import pixel_rays
from cooper_ros.core.types import Frame, ScaleSource
from cooper_ros.runtime.anchoring import anchor
from cooper_ros.runtime.context import Engine
from cooper_ros.runtime.frame_context import FrameContext
from cooper_ros.runtime.pipeline import CooperPipeline

ROWS, COLUMNS = (a.ravel() for a in np.mgrid[5:60:10, 5:80:10])


def seen(engine: Engine, frame: Frame) -> FrameContext:
    """A wall 3 m away with a mug 1.5 m away in it, as the model draws it."""
    context = CooperPipeline(engine, "toy@1").see(frame)
    depth = np.full((60, 80), 3.0, np.float32)
    labels = np.ones((60, 80), np.uint8)
    depth[20:40, 30:50], labels[20:40, 30:50] = 1.5, 20
    context.use_depth(depth)
    context.use_segmentation(labels)
    return context


def truth_of(context: FrameContext) -> np.ndarray:
    """The model is wrong by another factor on the left than on the right."""
    return context.nominal_depth() * np.linspace(1.0, 1.5, 80, dtype=np.float32)


def points_of(truth: np.ndarray, frame: Frame) -> Anchors:
    assert frame.intrinsics is not None
    rays = pixel_rays(frame.intrinsics)[ROWS, COLUMNS]
    return anchors_from_points(rays * truth[ROWS, COLUMNS, None], frame.intrinsics)


def test_maps_and_answers_follow_the_points_of_a_frame(engine: Engine, frame: Frame) -> None:
    errors, widths = [], []
    for complete in (True, False):
        context = seen(engine, frame)
        truth = truth_of(context)
        fit = anchor(context, [points_of(truth, frame)], complete=complete)
        assert fit.problem == "" and context.scale_source is ScaleSource.ANCHORED
        depth, segmentation = context.perceive()
        errors.append(np.mean(np.abs(depth.depth / truth - 1.0)))
        assert depth.scale is not None and (depth.scale.method == "completion") is complete
        mug = next(s for s in segmentation.segments if s.label == "mug")
        answer = context.answer("how far is the nearest mug?")
        assert answer.value == pytest.approx(mug.distance_m, rel=0.05)
        assert answer.measured_low < answer.value < answer.measured_high
        assert answer.scale_source is ScaleSource.ANCHORED
        widths.append(answer.measured_high / answer.measured_low)
    assert errors[0] < 0.5 * errors[1] and widths[0] < widths[1]


def test_a_kept_frame_lets_go_of_maps_of_the_interval_and_still_has_one(
    engine: Engine, frame: Frame
) -> None:
    context = seen(engine, frame)
    anchor(context, [points_of(truth_of(context), frame)])
    assert context.depth().half_width is not None
    context.drop_scores()
    assert context.depth().half_width is None and context.depth().confidence.size == 1
    answer = context.answer("how far is the nearest mug?")
    assert answer.measured_low < answer.value < answer.measured_high


def test_a_fit_with_a_problem_changes_nothing(engine: Engine, frame: Frame) -> None:
    context = seen(engine, frame)
    before = context.depth()
    assert anchor(context, []).problem and context.depth() is before
    blind = CooperPipeline(engine, "toy@1").see(replace(frame, intrinsics=None))
    with pytest.raises(ScaleError, match="intrinsics"):
        anchor(blind, [])
