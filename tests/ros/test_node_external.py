"""A depth camera and a labeller in, measured answers out, and no model. Over DDS.

Without vision_msgs: a label image and our own LabelInfo.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from harness import CAMERA, FRAME, Bench, Process, picture, room_info
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image

from cooper_ros.action import Reason
from cooper_ros.msg import LabelInfo, SegmentArray, SpatialAnswer
from cooper_ros.ros.conversion import array_to_image, image_to_array
from cooper_ros.ros.messages import to_header
from cooper_ros.ros.qos import (
    ImagePublisherQoS,
    LatchedPublisherQoS,
    LatchedSubscriptionQoS,
    SensorDataQoS,
    StandardTopicQoS,
)
from cooper_ros.srv import AskSpatial, GetModelInfo, QueryDistance

NAMES = {7: "Cordless_Drill", 300: "vise", 9: "traffic cone"}
DRILL_M, VISE_M = 1.5, 2.5


def depth() -> np.ndarray:
    z = np.full((240, 320), 4.0, np.float32)
    z[100:160, 60:120] = DRILL_M
    z[90:150, 200:260] = VISE_M
    z[:20] = np.nan
    return z


def labels() -> np.ndarray:
    ids = np.zeros((240, 320), np.uint16)
    ids[100:160, 60:120] = 7
    ids[90:150, 200:260] = 300
    return ids


def distance(z: float, rows: slice, columns: slice) -> float:
    v, u = np.mgrid[rows, columns]
    x, y = (u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy
    return float(np.median(z * np.sqrt(1.0 + x**2 + y**2)))


DRILL = distance(DRILL_M, slice(100, 160), slice(60, 120))
VISE = distance(VISE_M, slice(90, 150), slice(200, 260))


class Rig:
    """Camera, depth camera and labeller, all with one stamp."""

    def __init__(self, bench: Bench) -> None:
        node = bench.node
        self.node = node
        self._image = node.create_publisher(Image, "image", ImagePublisherQoS())
        self._info = node.create_publisher(CameraInfo, "camera_info", ImagePublisherQoS())
        self._depth = node.create_publisher(Image, "external_depth", ImagePublisherQoS())
        self._labels = node.create_publisher(Image, "labels", ImagePublisherQoS())
        names = node.create_publisher(LabelInfo, "label_info", LatchedPublisherQoS())
        names.publish(
            LabelInfo(
                class_ids=list(NAMES), names=list(NAMES.values()), countable=[True] * len(NAMES)
            )
        )
        self.labels: np.ndarray | None = labels()
        self.labels_late_s = 0.0
        self._timer = node.create_timer(0.1, self._publish)

    def reset(self) -> None:
        self.labels, self.labels_late_s = labels(), 0.0

    def _publish(self) -> None:
        now = self.node.get_clock().now().nanoseconds
        info, header = room_info(), to_header(now, FRAME)
        info.header = header
        self._info.publish(info)
        self._image.publish(array_to_image(picture(), "rgb8", header))
        self._depth.publish(array_to_image(depth(), "32FC1", header))
        if self.labels is not None:
            off = to_header(now - round(self.labels_late_s * 1e9), FRAME)
            self._labels.publish(array_to_image(self.labels, "mono16", off))


@pytest.fixture(scope="module")
def node(ros: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    process = Process(
        "cooper_ros.ros.node",
        "--ros-args",
        "-p",
        "model:=none",
        "-p",
        "max_image_age_s:=0.0",
        log=tmp_path_factory.mktemp("external") / "node.log",
        LC_ALL="C",
    )
    yield process
    assert process.stop() == 0, process.log


@pytest.fixture(scope="module")
def rig(bench: Bench) -> Rig:
    return Rig(bench)


@pytest.fixture(scope="module")
def ask(bench: Bench, node: Process, rig: Rig) -> Any:
    client = bench.node.create_client(AskSpatial, "cooper/ask")

    def put(question: str, **fields: Any) -> SpatialAnswer:
        reply = bench.call(client, AskSpatial.Request(question=question, **fields), node)
        return reply.answer

    bench.wait(
        lambda: put("how far is the vise ?").status == SpatialAnswer.STATUS_OK, node
    )  # the publishers were found
    return put


@pytest.fixture(autouse=True)
def again(rig: Rig) -> Iterator[None]:
    rig.reset()
    yield
    rig.reset()


def test_a_node_without_a_model_loads_no_inference_engine(node: Process, ask: Any) -> None:
    assert not {"onnxruntime", "torch", "tensorrt"} & node.imported
    assert "model none" in node.log


def test_every_family_is_answered_by_measurement(ask: Any) -> None:
    answer = ask("How far is the cordless drill?")
    assert answer.status == SpatialAnswer.STATUS_OK, answer.message
    assert answer.value == pytest.approx(DRILL, rel=0.01) and answer.unit == "m"
    assert answer.answered_by == SpatialAnswer.ANSWERED_BY_MEASURED
    assert answer.low < answer.value < answer.high and answer.measured == answer.value
    assert not answer.agree and math.isnan(answer.confidence) and answer.model_id == "none"
    assert answer.objects[0].source == "/labels" and answer.text
    assert answer.question_understood == "how far is the cordless drill ?"
    for question, value in {
        "which is nearer, the vise or the cordless drill?": 1.0,
        "is the cordless drill left of the vise?": 1.0,
        "is the cordless drill behind the vise?": 0.0,
        "how many cordless drills are there?": 1.0,
        "is there a traffic cone?": 0.0,
        "is the vise within 3 m?": 1.0,
        "how many vises are on the left?": 0.0,
    }.items():
        found = ask(question)
        assert (found.status, found.value) == (SpatialAnswer.STATUS_OK, value), question
    for question in (
        "how wide is the vise?",
        "how tall is the vise?",
        "how far is the cordless drill from the vise?",
        "how much free space is ahead?",
    ):
        found = ask(question)
        assert found.status == SpatialAnswer.STATUS_OK and found.value > 0.3, question


def test_names_that_are_not_there_are_told_apart(ask: Any) -> None:
    assert ask("how far is the traffic cone?").status == SpatialAnswer.STATUS_NOT_VISIBLE
    unknown = ask("how far is the wombat?")
    assert unknown.status == SpatialAnswer.STATUS_BAD_QUESTION and "vise" in unknown.message
    model = ask("how far is the vise?", mode=AskSpatial.Request.MODE_DIRECT)
    assert model.status == SpatialAnswer.STATUS_BAD_QUESTION and "none" in model.message


def test_distances_by_name(bench: Bench, node: Process, ask: Any) -> None:
    client = bench.node.create_client(QueryDistance, "cooper/query_distance")
    request = QueryDistance.Request(names=["cordless drills", "Vise"])
    reply = bench.call(client, request, node)
    assert reply.success, reply.message
    assert list(reply.distances) == pytest.approx([DRILL, VISE], rel=0.01)


def test_the_action_measures_too(bench: Bench, node: Process, ask: Any) -> None:
    from rclpy.action import ActionClient

    client = ActionClient(bench.node, Reason, "cooper/reason")
    bench.wait(client.server_is_ready, node)
    results: list[Any] = []

    def send() -> None:
        def accepted(future: Any) -> None:
            future.result().get_result_async().add_done_callback(
                lambda done: results.append(done.result().result)
            )

        client.send_goal_async(Reason.Goal(question="how far is the vise?")).add_done_callback(
            accepted
        )

    bench.do(send)
    bench.wait(lambda: results, node)
    assert results[0].success and results[0].answer.value == pytest.approx(VISE, rel=0.01)
    assert not results[0].reasoned
    client.destroy()


def test_the_node_tells_what_it_is(bench: Bench, node: Process, ask: Any) -> None:
    client = bench.node.create_client(GetModelInfo, "cooper/model_info")
    info = bench.call(client, GetModelInfo.Request(), node)
    assert info.success and (info.model_id, info.backend) == ("none", "none")


def test_maps_of_others_go_out_as_ours_do(bench: Bench, node: Process, ask: Any) -> None:
    arrays = bench.listen(SegmentArray, "cooper/segmentation/segments", StandardTopicQoS())
    images = bench.listen(Image, "cooper/segmentation/labels", SensorDataQoS())
    infos = bench.listen(LabelInfo, "cooper/segmentation/label_info", LatchedSubscriptionQoS())
    found = bench.wait(lambda: arrays and arrays[-1].segments and arrays[-1], node)
    assert {s.label for s in found.segments} == {"cordless drill", "vise"}
    image = image_to_array(bench.wait(lambda: images and images[-1], node))
    info = bench.wait(lambda: infos and infos[-1], node)
    named = dict(zip(info.class_ids, info.names, strict=True))
    assert named[int(image[130, 90])] == "cordless drill" and int(image[5, 5]) not in named


@pytest.mark.parametrize("case", ["none", "late", "another shape", "no known value"])
def test_without_labels_of_the_image_nothing_old_is_said(
    bench: Bench, node: Process, rig: Rig, ask: Any, case: str
) -> None:
    if case == "none":
        rig.labels = None
    elif case == "late":
        rig.labels_late_s = 5.0
    elif case == "another shape":
        rig.labels = np.full((100, 320), 7, np.uint16)
    else:
        rig.labels = np.full((240, 320), 77, np.uint16)
    status = SpatialAnswer.STATUS_NO_IMAGE
    bench.wait(lambda: ask("how far is the vise?").status == status, node)
    answer = ask("how far is the vise?")
    assert answer.message.startswith("no detections for this image")
    assert math.isnan(answer.value) and not answer.objects
    assert ask("how much free space is ahead?").status == SpatialAnswer.STATUS_OK
    rig.reset()
    bench.wait(lambda: ask("how far is the vise?").status == SpatialAnswer.STATUS_OK, node)


def test_diagnostics_name_what_is_skipped(
    bench: Bench, node: Process, rig: Rig, ask: Any
) -> None:
    reports = bench.listen(DiagnosticArray, "/diagnostics", QoSProfile(depth=10))
    rig.labels = np.full((100, 320), 7, np.uint16)

    def values() -> dict[str, str]:
        if not reports:
            return {}
        return {item.key: item.value for item in reports[-1].status[0].values}

    bench.call(
        bench.node.create_client(AskSpatial, "cooper/ask"),
        AskSpatial.Request(question="how far is the vise?"),
        node,
    )
    key = bench.wait(
        lambda: next((k for k in values() if k.startswith("skipped: /labels")), None), node
    )
    assert "320x100" in key and int(values()["images with names"]) > 0
