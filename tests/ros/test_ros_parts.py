"""Small parts of the node without processes: messages, distances, calls, environment, pictures."""

from __future__ import annotations

import asyncio
import math
import time
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from cooper_ros.core import types  # noqa: E402
from cooper_ros.core.errors import NotMetricError, QuestionError  # noqa: E402
from cooper_ros.core.segments import build_segmentation  # noqa: E402
from cooper_ros.ros import diagnostics, environment, messages  # noqa: E402
from cooper_ros.ros.calls import PendingCall  # noqa: E402
from cooper_ros.ros.distances import measure_items  # noqa: E402
from cooper_ros.ros.overlay import depth_picture, draw_overlay  # noqa: E402
from cooper_ros.ros.refusals import BusyError, message_of, status_of  # noqa: E402

NAMES = ("floor", "mug", "chair")
CAMERA = types.Intrinsics.from_fov(70.0, 64, 48)
Status = types.Status


def scene(metric: bool = True) -> tuple[types.DepthMap, types.Segmentation]:
    """A floor at 4 m, one mug at 1 m, two chairs at 2 and 3 m."""
    labels = np.zeros((48, 64), np.uint8)
    depth = np.full((48, 64), 4.0, np.float32)
    for class_id, z, rows, columns in (
        (1, 1.0, slice(4, 12), slice(4, 12)),
        (2, 2.0, slice(20, 40), slice(10, 24)),
        (2, 3.0, slice(20, 40), slice(40, 60)),
    ):
        labels[rows, columns], depth[rows, columns] = class_id, z
    score = np.ones_like(depth)
    segmentation = build_segmentation(
        labels, score, NAMES, depth=depth if metric else None, intrinsics=CAMERA,
        stuff=("floor",), min_pixels=4, stamp_ns=5_000_000_007, frame_id="optical",
    )  # fmt: skip
    values = depth if metric else np.full_like(depth, np.nan)
    return types.DepthMap(
        values, depth / 4, score, metric,
        types.ScaleSource.MODEL_PRIOR if metric else types.ScaleSource.UNKNOWN,
        CAMERA if metric else None, 5_000_000_007, "optical",
    ), segmentation  # fmt: skip


def test_distances_to_names() -> None:
    depth, segmentation = scene()
    mug, cup, mugs, chair, vase = measure_items(
        ["mug", " Cup ", "mugs", "chair", "vase"], [], depth, segmentation
    )
    assert mug.status is Status.OK and mug.distance_m == pytest.approx(1.25, abs=0.1)
    assert cup.distance_m == mugs.distance_m == mug.distance_m
    assert chair.status is Status.AMBIGUOUS and "2 objects" in chair.message
    near, far = sorted(candidate.distance_m for candidate in chair.candidates)
    assert near < 2.5 < 3.0 < far
    assert vase.status is Status.BAD_QUESTION and "floor, mug, chair" in vase.message
    labels = np.zeros((48, 64), np.uint8)
    empty = build_segmentation(labels, np.ones((48, 64), np.float32), NAMES, stuff=("floor",))
    assert measure_items(["mug"], [], depth, empty)[0].status is Status.NOT_VISIBLE


def test_distances_to_pixels() -> None:
    depth, segmentation = scene()
    inside, corner, outside, hole = measure_items(
        [], [(8.0, 8.0), (63.0, 47.0), (64.0, 3.0), (0.0, 0.0)], _with_hole(depth), segmentation
    )
    assert inside.status is Status.OK and inside.reference.label == "mug"
    x = (8.0 - CAMERA.cx) / CAMERA.fx
    y = (8.0 - CAMERA.cy) / CAMERA.fy
    assert inside.distance_m == pytest.approx(math.sqrt(x * x + y * y + 1.0), rel=1e-5)
    assert inside.position == pytest.approx((x, y, 1.0), rel=1e-5)
    assert corner.status is Status.OK and corner.reference.label == "floor"
    assert outside.status is Status.BAD_QUESTION and "64x48" in outside.message
    assert hole.status is Status.NO_ANSWER and math.isnan(hole.distance_m)


