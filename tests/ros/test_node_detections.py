"""A detector that sends vision_msgs, over DDS. Left out where vision_msgs is not installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

vision_msgs = pytest.importorskip("vision_msgs.msg", reason="vision_msgs is not installed")

from harness import FRAME, Bench, Process, picture, room_info  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image  # noqa: E402
from test_node_external import DRILL, VISE, depth  # noqa: E402

from cooper_ros.msg import SpatialAnswer  # noqa: E402
from cooper_ros.ros.conversion import array_to_image  # noqa: E402
from cooper_ros.ros.messages import to_header  # noqa: E402
from cooper_ros.ros.qos import ImagePublisherQoS, LatchedPublisherQoS  # noqa: E402
from cooper_ros.srv import AskSpatial  # noqa: E402


def detection(name: str, score: float, box: tuple[float, float, float, float]) -> Any:
    result = vision_msgs.ObjectHypothesisWithPose()
    result.hypothesis.class_id, result.hypothesis.score = name, score
    found = vision_msgs.Detection2D(results=[result])
    found.bbox.center.position.x, found.bbox.center.position.y = box[:2]
    found.bbox.size_x, found.bbox.size_y = box[2:]
    return found


def test_boxes_of_a_detector_are_measured(ros: None, bench: Bench, tmp_path: Path) -> None:
    node = bench.node
    kinds = {
        "image": Image,
        "camera_info": CameraInfo,
        "external_depth": Image,
        "detections": vision_msgs.Detection2DArray,
    }
    out = {
        topic: node.create_publisher(kind, topic, ImagePublisherQoS())
        for topic, kind in kinds.items()
    }
    names = node.create_publisher(vision_msgs.LabelInfo, "label_info", LatchedPublisherQoS())
    cup = vision_msgs.VisionClass(class_id=41, class_name="Cup")
    names.publish(vision_msgs.LabelInfo(class_map=[cup]))
    items = [
        detection("Cordless_Drill", 0.9, (90.0, 130.0, 66.0, 66.0)),
        detection("41", 0.8, (230.0, 120.0, 66.0, 66.0)),
        detection("bad score", 2.0, (50.0, 50.0, 20.0, 20.0)),
    ]

    def send() -> None:
        header = to_header(node.get_clock().now().nanoseconds, FRAME)
        info = room_info()
        info.header = header
        out["camera_info"].publish(info)
        out["image"].publish(array_to_image(picture(), "rgb8", header))
        out["external_depth"].publish(array_to_image(depth(), "32FC1", header))
        array = vision_msgs.Detection2DArray(header=header, detections=items)
        out["detections"].publish(array)

    timer = node.create_timer(0.1, send)
    process = Process(
        "cooper_ros.ros.node", "--ros-args", "-p", "model:=none", log=tmp_path / "node.log"
    )
    client = node.create_client(AskSpatial, "cooper/ask")

    def ask(question: str) -> SpatialAnswer:
        return bench.call(client, AskSpatial.Request(question=question), process).answer

    try:
        ok = SpatialAnswer.STATUS_OK
        question = "how far is the cordless drill?"
        bench.wait(lambda: ask(question).status == ok, process)
        drill, mug = ask(question), ask("how far is the mug?")
        assert drill.value == pytest.approx(DRILL, rel=0.01) and "no mask" in drill.message
        assert drill.objects[0].source == "/detections"
        assert (mug.status, mug.objects[0].label) == (ok, "cup")
        assert mug.value == pytest.approx(VISE, rel=0.01)
        assert "scores that are not in [0, 1]" in process.log
    finally:
        node.destroy_timer(timer)
        assert process.stop() == 0, process.log
