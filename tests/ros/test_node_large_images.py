"""The node process and images that are large, deep or empty. Over DDS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Duration
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Point
from harness import Bench, Process, picture, room_image, room_info
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from sensor_msgs.msg import CameraInfo, Image

from cooper_ros.msg import SegmentArray
from cooper_ros.ros.conversion import array_to_image
from cooper_ros.ros.qos import SensorDataQoS, StandardTopicQoS
from cooper_ros.srv import AskSpatial, QueryDistance


@pytest.fixture
def show(bench: Bench) -> Iterator[Any]:
    yield bench.show
    bench.show()


@pytest.fixture(scope="module")
def reports(bench: Bench) -> list[DiagnosticArray]:
    return bench.listen(DiagnosticArray, "/diagnostics", StandardTopicQoS())


def values_of(reports: list[DiagnosticArray]) -> dict[str, str]:
    return {pair.key: pair.value for pair in reports[-1].status[0].values} if reports else {}


def test_above_max_pixels_maps_are_smaller_and_boxes_are_not(
    bench: Bench, node: Process, show: Any
) -> None:
    setting = bench.node.create_client(SetParameters, "cooper/set_parameters")
    value = ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=20_000)
    change = SetParameters.Request(parameters=[Parameter(name="max_pixels", value=value)])
    assert bench.call(setting, change, node).results[0].successful
    depth = bench.listen(Image, "cooper/depth/image", SensorDataQoS())
    cameras = bench.listen(CameraInfo, "cooper/depth/camera_info", SensorDataQoS())
    segments = bench.listen(SegmentArray, "cooper/segmentation/segments", StandardTopicQoS())
    show(room_image(), room_info())
    bench.wait(lambda: depth and cameras and segments, node)
    assert 19_000 < depth[-1].width * depth[-1].height <= 20_000
    assert (cameras[-1].width, cameras[-1].height) == (depth[-1].width, depth[-1].height)
    boxes = [segment.box for segment in segments[-1].segments]
    assert max(box.x_offset + box.width for box in boxes) == 320
    assert max(box.y_offset + box.height for box in boxes) == 240
    query = bench.node.create_client(QueryDistance, "cooper/query_distance")
    pixels = [Point(x=319.0, y=239.0), Point(x=320.0, y=10.0)]
    reply = bench.call(query, QueryDistance.Request(pixels=pixels), node)
    assert list(reply.statuses) == [1, 12] and "320x240" in reply.message


def test_an_empty_picture_is_told_with_the_answer_and_in_diagnostics(
    bench: Bench, node: Process, show: Any, reports: list
) -> None:
    ask = bench.node.create_client(AskSpatial, "cooper/ask")
    show(array_to_image(np.zeros((240, 320), np.uint8), "mono8"), room_info())
    question = AskSpatial.Request(question="is there a chair ?", timeout=Duration(sec=60))

    def told() -> bool:
        return "all black" in bench.call(ask, question, node).message

    bench.wait(told, node)
    bench.wait(lambda: reports and "all black" in reports[-1].status[0].message, node)
    assert reports[-1].status[0].level == b"\x01"


def test_the_range_of_a_deep_grey_picture_is_in_diagnostics(
    bench: Bench, node: Process, show: Any, reports: list
) -> None:
    grey = picture()[..., 0].astype(np.uint16) * 16  # 12 bits
    show(array_to_image(grey, "mono16"), room_info())
    key = "grey values from black to white"
    assert bench.wait(lambda: values_of(reports).get(key), node) == "0 to 4095"