def _with_hole(depth: types.DepthMap) -> types.DepthMap:
    depth.depth[0, 0] = np.nan
    return depth


def test_without_metres_there_are_no_distances() -> None:
    depth, segmentation = scene(metric=False)
    name, pixel = measure_items(["mug"], [(8.0, 8.0)], depth, segmentation)
    assert name.status is pixel.status is Status.NOT_METRIC
    assert math.isnan(name.distance_m) and math.isnan(pixel.distance_m)
    (nameless,) = measure_items(["mug"], [], depth, None)
    assert nameless.status is Status.BAD_QUESTION and "pixels" in nameless.message


def test_an_answer_survives_the_way_over_the_wire() -> None:
    reference = types.ObjectReference("mug", 1, 3, (1, 2, 3, 4), (0.1, -0.2, 1.5), 1.52, 0.875)
    step = types.ReasoningStep(types.StepType.THINK, "mug", 7, 0.25)
    answer = types.SpatialAnswer(
        "how far is the mug ?", types.Kind.DISTANCE, Status.OK, "1.50 m", 1.5, "m", 1.52, True,
        1.25, 1.75, 0.5, (reference,), (step,), types.ScaleSource.MODEL_PRIOR, 5_000_000_007,
        "optical", "nano@0", "", 0.75,
    )  # fmt: skip
    message = messages.to_answer(answer, return_trace=True, image_age_s=0.5)
    assert messages.from_answer(message) == answer
    assert (message.image_age.sec, message.image_age.nanosec) == (0, 500_000_000)
    assert not messages.to_answer(answer).trace, "the trace goes out on request only"
    count = types.SpatialAnswer("how many mugs are there ?", types.Kind.COUNT, Status.OK)
    assert messages.to_answer(count).unit == "1"
    assert messages.from_answer(messages.to_answer(count)).unit == ""


def test_unknown_numbers_are_nan_on_the_wire() -> None:
    message = messages.to_answer(types.SpatialAnswer("?"))
    for name in ("value", "measured", "low", "high", "confidence"):
        assert math.isnan(getattr(message, name)), name
    depth, segmentation = scene(metric=False)
    info = messages.to_depth_info(depth, 0.25, 10.0, 0.1)
    assert not info.metric and math.isnan(info.scale) and math.isnan(info.max_range)
    segments = messages.to_segment_array(segmentation).segments
    assert all(math.isnan(segment.distance) for segment in segments)


def test_constants_of_messages_are_those_of_the_core() -> None:
    from cooper_ros.msg import DepthInfo, ReasoningStep, SpatialAnswer

    for enum, message, prefix in (
        (types.Status, SpatialAnswer, "STATUS_"),
        (types.Kind, SpatialAnswer, "KIND_"),
        (types.ScaleSource, DepthInfo, "SCALE_"),
        (types.StepType, ReasoningStep, "TYPE_"),
    ):
        numbers = {
            name.removeprefix(prefix): getattr(message, name)
            for name in dir(message)
            if name.startswith(prefix)
        }
        assert numbers == {member.name: member.value for member in enum}


def test_segments_are_sent_larger_first_with_stamp_and_frame() -> None:
    _, segmentation = scene()
    message = messages.to_segment_array(segmentation)
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (5, 7)
    assert message.header.frame_id == "optical"
    counts = [segment.pixel_count for segment in message.segments]
    assert counts == sorted(counts, reverse=True) and len(counts) == 4


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (QuestionError("?"), Status.BAD_QUESTION),
        (NotMetricError("no K"), Status.NOT_METRIC),
        (BusyError("later"), Status.BUSY),
        (ValueError("oops"), Status.ERROR),
    ],
)
def test_every_error_has_a_status_and_a_sentence(error: Exception, status: Status) -> None:
    assert status_of(error) is status
    assert str(error) in message_of(error)


