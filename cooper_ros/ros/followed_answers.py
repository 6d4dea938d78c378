"""Ask once, and hear of the same objects in every later frame.

The newest answers whose objects are followed are said again for each frame, measured on where the
objects are now. What the model wrote belongs to the frame it looked at and is not repeated: value
and text are those of the measured distance (`answered_by` MEASURED); other questions have none.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

from cooper_ros.core.types import (
    NAN,
    AnsweredBy,
    Kind,
    ObjectReference,
    ScaleSource,
    Segment,
    SpatialAnswer,
    Status,
)
from cooper_ros.reasoning.canonical import unit_of
from cooper_ros.reasoning.units import format_length

KEPT = 8
"""Questions per camera that are followed; one more ends the oldest."""

FUTURE_NS = 500_000_000
"""An answer about an image that comes so much later [ns] is from before time ran back: the numbers
of its objects are given anew."""


class FollowedAnswers:
    """Answers of one camera. Noted in the executor's thread, continued in the inference thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: OrderedDict[str, SpatialAnswer] = OrderedDict()

    def note(self, answer: SpatialAnswer) -> None:
        """Follow the objects of a finished question; a question asked again replaces itself."""
        with self._lock:
            self._answers.pop(answer.question, None)
            if answer.status is Status.OK and any(item.track_id for item in answer.objects):
                self._answers[answer.question] = answer
                while len(self._answers) > KEPT:
                    self._answers.popitem(last=False)

    def at(
        self,
        segments: Sequence[Segment],
        stamp_ns: int,
        frame_id: str,
        scale_source: ScaleSource,
    ) -> list[SpatialAnswer]:
        """The answers for a frame with these segments. One whose object is gone is told so once."""
        places = {segment.track_id: segment for segment in segments if segment.track_id}
        told = []
        with self._lock:
            for question, answer in list(self._answers.items()):
                if answer.stamp_ns - stamp_ns > FUTURE_NS:
                    del self._answers[question]
                    continue
                if answer.stamp_ns >= stamp_ns:
                    continue  # the frame it was asked about, or one before it
                now = _continued(answer, places)
                told.append(
                    replace(now, stamp_ns=stamp_ns, frame_id=frame_id, scale_source=scale_source)
                )
                if now.status is not Status.OK:
                    del self._answers[question]
        return told


def _continued(answer: SpatialAnswer, places: dict[int, Segment]) -> SpatialAnswer:
    blank = replace(
        answer, value=NAN, measured=NAN, agree=False, low=NAN, high=NAN, confidence=NAN, trace=(),
        seconds=NAN, text="", measured_low=NAN, measured_high=NAN, checked=False,
        answered_by=AnsweredBy.UNKNOWN,
    )  # fmt: skip
    wanted = [item for item in answer.objects if item.track_id]
    lost = [item.label for item in wanted if item.track_id not in places]
    if lost:
        return replace(
            blank,
            status=Status.NOT_VISIBLE,
            message=f"the {' and the '.join(lost)} could not be followed any further: ask again",
        )
    objects = tuple(ObjectReference.from_segment(places[item.track_id]) for item in wanted)
    now = replace(blank, objects=objects, checked=answer.checked, message="followed by tracking")
    distance = _measured(answer, objects)
    if not math.isfinite(distance):
        return now
    return replace(
        now,
        value=distance,
        measured=distance,
        text=format_length(distance, unit_of(answer.question_understood)),
        answered_by=AnsweredBy.MEASURED,
    )


def _measured(answer: SpatialAnswer, objects: tuple[ObjectReference, ...]) -> float:
    """The distance that was asked for, now: to one object, or between two."""
    if answer.kind is not Kind.DISTANCE or len(objects) != len(answer.objects):
        return NAN
    if len(objects) == 1:
        return objects[0].distance_m
    if len(objects) == 2:
        between = math.dist(objects[0].position, objects[1].position)
        return between if math.isfinite(between) else NAN
    return NAN
