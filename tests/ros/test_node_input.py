"""The node process and its input: good, bad, missing. Over DDS; nothing may end the node."""

from __future__ import annotations

import array
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Duration
from diagnostic_msgs.msg import DiagnosticArray
from harness import FRAME, Bench, Process, room_image, room_info
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import DescribeParameters, SetParameters
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_srvs.srv import SetBool

from cooper_ros.msg import DepthInfo, SpatialAnswer
from cooper_ros.ros.conversion import array_to_image, image_to_array
from cooper_ros.ros.messages import time_to_ns
from cooper_ros.ros.parameters import PARAMETERS
from cooper_ros.ros.qos import SensorDataQoS, StandardTopicQoS
from cooper_ros.srv import AskSpatial, QueryDistance

Status = SpatialAnswer


@pytest.fixture(scope="module")
def ask(bench: Bench) -> Any:
    return bench.node.create_client(AskSpatial, "cooper/ask")


@pytest.fixture(scope="module")
def query(bench: Bench) -> Any:
    return bench.node.create_client(QueryDistance, "cooper/query_distance")


@pytest.fixture(scope="module")
def set_parameters(bench: Bench) -> Any:
    return bench.node.create_client(SetParameters, "cooper/set_parameters")


@pytest.fixture(scope="module")
def depth_infos(bench: Bench) -> list[DepthInfo]:
    """A reader of ~/depth/info, which makes the node perceive."""
    return bench.listen(DepthInfo, "cooper/depth/info", StandardTopicQoS())


@pytest.fixture
def show(bench: Bench) -> Iterator[Any]:
    yield bench.show
    bench.show()


def question(text: str, seconds: float = 60.0, **fields: Any) -> AskSpatial.Request:
    whole = int(seconds)
    timeout = Duration(sec=whole, nanosec=int((seconds - whole) * 1e9))
    return AskSpatial.Request(question=text, timeout=timeout, **fields)


def new_message(bench: Bench, received: list, node: Process, check: Any) -> Any:
    """The first message from now on that passes `check`."""
    start = len(received)
    return bench.wait(lambda: next((m for m in received[start:] if check(m)), None), node)


def test_without_an_image_every_service_says_so(
    bench: Bench, node: Process, ask: Any, query: Any
) -> None:
    reply = bench.call(ask, question("how far is the mug ?"), node)
    assert reply.answer.status == Status.STATUS_NO_IMAGE and not reply.success
    assert reply.answer.question_understood.endswith(" ?")  # it was in order, only too early
    assert "no image" in reply.message
    measured = bench.call(query, QueryDistance.Request(names=["mug"]), node)
    assert measured.status == Status.STATUS_NO_IMAGE and list(measured.statuses) == [9]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("how far is the zeppelin ?", "zeppelin"),
        ("x" * 5000, "5000 characters"),
        ("\x00\n?", ""),
    ],
)
def test_questions_that_cannot_be_understood_name_the_words_known(
    bench: Bench, node: Process, ask: Any, text: str, reason: str
) -> None:
    reply = bench.call(ask, question(text), node)
    assert reply.answer.status == Status.STATUS_BAD_QUESTION
    assert reason in reply.message
    assert "mug" in reply.message and "chair" in reply.message
    assert np.isnan(reply.answer.value) and np.isnan(reply.answer.measured)


def test_good_images_give_metric_maps(
    bench: Bench, node: Process, show: Any, depth_infos: list
) -> None:
    images = bench.listen(Image, "cooper/depth/image", SensorDataQoS())
    cameras = bench.listen(CameraInfo, "cooper/depth/camera_info", SensorDataQoS(5))
    show(room_image(), room_info())
    info = new_message(bench, depth_infos, node, lambda m: m.metric)
    assert info.scale_source == DepthInfo.SCALE_MODEL_PRIOR
    assert 0.0 < info.min_range < info.max_range
    message = new_message(bench, images, node, lambda m: True)
    assert (message.encoding, message.height, message.width) == ("32FC1", 240, 320)
    assert message.header.frame_id == "test_optical_frame"
    depth = image_to_array(message)
    assert np.all(np.isfinite(depth)) and depth.min() >= info.min_range * 0.99
    camera = new_message(bench, cameras, node, lambda m: True)
    assert list(camera.k) == pytest.approx(list(room_info().k))


