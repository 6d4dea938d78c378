"""Scaling without a node: floor, TF, clouds, reading by time. TF is a stand-in for its buffer."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cooper_ros.core.anchors import Anchors, gravity_from_tilt
from cooper_ros.core.camera import Frame, Intrinsics
from cooper_ros.core.errors import FrameError, ScaleError
from cooper_ros.core.geometry import points
from cooper_ros.core.scale import LOG, ScaleState
from cooper_ros.core.scale_state import calibration_problem, calibration_text, calibrations_of
from cooper_ros.core.types import (
    DepthMap,
    ObjectReference,
    ScaleReport,
    ScaleSource,
    SpatialAnswer,
)

pytest.importorskip("rclpy")

from sensor_msgs.msg import Image, PointCloud2, PointField  # noqa: E402

from cooper_ros.ros.clouds import cloud_to_points  # noqa: E402
from cooper_ros.ros.conversion import array_to_image  # noqa: E402
from cooper_ros.ros.distances import measure_items  # noqa: E402
from cooper_ros.ros.evidence import EvidenceSources, ScaleSettings  # noqa: E402
from cooper_ros.ros.frames import Frames, matrix_of  # noqa: E402
from cooper_ros.ros.messages import to_depth_info, to_header  # noqa: E402
from cooper_ros.ros.ranges import Reading, age_s  # noqa: E402
from cooper_ros.ros.reframe import answer_in  # noqa: E402
from cooper_ros.ros.scaling import Scaling  # noqa: E402
from cooper_ros.runtime.spec import DepthSettings  # noqa: E402

CAMERA = Intrinsics.from_fov(70.0, 64, 48)
STAMP = 5_000_000_000
PITCH = 0.35


def transform(x: float, y: float, z: float, qx: float, qy: float, qz: float, qw: float) -> Any:
    return SimpleNamespace(
        translation=SimpleNamespace(x=x, y=y, z=z),
        rotation=SimpleNamespace(x=qx, y=qy, z=qz, w=qw),
    )


class Buffer:
    """The part of tf2_ros.Buffer that the node uses."""

    def __init__(self, known: dict[tuple[str, str], Any]) -> None:
        self.known = known
        self.asked: list[tuple[str, str, int]] = []

    def lookup_transform(self, target: str, source: str, time: Any) -> Any:
        self.asked.append((target, source, time.nanoseconds))
        if (target, source) not in self.known:
            raise LookupError(f"{source} is not in the tree")
        return SimpleNamespace(transform=self.known[target, source])


# optical frame -> a frame with x ahead and z up, 0.5 m below the camera, looking ahead
AHEAD = transform(0.0, 0.0, 0.5, -0.5, 0.5, -0.5, 0.5)


class Context:
    """The part of FrameContext that Scaling uses: a model that is wrong by a factor."""

    def __init__(self, nominal: np.ndarray, floor: np.ndarray | None, metric: bool = True) -> None:
        self.frame = Frame(np.zeros((48, 64, 3), np.uint8), CAMERA, STAMP, "camera")
        segmentation = SimpleNamespace(names=("floor", "wall")) if floor is not None else None
        depth = DepthSettings(0.25, 10.0, "log", metric)
        self.spec = SimpleNamespace(depth=depth, segmentation=segmentation)
        self.gravity: Any = None
        self._nominal = nominal.astype(np.float32)
        self._labels = None if floor is None else np.where(floor, 0, 1).astype(np.uint8)
        unknown = np.full((48, 64), np.nan, np.float32)
        self.found = DepthMap(
            self._nominal if metric else unknown, unknown, unknown, metric,
            ScaleSource.MODEL_PRIOR if metric else ScaleSource.UNKNOWN, CAMERA,
        )  # fmt: skip

    def depth(self, cancel: Any = None) -> DepthMap:
        return self.found

    def nominal_depth(self, cancel: Any = None) -> np.ndarray:
        return self._nominal

    def labels(self, cancel: Any = None) -> np.ndarray | None:
        return self._labels

    def put_depth(self, depth: DepthMap) -> None:
        self.found = depth

    def note_scale(self, report: ScaleReport) -> None:
        self.found = replace(self.found, scale=report)


def slope_of(pitch: float) -> np.ndarray:
    rays = points(np.ones((48, 64), np.float32), CAMERA).astype(np.float64)
    return rays @ gravity_from_tilt(pitch)


def view(height_m: float, pitch: float = PITCH) -> tuple[np.ndarray, np.ndarray]:
    """(depth, floor mask): floor up to 4 m, then a wall."""
    with np.errstate(divide="ignore"):
        floor = np.where(slope_of(pitch) > 1e-3, height_m / slope_of(pitch), np.inf)
    return np.minimum(floor, 4.0).astype(np.float32), floor < 4.0


class Input:
    """A RangeInput that holds one message."""

    topic, problem = "/points", ""

    def __init__(self, message: Any) -> None:
        self.reading = Reading(message, 0.0)

    def nearest(self, stamp_ns: int, received: float) -> Reading:
        return self.reading


def scaling_with(
    settings: ScaleSettings, frames: Frames | None = None, ranges: Any = None
) -> tuple[Scaling, list[str]]:
    warned: list[str] = []
    sources = EvidenceSources(frames or Frames(None, False), ranges, None)
    sources.settings = settings
    return Scaling(sources, warned.append), warned


def snapshot() -> Any:
    return SimpleNamespace(received=0.0)


def test_the_floor_under_a_camera_of_known_height_gives_metres() -> None:
    truth, floor = view(0.5)
    context = Context(truth * 0.7, floor)
    settings = ScaleSettings(camera_height_m=0.5, camera_pitch_deg=math.degrees(PITCH))
    scaling, warned = scaling_with(settings)
    scaling.apply(context, snapshot())
    found = context.found
    assert found.scale_source is ScaleSource.ANCHORED and not warned
    assert found.scale is not None and found.scale.anchor_sources == ("ground plane",)
    assert np.median(found.depth / truth) == pytest.approx(1.0, abs=0.12)  # pulled by the prior
    assert context.gravity == pytest.approx(gravity_from_tilt(PITCH))


def test_relative_depth_becomes_metric_on_the_floor_and_stays_relative_without() -> None:
    truth, floor = view(0.5)
    relative = Context(truth * 0.1, floor, metric=False)
    scaling, _ = scaling_with(ScaleSettings())
    scaling.apply(relative, snapshot())
    assert not relative.found.metric and relative.found.scale_source is ScaleSource.UNKNOWN
    settings = ScaleSettings(camera_height_m=0.5, camera_pitch_deg=math.degrees(PITCH))
    scaling, _ = scaling_with(settings)
    scaling.apply(relative, snapshot())
    assert relative.found.metric
    assert np.median(relative.found.depth / truth) == pytest.approx(1.0, abs=0.06)


def test_height_and_gravity_come_from_tf_at_the_time_of_the_image() -> None:
    truth, floor = view(0.5, 0.0)
    buffer = Buffer({("base", "camera"): AHEAD})
    settings = ScaleSettings(ground_frame="base")
    scaling, _ = scaling_with(settings, Frames(None, True, buffer))
    context = Context(truth * 0.8, floor)
    scaling.apply(context, snapshot())
    assert context.gravity == pytest.approx([0.0, 1.0, 0.0], abs=1e-9)
    assert context.found.scale_source is ScaleSource.ANCHORED
    assert buffer.asked == [("base", "camera", STAMP)]
    scaling, warned = scaling_with(ScaleSettings(ground_frame="moon"), Frames(None, True, buffer))
    scaling.apply(context, snapshot())
    assert "moon" in warned[0]


def cloud(xyz: np.ndarray, frame: str) -> PointCloud2:
    fields = [
        PointField(name=n, offset=o, datatype=PointField.FLOAT32, count=1)
        for n, o in (("x", 0), ("y", 4), ("z", 8))
    ]
    msg = PointCloud2(height=1, width=len(xyz), fields=fields, point_step=12)
    msg.row_step = 12 * len(xyz)
    msg.data = xyz.astype("<f4").tobytes()
    msg.header = to_header(STAMP, frame)
    return msg


def test_points_of_another_frame_come_through_tf() -> None:
    truth, floor = view(0.5, 0.0)
    xyz = points(truth, CAMERA).reshape(-1, 3)[::37].astype(np.float64)
    pose = matrix_of(AHEAD)
    in_lidar = xyz @ pose[:3, :3].T + pose[:3, 3]
    back = np.linalg.inv(pose)
    quaternion = (0.5, -0.5, 0.5, 0.5)
    buffer = Buffer({("camera", "lidar"): transform(*back[:3, 3], *quaternion)})
    assert matrix_of(buffer.known["camera", "lidar"]) == pytest.approx(back)
    ranges = Input(cloud(in_lidar, "lidar"))
    context = Context(truth * 0.6, floor)
    scaling, warned = scaling_with(ScaleSettings(), Frames(None, True, buffer), ranges)
    scaling.apply(context, snapshot())
    assert not warned and context.found.scale_source is ScaleSource.ANCHORED
    assert np.median(context.found.depth / truth) == pytest.approx(1.0, abs=0.03)


def test_a_registered_depth_image_is_a_range_input_too() -> None:
    truth, floor = view(0.5)
    image = array_to_image((truth * 1000).astype(np.uint16), "16UC1", to_header(STAMP, "camera"))
    context = Context(truth * 0.6, floor)
    scaling, warned = scaling_with(ScaleSettings(), None, Input(image))
    scaling.apply(context, snapshot())
    assert not warned and np.median(context.found.depth / truth) == pytest.approx(1.0, abs=0.03)


def uneven(truth: np.ndarray) -> np.ndarray:
    """A model that is wrong by another factor on the right than on the left."""
    return truth * np.linspace(0.6, 0.9, truth.shape[1], dtype=np.float32)


def sparse(truth: np.ndarray, step: int = 6) -> PointCloud2:
    columns, rows = np.meshgrid(np.arange(2, 64, step), np.arange(2, 48, step))
    return cloud(points(truth, CAMERA)[rows, columns].reshape(-1, 3).astype(float), "camera")


def test_range_points_complete_the_depth_unless_the_parameter_says_no() -> None:
    truth, floor = view(0.5)
    errors, methods = [], []
    for completion in (True, False):
        context = Context(uneven(truth), floor)
        settings = ScaleSettings(depth_completion=completion)
        scaling, warned = scaling_with(settings, None, Input(sparse(truth)))
        scaling.apply(context, snapshot())
        assert not warned and context.found.scale is not None
        assert context.found.scale_source is ScaleSource.ANCHORED
        assert (context.found.half_width is not None) is completion
        errors.append(np.mean(np.abs(context.found.depth / truth - 1.0)))
        methods.append(context.found.scale.method)
        info = to_depth_info(context.found, 0.25, 10.0, 0.0)
        assert info.scale_method == methods[-1] and (info.completion_rmse >= 0.0) is completion
        # What is remembered is the fit: residuals hold for their own frame only.
        assert scaling._last is not None
        assert scaling._last[0].scale == pytest.approx(context.found.scale.scale)
    assert methods == ["completion", "power"] and errors[0] < 0.4 * errors[1]


def test_holes_of_an_external_depth_are_completed_and_their_share_is_told() -> None:
    truth, floor = view(0.5)
    sensor = (truth * 1000).astype(np.uint16)
    sensor[:, 40:] = 0
    image = array_to_image(sensor, "16UC1", to_header(STAMP, "camera"))
    sources = EvidenceSources(Frames(None, False), None, Input(image))  # type: ignore[arg-type]
    sources.settings = ScaleSettings(depth_source="external")
    context = Context(uneven(truth), floor)
    Scaling(sources, print).apply(context, snapshot())
    found = context.found
    assert found.scale_source is ScaleSource.EXTERNAL and found.half_width is not None
    np.testing.assert_allclose(found.depth[:, :40], truth[:, :40], atol=1e-3)
    assert np.mean(np.abs(found.depth[:, 40:48] / truth[:, 40:48] - 1.0)) < 0.06
    assert found.half_width[:, 60:].mean() > found.half_width[:, :40].max()
    shares = to_depth_info(found, 0.25, 10.0, 0.0).source_shares
    assert shares[ScaleSource.EXTERNAL] == pytest.approx(40 / 64)
    assert shares[ScaleSource.ANCHORED] == pytest.approx(24 / 64)


def test_points_that_contradict_each_other_leave_the_fit_and_say_so() -> None:
    truth, floor = view(0.5)
    context = Context(truth * 0.7, floor)
    settings = ScaleSettings(camera_height_m=0.5, camera_pitch_deg=math.degrees(PITCH))
    rng = np.random.default_rng(1)
    xyz = points(truth, CAMERA)[::6, ::6].reshape(-1, 3).astype(float)
    xyz *= np.exp(rng.uniform(-3.0, 1.0, (len(xyz), 1)))
    scaling, warned = scaling_with(settings, None, Input(cloud(xyz, "camera")))
    scaling.apply(context, snapshot())
    assert context.found.half_width is None and context.found.scale is not None
    assert context.found.scale.method != "completion" and warned


def by_hand(truth: np.ndarray, mistake: float = 1.0) -> Anchors:
    """Distances to seven places, the fourth of them wrong by a factor."""
    u, v = np.array([5, 15, 25, 32, 40, 50, 60]), np.array([40, 30, 44, 36, 28, 42, 34])
    depth = truth[v, u].astype(np.float64)
    depth[3] *= mistake
    return Anchors(u.astype(float), v.astype(float), depth, np.full(7, 0.02), "distances given")


@pytest.mark.parametrize(("mistake", "side"), [(10.0, "nearer"), (0.1, "farther")])
def test_a_distance_that_contradicts_the_others_is_named(mistake: float, side: str) -> None:
    """A slip of the decimal point was left out of the fit without a word."""
    truth, floor = view(0.5)
    scaling, _ = scaling_with(ScaleSettings())
    _, count, residual = scaling.calibrate(Context(truth * 0.6, floor), by_hand(truth))
    assert count == 7 and residual < 0.05
    with pytest.raises(ScaleError, match=rf"distance 4 of 7 .* (9|10)\.\d times {side}"):
        scaling.calibrate(Context(truth * 0.6, floor), by_hand(truth, mistake))


def test_frames_that_contradict_each_other_do_not_calibrate() -> None:
    scaling, _ = scaling_with(ScaleSettings())

    def fits(*factors: float) -> None:
        scaling.forget()
        for factor in factors:
            mean = np.array([math.log(factor), 0.0])
            scaling._history.append(ScaleState(LOG, mean, np.eye(2) * 1e-4, 0.05))

    fits(1.0, 1.02, 0.98, 1.01)
    assert scaling.calibrate_from_history()[1] == 4
    fits(1.0, 3.0, 1.0, 3.0)
    with pytest.raises(ScaleError, match="last 4 frames contradict each other"):
        scaling.calibrate_from_history()


def test_a_fit_begun_before_time_ran_back_is_not_remembered() -> None:
    truth, floor = view(0.5)
    image = array_to_image((truth * 1000).astype(np.uint16), "16UC1", to_header(STAMP, "camera"))
    ranges = Input(image)
    scaling, _ = scaling_with(ScaleSettings(), None, ranges)

    class Jumping(Context):
        def put_depth(self, depth: DepthMap) -> None:
            super().put_depth(depth)

        def nominal_depth(self, cancel: Any = None) -> np.ndarray:
            scaling.forget()  # meanwhile, in the executor's thread
            return super().nominal_depth(cancel)

    def remembered(context: Context) -> bool:
        scaling.apply(context, snapshot())
        ranges.reading = Reading(Image(header=to_header(1, "")), 0.0)  # nothing in time
        later = Context(truth * 0.6, floor)
        scaling.apply(later, snapshot())
        ranges.reading = Reading(image, 0.0)
        return later.found.scale_source is ScaleSource.CALIBRATED

    assert remembered(Context(truth * 0.6, floor))
    scaling.forget()
    assert not remembered(Jumping(truth * 0.6, floor))


def test_problems_are_logged_once_and_when_they_change() -> None:
    truth, floor = view(0.5)
    scaling, warned = scaling_with(ScaleSettings(), None, Input(cloud(np.ones((3, 3)), "lidar")))
    for _ in range(3):
        scaling.apply(Context(truth, floor), snapshot())
    assert len(warned) == 1 and "lidar" in warned[0]


def test_without_classes_the_floor_cannot_be_used() -> None:
    truth, _ = view(0.5)
    context = Context(truth, None)
    scaling, warned = scaling_with(ScaleSettings(camera_height_m=0.5))
    scaling.apply(context, snapshot())
    assert "no class floor" in warned[0]
    assert context.found.scale_source is ScaleSource.MODEL_PRIOR


def test_frames_cannot_be_related_without_tf() -> None:
    frames = Frames(None, False)
    assert np.allclose(frames.lookup("a", "a", 0), np.eye(4))
    with pytest.raises(FrameError, match="use_tf"):
        frames.lookup("a", "b", 0)
    with pytest.raises(FrameError, match="rigid"):
        matrix_of(transform(0, 0, 0, 0, 0, 0, 0))
    with pytest.raises(FrameError, match="rigid"):
        matrix_of(transform(math.nan, 0, 0, 0, 0, 0, 1))


def test_answers_move_to_another_frame_or_lose_their_positions() -> None:
    frames = Frames(None, True, Buffer({("base", "camera"): AHEAD}))
    item = ObjectReference("mug", position=(0.1, 0.2, 2.0), distance_m=2.01)
    answer = SpatialAnswer("?", objects=(item,), stamp_ns=STAMP, frame_id="camera")
    moved = answer_in(frames, answer, "base")
    assert moved.frame_id == "base"
    assert moved.objects[0].position == pytest.approx((2.0, -0.1, 0.3))
    assert moved.objects[0].distance_m == 2.01
    assert answer_in(frames, answer, "") is answer
    lost = answer_in(frames, answer, "moon")
    assert lost.frame_id == "camera" and "moon" in lost.message
    assert all(map(math.isnan, lost.objects[0].position))


def test_boxes_mean_the_object_in_them() -> None:
    from cooper_ros.core.segments import build_segmentation

    labels = np.zeros((48, 64), np.uint8)
    labels[10:30, 20:40] = 2
    depth = np.full((48, 64), 4.0, np.float32)
    depth[10:30, 20:40] = 1.5
    score = np.ones((48, 64), np.float32)
    names = ("floor", "wall", "chair")
    segmentation = build_segmentation(labels, score, names, depth=depth, intrinsics=CAMERA)
    report = ScaleReport(ScaleSource.ANCHORED, half_widths=((0.5, 0.1), (5.0, 0.1)))
    scaled = DepthMap(depth, depth, depth, True, ScaleSource.ANCHORED, CAMERA, scale=report)
    boxes = [(22, 12, 10, 10), (0, 35, 20, 10), (10, 5, 40, 30), (9, 9, 0, 4)]
    box, background, around, nothing = measure_items([], [], scaled, segmentation, boxes)
    assert box.reference.label == "chair" and box.distance_m == pytest.approx(1.5, rel=0.1)
    assert box.low_m == pytest.approx(box.distance_m * math.exp(-0.1))
    assert background.reference.label == "floor" and background.distance_m > 4.0
    assert around.reference.label == "chair"
    assert nothing.status.name == "BAD_QUESTION" and math.isnan(nothing.low_m)
    # Completed depth has an interval of its own at each pixel.
    width = np.where(labels == 2, np.float32(0.04), np.float32(0.3))
    sure = replace(scaled, half_width=width)
    name, on, off, box, _ = measure_items(
        ["chair"], [(30, 20), (2, 2)], sure, segmentation, boxes[:2]
    )
    for item, half in ((name, 0.04), (on, 0.04), (off, 0.3), (box, 0.04)):
        assert item.low_m == pytest.approx(item.distance_m * math.exp(-half))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"fields": []}, "without fields"),
        ({"point_step": 8}, "ends after point_step"),
        ({"width": 100}, "was cut"),
        ({"row_step": 7}, "was cut"),
        ({"height": 2**31, "width": 2**31}, "more than"),
    ],
)
def test_contradicting_clouds_are_refused(change: dict, reason: str) -> None:
    msg = cloud(np.ones((5, 3)), "camera")
    for name, value in change.items():
        setattr(msg, name, value)
    with pytest.raises(ScaleError, match=reason):
        cloud_to_points(msg)


def test_clouds_of_doubles_big_endian_and_empty_ones_are_read() -> None:
    xyz = np.arange(12.0).reshape(4, 3)
    msg = cloud(xyz, "camera")
    assert np.allclose(cloud_to_points(msg), xyz)
    for field, offset in zip(msg.fields, (0, 8, 16), strict=True):
        field.datatype, field.offset = PointField.FLOAT64, offset
    msg.point_step, msg.row_step, msg.is_bigendian = 24, 96, True
    msg.data = xyz.astype(">f8").tobytes()
    assert np.allclose(cloud_to_points(msg), xyz)
    assert cloud_to_points(PointCloud2()).shape == (0, 3)
    msg.fields[0].datatype = PointField.INT8
    with pytest.raises(ScaleError, match="FLOAT32"):
        cloud_to_points(msg)


def test_age_is_by_stamp_or_by_arrival_where_a_driver_gives_none() -> None:
    reading = Reading(Image(header=to_header(STAMP, "")), 10.0)
    assert age_s(reading, STAMP + 200_000_000, 99.0) == pytest.approx(0.2)
    assert age_s(Reading(Image(), 10.0), STAMP, 10.5) == pytest.approx(0.5)


def test_calibrations_of_several_cameras_live_in_one_text() -> None:
    one = ScaleState(LOG, np.array([0.1, 0.0]), np.eye(2) * 0.01, 0.1)
    text = calibration_text("", "front", one)
    both = calibration_text(text, "", one)
    assert set(calibrations_of(both)) == {"front", ""} and calibration_problem(both) == ""
    assert set(calibrations_of(calibration_text(both, "front", None))) == {""}
    assert calibration_text(text, "front", None) == "" and calibrations_of("  ") == {}
    assert "calibrate_scale" in calibration_problem("front=what")
