"""`model: none`: depth of a sensor and names of a detector, and every answer is a measurement.

No inference engine, no weights: the same questions, the same answers, without a text of a model.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.errors import ScaleError
from cooper_ros.core.query import Query
from cooper_ros.core.types import (
    NAN,
    DepthMap,
    Frame,
    ScaleReport,
    ScaleSource,
    Segmentation,
    SpatialAnswer,
)
from cooper_ros.reasoning.questions import parse_question
from cooper_ros.runtime.cancel import CancelToken
from cooper_ros.runtime.events import Event
from cooper_ros.runtime.measuring import measured_events
from cooper_ros.runtime.naming import Naming, names_for

NO_MODEL = "none"
"""Name of no model: parameter `model`, `model_id`, `backend`."""

MEASURED_MODE = "measured"
NEEDS_MODEL = "there is no model (parameter model is none): ask with MODE_AUTO"
NO_DEPTH = "there is no depth for this image: is the depth camera running?"


@dataclass(frozen=True)
class NoDepthSettings:
    """What stands where a model describes its depth."""

    min_m: float = NAN
    max_m: float = NAN
    metric: bool = False

    def scale_prior(self) -> Any:
        """Raise ScaleError: there is nothing that a scale could be found for."""
        raise ScaleError("there is no model whose depth could get a scale (model is none)")


@dataclass(frozen=True)
class NoModelSpec:
    """What stands where a model describes itself."""

    depth: NoDepthSettings = NoDepthSettings()
    segmentation: None = None
    map_placement: str = "none"


class MeasuredContext:
    """A frame without a model: what others see in it. Interface as `FrameContext`."""

    has_model = False
    model_id = NO_MODEL
    calibration = real = None

    def __init__(self, frame: Frame, naming: Naming) -> None:
        self.frame = frame
        self.naming = naming
        self.spec = NoModelSpec()
        self.gravity: NDArray[np.float64] | None = None
        self._segmentation: Segmentation | None = None
        unknown = np.full((frame.height, frame.width), np.nan, np.float32)
        self._depth = DepthMap(
            unknown,
            unknown,
            np.full((1, 1), np.nan, np.float32),
            False,
            intrinsics=_usable(frame),
            stamp_ns=frame.stamp_ns,
            frame_id=frame.frame_id,
            scale=ScaleReport(message=NO_DEPTH),
            confidence_method="none",
        )

    def depth(self, cancel: CancelToken | None = None) -> DepthMap:
        """The sensor's depth, as it is; nothing but NaN until `put_depth`."""
        return self._depth

    def put_depth(self, depth: DepthMap) -> None:
        """Take this depth of the same frame."""
        self._depth = depth

    def note_scale(self, report: ScaleReport) -> None:
        """Say why there is no depth."""
        self._depth = replace(self._depth, scale=report)

    def segmentation(self, cancel: CancelToken | None = None) -> Segmentation:
        """What others named; nothing until `put_segmentation`."""
        if self._segmentation is None:
            height, width = self._depth.depth.shape
            nothing = np.full((height, width), 255, np.uint8)
            return Segmentation(
                nothing,
                np.zeros((height, width), np.uint16),
                self.naming.names,
                np.full((1, 1), np.nan, np.float32),
                (),
                self.frame.stamp_ns,
                self.frame.frame_id,
                self.frame.full_size,
            )
        return self._segmentation

    def put_segmentation(self, segmentation: Segmentation) -> None:
        """Take what others named in this frame."""
        self._segmentation = segmentation

    def drop_scores(self) -> None:
        """There are none."""

    @property
    def has_metres(self) -> bool:
        """Whether there is depth."""
        return self._depth.metric

    @property
    def scale_source(self) -> ScaleSource:
        """Where the metres come from."""
        return self._depth.scale_source

    def ask(
        self,
        question: str,
        mode: str = MEASURED_MODE,
        cancel: CancelToken | None = None,
        decoding: object = None,
    ) -> Iterator[Event]:
        """Answer by measurement; see `FrameContext.ask`. Raises QuestionError."""
        query: Query = parse_question(question, names_for(self), self.naming.synonyms)
        return measured_events(self, question, query, cancel, time.monotonic())

    def answer(self, question: str) -> SpatialAnswer:
        """The answer alone."""
        *_, last = self.ask(question)
        assert isinstance(last, SpatialAnswer)
        return last


class MeasuredPipeline:
    """Stands where a model would: `see` gives a context per image."""

    has_model = False
    model_id = backend_name = NO_MODEL
    folder = calibration = engine = None

    def __init__(self) -> None:
        self.spec = NoModelSpec()
        self.naming = Naming(open=True)
        self.min_score = -1.0

    def see(self, frame: Frame) -> MeasuredContext:
        """Take an image; nothing is computed yet."""
        return MeasuredContext(frame, self.naming)


def _usable(frame: Frame) -> Any:
    camera = frame.intrinsics
    return camera if camera is not None and camera.is_valid else None
