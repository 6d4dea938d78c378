"""Bags recorded before a message grew: their bytes become those of today's definition."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from cooper_ros.core.types import NAN, AnsweredBy, Kind, ObjectReference, SpatialAnswer, Status
from cooper_ros.msg import DepthInfo
from cooper_ros.msg import SpatialAnswer as AnswerMessage
from cooper_ros.ros.bags.definitions import Definitions
from cooper_ros.ros.bags.older import converter
from cooper_ros.ros.messages import from_answer, to_answer

ANSWER, DEPTH = "cooper_ros/msg/SpatialAnswer", "cooper_ros/msg/DepthInfo"
NEW = (
    "question_understood", "answered_by", "memory_age", "checked", "source", "completion_rmse",
    "source_shares",
)  # fmt: skip
"""Fields that version 0.2.0 added."""


def first_definition(type_name: str) -> str:
    """The definition of version 0.1.0: today's without the new fields."""
    text, _ = Definitions().of(type_name)
    return re.sub(rf"^\S+ (?:{'|'.join(NEW)})\s*$\n?", "", text, flags=re.M)


def as_recorded(type_name: str, message: Any) -> bytes:
    """Today's message as bytes of version 0.1.0."""
    store = get_typestore(Stores.EMPTY)
    store.register(get_types_from_msg(first_definition(type_name), type_name))
    now = get_typestore(Stores.EMPTY)
    now.register(get_types_from_msg(Definitions().of(type_name)[0], type_name))
    full = now.deserialize_cdr(serialize_message(message), type_name)
    return bytes(store.serialize_cdr(_reduced(full, store), type_name))


def _reduced(value: Any, store: Any) -> Any:
    if isinstance(value, list):
        return [_reduced(item, store) for item in value]
    if not hasattr(value, "__msgtype__"):
        return value
    kind = store.types[value.__msgtype__]
    names = [name for name, _ in store.fielddefs[value.__msgtype__][1]]
    return kind(**{name: _reduced(getattr(value, name), store) for name in names})


def answer() -> SpatialAnswer:
    mug = ObjectReference("mug", 20, 1, (1, 2, 3, 4), (0.5, 0.25, 1.5), 1.75, 0.5, 7, "model")
    return SpatialAnswer(
        "how far is the mug ?", Kind.DISTANCE, Status.OK, "1.75 m", 1.75, "m", 1.5, True,
        objects=(mug,), stamp_ns=5, frame_id="optical", model_id="nano@1", camera="front",
        question_understood="how far is the mug ?", answered_by=AnsweredBy.BOTH, checked=True,
        seconds=0.5,
    )  # fmt: skip


def test_an_answer_of_the_first_version_is_read() -> None:
    convert = converter(ANSWER, first_definition(ANSWER))
    assert convert is not None
    data = convert(as_recorded(ANSWER, to_answer(answer())))
    found = from_answer(deserialize_message(data, AnswerMessage))
    assert (found.text, found.value, found.measured, found.camera) == ("1.75 m", 1.75, 1.5, "front")
    (mug,) = found.objects
    assert mug.box == (1, 2, 3, 4) and mug.position == (0.5, 0.25, 1.5) and mug.track_id == 7
    assert (found.question_understood, found.answered_by) == ("", AnsweredBy.UNKNOWN)
    assert not found.checked and found.memory_age_s == 0.0 and mug.source == ""


def test_numbers_that_were_not_recorded_are_unknown() -> None:
    convert = converter(DEPTH, first_definition(DEPTH))
    assert convert is not None
    before = DepthInfo(metric=True, scale=1.5, fit_rmse=NAN, anchor_sources=["lidar"])
    found = deserialize_message(convert(as_recorded(DEPTH, before)), DepthInfo)
    assert found.metric and found.scale == 1.5 and found.anchor_sources == ["lidar"]
    assert math.isnan(found.fit_rmse) and math.isnan(found.completion_rmse)
    assert not np.any(found.source_shares)


def test_same_definitions_and_unreadable_ones_are_played_as_they_are() -> None:
    assert converter(ANSWER, Definitions().of(ANSWER)[0]) is None
    assert converter("sensor_msgs/msg/Image", Definitions().of("sensor_msgs/msg/Image")[0]) is None
    assert converter(ANSWER, "") is None and converter(ANSWER, "what is this") is None