@pytest.mark.parametrize(
    ("why", "reason"),
    [
        ("zero", "zero matrix"),
        ("other camera", "1000x240"),
        ("other frame", "'test_optical_frame', the image is in frame 'second_frame'"),
    ],
)
def test_without_calibration_depth_is_relative_and_says_so(
    bench: Bench, node: Process, show: Any, depth_infos: list, ask: Any, why: str, reason: str
) -> None:
    relative = bench.listen(Image, "cooper/depth/relative", SensorDataQoS())
    metric = bench.listen(Image, "cooper/depth/image", SensorDataQoS())
    info = room_info()
    if why == "zero":
        info.k, info.p = np.zeros(9), np.zeros(12)  # a good P alone would do without a lens
    elif why == "other camera":
        info.width = 1000
    show(room_image(), info, "second_frame" if why == "other frame" else FRAME)
    message = new_message(bench, depth_infos, node, lambda m: not m.metric)
    assert message.scale_source == DepthInfo.SCALE_UNKNOWN and np.isnan(message.max_range)
    since = time_to_ns(message.header.stamp)
    values = image_to_array(new_message(bench, relative, node, lambda m: True))
    assert values.min() >= 0.0 and values.max() <= 1.0
    new_message(bench, depth_infos, node, lambda m: not m.metric)
    # By stamp: topics overtake each other, metres of an earlier frame may still be on their way.
    late = [m for m in metric if time_to_ns(m.header.stamp) >= since]
    assert not late, "metres were published without a calibration"
    reply = bench.call(ask, question("how far is the mug ?"), node)
    assert reply.answer.status == Status.STATUS_NOT_METRIC
    assert np.isnan(reply.answer.value) and np.isnan(reply.answer.measured)
    assert reason in reply.message


BAD_IMAGES = {
    "unknown encoding": ({"encoding": "rgb565"}, "rgb565"),
    "depth as picture": ({"encoding": "16UC1", "step": 640, "height": 360}, "16UC1"),
    "step too small": ({"step": 100}, "step is 100"),
    "data too short": ({"data": array.array("B", bytes(17))}, "17 bytes"),
    "no data": ({"data": array.array("B")}, "0 bytes"),
    "no size": ({"height": 0}, "320x0"),
    "size of a galaxy": ({"width": 2**32 - 1, "height": 2**32 - 1}, "4294967295"),
}


@pytest.mark.parametrize("case", BAD_IMAGES)
def test_bad_images_are_refused_with_the_value_and_the_node_goes_on(
    bench: Bench, node: Process, show: Any, depth_infos: list, ask: Any, case: str
) -> None:
    change, reason = BAD_IMAGES[case]
    image = room_image()
    for name, value in change.items():
        setattr(image, name, value)
    reports = bench.listen(DiagnosticArray, "/diagnostics", StandardTopicQoS())
    show(image, room_info())
    report = new_message(bench, reports, node, lambda m: reason in m.status[0].message)
    assert report.status[0].level == b"\x02"
    reply = bench.call(ask, question("how far is the mug ?"), node)
    assert reply.answer.status == Status.STATUS_ERROR and reason in reply.message
    show(room_image(), room_info())
    new_message(bench, depth_infos, node, lambda m: m.metric)
    new_message(bench, reports, node, lambda m: m.status[0].level == b"\x00")


def test_a_question_may_bring_its_own_image(bench: Bench, node: Process, ask: Any) -> None:
    request = question("is there a chair ?", image=room_image(), camera_info=room_info())
    request.image.header.frame_id = "my_photo"
    reply = bench.call(ask, request, node)
    assert reply.answer.header.frame_id == "my_photo"
    # What the model makes of a hand-drawn picture is its own affair; that it looked is ours.
    refusals = (Status.STATUS_ERROR, Status.STATUS_NO_IMAGE, Status.STATUS_NOT_METRIC)
    assert reply.answer.status not in refusals, reply.message
    broken = question("is there a chair ?", image=array_to_image(np.zeros((4, 4), "u1"), "mono8"))
    broken.image.step = 1
    reply = bench.call(ask, broken, node)
    assert reply.answer.status == Status.STATUS_ERROR and "step is 1" in reply.message


