"""The shipped model about things that are not there: on a drawn picture, and on real frames."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from cooper_ros.core.errors import ModelFolderError
from cooper_ros.core.paths import find_model_folder
from cooper_ros.core.types import AnsweredBy, Frame, Intrinsics, Status
from cooper_ros.runtime.frame_context import FrameContext
from cooper_ros.runtime.pipeline import CooperPipeline

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

REAL = Path(__file__).parents[3] / "shared" / "rgbd"
DRAWN = "drawn"
PRESENT = ("chair", "cabinet", "door")
"""What both real frames show, and the maps of the model too."""
ABSENT = ("sofa", "bed", "plant", "robot", "bin", "bottle", "mug", "book")
"""What neither of them shows."""


@pytest.fixture(scope="module", params=[DRAWN, "color_00000.jpg", "color_00004.jpg"])
def context(request: pytest.FixtureRequest) -> Iterator[FrameContext]:
    try:
        pipeline = CooperPipeline.open(find_model_folder(), threads=1)
    except ModelFolderError as error:
        pytest.skip(f"no model is shipped with this checkout: {error}")
    yield pipeline.see(_drawn() if request.param == DRAWN else _real(request.param))


def _drawn() -> Frame:
    rows, columns = np.mgrid[0:240, 0:320]
    rgb = np.stack([rows * 0.8, 90 + columns * 0.3, 200 - rows * 0.5], -1)
    rgb[:120] = (180, 175, 160)
    rgb[90:170, 140:190] = (200, 40, 30)
    return Frame(rgb.astype(np.uint8), Intrinsics.from_fov(60.0, 320, 240), 0, DRAWN)


def _real(name: str) -> Frame:
    if not (REAL / name).is_file():
        pytest.skip("real frames ../shared/rgbd are not here")
    rgb = np.ascontiguousarray(cv2.imread(str(REAL / name))[..., ::-1])
    return Frame(rgb, Intrinsics(525.0, 525.0, 319.5, 239.5, 640, 480), 0, name)


def test_nothing_is_answered_that_the_maps_do_not_show(context: FrameContext) -> None:
    shown = {segment.label for segment in context.segmentation().segments}
    absent = [name for name in ABSENT if name not in shown]
    assert context.frame.frame_id == DRAWN or absent == list(ABSENT)
    for name in absent:
        for mode in ("maps", "direct"):
            answer = context.answer(f"how far is the {name} ?", mode)
            assert answer.status is Status.NOT_VISIBLE and math.isnan(answer.value), answer
            assert not answer.checked and answer.message == f"no {name} in view"


def test_what_is_there_stays_answered(context: FrameContext) -> None:
    if context.frame.frame_id == DRAWN:  # what its maps show depends on the weights
        largest = max(context.segmentation().segments, key=lambda segment: segment.pixel_count)
        answer = context.answer(f"how far is the {largest.label} ?", "maps")
        assert answer.checked and answer.status is not Status.NOT_VISIBLE, answer
        return
    for name in PRESENT:
        answer = context.answer(f"how far is the {name} ?", "maps")
        assert answer.status is Status.OK and answer.answered_by is AnsweredBy.BOTH, answer
        assert answer.checked and 1.5 < answer.value < 3.5


def test_real_frames_are_known_to_be_real(context: FrameContext) -> None:
    """A model that was measured on real pictures says of these that its metres may be far off."""
    if context.frame.frame_id == DRAWN:
        return  # like nothing
    scale = context.depth().scale
    assert scale is not None
    if "real_pictures" not in (find_model_folder() / "manifest.json").read_text("utf-8"):
        assert scale.message == ""
        return
    assert "unlike those that metres were learned from" in scale.message
    answer = context.answer("how far is the cabinet ?", "maps")
    assert answer.status is Status.OK and answer.message == scale.message
    factor = 0.99 * math.exp(scale.half_width(2.0))
    assert answer.low <= answer.value / factor and factor * answer.value <= answer.high
    assert context.answer("is there a cabinet ?", "maps").message == ""
