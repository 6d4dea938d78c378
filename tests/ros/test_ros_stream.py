"""Video: which frames get maps, what a question between keyframes is answered on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from cooper_ros.core.keyframes import KeyframeRule  # noqa: E402
from cooper_ros.core.segments import build_segmentation  # noqa: E402
from cooper_ros.core.types import (  # noqa: E402
    AnsweredBy,
    DepthMap,
    Frame,
    Intrinsics,
    Kind,
    ObjectReference,
    ScaleSource,
    Segment,
    SpatialAnswer,
    Status,
)
from cooper_ros.ros.followed_answers import KEPT, FollowedAnswers  # noqa: E402
from cooper_ros.ros.messages import to_followed_array, to_header  # noqa: E402
from cooper_ros.ros.perception import Perception, with_tracks  # noqa: E402
from cooper_ros.ros.slots import Snapshot  # noqa: E402
from cooper_ros.ros.stream import Followed, StreamPerceiver  # noqa: E402
from cooper_ros.runtime.cancel import CancelToken  # noqa: E402

WIDTH, HEIGHT = 320, 240
CAMERA = Intrinsics.from_fov(70.0, WIDTH, HEIGHT)
WALL = np.random.default_rng(1).integers(90, 130, (HEIGHT, WIDTH, 3), dtype=np.uint8)
SQUARES = np.random.default_rng(2).integers(0, 255, (10, 10, 3), dtype=np.uint8)
CARD = SQUARES.repeat(6, 0).repeat(6, 1)


@dataclass
class Shot:
    """What stands in for a message: a card whose left edge is at `x`, seen by one camera."""

    x: int
    stamp: int = 0
    intrinsics: Intrinsics = CAMERA

    def rgb(self) -> np.ndarray:
        rgb = WALL.copy()
        rgb[90:150, self.x : self.x + 60] = CARD
        return rgb


class Model:
    """A perceiver that counts; its maps show the card where it is."""

    def __init__(self) -> None:
        self.perceived: list[int] = []

    def convert(self, snapshot: Snapshot) -> tuple[Frame, str]:
        shot = snapshot.message
        return Frame(shot.rgb(), shot.intrinsics, shot.stamp, "optical"), ""

    def __call__(
        self, snapshot: Snapshot, cancel: Any, early: Any = None, converted: Any = None
    ) -> Perception:
        frame, problem = converted or self.convert(snapshot)
        shot = snapshot.message
        self.perceived.append(shot.stamp)
        labels = np.zeros((HEIGHT, WIDTH), np.uint8)
        labels[90:150, shot.x : shot.x + 60] = 1
        metres = np.where(labels, 2.0, 3.0).astype(np.float32)
        depth = DepthMap(metres, metres, metres, True, ScaleSource.MODEL_PRIOR, CAMERA, shot.stamp)
        segmentation = build_segmentation(
            labels, None, ("floor", "mug"), depth=metres, intrinsics=CAMERA, stuff=("floor",),
            stamp_ns=shot.stamp,
        )  # fmt: skip
        return Perception(snapshot, frame, None, depth, segmentation, problem, 0.1)


class Bench:
    def __init__(self, rule: KeyframeRule) -> None:
        self.rule, self.model = rule, Model()
        self.keys: list[Perception] = []
        self.followed: list[Followed] = []
        self.stream = StreamPerceiver(
            self.model, lambda: self.rule, self.keys.append, self.followed.append
        )
        self.stamp = 0

    def snapshot(self, x: int, camera: str = "", **fields: Any) -> Snapshot:
        self.stamp += 1
        return Snapshot(Shot(x, self.stamp, **fields), camera=camera)

    def look(self, x: int, camera: str = "", **fields: Any) -> Perception | None:
        return self.stream.look(self.snapshot(x, camera, **fields), CancelToken())

    def ask(self, x: int) -> Perception:
        return self.stream.perceive(self.snapshot(x), CancelToken())


def test_by_default_every_frame_gets_maps() -> None:
    bench = Bench(KeyframeRule())
    assert all(bench.look(100) for _ in range(5))
    assert len(bench.model.perceived) == 5 and not bench.followed
    assert bench.keys[-1].segmentation.segments[-1].track_id == 0


def test_every_nth_frame_gets_maps_and_the_others_follow() -> None:
    """The bound on work: 30 frames cost 6 perceptions, whatever they show."""
    bench = Bench(KeyframeRule(5, 0.0))
    for step in range(30):
        bench.look(60 + 3 * step)
    assert bench.model.perceived == [1, 6, 11, 16, 21, 26]
    assert len(bench.keys) == 6 and len(bench.followed) == 24
    numbers = set()
    for found in bench.followed:
        (segment,) = found.segments
        numbers.add(segment.track_id)
        assert abs(segment.box[0] - found.snapshot.message.x) <= 3
        assert segment.distance_m == pytest.approx(2.0, rel=0.2)
        assert found.frame.stamp_ns == found.snapshot.message.stamp > found.key.frame.stamp_ns
    for key in bench.keys:
        numbers |= {s.track_id for s in key.segmentation.segments if s.instance}
    assert len(numbers) == 1, "one object, one number, over all keyframes"


def test_a_frame_from_before_time_ran_back_is_no_keyframe_for_what_comes_after() -> None:
    bench = Bench(KeyframeRule(1000, 0.05))
    key = bench.look(40)
    assert bench.ask(40) is key
    original = bench.model.__call__

    class Jumping:
        convert = staticmethod(bench.model.convert)

        def __call__(self, *arguments: Any) -> Perception:
            bench.stream.forget("")  # meanwhile, in the executor's thread
            return original(*arguments)

    bench.stream._perceiver = Jumping()
    bench.look(220)
    bench.stream._perceiver = bench.model
    bench.look(220)
    assert bench.model.perceived == [1, 3, 4], "the last frame has maps of its own"
    assert bench.keys[-1].segmentation.segments[-1].track_id == 1, "numbers begin anew"


def test_a_new_view_is_a_keyframe_at_once() -> None:
    bench = Bench(KeyframeRule(1000, 0.05))
    for _ in range(10):
        bench.look(40)
    assert bench.model.perceived == [1]
    bench.look(220)
    assert bench.model.perceived == [1, 11]


def test_questions_use_the_keyframe_while_the_view_is_the_same() -> None:
    bench = Bench(KeyframeRule(1000, 0.05))
    key = bench.look(40)
    assert bench.ask(40) is key and bench.ask(41) is key
    moved = bench.ask(220)
    assert moved is not key and moved.frame.stamp_ns == bench.stamp
    assert bench.keys == [key, moved], "its maps are published"
    bench.rule = KeyframeRule(1000, 0.0)
    assert bench.ask(220) is not moved, "change is not looked at: the question gets its own image"


def test_an_image_that_comes_with_a_question_is_no_part_of_the_stream() -> None:
    bench = Bench(KeyframeRule(1000, 0.5))
    key = bench.look(40)
    mine = Snapshot(Shot(40, 99), from_camera=False)
    assert bench.stream.perceive(mine, CancelToken()).snapshot is mine
    assert bench.keys == [key]


def test_another_calibration_or_camera_starts_anew() -> None:
    bench = Bench(KeyframeRule(1000, 0.5))
    bench.look(40)
    bench.look(40, camera="rear")
    assert len(bench.keys) == 2
    bench.look(40, intrinsics=replace(CAMERA, fx=CAMERA.fx * 1.5))
    assert len(bench.keys) == 3
    bench.stream.forget("")
    bench.look(40, camera="rear")
    assert len(bench.keys) == 3
    bench.look(40)
    assert len(bench.keys) == 4


def test_the_rule_may_change_while_running() -> None:
    bench = Bench(KeyframeRule())
    bench.look(40)
    bench.rule = KeyframeRule(4, 0.0)
    for _ in range(8):
        bench.look(40)
    assert bench.model.perceived == [1, 2, 6]
    bench.rule = KeyframeRule()
    assert bench.look(40) and bench.look(40)


def test_answers_name_the_objects_that_are_followed() -> None:
    bench = Bench(KeyframeRule(5, 0.0))
    key = bench.look(40)
    assert key is not None and key.segmentation is not None
    (mug,) = [s for s in key.segmentation.segments if s.instance]
    known = ObjectReference("mug", mug.class_id, mug.instance)
    unknown = ObjectReference("bed", 7, 3)
    answer = with_tracks(SpatialAnswer("?", objects=(known, unknown)), key)
    assert [item.track_id for item in answer.objects] == [mug.track_id, 0]


def test_followed_segments_say_where_they_come_from() -> None:
    bench = Bench(KeyframeRule(5, 0.0))
    bench.look(40)
    bench.look(44)
    found = bench.followed[0]
    message = to_followed_array(found.segments, to_header(2, "optical"), 1)
    assert message.tracked and message.map_stamp.nanosec == 1 and message.header.stamp.nanosec == 2
    assert message.segments[0].track_id == found.segments[0].track_id > 0


def answer_about(key: Perception, question: str = "how far is the mug ?") -> SpatialAnswer:
    assert key.segmentation is not None
    (mug,) = [s for s in key.segmentation.segments if s.instance]
    return SpatialAnswer(
        question,
        kind=Kind.DISTANCE,
        status=Status.OK,
        text="2.00 m",
        value=2.0,
        measured=mug.distance_m,
        objects=(ObjectReference.from_segment(mug),),
        stamp_ns=key.frame.stamp_ns,
    )


def test_an_answer_goes_on_with_its_object() -> None:
    bench, answers = Bench(KeyframeRule(5, 0.0)), FollowedAnswers()
    key = bench.look(40)
    assert key is not None
    answers.note(answer_about(key))
    source = ScaleSource.MODEL_PRIOR
    assert answers.at(key.segmentation.segments, 1, "optical", source) == [], "said already"
    for x in (46, 52):
        bench.look(x)
        found = bench.followed[-1]
        (now,) = answers.at(found.segments, found.frame.stamp_ns, "optical", source)
        assert now.stamp_ns == found.frame.stamp_ns and now.status is Status.OK
        assert now.objects[0].box == found.segments[0].box != key.segmentation.segments[-1].box
        assert now.measured == found.segments[0].distance_m
        assert now.value == now.measured and now.text == f"{now.measured:.2f} m"
        assert now.answered_by is AnsweredBy.MEASURED, "the model wrote nothing about this frame"
        assert not now.agree and np.isnan(now.low) and np.isnan(now.confidence)
    (gone,) = answers.at((), 99, "optical", source)
    assert gone.status is Status.NOT_VISIBLE and "mug" in gone.message and not gone.objects[1:]
    assert answers.at((), 100, "optical", source) == [], "it is told once"


def test_answers_from_before_time_ran_back_are_not_followed() -> None:
    bench, answers = Bench(KeyframeRule(5, 0.0)), FollowedAnswers()
    key = bench.look(40)
    assert key is not None and key.segmentation is not None
    late = replace(answer_about(key), stamp_ns=100 * 10**9)
    answers.note(late)
    for stamp_ns in (late.stamp_ns - 10**9, late.stamp_ns + 1):
        told = answers.at(key.segmentation.segments, stamp_ns, "optical", ScaleSource.MODEL_PRIOR)
        assert told == [], "track numbers of another time mean other objects"


def test_followed_answers_are_bounded_and_replaced() -> None:
    bench, answers = Bench(KeyframeRule(5, 0.0)), FollowedAnswers()
    key = bench.look(40)
    assert key is not None
    for number in range(3 * KEPT):
        answers.note(answer_about(key, f"question {number} ?"))
    answers.note(answer_about(key, f"question {3 * KEPT - 1} ?"))
    told = answers.at(key.segmentation.segments, 50, "optical", ScaleSource.MODEL_PRIOR)
    assert [a.question for a in told] == [f"question {n} ?" for n in range(2 * KEPT, 3 * KEPT)]
    failed = replace(answer_about(key, "question 20 ?"), status=Status.NO_ANSWER)
    answers.note(failed)
    told = answers.at(key.segmentation.segments, 51, "optical", ScaleSource.MODEL_PRIOR)
    assert len(told) == KEPT - 1


def test_the_distance_between_two_is_measured_between_where_they_are() -> None:
    answers = FollowedAnswers()
    pair = tuple(ObjectReference(name, track_id=n) for n, name in ((1, "mug"), (2, "bed")))
    answers.note(SpatialAnswer("?", kind=Kind.DISTANCE, status=Status.OK, objects=pair))
    one = Segment(1, 1, "mug", 1.0, (0, 0, 9, 9), 81, 1.0, 0.0, (0.0, 0.0, 1.0), 1)
    two = Segment(2, 2, "bed", 1.0, (0, 0, 9, 9), 81, 3.0, 0.0, (0.0, 0.0, 3.0), 2)
    (now,) = answers.at((one, two), 5, "optical", ScaleSource.ANCHORED)
    assert now.measured == 2.0 and now.scale_source is ScaleSource.ANCHORED
