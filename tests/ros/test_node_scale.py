"""The node process with range points, depth images and a known camera height. Over DDS."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import Point
from harness import FRAME, Bench, Process, room_image, room_info
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from sensor_msgs.msg import Image, PointCloud2, PointField, RegionOfInterest

from cooper_ros.core.projection import pixel_rays
from cooper_ros.msg import DepthInfo
from cooper_ros.ros.conversion import array_to_image, camera_info_to_intrinsics, image_to_array
from cooper_ros.ros.messages import to_header, to_point
from cooper_ros.ros.qos import SensorDataQoS, StandardTopicQoS
from cooper_ros.srv import AskSpatial, CalibrateScale, QueryDistance

INTRINSICS = camera_info_to_intrinsics(room_info(), 320, 240)


def cloud(points: np.ndarray, frame: str = FRAME) -> PointCloud2:
    """A cloud with x, y, z and something between, as drivers send it."""
    fields = [
        PointField(name=name, offset=offset, datatype=PointField.FLOAT32, count=1)
        for name, offset in (("x", 0), ("y", 4), ("z", 8), ("intensity", 16))
    ]
    data = b"".join(struct.pack("<fff4xf4x", *map(float, xyz), 1.0) for xyz in points)
    msg = PointCloud2(height=1, width=len(points), fields=fields, point_step=24,
                      row_step=24 * len(points), is_dense=True)
    msg.data = data
    msg.header.frame_id = frame
    return msg


class Sensor:
    """Publishes one message again and again, stamped like the camera's images."""

    def __init__(self, bench: Bench, kind: type, topic: str) -> None:
        self._bench = bench
        self._publisher = bench.node.create_publisher(kind, topic, StandardTopicQoS())
        self.message: Any = None
        self.offset_ns = 0
        self._timer = bench.node.create_timer(0.05, self._publish)

    def _publish(self) -> None:
        if self.message is not None:
            now = self._bench.node.get_clock().now().nanoseconds + self.offset_ns
            self.message.header = to_header(now, self.message.header.frame_id)
            self._publisher.publish(self.message)


@pytest.fixture(scope="module")
def infos(bench: Bench) -> list[DepthInfo]:
    return bench.listen(DepthInfo, "cooper/depth/info", StandardTopicQoS())


@pytest.fixture(scope="module")
def depths(bench: Bench) -> list[Image]:
    return bench.listen(Image, "cooper/depth/image", SensorDataQoS())


@pytest.fixture(scope="module")
def lidar(bench: Bench) -> Sensor:
    return Sensor(bench, PointCloud2, "range_points")


@pytest.fixture(autouse=True)
def show(bench: Bench, lidar: Sensor) -> Iterator[None]:
    bench.show(room_image(), room_info())
    yield
    lidar.message, lidar.offset_ns = None, 0
    bench.show()


@pytest.fixture
def change(bench: Bench, node: Process) -> Iterator[Any]:
    """Sets parameters for one test."""
    client = bench.node.create_client(SetParameters, "cooper/set_parameters")
    before: list[Parameter] = []

    def value_of(value: Any) -> ParameterValue:
        if isinstance(value, bool):
            return ParameterValue(type=ParameterType.PARAMETER_BOOL, bool_value=value)
        if isinstance(value, str):
            return ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=value)
        return ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=float(value))

    def put(name: str, value: Any, undo: Any) -> str:
        before.append(Parameter(name=name, value=value_of(undo)))
        request = SetParameters.Request(parameters=[Parameter(name=name, value=value_of(value))])
        return str(bench.call(client, request, node).results[0].reason)

    yield put
    bench.call(client, SetParameters.Request(parameters=before), node)


def new(bench: Bench, received: list, node: Process, check: Any = lambda m: True) -> Any:
    start = len(received)
    return bench.wait(lambda: next((m for m in received[start:] if check(m)), None), node)


@pytest.fixture(scope="module")
def prior(bench: Bench, node: Process, infos: list, depths: list) -> np.ndarray:
    """The model's own depth of the picture shown."""
    bench.show(room_image(), room_info())
    new(bench, infos, node, lambda m: m.scale_source == DepthInfo.SCALE_MODEL_PRIOR)
    return image_to_array(new(bench, depths, node)).copy()


def seen(prior: np.ndarray, factor: float) -> np.ndarray:
    """Points [n, 3] on a grid of the model's surfaces, `factor` times as far."""
    rows, columns = np.mgrid[8:240:16, 8:320:16]
    rays = pixel_rays(INTRINSICS)[rows, columns].reshape(-1, 3)
    return rays * (factor * prior[rows, columns].reshape(-1, 1))