def test_an_old_image_is_refused(bench: Bench, node: Process, show: Any, ask: Any,
                                 set_parameters: Any, depth_infos: list) -> None:
    show(room_image(), room_info())
    new_message(bench, depth_infos, node, lambda m: True)
    bench.call(set_parameters, change("max_image_age_s", 0.001), node)
    show()
    # Whatever is still under way arrives; then the newest image only gets older.
    def stale() -> bool:
        reply = bench.call(ask, question("is there a chair ?"), node)
        return reply.answer.status == Status.STATUS_STALE and "max_image_age_s" in reply.message

    bench.wait(stale, node)
    bench.call(set_parameters, change("max_image_age_s", 2.0), node)


def test_a_deadline_is_kept(bench: Bench, node: Process, show: Any, ask: Any,
                            depth_infos: list) -> None:
    show(room_image(), room_info())
    new_message(bench, depth_infos, node, lambda m: True)
    reply = bench.call(ask, question("how far is the mug ?", seconds=1e-6), node)
    assert reply.answer.status == Status.STATUS_TIMEOUT and "timeout" in reply.message


def test_more_questions_than_may_wait_are_refused_and_all_get_a_reply(
    bench: Bench, node: Process, show: Any, ask: Any, set_parameters: Any, depth_infos: list
) -> None:
    show(room_image(), room_info())
    new_message(bench, depth_infos, node, lambda m: True)
    bench.call(set_parameters, change("queue_size", 2), node)
    texts = [f"is the chair within {number}.50 m ?" for number in range(1, 9)]
    calls = [bench.start(ask, question(text), node) for text in texts]
    replies = [bench.finish(call, node) for call in calls]
    bench.call(set_parameters, change("queue_size", 8), node)
    assert [reply.answer.question for reply in replies] == texts
    busy = [reply for reply in replies if reply.answer.status == Status.STATUS_BUSY]
    assert 0 < len(busy) < len(texts)
    assert all("queue_size" in reply.message for reply in busy)


def test_pixels_and_names_on_the_maps(bench: Bench, node: Process, show: Any, query: Any) -> None:
    show(room_image(), room_info())
    request = QueryDistance.Request(names=["zeppelin"])
    request.pixels = [point(160.0, 120.0), point(-5.0, 0.0), point(float("nan"), 1.0)]
    reply = bench.call(query, request, node)
    assert list(reply.statuses) == [
        Status.STATUS_BAD_QUESTION, Status.STATUS_OK,
        Status.STATUS_BAD_QUESTION, Status.STATUS_BAD_QUESTION,
    ]  # fmt: skip
    assert not reply.success and reply.status == Status.STATUS_BAD_QUESTION
    assert "zeppelin" in reply.message and "320x240" in reply.message
    assert reply.header.frame_id == FRAME
    distance = reply.distances[1]
    x, y, z = reply.positions[1].x, reply.positions[1].y, reply.positions[1].z
    assert distance == pytest.approx((x**2 + y**2 + z**2) ** 0.5) and distance > z * 0.999
    assert np.isnan(reply.distances[0])
    empty = bench.call(query, QueryDistance.Request(), node)
    assert empty.status == Status.STATUS_BAD_QUESTION and len(empty.statuses) == 1


def point(x: float, y: float) -> Any:
    from geometry_msgs.msg import Point

    return Point(x=x, y=y)


def change(name: str, value: Any) -> SetParameters.Request:
    kinds = {bool: ("bool", 1), int: ("integer", 2), float: ("double", 3), str: ("string", 4)}
    field, kind = kinds[type(value)]
    content = ParameterValue(type=kind, **{f"{field}_value": value})
    return SetParameters.Request(parameters=[Parameter(name=name, value=content)])