def result_of(call: PendingCall) -> Any:
    async def wait() -> Any:
        return await call

    waiting = wait()
    try:
        waiting.send(None)
    except StopIteration as end:
        return end.value
    waiting.close()
    return "waiting"


def test_the_first_end_of_a_call_counts() -> None:
    woken: list[int] = []
    call = PendingCall(lambda p, _: f"saw {p}", lambda e: f"refused: {e}", 60.0,
                       lambda: woken.append(1))  # fmt: skip
    assert result_of(call) == "waiting" and not call.expire()
    call.run("a cat")
    call.fail(ValueError("late"))
    assert result_of(call) == "saw a cat" and woken == [1]


def test_a_call_that_expires_cancels_its_work() -> None:
    call = PendingCall(lambda p, _: p, lambda e: status_of(e), 0.0, lambda: None)
    assert call.expire() and call.cancel.cancelled
    assert result_of(call) is Status.TIMEOUT
    call.run("too late")
    assert result_of(call) is Status.TIMEOUT


def test_the_environment_keeps_what_the_user_said() -> None:
    mine = {"FASTRTPS_DEFAULT_PROFILES_FILE": "mine.xml", "OMP_NUM_THREADS": "7"}
    environment.set_defaults(mine)
    assert mine["FASTRTPS_DEFAULT_PROFILES_FILE"] == "mine.xml" and mine["OMP_NUM_THREADS"] == "7"
    empty: dict[str, str] = {}
    environment.set_defaults(empty)
    profile = empty["FASTRTPS_DEFAULT_PROFILES_FILE"]
    assert empty["FASTDDS_DEFAULT_PROFILES_FILE"] == profile  # the name that Kilted reads
    newer = {"FASTDDS_DEFAULT_PROFILES_FILE": "mine.xml"}
    environment.set_defaults(newer)
    assert "FASTRTPS_DEFAULT_PROFILES_FILE" not in newer
    used = "RMW_FASTRTPS_USE_QOS_FROM_XML"
    assert empty[used] == "1" and used not in mine and used not in newer
    launched = {"FASTRTPS_DEFAULT_PROFILES_FILE": profile}
    environment.set_defaults(launched)
    assert launched[used] == "1", "launch files give the profile to all nodes"
    text = open(profile, encoding="utf-8").read()
    assert text.count("<historyMemoryPolicy>DYNAMIC<") == 2  # of readers and of writers
    assert "SHM" in text and "segment_size" in text


def test_rates_forget(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    rate = diagnostics.Rate()
    assert rate.hz == 0.0
    for _ in range(11):
        rate.tick()
        now[0] += 0.2
    assert rate.hz == pytest.approx(5.0)
    now[0] += 100.0
    assert rate.hz == 0.0


def test_pictures_show_what_is_known() -> None:
    depth, segmentation = scene()
    colors = np.array([[10, 10, 10], [250, 0, 0], [0, 0, 250]], np.uint8)
    rgb = np.full((48, 64, 3), 100, np.uint8)
    overlay = draw_overlay(rgb, segmentation, colors, ("floor",))
    assert overlay.shape == rgb.shape and np.all(rgb == 100), "the input is not drawn upon"
    blue = overlay[..., 2].astype(int) - overlay[..., 0]
    chair = segmentation.labels == 2
    assert (blue[chair] > 50).mean() > 0.3, "chairs are blue, where their name is not written"
    assert (blue[segmentation.labels == 0] > 50).mean() < 0.2
    values = depth.depth.copy()
    values[0, 0] = np.nan
    shown = depth_picture(values, 1.0, 4.0)
    assert list(shown[0, 0]) == [128, 128, 128]
    assert shown[8, 8].sum() > shown[45, 30].sum(), "near is bright"


def test_awaiting_works_in_any_event_loop() -> None:
    call = PendingCall(lambda p, _: p, str, 60.0, lambda: None)

    async def both() -> Any:
        asyncio.get_running_loop().call_soon(call.run, "done")
        return await call

    assert asyncio.run(both()) == "done"
