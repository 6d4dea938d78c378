"""Images meet their detections and labels by stamp."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rclpy")

from builtin_interfaces.msg import Time  # noqa: E402

from cooper_ros.ros import name_inputs  # noqa: E402
from cooper_ros.ros.name_inputs import DETECTIONS, LABELS, NameInputs  # noqa: E402
from cooper_ros.ros.slots import Snapshot  # noqa: E402

PERIOD_NS = 33_000_000


class StandIn:
    """A node without a graph: topics are connected and fed by hand."""

    def resolve_topic_name(self, name: str) -> str:
        return f"/{name}"

    def get_publishers_info_by_topic(self, topic: str) -> list[Any]:
        return []

    def destroy_subscription(self, subscription: Any) -> None:
        pass


class Bench:
    def __init__(self, *roles: str, depth: Any = None) -> None:
        self.out: list[Snapshot] = []
        self.inputs = NameInputs(
            StandIn(), "", self.out.append, depth or (lambda stamp_ns: True)
        )
        for role in roles:
            self.inputs.topics[role]._subscription = object()
        self.inputs.wait_s = 3600.0

    def image(self, number: int) -> None:
        self.inputs.hold(Snapshot(None, stamp_ns=number * PERIOD_NS))

    def partner(self, role: str, number: int, off_ns: int = 0) -> Any:
        stamp_ns = number * PERIOD_NS + off_ns
        stamp = Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
        message = SimpleNamespace(header=SimpleNamespace(stamp=stamp))
        self.inputs.topics[role]._receive(message)
        return message

    @property
    def seen(self) -> list[int]:
        return [snapshot.stamp_ns // PERIOD_NS for snapshot in self.out]


def test_an_image_goes_on_when_its_detections_come() -> None:
    bench = Bench(DETECTIONS)
    bench.image(1)
    bench.image(2)
    assert not bench.out
    late = bench.partner(DETECTIONS, 1, off_ns=5_000_000)
    assert bench.seen == [1] and bench.out[0].names.detections is late


def test_older_boxes_are_never_used() -> None:
    bench = Bench(DETECTIONS)
    bench.partner(DETECTIONS, 1)
    bench.image(2)
    assert not bench.out
    bench.inputs.wait_s = 0.0
    bench.inputs.look()
    assert bench.seen == [2] and not bench.out[0].names.named
    assert bench.out[0].names.missing == "/detections" and bench.inputs.incomplete == 1


def test_images_that_a_slow_detector_skips_do_not_take_the_place_of_complete_ones() -> None:
    bench = Bench(DETECTIONS)
    bench.image(1)
    bench.partner(DETECTIONS, 1)
    bench.inputs.wait_s = 0.0
    bench.image(2)
    bench.image(3)
    assert bench.seen == [1] and bench.inputs.incomplete == 2
    bench.inputs._last_complete -= name_inputs.INCOMPLETE_AFTER_S  # the detector fell silent
    bench.image(4)
    assert bench.seen == [1, 4]


def test_it_waits_for_all_that_somebody_publishes() -> None:
    ready: list[int] = []
    bench = Bench(DETECTIONS, LABELS, depth=lambda stamp_ns: stamp_ns in ready)
    bench.image(1)
    bench.partner(DETECTIONS, 1)
    bench.partner(LABELS, 1)
    assert not bench.out
    ready.append(PERIOD_NS)
    bench.inputs.look()
    assert bench.seen == [1]


def test_stamps_that_never_meet_are_told() -> None:
    bench = Bench(LABELS)
    bench.inputs.wait_s = 0.0
    bench.partner(LABELS, 100)
    bench.image(1)
    (said,), values = bench.inputs.report()
    assert "/labels" in said and "3.27 s" in said and "sync_tolerance_s" in said
    assert values["images without names in time"] == 1


def test_messages_without_a_stamp_belong_to_no_image() -> None:
    bench = Bench(DETECTIONS)
    bench.inputs.wait_s = 0.0
    bench.partner(DETECTIONS, 0)
    bench.image(1)
    assert not bench.out[0].names.named
    assert "have no stamp" in bench.inputs.why_missing


def test_nobody_there_is_told() -> None:
    assert "nobody publishes /detections or /labels" in Bench().inputs.why_missing


def test_waiting_images_are_bounded() -> None:
    bench = Bench(DETECTIONS)
    for number in range(1, 100):
        bench.image(number)
    assert len(bench.inputs._waiting) == name_inputs.KEPT
