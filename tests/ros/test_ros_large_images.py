"""Images larger than what is worked on: read small, told in the camera's own pixels."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
cv2 = pytest.importorskip("cv2")

from geometry_msgs.msg import Point  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from cooper_ros.core.keyframes import small_gray  # noqa: E402
from cooper_ros.core.pictures import WORK_PIXELS  # noqa: E402
from cooper_ros.core.segments import build_segmentation, resize_segmentation  # noqa: E402
from cooper_ros.core.tracking import ObjectTracker  # noqa: E402
from cooper_ros.core.types import DepthMap, Frame, Intrinsics, SpatialAnswer, Status  # noqa: E402
from cooper_ros.ros.calibrating import anchors_of  # noqa: E402
from cooper_ros.ros.conversion import array_to_image, intrinsics_to_camera_info  # noqa: E402
from cooper_ros.ros.distances import measure_items  # noqa: E402
from cooper_ros.ros.outputs import Outputs  # noqa: E402
from cooper_ros.ros.perception import Perception, explain, to_frame  # noqa: E402
from cooper_ros.ros.points import POINT, to_point_cloud  # noqa: E402
from cooper_ros.ros.slots import Snapshot  # noqa: E402
from cooper_ros.srv import CalibrateScale  # noqa: E402

FULL, SMALL = (1600, 1200), (400, 300)
BOX = (800, 400, 400, 200)
"""The mug, in pixels of the camera: x, y, width, height."""
CAMERA = Intrinsics.from_fov(70.0, *FULL)
NAMES = ("floor", "mug")
DISTANCE_M = 2.0


def scene() -> Perception:
    """A mug at 2 m in front of a wall at 4 m, as maps of a quarter of the camera's size."""
    width, height = SMALL
    rgb = np.full((height, width, 3), 90, np.uint8)
    rng = np.random.default_rng(0)
    labels = np.zeros((height, width), np.uint8)
    x, y, across, down = (value // 4 for value in BOX)
    inside = slice(y, y + down), slice(x, x + across)
    rgb[inside] = rng.integers(0, 255, (down, across, 3))
    labels[inside] = 1
    metres = np.where(labels, DISTANCE_M, 4.0).astype(np.float32)
    intrinsics = CAMERA.scaled(*SMALL)
    built = build_segmentation(
        labels, metres / 4, NAMES, depth=metres, intrinsics=intrinsics, stuff=("floor",)
    )
    segmentation = resize_segmentation(built, *SMALL, FULL)
    frame = Frame(rgb, intrinsics, 5, "camera", FULL)
    depth = DepthMap(metres, metres / 4, metres / 4, True, intrinsics=intrinsics)
    return Perception(Snapshot(None), frame, None, depth, segmentation, "", 0.1)


def test_boxes_and_pixel_counts_are_the_camera_s() -> None:
    mug = scene().segmentation.of_class("mug")[0]  # type: ignore[union-attr]
    assert mug.box == BOX and mug.pixel_count == BOX[2] * BOX[3]


def test_pixels_and_boxes_of_a_request_are_the_camera_s() -> None:
    seen = scene()
    x, y, width, height = BOX
    items = measure_items(
        ["mug"],
        [(x + 1.0, y + 1.0), (x - 6.0, y - 6.0), (1599.4, 1199.4), (1600.0, 5.0)],
        seen.depth,
        seen.segmentation,
        [BOX, (x, y, 1, 1), (0, 0, 100, 100), (1600, 0, 10, 10), (5, 5, 0, 9)],
        None,
        seen.frame.full_size,
    )
    assert [item.status for item in items] == [
        Status.OK, Status.OK, Status.OK, Status.OK, Status.BAD_QUESTION,
        Status.OK, Status.OK, Status.OK, Status.BAD_QUESTION, Status.BAD_QUESTION,
    ]  # fmt: skip
    z = [item.position[2] for item in items if item.status is Status.OK]
    assert z == pytest.approx([2.0, 2.0, 4.0, 4.0, 2.0, 2.0, 4.0])
    assert items[0].reference.box == items[1].reference.box == BOX
    assert "1600x1200" in items[4].message and "1600x1200" in items[8].message
    u, v = x + width / 2, y + height / 2
    middle = ((u - CAMERA.cx) / CAMERA.fx * 2.0, (v - CAMERA.cy) / CAMERA.fy * 2.0)
    assert items[0].position[:2] == pytest.approx(middle, abs=0.02)


def test_distances_given_by_pixel_are_the_camera_s() -> None:
    request = CalibrateScale.Request(
        method=CalibrateScale.Request.METHOD_DISTANCES,
        pixels=[Point(x=1000.0, y=500.0)],
        distances=[2.5],
    )
    anchors = anchors_of(request, scene())
    assert (anchors.u[0], anchors.v[0]) == pytest.approx((249.625, 124.625))
    request.pixels[0].x = 1600.0
    with pytest.raises(ValueError, match="outside the 1600x1200 image"):
        anchors_of(request, scene())


def test_what_is_followed_moves_in_the_camera_s_pixels() -> None:
    seen = scene()
    assert seen.segmentation is not None
    tracker = ObjectTracker()
    tracker.start(small_gray(seen.frame.rgb), seen.segmentation, CAMERA)
    moved = np.roll(seen.frame.rgb, 10, axis=1)  # 40 px of the camera
    (mug,) = tracker.follow(small_gray(moved))
    assert mug.box == pytest.approx((BOX[0] + 40, *BOX[1:]), abs=6)
    assert mug.position[2] == pytest.approx(2.0, rel=0.05)


class Publisher:
    def __init__(self) -> None:
        self.sent: list[Any] = []

    def publish(self, message: Any) -> None:
        self.sent.append(message)

    def get_subscription_count(self) -> int:
        return 1


class PublishingNode:
    """As much of a node as `Outputs` needs; everything is read by somebody."""

    def __init__(self, max_pixels: int) -> None:
        self._parameters = {"points_stride": 4, "max_pixels": max_pixels}
        self.topics: dict[str, Publisher] = {}

    def parameter(self, name: str) -> Any:
        return self._parameters[name]

    def create_lifecycle_publisher(self, kind: Any, topic: str, qos: Any) -> Publisher:
        return self.topics.setdefault(topic, Publisher())


SPEC = SimpleNamespace(
    segmentation=SimpleNamespace(names=NAMES, colours=[(0, 0, 0), (1, 0, 0)], stuff=("floor",)),
    depth=SimpleNamespace(min_m=0.2, max_m=10.0),
)


@pytest.mark.parametrize(("max_pixels", "size"), [(16_000_000, FULL), (480_000, (800, 600))])
def test_maps_are_published_at_the_camera_s_size_unless_that_is_too_large(
    max_pixels: int, size: tuple[int, int]
) -> None:
    node = PublishingNode(max_pixels)
    Outputs(node, SPEC).publish(scene())
    sent = {topic.removeprefix("~"): made.sent[0] for topic, made in node.topics.items()
            if made.sent}  # fmt: skip
    for topic in ("/depth/image", "/depth/relative", "/depth/confidence", "/overlay",
                  "/segmentation/labels", "/depth/camera_info"):  # fmt: skip
        assert (sent[topic].width, sent[topic].height) == size, topic
    assert sent["/depth/camera_info"].k[0] == pytest.approx(CAMERA.fx * size[0] / FULL[0])
    mug = next(s for s in sent["/segmentation/segments"].segments if s.label == "mug")
    assert (mug.box.x_offset, mug.box.y_offset, mug.box.width, mug.box.height) == BOX
    cloud = sent["/points"]
    assert (cloud.width, cloud.height) == (size[0] // 4, size[1] // 4)
    if "/markers" in sent:
        cube = next(m for m in sent["/markers"].markers if m.ns == "objects" and m.scale.x)
        assert cube.scale.x == pytest.approx(BOX[2] / CAMERA.fx * 2.0, rel=0.02)


def test_points_of_a_smaller_map_lie_on_the_camera_s_rays() -> None:
    seen = scene()
    cloud = to_point_cloud(seen.depth, seen.frame.rgb, seen.segmentation, Header(), 8, FULL)
    values = np.frombuffer(cloud.data, POINT).reshape(cloud.height, cloud.width)
    row, column = 500 // 8, 1000 // 8
    point = values[row, column]
    assert point["z"] == 2.0 and point["label"] == 1
    assert point["x"] == pytest.approx((8 * column - CAMERA.cx) / CAMERA.fx * 2.0, rel=1e-5)
    assert point["y"] == pytest.approx((8 * row - CAMERA.cy) / CAMERA.fy * 2.0, rel=1e-5)


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "mono8", "bayer_rggb8"])
def test_a_4k_image_is_held_once_and_only_small(encoding: str) -> None:
    """Peak of what numpy and Python take for reading it; the message is let go."""
    width, height = 3840, 2160
    shape = (height, width) if encoding in ("mono8", "bayer_rggb8") else (height, width, 3)
    message = array_to_image(np.zeros(shape, np.uint8), encoding)
    snapshot = Snapshot(message)
    del message
    info = intrinsics_to_camera_info(Intrinsics.from_fov(70.0, width, height))
    tracemalloc.start()
    try:
        frame, problem = to_frame(snapshot, lambda name: (info, ""))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert not problem and frame.rgb.nbytes <= 3 * WORK_PIXELS
    full = 3 * width * height if encoding == "bayer_rggb8" else 0  # it is demosaiced whole
    assert peak < full + 2.5 * 3 * WORK_PIXELS
    assert snapshot.message is None and frame.full_size == (width, height)
    camera = frame.full_intrinsics
    assert camera is not None and camera.fx == pytest.approx(info.k[0])
    again, _ = to_frame(snapshot, lambda name: (None, "gone"))
    assert again.rgb is frame.rgb and again.intrinsics is None


def test_deep_grey_says_what_became_black_and_white() -> None:
    grey = np.tile(np.linspace(100, 4000, 64).astype(np.uint16), (48, 1))
    frame, _ = to_frame(Snapshot(array_to_image(grey, "mono16")), lambda name: (None, ""))
    assert frame.grey_range == (0.0, 4095.0) and frame.rgb.max() > 245


def test_an_empty_picture_is_said_with_the_answer() -> None:
    seen = replace(scene(), picture_problem="the picture is all black")
    told = explain(SpatialAnswer("q", status=Status.OK, text="0"), seen)
    assert told.status is Status.OK and told.message == "the picture is all black"
    assert explain(SpatialAnswer("q"), scene()).message == ""


def test_refused_encodings_list_what_is_taken() -> None:
    depth = Image(height=2, width=2, encoding="16UC1", step=4, data=bytes(8))
    for encoding in ("16UC1", "rgb565"):
        depth.encoding = encoding
        with pytest.raises(ValueError, match="rgb8") as caught:
            to_frame(Snapshot(depth), lambda name: (None, ""))
        listed = str(caught.value).split(" of ")[-1]
        assert "mono16" in listed and "32FC1" not in listed.replace(f"encoding {encoding}", "")