def test_parameters_from_outside(bench: Bench, node: Process, set_parameters: Any) -> None:
    for name, value, reason in (
        ("queue_size", 0, "queue_size"),
        ("mode", "loud", "auto, interleaved, maps, direct"),
        ("autostart", False, "read-only"),
        ("lazy", 3, "type"),
        ("answer_timeout_s", float("nan"), "answer_timeout_s"),
    ):
        result = bench.call(set_parameters, change(name, value), node).results[0]
        assert not result.successful and reason in result.reason, name
    describe = bench.node.create_client(DescribeParameters, "cooper/describe_parameters")
    names = [spec.name for spec in PARAMETERS]
    found = bench.call(describe, DescribeParameters.Request(names=names), node).descriptors
    for spec, descriptor in zip(PARAMETERS, found, strict=True):
        assert descriptor.description == spec.description
        assert descriptor.read_only == spec.read_only
        assert descriptor.type in (ParameterType.PARAMETER_BOOL, ParameterType.PARAMETER_INTEGER,
                                   ParameterType.PARAMETER_DOUBLE, ParameterType.PARAMETER_STRING)
        assert bool(descriptor.integer_range or descriptor.floating_point_range) == (
            spec.minimum is not None
        )


def test_switching_perception_off_and_on(bench: Bench, node: Process, show: Any, ask: Any,
                                         depth_infos: list) -> None:
    enable = bench.node.create_client(SetBool, "cooper/enable")
    assert bench.call(enable, SetBool.Request(data=False), node).success
    show(room_image(), room_info())
    reply = bench.call(ask, question("is there a chair ?"), node)
    assert reply.answer.status == Status.STATUS_ERROR and "switched off" in reply.message
    assert bench.call(enable, SetBool.Request(data=True), node).success
    new_message(bench, depth_infos, node, lambda m: m.metric)


def test_nothing_of_the_simulator_or_of_torch_was_loaded(bench: Bench, node: Process) -> None:
    """The list that the interpreter kept of every import of the process, answers included."""
    imported = node.imported
    assert "cooper_ros.runtime.pipeline" in imported and "onnxruntime" in imported
    forbidden = ("torch", "transformers", "diffusers", "mujoco", "cooper_ros.sim",
                 "cooper_ros.model", "cooper_ros.training", "cooper_ros.export")  # fmt: skip
    found = {m for m in imported for bad in forbidden if m == bad or m.startswith(bad + ".")}
    assert not found


def test_the_node_reads_the_camera_and_nothing_else(bench: Bench, node: Process) -> None:
    def subscriptions() -> set[str]:
        pairs = bench.node.get_subscriber_names_and_types_by_node("cooper", "/")
        return {name for name, _ in pairs}

    bench.wait(lambda: "/image" in subscriptions(), node)
    assert subscriptions() - {"/parameter_events", "/clock"} == {"/image", "/camera_info"}


def test_silence_names_topic_and_publisher(
    bench: Bench, node: Process, show: Any, set_parameters: Any
) -> None:
    show()
    reports = bench.listen(DiagnosticArray, "/diagnostics", StandardTopicQoS())
    bench.call(set_parameters, change("no_image_warning_s", 0.5), node)
    report = new_message(bench, reports, node, lambda m: "no image on" in m.status[0].message)
    assert report.status[0].level == b"\x01" and "/image" in report.status[0].message
    assert "/bench, but nothing arrives" in report.status[0].message
    bench.call(set_parameters, change("no_image_warning_s", 5.0), node)


def test_compressed_images(bench: Bench, node: Process, tmp_path: Any) -> None:
    """A second node, under another name and namespace, reading the compressed transport."""
    process = Process(
        "cooper_ros.ros.node",
        *("--ros-args", "-r", "__node:=jpeg", "-r", "__ns:=/robot", "-p",
          "image_transport:=compressed", "-r", "image/compressed:=/image/compressed",
          "-r", "camera_info:=/camera_info"),
        log=tmp_path / "jpeg.log",
    )  # fmt: skip
    try:
        infos = bench.listen(DepthInfo, "/robot/jpeg/depth/info", StandardTopicQoS())
        rgb = image_to_array(room_image())
        _, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
        bench.show(
            CompressedImage(format="jpeg", data=array.array("B", data.tobytes())), room_info()
        )
        assert new_message(bench, infos, process, lambda m: m.metric).metric
    finally:
        bench.show()
        assert process.stop() == 0
