"""Point cloud and markers: the same geometry as the maps they are drawn from."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("visualization_msgs", reason="visualization_msgs is not installed")

from sensor_msgs.msg import PointCloud2, PointField  # noqa: E402
from visualization_msgs.msg import Marker  # noqa: E402

from cooper_ros.core import geometry  # noqa: E402
from cooper_ros.core.errors import NotMetricError  # noqa: E402
from cooper_ros.core.segments import build_segmentation  # noqa: E402
from cooper_ros.core.types import (  # noqa: E402
    DepthMap,
    Intrinsics,
    ObjectReference,
    ScaleSource,
    Segmentation,
    SpatialAnswer,
    Status,
)
from cooper_ros.ros.markers import answer_markers, object_markers  # noqa: E402
from cooper_ros.ros.messages import to_header  # noqa: E402
from cooper_ros.ros.points import POINT, UNLABELLED, point_fields, to_point_cloud  # noqa: E402

NAMES = ("floor", "mug", "chair")
CAMERA = Intrinsics.from_fov(70.0, 64, 48)


def scene() -> tuple[np.ndarray, DepthMap, Segmentation]:
    """A floor at 4 m, a mug at 1 m and a chair at 2 m."""
    labels = np.zeros((48, 64), np.uint8)
    labels[10:20, 8:16], labels[20:44, 30:54] = 1, 2
    metres = np.choose(labels, [4.0, 1.0, 2.0]).astype(np.float32)
    metres[0, 0] = np.nan
    unit = np.ones_like(metres)
    depth = DepthMap(metres, unit, unit, True, ScaleSource.MODEL_PRIOR, CAMERA, 7, "optical")
    segmentation = build_segmentation(
        labels, unit, NAMES, depth=metres, intrinsics=CAMERA, stuff=("floor",), stamp_ns=7,
        frame_id="optical",
    )  # fmt: skip
    rgb = np.zeros((48, 64, 3), np.uint8)
    rgb[...] = (10, 200, 30)
    rgb[labels == 1] = (250, 1, 2)
    return rgb, depth, segmentation


def read(cloud: PointCloud2) -> np.ndarray:
    """The points as a reader sees them: by the fields of the message, not by our own layout."""
    kinds = {PointField.FLOAT32: "<f4", PointField.UINT16: "<u2"}
    dtype = np.dtype(
        {
            "names": [field.name for field in cloud.fields],
            "formats": [kinds[field.datatype] for field in cloud.fields],
            "offsets": [field.offset for field in cloud.fields],
            "itemsize": cloud.point_step,
        }
    )
    assert cloud.row_step == cloud.width * cloud.point_step
    return np.frombuffer(cloud.data, dtype).reshape(cloud.height, cloud.width)


@pytest.mark.parametrize("stride", [1, 2, 3, 5])
def test_points_lie_where_the_depth_says(stride: int) -> None:
    rgb, depth, segmentation = scene()
    cloud = to_point_cloud(depth, rgb, segmentation, to_header(7, "optical"), stride)
    values = read(cloud)
    assert cloud.header.frame_id == "optical" and cloud.header.stamp.nanosec == 7
    assert values.shape == (math.ceil(48 / stride), math.ceil(64 / stride))
    expected = geometry.points(depth.depth, CAMERA)[::stride, ::stride]
    found = np.stack([values["x"], values["y"], values["z"]], -1)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert np.isnan(values["x"][0, 0]) and not cloud.is_dense
    np.testing.assert_array_equal(values["label"], segmentation.labels[::stride, ::stride])
    np.testing.assert_array_equal(values["instance"], segmentation.instances[::stride, ::stride])


def test_colours_are_packed_as_pcl_reads_them() -> None:
    rgb, depth, segmentation = scene()
    values = read(to_point_cloud(depth, rgb, segmentation, to_header(0, "")))
    packed = values["rgb"].copy().view(np.uint32)
    assert packed[12, 10] == 0xFA0102 and packed[40, 5] == 0x0AC81E
    assert [field.name for field in point_fields()] == list(POINT.names or ())


def test_without_classes_points_are_unlabelled() -> None:
    rgb, depth, _ = scene()
    assert np.all(read(to_point_cloud(depth, rgb, None, to_header(0, "")))["label"] == UNLABELLED)


def test_relative_depth_gives_no_points() -> None:
    rgb, depth, _ = scene()
    relative = DepthMap(depth.depth * np.nan, depth.relative, depth.confidence, False)
    with pytest.raises(NotMetricError, match="calibrated"):
        to_point_cloud(relative, rgb, None, to_header(0, ""))


def test_every_object_gets_a_box_and_its_distance() -> None:
    _, _, segmentation = scene()
    colors = np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255]], np.uint8)
    header = to_header(7, "optical")
    markers = object_markers(segmentation.segments, header, CAMERA, colors, ("floor",)).markers
    assert [m.action for m in markers[:2]] == [Marker.DELETEALL] * 2
    cubes = [m for m in markers if m.type == Marker.CUBE and m.action == Marker.ADD]
    texts = {m.text for m in markers if m.type == Marker.TEXT_VIEW_FACING}
    assert len(cubes) == 2 and all(m.header.frame_id == "optical" for m in markers)
    mug = next(s for s in segmentation.segments if s.label == "mug")
    assert f"mug {mug.distance_m:.2f} m" in texts
    cube = next(m for m in cubes if m.color.r == 1.0)
    assert (cube.pose.position.x, cube.pose.position.y, cube.pose.position.z) == mug.position
    # 8 x 10 pixels at 1 m
    assert cube.scale.x == pytest.approx(8 / CAMERA.fx) and cube.scale.y == pytest.approx(
        10 / CAMERA.fy
    )
    assert cube.lifetime.sec > 0, "objects that are gone must vanish"
    assert len({(m.ns, m.id) for m in markers[2:]}) == len(markers) - 2


def test_an_answer_is_drawn_in_its_own_frame_and_replaces_the_last() -> None:
    one = ObjectReference("mug", position=(1.0, 2.0, 3.0))
    two = ObjectReference("chair", position=(3.0, 2.0, 3.0))
    lost = ObjectReference("bed")
    answer = SpatialAnswer("?", status=Status.OK, text="2.00 m", objects=(one, lost, two),
                           frame_id="map")  # fmt: skip
    markers = answer_markers(answer).markers
    assert markers[0].action == Marker.DELETEALL
    assert {m.header.frame_id for m in markers} == {"map"}
    line = next(m for m in markers if m.type == Marker.LINE_STRIP)
    assert [(p.x, p.y, p.z) for p in line.points] == [(1.0, 2.0, 3.0), (3.0, 2.0, 3.0)]
    text = next(m for m in markers if m.type == Marker.TEXT_VIEW_FACING)
    assert text.text == "2.00 m" and text.pose.position.x == 2.0
    nothing = answer_markers(SpatialAnswer("?", objects=(lost,))).markers
    assert [m.action for m in nothing] == [Marker.DELETEALL]


def test_names_of_objects_do_not_cover_each_other(monkeypatch):
    """Twelve objects in one place: as many names as fit, none over another, all boxes."""
    from cooper_ros.core.types import Segment
    from cooper_ros.ros import overlay

    places: list[tuple[int, int, int, int]] = []
    real = overlay.put_text

    def put_text(picture, text, x, y, scale=0.5):
        (width, height), _ = overlay.cv2.getTextSize(text, overlay.FONT, scale, 1)
        places.append((x, y - height, width, height))
        real(picture, text, x, y, scale)

    monkeypatch.setattr(overlay, "put_text", put_text)
    segments = [
        Segment(1, k, "lamp", 0.9, (100 + k, 80 + k, 60, 50), 3000 - k, 1.5) for k in range(1, 13)
    ]
    picture = overlay.draw_boxes(
        np.zeros((240, 320, 3), np.uint8), segments, np.full((4, 3), 200, np.uint8)
    )
    assert 2 <= len(places) < 12
    for i, a in enumerate(places):
        assert 0 <= a[0] and a[0] + a[2] <= 320 and 0 <= a[1] and a[1] + a[3] <= 240
        assert not any(overlay._overlap(a, b) for b in places[:i])
    assert (picture == 200).any()
