"""Detections and label images as detectors send them, good ones and bad ones."""

from __future__ import annotations

import math
from collections import Counter
from types import SimpleNamespace as Message
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")

from cooper_ros.core.errors import InvalidImageError  # noqa: E402
from cooper_ros.core.named_maps import UNNAMED  # noqa: E402
from cooper_ros.msg import LabelInfo  # noqa: E402
from cooper_ros.ros import name_messages  # noqa: E402
from cooper_ros.ros.conversion import array_to_image  # noqa: E402
from cooper_ros.ros.name_messages import (  # noqa: E402
    NameTable,
    read_detections,
    read_instances,
    read_label_info,
    read_labels,
)

SIZE = (640, 480)


def detection(
    name: str = "Cup",
    score: float = 0.8,
    box: tuple[float, float, float, float] = (100.0, 80.0, 40.0, 30.0),
    older: bool = False,
    **fields: Any,
) -> Message:
    """A Detection2D of Humble and later, or (`older`) of Foxy."""
    place = Message(x=box[0], y=box[1])
    centre = Message(**vars(place), theta=0.0) if older else Message(position=place, theta=0.0)
    result = Message(id=name, score=score)
    if not older:
        result = Message(hypothesis=Message(class_id=name, score=score))
    parts = {"results": [result], "id": "", **fields}
    return Message(bbox=Message(center=centre, size_x=box[2], size_y=box[3]), **parts)


def read(*items: Message, least: float = 0.0, **numbers: str) -> tuple[list, Counter[str]]:
    problems: Counter[str] = Counter()
    known = {int(key[1:]): name for key, name in numbers.items()}
    table = NameTable()
    found = read_detections(
        Message(detections=list(items)), table, known, SIZE, "/yolo", least, problems
    )
    return [(table.names[i.class_id], i.box, i.score, i.instance) for i in found], problems


@pytest.mark.parametrize("older", [False, True])
def test_a_detection_is_read_whatever_the_distribution(older: bool) -> None:
    found, problems = read(detection(older=older))
    assert found == [("cup", (80, 65, 40, 30), 0.8, 0)] and not problems


def test_numbers_are_named_by_label_info() -> None:
    assert read(detection("41"), n41="Cup")[0][0][0] == "cup"
    found, problems = read(detection("41"))
    assert not found and problems == {name_messages.NUMBER_ONLY: 1}


def test_a_box_that_reaches_out_is_cut_and_a_turned_one_is_framed() -> None:
    assert read(detection(box=(10.0, 10.0, 60.0, 60.0)))[0][0][1] == (0, 0, 40, 40)
    turned = detection(box=(100.0, 80.0, 40.0, 20.0))
    turned.bbox.center.theta = math.pi / 2
    assert read(turned)[0][0][1] == (90, 60, 20, 40)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (detection(score=1.5), name_messages.BAD_SCORE),
        (detection(score=math.nan), name_messages.BAD_SCORE),
        (detection(score=-0.1), name_messages.BAD_SCORE),
        (detection(""), name_messages.NO_NAME),
        (detection(results=[]), name_messages.NO_NAME),
        (detection("\x00!!"), name_messages.NO_LETTERS),
        (detection(box=(900.0, 80.0, 40.0, 30.0)), name_messages.OUTSIDE),
        (detection(box=(1e30, 1e30, 40.0, 30.0)), name_messages.OUTSIDE),
        (detection(box=(100.0, 80.0, 0.0, 30.0)), name_messages.BAD_BOX),
        (detection(box=(100.0, math.nan, 40.0, 30.0)), name_messages.BAD_BOX),
        (detection(box=(100.0, 80.0, math.inf, 30.0)), name_messages.BAD_BOX),
        (detection("9" * 400), name_messages.NUMBER_ONLY),
    ],
)
def test_bad_detections_are_skipped_and_counted(bad: Message, reason: str) -> None:
    found, problems = read(bad, detection("bowl"))
    assert [item[0] for item in found] == ["bowl"] and problems == {reason: 1}