def test_range_points_give_the_depth_their_scale(
    bench: Bench, node: Process, infos: list, depths: list, prior: np.ndarray, lidar: Sensor
) -> None:
    lidar.message = cloud(seen(prior, 1.5))
    info = new(bench, infos, node, lambda m: m.scale_source == DepthInfo.SCALE_ANCHORED)
    assert info.metric and info.message == ""
    assert info.scale * 2.0**info.exponent == pytest.approx(3.0, rel=0.03)
    assert info.scale_method == "completion" and list(info.anchor_sources) == ["/range_points"]
    assert info.anchor_count > 100 and info.inlier_share > 0.95
    assert 0.0 < info.error_90 < 0.3 and info.fit_rmse < 0.2 and info.completion_rmse < 0.2
    assert info.confidence_method == "error_below_25pct"
    assert info.min_range == pytest.approx(info.scale * 0.25**info.exponent, rel=1e-4)
    new(bench, infos, node)
    depth = image_to_array(new(bench, depths, node))
    assert np.median(depth / prior) == pytest.approx(1.5, rel=0.03)


def test_depth_is_not_completed_where_the_parameter_says_no(
    bench: Bench, node: Process, infos: list, prior: np.ndarray, lidar: Sensor, change: Any
) -> None:
    change("depth_completion", False, True)
    lidar.message = cloud(seen(prior, 1.5))
    info = new(bench, infos, node, lambda m: m.scale_source == DepthInfo.SCALE_ANCHORED)
    assert info.scale_method == "power" and np.isnan(info.completion_rmse)


def test_the_scale_is_kept_for_a_moment_and_then_given_up(
    bench: Bench, node: Process, infos: list, prior: np.ndarray, lidar: Sensor, change: Any
) -> None:
    change("scale_memory_s", 600.0, 2.0)
    lidar.message = cloud(seen(prior, 1.4))
    anchored = new(
        bench,
        infos,
        node,
        lambda m: m.scale_source == DepthInfo.SCALE_ANCHORED and m.scale < 1.45,
    )
    lidar.message = None
    kept = new(bench, infos, node, lambda m: m.scale_source == DepthInfo.SCALE_CALIBRATED)
    assert kept.scale == pytest.approx(anchored.scale, rel=0.05) and kept.error_90 > 0.0
    assert kept.scale_age.sec + kept.scale_age.nanosec > 0
    change("scale_memory_s", 0.0, 2.0)
    new(bench, infos, node, lambda m: m.scale_source == DepthInfo.SCALE_MODEL_PRIOR)


def test_points_that_cannot_be_used_say_why_and_harm_nothing(
    bench: Bench, node: Process, infos: list, prior: np.ndarray, lidar: Sensor, change: Any
) -> None:
    change("scale_memory_s", 0.0, 2.0)
    lidar.message = cloud(seen(prior, 1.5), "lidar_link")
    info = new(bench, infos, node, lambda m: "lidar_link" in m.message)
    assert info.scale_source == DepthInfo.SCALE_MODEL_PRIOR and "tf2" in info.message
    lidar.message = cloud(seen(prior, 1.5))
    lidar.offset_ns = -3_000_000_000
    info = new(bench, infos, node, lambda m: "range_max_age_s" in m.message)
    assert info.scale_source == DepthInfo.SCALE_MODEL_PRIOR
    lidar.offset_ns = 0
    broken = cloud(seen(prior, 1.5))
    broken.width *= 3
    lidar.message = broken
    new(bench, infos, node, lambda m: "the message was cut" in m.message)
    rng = np.random.default_rng(0)
    noise = pixel_rays(INTRINSICS).reshape(-1, 3)[rng.integers(0, 76800, 300)]
    lidar.message = cloud(noise * np.exp(rng.uniform(-2, 3, (300, 1))))
    info = new(bench, infos, node, lambda m: "anchors" in m.message)
    assert info.scale_source == DepthInfo.SCALE_MODEL_PRIOR


