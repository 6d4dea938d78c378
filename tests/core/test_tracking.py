"""Keyframes and followed objects, on pictures whose motion is known."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from cooper_ros.core.keyframes import KeyframeRule, cells, picture_change, small_gray
from cooper_ros.core.segments import build_segmentation
from cooper_ros.core.tracking import MAX_OBJECTS, MAX_POINTS, ObjectTracker, overlap
from cooper_ros.core.types import Intrinsics, Segment, Segmentation

WIDTH, HEIGHT = 640, 480
CAMERA = Intrinsics.from_fov(70.0, WIDTH, HEIGHT)
NAMES = ("floor", "mug", "chair")


def texture(width: int, height: int, seed: int) -> np.ndarray:
    """Smooth random texture, uint8 [h, w, 3]."""
    rng = np.random.default_rng(seed)
    rough = rng.integers(0, 256, (max(height // 8, 2), max(width // 8, 2), 3), dtype=np.uint8)
    return cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC)


class World:
    """A textured card of 0.4 x 0.3 m at (x, y, z) [m] in front of a textured wall."""

    def __init__(self, label: int = 1, size: tuple[float, float] = (0.4, 0.3)) -> None:
        self.label, self.size = label, size
        self._card = texture(160, 120, label)
        self._wall = cv2.GaussianBlur(texture(WIDTH, HEIGHT, 9) // 3 + 80, (0, 0), 5)

    def see(self, x: float, y: float, z: float) -> tuple[np.ndarray, Segmentation]:
        u, v = CAMERA.fx * x / z + CAMERA.cx, CAMERA.fy * y / z + CAMERA.cy
        w, h = CAMERA.fx * self.size[0] / z, CAMERA.fy * self.size[1] / z
        shrink = np.float32([[w / 160, 0, u - w / 2], [0, h / 120, v - h / 2]])
        card = cv2.warpAffine(self._card, shrink, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)
        mask = cv2.warpAffine(np.full((120, 160), 255, np.uint8), shrink, (WIDTH, HEIGHT)) > 127
        rgb = np.where(mask[..., None], card, self._wall)
        labels = np.where(mask, self.label, 0).astype(np.uint8)
        depth = np.where(mask, z, 4.0).astype(np.float32)
        segmentation = build_segmentation(
            labels, np.ones_like(depth), NAMES, depth=depth, intrinsics=CAMERA, stuff=("floor",)
        )
        return rgb, segmentation


def the(segments: tuple[Segment, ...], label: str = "mug") -> Segment:
    return next(segment for segment in segments if segment.label == label)


def test_an_object_is_followed_in_place_size_and_distance() -> None:
    """20 frames: the card comes nearer, from 2 m to 1.2 m, and goes to the right."""
    world, tracker = World(), ObjectTracker()
    rgb, segmentation = world.see(-0.3, 0.1, 2.0)
    number = the(tracker.start(small_gray(rgb), segmentation, CAMERA).segments).track_id
    for step in range(1, 21):
        x, z = -0.3 + 0.02 * step, 2.0 - 0.04 * step
        rgb, truth = world.see(x, 0.1, z)
        found = the(tracker.follow(small_gray(rgb)))
        expected = the(truth.segments)
        assert found.track_id == number
        assert overlap(found.box, expected.box) > 0.85
        assert found.distance_m == pytest.approx(expected.distance_m, rel=0.05)
        assert math.dist(found.position, expected.position) < 0.08
        assert found.pixel_count == pytest.approx(expected.pixel_count, rel=0.15)


def test_a_new_keyframe_keeps_the_numbers() -> None:
    world, tracker = World(), ObjectTracker()
    rgb, segmentation = world.see(0.0, 0.0, 2.0)
    first = the(tracker.start(small_gray(rgb), segmentation, CAMERA).segments)
    rgb, segmentation = world.see(0.1, 0.0, 1.9)
    again = the(tracker.start(small_gray(rgb), segmentation, CAMERA).segments)
    assert first.track_id == again.track_id != 0
    other = World(label=2)
    rgb, segmentation = other.see(0.1, 0.0, 1.9)
    new = the(tracker.start(small_gray(rgb), segmentation, CAMERA).segments, "chair")
    assert new.track_id not in (0, first.track_id), "another class is another object"


def test_what_leaves_the_image_or_is_covered_is_lost() -> None:
    world, tracker = World(), ObjectTracker()
    rgb, segmentation = world.see(0.0, 0.0, 1.5)
    tracker.start(small_gray(rgb), segmentation, CAMERA)
    for step in range(1, 30):
        rgb, _ = world.see(0.05 * step, 0.0, 1.5)
        if not tracker.follow(small_gray(rgb)):
            break
    assert 0.05 * step > 0.7, "it is followed up to the border"
    assert step < 29, "and lost beyond it"
    rgb, segmentation = world.see(0.0, 0.0, 1.5)
    tracker.start(small_gray(rgb), segmentation, CAMERA)
    assert tracker.follow(small_gray(texture(WIDTH, HEIGHT, 5))) == ()
    assert tracker.follow(small_gray(rgb)) == (), "what was lost does not come back by itself"


def test_another_image_size_loses_everything() -> None:
    world, tracker = World(), ObjectTracker()
    rgb, segmentation = world.see(0.0, 0.0, 1.5)
    tracker.start(small_gray(rgb), segmentation, CAMERA)
    assert tracker.follow(np.zeros((10, 10), np.uint8)) == ()


def test_without_metres_boxes_are_followed_and_nothing_is_made_up() -> None:
    world, tracker = World(), ObjectTracker()
    rgb, segmentation = world.see(0.0, 0.0, 2.0)
    plain = build_segmentation(segmentation.labels, None, NAMES, stuff=("floor",))
    tracker.start(small_gray(rgb), plain, None)
    rgb, truth = world.see(0.1, 0.0, 2.0)
    found = the(tracker.follow(small_gray(rgb)))
    assert overlap(found.box, the(truth.segments).box) > 0.85
    assert math.isnan(found.distance_m) and all(math.isnan(v) for v in found.position)


def test_the_work_does_not_grow_with_the_number_of_objects() -> None:
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    for row in range(0, HEIGHT - 30, 40):
        for column in range(0, WIDTH - 30, 40):
            labels[row : row + 25, column : column + 25] = 1
    segmentation = build_segmentation(labels, None, NAMES, stuff=("floor",))
    assert len(segmentation.segments) > 100
    gray = small_gray(texture(WIDTH, HEIGHT, 3))
    tracker = ObjectTracker()
    numbered = tracker.start(gray, segmentation, None)
    assert sum(segment.track_id > 0 for segment in numbered.segments) == MAX_OBJECTS
    assert sum(len(track.points) for track in tracker._tracks) <= MAX_OBJECTS * MAX_POINTS
    assert len(tracker.follow(gray)) <= MAX_OBJECTS


@pytest.mark.parametrize(
    ("rule", "frames", "change", "wanted"),
    [
        (KeyframeRule(), 1, 0.0, True),
        (KeyframeRule(5, 0.0), 4, 1.0, False),
        (KeyframeRule(5, 0.0), 5, 0.0, True),
        (KeyframeRule(5, 0.1), 1, 0.1, True),
        (KeyframeRule(5, 0.1), 1, 0.09, False),
    ],
)
def test_the_rule(rule: KeyframeRule, frames: int, change: float, wanted: bool) -> None:
    assert rule.wants(frames, change) is wanted


def test_questions_share_a_keyframe_only_while_the_view_is_the_same() -> None:
    assert KeyframeRule(5, 0.1).same_view(0.05)
    assert not KeyframeRule(5, 0.1).same_view(0.1)
    assert not KeyframeRule(5, 0.0).same_view(0.0), "change is not looked at, so nothing is known"


def test_change_is_a_share_of_the_picture() -> None:
    rgb = texture(WIDTH, HEIGHT, 1)
    before = cells(small_gray(rgb))
    assert picture_change(before, before) == 0.0
    brighter = np.clip(rgb.astype(int) + 20, 0, 255).astype(np.uint8)
    assert picture_change(before, cells(small_gray(brighter))) < 0.05, "exposure is no news"
    noise = np.random.default_rng(0).normal(0, 12, rgb.shape)
    noisy = np.clip(rgb + noise, 0, 255).astype(np.uint8)
    assert picture_change(before, cells(small_gray(noisy))) < 0.01, "noise is no news"
    quarter = rgb.copy()
    quarter[:240, :320] = 255 - quarter[:240, :320]
    assert 0.12 < picture_change(before, cells(small_gray(quarter))) < 0.28
    assert picture_change(before, cells(small_gray(texture(WIDTH, HEIGHT, 2)))) > 0.5


@pytest.mark.parametrize("size", [(64, 48), (320, 240), (640, 480), (1920, 1080), (333, 777)])
def test_small_grey_pictures_keep_the_shape(size: tuple[int, int]) -> None:
    gray = small_gray(np.full((size[1], size[0], 3), 77, np.uint8))
    assert gray.shape[1] == min(size[0], 320) and np.all(gray == 77)
    assert gray.shape[0] / gray.shape[1] == pytest.approx(size[1] / size[0], rel=0.02)
