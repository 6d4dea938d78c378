"""Work is bounded and stops when nobody wants it; time that runs back ends what was known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from rclpy.clock import ROSClock  # noqa: E402
from rclpy.time import Time  # noqa: E402

from cooper_ros.core import geometry, types  # noqa: E402
from cooper_ros.core.errors import GenerationCancelled  # noqa: E402
from cooper_ros.core.segments import build_segmentation  # noqa: E402
from cooper_ros.ros import boxes as box_module  # noqa: E402
from cooper_ros.ros.audience import LOOK_S, Audience, nobody_listens  # noqa: E402
from cooper_ros.ros.boxes import BoxMeasurer  # noqa: E402
from cooper_ros.ros.calls import PendingCall  # noqa: E402
from cooper_ros.ros.clock_jumps import BACK_S, ClockJumps  # noqa: E402
from cooper_ros.ros.distances import measure_items  # noqa: E402
from cooper_ros.ros.frames import Frames  # noqa: E402
from cooper_ros.ros.intake import Intake  # noqa: E402
from cooper_ros.ros.ranges import RangeInput  # noqa: E402
from cooper_ros.runtime.cancel import CancelToken  # noqa: E402

WIDTH, HEIGHT = 160, 120
CAMERA = types.Intrinsics.from_fov(70.0, WIDTH, HEIGHT)
NAMES = ("floor", "mug", "chair")
SECOND = 10**9


def scene(seed: int = 0) -> tuple[types.DepthMap, types.Segmentation]:
    """Mugs and chairs at random places, each at its own depth, on a floor; some holes."""
    random = np.random.default_rng(seed)
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    depth = random.uniform(3.0, 4.0, (HEIGHT, WIDTH)).astype(np.float32)
    for number in range(8):
        row, column = random.integers(0, HEIGHT - 30), random.integers(0, WIDTH - 30)
        place = np.s_[row : row + 25, column : column + 20]
        labels[place] = 1 + number % 2
        depth[place] = 1.0 + 0.2 * number + random.uniform(0, 0.1, (25, 20))
    depth[random.random(depth.shape) < 0.05] = np.nan
    score = np.ones_like(depth)
    segmentation = build_segmentation(
        labels, score, NAMES, depth=depth, intrinsics=CAMERA, stuff=("floor",)
    )
    source = types.ScaleSource.MODEL_PRIOR
    return types.DepthMap(depth, depth, score, True, source, CAMERA), segmentation


def by_hand(
    box: tuple[int, int, int, int], depth: types.DepthMap, segmentation: types.Segmentation
) -> tuple[str, float]:
    """(label, distance) by the definitions, segment by segment on the whole image."""
    inside = np.zeros((HEIGHT, WIDTH), bool)
    x, y, width, height = box
    inside[y : y + height, x : x + width] = True
    best: Any = None
    for segment in segmentation.segments:
        mask = segmentation.mask(segment) & inside
        count = int(mask.sum())
        enough = segment.instance > 0 and count >= box_module.OBJECT_SHARE * inside.sum()
        if count and (best is None or (enough, count) > best[0]):
            best = (enough, count), segment.label, mask
    label, mask = ("", inside) if best is None else best[1:]
    return label, geometry.object_distance(depth.depth, mask, CAMERA)


def test_boxes_are_measured_by_the_definitions() -> None:
    depth, segmentation = scene()
    random = np.random.default_rng(1)
    boxes = [
        (int(x), int(y), int(w), int(h))
        for x, y, w, h in random.integers((0, 0, 1, 1), (WIDTH, HEIGHT, 90, 90), (200, 4))
    ]
    found = measure_items([], [], depth, segmentation, boxes)
    wanted = [by_hand(box, depth, segmentation) for box in boxes]
    assert {label for label, _ in wanted} == set(NAMES)
    assert [item.reference.label for item in found] == [label for label, _ in wanted]
    distances = [item.distance_m for item in found]
    assert distances == pytest.approx([metres for _, metres in wanted], nan_ok=True)


def test_many_large_boxes_cost_no_more_than_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """256 boxes of the whole picture held the inference thread for 21 s."""
    depth, segmentation = scene()
    whole = (0, 0, WIDTH, HEIGHT)
    monkeypatch.setattr(box_module, "PIXELS", 4 * WIDTH * HEIGHT)
    measurer = BoxMeasurer(depth, segmentation, 256)
    found = [measurer.content(whole) for _ in range(256)]
    assert measurer.looked_at <= 4 * WIDTH * HEIGHT
    exact = BoxMeasurer(depth, segmentation, 1).content(whole)
    assert exact is not None and found[0] is not None
    assert found[0].reference == exact.reference
    assert found[0].distance_m == pytest.approx(exact.distance_m, rel=0.1)
    assert found[0].position == pytest.approx(exact.position, rel=0.3, abs=0.2)


def test_sizes_from_the_wire_are_no_sizes_of_arrays() -> None:
    depth, segmentation = scene()
    huge = 2**32 - 1
    boxes = [(0, 0, huge, huge), (huge, huge, huge, huge), (10, 10, 0, huge)]
    everything, outside, empty = measure_items([], [], depth, segmentation, boxes)
    assert everything.status is types.Status.OK
    assert outside.status is empty.status is types.Status.BAD_QUESTION


def test_measuring_stops_when_it_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    depth, segmentation = scene()
    cancel = CancelToken()
    measured: list[Any] = []
    original = BoxMeasurer.content

    def content(self: BoxMeasurer, box: Any) -> Any:
        measured.append(box)
        cancel.cancel()
        return original(self, box)

    monkeypatch.setattr(BoxMeasurer, "content", content)
    with pytest.raises(GenerationCancelled):
        measure_items([], [], depth, segmentation, [(0, 0, 9, 9)] * 256, cancel)
    assert len(measured) == 1
    for names, pixels in ((["mug"], []), ([], [(1.0, 1.0)])):
        with pytest.raises(GenerationCancelled):
            measure_items(names, pixels, depth, segmentation, cancel=cancel)


# -- clients that go -----------------------------------------------------------------------------


class Looks:
    """An audience whose size and time a test sets."""

    def __init__(self) -> None:
        self.count: Any = 1
        self.now = 100.0
        self.audience = Audience(self._count, lambda: self.now)

    def _count(self) -> int:
        if isinstance(self.count, Exception):
            raise self.count
        return self.count

    def later(self) -> bool:
        self.now += LOOK_S
        return self.audience.has_left()


def test_a_client_has_gone_when_two_looks_find_nobody() -> None:
    looks = Looks()
    assert not looks.later() and not looks.later()
    looks.count = 0
    assert not looks.later(), "discovery may be late once"
    assert not looks.audience.has_left(), "no second look at once"
    assert looks.later()
    looks.count = 1
    assert not looks.later()
    looks.count = 0
    looks.later()
    looks.audience.rest()
    assert not looks.later()
    looks.count = NotImplementedError("not with this middleware")
    assert not looks.later() and not looks.later()


def test_work_for_clients_that_have_gone_is_stopped() -> None:
    looks, withdrawn = Looks(), []
    worker = SimpleNamespace(withdraw=withdrawn.append)
    intake = Intake(SimpleNamespace(worker=worker))
    calls = {PendingCall(lambda *_: "done", str, 60.0, lambda: None) for _ in range(2)}
    intake.end_overdue(calls, looks.audience)
    assert not any(call.done for call in calls)
    looks.count = 0
    for _ in range(2):
        looks.now += LOOK_S
        intake.end_overdue(calls, looks.audience)
    assert all(call.done and call.cancel.cancelled for call in calls)
    assert len(withdrawn) == 2, "their places in the queue are free"
    assert "client has gone" in str(nobody_listens())


# -- time that runs back -------------------------------------------------------------------------


def test_images_from_the_past_are_a_jump_and_late_ones_are_not() -> None:
    clock = ROSClock()
    jumps = ClockJumps(clock, lambda seconds: None)
    late = round(BACK_S * SECOND / 2)
    assert jumps.ran_back_s("", 100 * SECOND) == 0.0
    assert jumps.ran_back_s("", 100 * SECOND - late) == 0.0
    assert jumps.ran_back_s("", 101 * SECOND) == 0.0
    assert jumps.ran_back_s("other", 5 * SECOND) == 0.0, "each camera has its own time"
    assert jumps.ran_back_s("", 0) == 0.0, "no time is no jump"
    assert jumps.ran_back_s("", 91 * SECOND) == pytest.approx(10.0)
    assert jumps.ran_back_s("", 92 * SECOND) == 0.0
    jumps.close()


def test_a_clock_that_is_set_back_is_noticed() -> None:
    clock, told = ROSClock(), []
    clock._set_ros_time_is_active(True)
    jumps = ClockJumps(clock, told.append)
    for seconds in (1000, 1001, 1000.9, 5, 6):
        clock.set_ros_time_override(Time(nanoseconds=round(seconds * SECOND)))
    assert told == [pytest.approx(995.9)]
    jumps.close()
    clock.set_ros_time_override(Time(nanoseconds=SECOND))
    assert len(told) == 1


def test_readings_and_transforms_of_another_time_are_dropped() -> None:
    node = SimpleNamespace(
        resolve_topic_name=lambda name: name, get_publishers_info_by_topic=lambda name: []
    )
    ranges = RangeInput(node, "points")
    stamped = SimpleNamespace(header=SimpleNamespace(stamp=SimpleNamespace(sec=5, nanosec=0)))
    ranges._receive(stamped)
    assert ranges.nearest(SECOND, 0.0) is not None
    ranges.forget()
    assert ranges.nearest(SECOND, 0.0) is None
    cleared = []
    Frames(None, True, SimpleNamespace(clear=lambda: cleared.append(1))).forget()
    Frames(None, False).forget()
    assert cleared


def test_a_refused_calibration_keeps_no_frame() -> None:
    """Its error held itself, and with it the maps of the frame, until the collector came."""
    import gc
    import weakref

    from cooper_ros.ros.calibrating import CalibrateService
    from cooper_ros.srv import CalibrateScale

    class Maps:
        """What stands in for a perception: without a calibration."""

        depth = SimpleNamespace(intrinsics=None)
        calibration_problem = "the camera is not calibrated"

    alive: list[Any] = []

    class Worker:
        def submit(self, call: PendingCall) -> None:
            maps = Maps()
            alive.append(weakref.ref(maps))
            try:
                call.run(maps)
            except Exception as error:
                call.fail(error)

    node = SimpleNamespace(
        create_service=lambda *_, **__: SimpleNamespace(service_name="x"),
        camera_names=("",), executor=None, worker=Worker(), parameter=lambda name: 10.0,
        scale={"": SimpleNamespace(scaling=None)},
    )  # fmt: skip
    service = CalibrateService(node, Intake(node))
    request = CalibrateScale.Request(names=["mug"], distances=[1.0])
    gc.disable()
    try:
        handler = service._on_calibrate(request, CalibrateScale.Response())
        with pytest.raises(StopIteration) as ended:
            handler.send(None)
        response = ended.value.value
        assert "not calibrated" in response.message and not response.success
        assert alive and alive[0]() is None
    finally:
        gc.enable()