def test_a_broken_calibration_is_refused_and_a_good_one_is_used(
    bench: Bench, node: Process, infos: list, prior: np.ndarray, change: Any
) -> None:
    # The fit of an earlier test's points counts as a calibration too, while it is remembered.
    change("scale_memory_s", 0.0, 2.0)
    assert "calibration" in change("scale_calibration", "nonsense", "")
    new(bench, infos, node, lambda m: m.scale_source == DepthInfo.SCALE_MODEL_PRIOR)
    assert change("scale_calibration", "log 0.4055 0 0.0004 0 0.0004 0.08 1.7", "") == ""
    info = new(bench, infos, node, lambda m: m.scale_source == DepthInfo.SCALE_CALIBRATED)
    assert info.scale == pytest.approx(1.5, rel=0.01) and info.anchor_count == 0
    assert info.scale_age.sec == info.scale_age.nanosec == 0
    change("scale_calibration", "", "")
    new(bench, infos, node, lambda m: m.scale_source == DepthInfo.SCALE_MODEL_PRIOR)


def test_external_depth_stands_in_and_the_model_fills_its_holes(
    bench: Bench, node: Process, infos: list, depths: list, prior: np.ndarray, change: Any
) -> None:
    sensor = Sensor(bench, Image, "external_depth")
    values = (prior * 2.0).astype(np.float32)
    values[100:180, 60:200] = np.nan
    sensor.message = array_to_image(values, "32FC1")
    sensor.message.header.frame_id = FRAME
    change("depth_source", "external", "model")
    info = new(bench, infos, node, lambda m: m.scale_source == DepthInfo.SCALE_EXTERNAL)
    assert info.scale_method == "sensor" and list(info.anchor_sources) == ["/external_depth"]
    new(bench, infos, node)
    depth = image_to_array(new(bench, depths, node))
    assert depth[10:90, :] == pytest.approx(values[10:90, :], rel=0.02)
    assert np.median(depth[105:175, 70:190] / prior[105:175, 70:190]) == pytest.approx(2.0, rel=0.1)
    sensor.message = None
    info = new(bench, infos, node, lambda m: "external" in m.message)
    assert info.scale_source != DepthInfo.SCALE_EXTERNAL


def test_a_known_camera_height_anchors_the_floor(
    bench: Bench, node: Process, infos: list, change: Any
) -> None:
    change("camera_pitch_deg", 20.0, 0.0)
    change("camera_height_m", 1.0, 0.0)
    # Whether the model sees floor in a hand-drawn picture is its own affair.
    new(
        bench,
        infos,
        node,
        lambda m: "ground plane" in m.anchor_sources or "ground plane" in m.message,
    )


def test_a_distance_measured_by_hand_calibrates_the_depth(
    bench: Bench, node: Process, infos: list, prior: np.ndarray, change: Any
) -> None:
    client = bench.node.create_client(CalibrateScale, "cooper/calibrate_scale")
    rows, columns = (40, 120, 200), (60, 160, 250)
    lengths = np.linalg.norm(pixel_rays(INTRINSICS)[rows, columns], axis=1)
    request = CalibrateScale.Request(
        pixels=[to_point((u, v, 0.0)) for u, v in zip(columns, rows, strict=True)],
        distances=[float(d) for d in 1.3 * prior[rows, columns] * lengths],
    )
    reply = bench.call(client, request, node)
    assert reply.success, reply.message
    values = prior[rows, columns]
    assert reply.scale * values**reply.exponent == pytest.approx(1.3 * values, rel=0.06)
    assert reply.anchor_count == 3 and 0.0 < reply.error_90 < 1.0 and reply.rmse < 0.1
    new(
        bench,
        infos,
        node,
        lambda m: m.scale_source == DepthInfo.SCALE_CALIBRATED
        and abs(m.scale / reply.scale - 1.0) < 1e-3,
    )
    reset = CalibrateScale.Request(method=CalibrateScale.Request.METHOD_RESET)
    assert bench.call(client, reset, node).success
    new(bench, infos, node, lambda m: m.scale_source == DepthInfo.SCALE_MODEL_PRIOR)
    change("scale_calibration", reply.calibration, "")  # what was returned can be stored
    new(bench, infos, node, lambda m: m.scale_source == DepthInfo.SCALE_CALIBRATED)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "one distance for each"),
        ({"names": ["zeppelin"], "distances": [1.0]}, "0 objects named 'zeppelin'"),
        ({"pixels": [Point(x=5.0, y=5.0)], "distances": [-1.0]}, "above 0 m"),
        ({"pixels": [Point(x=5.0, y=5.0)], "distances": [float("nan")]}, "above 0 m"),
        ({"pixels": [Point(x=5000.0, y=5.0)], "distances": [1.0]}, "outside"),
        ({"pixels": [Point(x=float("nan"), y=5.0)], "distances": [1.0]}, "outside"),
        ({"method": 9}, "method 9"),
        ({"method": 1, "distances": [1.0], "names": ["chair"]}, "which is meant?"),
        ({"method": 2, "distances": [1.0], "names": ["chair"]}, "which is meant?"),
        ({"pixels": [Point(x=5.0, y=5.0), Point(x=5.2, y=4.9)], "distances": [1.0, 3.0]},
         "1.00 m and 3.00 m are given for one place, pixel (5, 5)"),
        ({"method": 1}, "frames with usable anchors"),
        ({"camera": "rear", "method": 2}, "rear"),
    ],
)
def test_bad_calibrations_are_refused(
    bench: Bench, node: Process, infos: list, prior: np.ndarray, change: Any, fields: dict,
    reason: str,
) -> None:
    change("scale_memory_s", 0.5, 2.0)  # forgets nothing but what is older
    client = bench.node.create_client(CalibrateScale, "cooper/calibrate_scale")
    if fields == {"method": 1}:
        reset = CalibrateScale.Request(method=2)
        bench.call(client, reset, node)
    reply = bench.call(client, CalibrateScale.Request(**fields), node)
    assert not reply.success and reason in reply.message and np.isnan(reply.scale)


