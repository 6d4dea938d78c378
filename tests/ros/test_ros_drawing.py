"""Point cloud and markers: the same geometry as the maps they are drawn from."""

from __future__ import annotations

import math
from dataclasses import replace

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
    Segment,
    Segmentation,
    SpatialAnswer,
    Status,
)
from cooper_ros.ros import lettering, overlay  # noqa: E402
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


def drawn(monkeypatch: pytest.MonkeyPatch, draw) -> list[tuple[str, tuple[int, int, int, int]]]:
    """What text a drawing wrote, and in which box."""
    texts: list[tuple[str, tuple[int, int, int, int]]] = []
    real = lettering.write

    def write(picture, text, *args, **kwargs):
        texts.append((text, real(picture, text, *args, **kwargs)))
        return texts[-1][1]

    monkeypatch.setattr(lettering, "write", write)
    draw()
    return texts


def lamps(count: int) -> list[Segment]:
    return [
        Segment(1, k, "lamp", 0.9 - k / 100, (100 + k, 80 + k, 60, 50), 3000 - k, 1.5)
        for k in range(1, count + 1)
    ]


def test_names_of_objects_do_not_cover_each_other(monkeypatch):
    """Twelve objects in one place: as many names as fit, none over another, inside the picture."""
    picture = np.zeros((240, 320, 3), np.uint8)
    texts = drawn(
        monkeypatch,
        lambda: overlay.draw_boxes(picture, lamps(12), np.full((4, 3), 200, np.uint8)),
    )
    places = [place for _, place in texts]
    assert 6 <= len(places) <= 10
    for i, a in enumerate(places):
        assert 0 <= a[0] and a[0] + a[2] <= 320 and 0 <= a[1] and a[1] + a[3] <= 240
        assert not any(overlay._overlap(a, b) for b in places[:i])


def test_the_ten_best_objects_are_shown_and_no_stuff() -> None:
    segments = [*lamps(12), Segment(0, 0, "wall", 0.99, (0, 0, 320, 240), 9000)]
    segments += [Segment(2, 13, "floor", 0.95, (0, 0, 320, 240), 9000),
                 Segment(3, 14, "mug", 0.96, (0, 0, 5, 5), 25),
                 Segment(3, 15, "can", float("nan"), (0, 0, 90, 90), 5000)]  # fmt: skip
    shown = overlay.best_objects(segments, (240, 320, 3), ("floor", "wall"))
    assert [s.instance for s in shown] == list(range(1, 11)), "the best score comes first"
    few = overlay.best_objects([*segments[:2], segments[-1]], (240, 320, 3))
    assert [s.instance for s in few] == [1, 2, 15], "an unknown score comes last"


def test_walls_and_floor_keep_their_pixels() -> None:
    labels = np.zeros((120, 160), np.uint8)
    labels[40:100, 60:120] = 1
    segmentation = build_segmentation(labels, np.ones((120, 160), np.float32), NAMES)
    rgb = np.full((120, 160, 3), 90, np.uint8)
    colors = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    picture = overlay.draw_overlay(rgb, segmentation, colors, ("floor",))
    changed = (picture != 90).any(axis=2)
    assert not changed[:, :56].any() and not changed[104:].any(), "the floor as the camera sees it"
    inside = picture[50:90, 70:110]
    assert (inside[..., 1] > 120).mean() > 0.6 and (inside[..., 0] < 90).mean() > 0.6
    hidden = replace(segmentation, segments=segmentation.segments[:1])
    hidden = overlay.draw_overlay(rgb, hidden, colors, ("floor",))
    assert np.array_equal(hidden, rgb), "what is no segment is not drawn, its pixels neither"


def test_a_label_is_filled_and_its_text_can_be_read() -> None:
    for ground in ((250, 240, 90), (60, 10, 120), (200, 30, 40), (120, 120, 120)):
        picture = np.full((60, 200, 3), 128, np.uint8)
        ink = lettering.readable_on(ground)
        x, y, width, height = lettering.write(picture, "mug 1.25 m", 10, 10, 16, ink, ground, 3)
        label = picture[y : y + height, x : x + width].reshape(-1, 3)
        assert (label == ground).all(axis=1).mean() > 0.5, "filled"
        assert (label == ink).all(axis=1).sum() > 20, "written"
        luminance = [np.dot(c, (0.299, 0.587, 0.114)) for c in (ink, ground)]
        assert abs(luminance[0] - luminance[1]) > 100
    for text in ("", "a\nb", "\udc80 Stühle", "x" * 300):
        lettering.write(picture, text, -20, 55, 16, ground=(1, 2, 3), padding=2)
    assert lettering.extent("a\nb", 16)[1] == lettering.extent("a", 16)[1]


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [(0.4, 3.0, [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]), (0.93, 8.2, [2.0, 4.0, 6.0, 8.0]),
     (0.5, 1.01, [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]), (1.0, 1.0, [1.0]), (0.0, 1e4, [])],
)  # fmt: skip
def test_the_legend_of_depth_has_round_metres(low, high, wanted, monkeypatch) -> None:
    assert overlay.ticks(low, high) == pytest.approx(wanted)
    strip: list[np.ndarray] = []
    texts = drawn(monkeypatch, lambda: strip.append(overlay.depth_legend(640, low, high, 17)))
    assert [text for text, _ in texts] == [f"{value:g} m" for value in wanted]
    assert strip[0].shape[1] == 640
    bar = strip[0][10]
    assert bar[40].sum() > 3 * bar[-40].sum(), "near is bright, as in the picture"
