"""What holds on real pictures: which pictures those are, and what a robot is told of them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from toy_model import HIDDEN, make_engine, write  # type: ignore[import-not-found]

from cooper_ros.core.errors import ModelFolderError
from cooper_ros.core.types import Frame, ScaleReport, ScaleSource, Status
from cooper_ros.runtime.calibration import Calibration
from cooper_ros.runtime.confidence import DEPTH_ONLY, DepthConfidence, feature_names, named
from cooper_ros.runtime.min_score import MinScore
from cooper_ros.runtime.pipeline import CooperPipeline
from cooper_ros.runtime.real_pictures import ALONE, ANCHORED, KEY, Likeness, RealPictures
from cooper_ros.runtime.tokenizer import Tokenizer

ROWS = ((0.5, 0.4, 0.6), (5.0, 4.0, 6.0))


def likeness(width: int = 4, **changes: Any) -> Likeness:
    """Rooms lie around 0, real pictures at 1 of the first axis."""
    direction = np.zeros(width)
    direction[0] = 1.0
    fields = {"least": 0.5, "farthest": 3.0, **changes}
    return Likeness(np.zeros(width), np.ones(width), direction, **fields)


def section(**changes: Any) -> RealPictures:
    fields: dict[str, Any] = {
        "likeness": likeness(),
        "level": 0.9,
        "half_width": 1.0,
        "confidence": {ALONE: (-2.0, 0.0), ANCHORED: (1.0, 0.5)},
        "min_score": {"chair": 0.7},
        "sets": ("tum", "boxes"),
    }
    return RealPictures(**{**fields, **changes})


def everything_real(**changes: Any) -> RealPictures:
    """For the toy model: every picture is unlike simulated rooms."""
    return section(likeness=likeness(HIDDEN, least=-math.inf), **changes)


def toy(tokenizer: Tokenizer, real: RealPictures | None) -> CooperPipeline:
    """The toy model with a calibration from simulation."""
    engine = make_engine(tokenizer)
    pipeline = CooperPipeline(engine)
    names = feature_names(engine.spec, False)
    weights = {DEPTH_ONLY: named(names, [2.0] * 6 + [0.0] * (len(names) - 6))}
    depth = DepthConfidence(0.25, weights)
    pipeline.calibration = Calibration(0.9, {"distance": ROWS, "measured": ROWS}, depth)
    pipeline.real = real
    return pipeline


def test_real_is_what_lies_beyond_the_line_or_far_from_all_rooms() -> None:
    like = likeness()
    assert not like.unlike(np.array([0.4, 1.0, -1.0, 0.0], np.float32))
    assert like.unlike(np.array([0.6, 0.0, 0.0, 0.0], np.float32)), "beyond the line"
    assert like.unlike(np.array([0.0, 9.0, 0.0, 0.0], np.float32)), "nothing like a room"
    assert like.unlike(np.full(4, np.nan, np.float32)) and like.unlike(None), "nobody knows"


def test_the_section_is_read_as_it_was_written() -> None:
    read = RealPictures.from_manifest({KEY: section().to_dict()}, 4)
    assert read is not None and read.to_dict() == section().to_dict()
    assert RealPictures.from_manifest({}) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"level": 1.5},
        {"half_width": -1.0},
        {"half_width": "wide"},
        {"confidence": {"alone": [1.0]}},
        {"min_score": {"chair": 2.0}},
        {"likeness": {}},
        {"likeness": None},
    ],
)
def test_a_damaged_section_is_refused(wrong: dict[str, Any]) -> None:
    manifest = {KEY: {**section().to_dict(), **wrong}}
    with pytest.raises(ModelFolderError):
        RealPictures.from_manifest(manifest, 4)


@pytest.mark.parametrize(
    ("name", "values"),
    [("spread", [0.0] * 4), ("centre", [1.0] * 3), ("direction", [math.nan] * 4)],
)
def test_damaged_vectors_are_refused(name: str, values: list[float]) -> None:
    written = section().to_dict()
    written["likeness"][name] = values
    with pytest.raises(ModelFolderError, match=r"calibrate-real"):
        RealPictures.from_manifest({KEY: written}, 4)


def test_a_section_of_another_model_is_refused() -> None:
    with pytest.raises(ModelFolderError, match="vision tokens of 8"):
        RealPictures.from_manifest({KEY: section().to_dict()}, 8)


def test_only_a_wide_interval_leaves_relative_depth_alone() -> None:
    assert "only what is nearer and what is farther" in section(half_width=1.0).caution
    assert "by a factor of 2.7" in section(half_width=1.0).caution
    narrow = section(half_width=0.2).caution
    assert "by a factor of 1.2" in narrow and "only what" not in narrow


def test_intervals_are_widened_never_narrowed() -> None:
    real = section(half_width=math.log(2.0))
    assert real.widened(2.0, 1.5, 2.5) == pytest.approx((1.0, 4.0))
    assert real.widened(2.0, 0.5, 9.0) == (0.5, 9.0)
    assert real.widened(2.0, math.nan, math.nan) == pytest.approx((1.0, 4.0))


def test_confidence_is_what_it_is_worth_there() -> None:
    sure = np.array([0.5, 0.9, np.nan], np.float32)
    alone, anchored = (section().trusted(sure, kind) for kind in (ALONE, ANCHORED))
    assert alone[:2] == pytest.approx(1.0 / (1.0 + math.exp(2.0)))
    assert anchored[0] == pytest.approx(1.0 / (1.0 + math.exp(-1.0)))
    assert anchored[1] > anchored[0] and np.isnan(anchored[2])
    assert section(confidence={}).trusted(sure, ALONE) is sure


def test_least_scores_are_the_stricter_of_both() -> None:
    least = section(min_score={"chair": 0.7, "mug": 0.1}).stricter(MinScore({"mug": 0.4}))
    assert (least.of("chair"), least.of("mug"), least.of("can")) == (0.7, 0.4, 0.0)
    everything = section().stricter(MinScore({}, everything=0.2))
    assert everything.of("chair") == 0.2, "what somebody asked for stays"


def test_a_picture_like_simulation_is_told_as_before(tokenizer: Tokenizer, frame: Frame) -> None:
    like = section(likeness=likeness(HIDDEN, least=math.inf, farthest=math.inf))
    plain, careful = (toy(tokenizer, real).see(frame) for real in (None, like))
    assert careful.real is None and plain.real is None
    assert careful.depth().scale == plain.depth().scale
    np.testing.assert_array_equal(careful.depth().confidence, plain.depth().confidence)


def test_metres_of_an_unlike_picture_are_wide_unsure_and_say_so(
    tokenizer: Tokenizer, frame: Frame
) -> None:
    depth = toy(tokenizer, everything_real()).see(frame).depth()
    assert depth.metric and depth.scale is not None
    assert depth.scale.source is ScaleSource.MODEL_PRIOR
    assert depth.scale.half_width(2.0) == pytest.approx(1.0)
    assert "unlike those that metres were learned from" in depth.scale.message
    assert float(depth.confidence.max()) < 0.2
    assert float(toy(tokenizer, None).see(frame).depth().confidence.min()) > 0.8


def asked(pipeline: CooperPipeline, frame: Frame, anchored: bool = False) -> Any:
    """The answer about a mug at 1.5 m before a wall."""
    context = pipeline.see(frame)
    depth = np.full((frame.height, frame.width), 3.0, np.float32)
    classes = np.ones((frame.height, frame.width), np.uint8)
    depth[20:40, 30:42], classes[20:40, 30:42] = 1.5, 20
    context.use_depth(depth)
    context.use_segmentation(classes)
    if anchored:
        report = ScaleReport(ScaleSource.ANCHORED, "power", 1.0, 1.0, 0.0)
        found = replace(context.depth(), scale_source=ScaleSource.ANCHORED, scale=report)
        context.put_depth(found)
    write(pipeline.engine, "<answer> 1.50 m </answer>")
    return context.answer("How far is the mug?", "maps"), context.depth()


def test_an_answer_without_anchor_says_so_and_one_with_anchors_does_not(
    tokenizer: Tokenizer, frame: Frame
) -> None:
    plain, _ = asked(toy(tokenizer, None), frame)
    assert plain.status is Status.OK and plain.message == ""
    answer, depth = asked(toy(tokenizer, everything_real()), frame)
    assert answer.status is Status.OK and "unlike those" in answer.message
    assert answer.low <= 1.5 / math.e and answer.high >= 1.5 * math.e
    assert answer.measured_high / answer.measured_low == pytest.approx(math.exp(2.0), rel=1e-3)
    anchored, sure = asked(toy(tokenizer, everything_real()), frame, anchored=True)
    assert anchored.message == "" and (anchored.low, anchored.high) == (plain.low, plain.high)
    assert np.nanmean(sure.confidence) > 0.5 > np.nanmean(depth.confidence)


def test_what_real_pictures_show_wrongly_is_hidden_there(
    tokenizer: Tokenizer, frame: Frame
) -> None:
    for real, shown in ((None, True), (everything_real(min_score={"mug": 1.0}), False)):
        answer, _ = asked(toy(tokenizer, real), frame)
        assert (answer.status is Status.OK) is shown