def test_anchors_of_the_last_frames_calibrate(
    bench: Bench, node: Process, infos: list, prior: np.ndarray, lidar: Sensor, change: Any
) -> None:
    change("scale_memory_s", 0.0, 2.0)
    client = bench.node.create_client(CalibrateScale, "cooper/calibrate_scale")
    lidar.message = cloud(seen(prior, 1.2))
    start = len(infos)
    anchored = DepthInfo.SCALE_ANCHORED
    bench.wait(lambda: sum(m.scale_source == anchored for m in infos[start:]) >= 8, node)
    request = CalibrateScale.Request(method=CalibrateScale.Request.METHOD_ANCHORS)
    reply = bench.call(client, request, node)
    assert reply.success and reply.anchor_count >= 3, reply.message
    lidar.message = None
    info = new(
        bench,
        infos,
        node,
        lambda m: m.scale_source == DepthInfo.SCALE_CALIBRATED
        and abs(m.scale - reply.scale) < 1e-3,
    )
    assert info.scale * 2.0**info.exponent == pytest.approx(2.4, rel=0.1)
    bench.call(client, CalibrateScale.Request(method=2), node)


def test_boxes_are_measured_with_their_interval_and_frames_that_are_unknown_are_named(
    bench: Bench, node: Process, infos: list, prior: np.ndarray, lidar: Sensor, change: Any
) -> None:
    change("range_max_age_s", 60.0, 0.15)  # a busy machine must not come between the two sensors
    change("scale_memory_s", 600.0, 2.0)
    client = bench.node.create_client(QueryDistance, "cooper/query_distance")
    lidar.message = cloud(seen(prior, 1.5))
    new(bench, infos, node, lambda m: m.scale_source == DepthInfo.SCALE_ANCHORED)
    box = RegionOfInterest(x_offset=10, y_offset=10, width=40, height=30)
    outside = RegionOfInterest(x_offset=4000, y_offset=10, width=40, height=2**31)
    request = QueryDistance.Request(pixels=[Point(x=30.0, y=25.0)], boxes=[box, outside])
    reply = bench.call(client, request, node)
    assert list(reply.statuses) == [1, 1, 12] and "not inside" in reply.message
    for i in (0, 1):
        assert 0.0 < reply.low[i] < reply.distances[i] < reply.high[i]
    assert reply.scale_source in (DepthInfo.SCALE_ANCHORED, DepthInfo.SCALE_CALIBRATED)
    assert reply.distances[1] == pytest.approx(
        1.5 * float(np.median(prior[10:40, 10:50]) * 1.2), rel=0.2
    )
    request.target_frame = "map"
    reply = bench.call(client, request, node)
    assert "'map'" in reply.message and np.isnan(reply.positions[0].x)
    assert reply.header.frame_id == FRAME and reply.distances[0] > 0.0
    ask = bench.node.create_client(AskSpatial, "cooper/ask")
    answer = bench.call(
        ask, AskSpatial.Request(question="is there a chair ?", target_frame="map"), node
    ).answer
    assert "'map'" in answer.message and answer.header.frame_id == FRAME