def test_two_detectors_on_one_topic_count_a_thing_once() -> None:
    found, problems = read(detection(), detection("cup", 0.9), detection("bowl"))
    assert [(item[0], item[2]) for item in found] == [("cup", 0.9), ("bowl", 0.8)]
    assert problems == {name_messages.TWICE: 1}


def test_scores_ids_and_numbers_of_detections() -> None:
    assert not read(detection(score=0.3), least=0.5)[0]
    assert read(detection(id="12"))[0][0][3] == 12
    assert read(detection(id="track-12"))[0][0][3] == read(detection(id="99999"))[0][0][3] == 0
    many = [detection(f"thing {chr(97 + i % 26)}{i}") for i in range(300)]
    found, problems = read(*many)
    assert problems[name_messages.TOO_MANY] == 44 and len(found) <= UNNAMED
    assert problems[name_messages.TABLE_FULL] == 256 - UNNAMED


def test_both_kinds_of_label_info() -> None:
    vision = Message(class_map=[Message(class_id=3, class_name="cup")])
    assert read_label_info(vision) == ({3: "cup"}, frozenset())
    ours = LabelInfo(class_ids=[3, 4], names=["cup", "road"], countable=[True, False])
    assert read_label_info(ours) == ({3: "cup", 4: "road"}, frozenset({"road"}))
    torn = LabelInfo(class_ids=[3, 4], names=["cup"], countable=[])
    assert read_label_info(torn) == ({3: "cup"}, frozenset())


@pytest.mark.parametrize(("dtype", "encoding"), [("u1", "mono8"), ("u2", "mono16")])
def test_label_images(dtype: str, encoding: str) -> None:
    values = np.zeros((240, 320), dtype)
    values[10:20, 30:40] = 9
    table = NameTable(("floor",))
    ids = read_labels(array_to_image(values, encoding), table, {9: "Traffic_Cone"}, SIZE)
    assert table.names == ("floor", "traffic cone")
    assert (ids == 1).sum() == 100 and (ids == UNNAMED).sum() == ids.size - 100


@pytest.mark.parametrize(
    ("shape", "encoding", "reason"),
    [
        ((480, 480), "mono8", "does not show the same"),
        ((480, 640), "32FC1", "must be mono8 or mono16"),
        ((480, 640), "mono8", "has a name in label_info"),
    ],
)
def test_bad_label_images_are_refused(
    shape: tuple[int, int], encoding: str, reason: str
) -> None:
    values = np.full(shape, 5, "f4" if encoding == "32FC1" else "u1")
    with pytest.raises(InvalidImageError, match=reason):
        read_labels(array_to_image(values, encoding), NameTable(), {9: "cone"}, SIZE)


def test_a_cut_label_image_is_refused() -> None:
    image = array_to_image(np.zeros((480, 640), np.uint16), "mono16")
    image.data = image.data[:1000]
    with pytest.raises(InvalidImageError):
        read_instances(image, SIZE)


def test_whatever_a_detector_sends_is_read_or_counted() -> None:
    random = np.random.default_rng(7)
    numbers = (0.0, -1.0, 1.0, 0.5, 37.5, 639.5, 1e9, -1e308, 1e308, math.inf, -math.inf, math.nan)
    names = ("Cup", "", "\ud800", "\x00", "9" * 4000, "a_" * 3000, "\u0663", "\u4e2d\u6587", "41")
    for _ in range(300):
        u, v, wide, tall, theta, score = (float(random.choice(numbers)) for _ in range(6))
        item = detection(str(random.choice(names)), score, (u, v, wide, tall))
        item.bbox.center.theta = theta
        found, problems = read(item, n41="\u00e9tag\u00e8re")
        assert len(found) + sum(problems.values()) == 1
        for name, (x, y, width, height), kept, _ in found:
            assert name == name.strip() and len(name) <= 64 and 0.0 <= kept <= 1.0
            assert 0 <= x < x + width <= SIZE[0] and 0 <= y < y + height <= SIZE[1]
