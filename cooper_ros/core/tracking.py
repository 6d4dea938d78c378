"""Following segments from the frame that has maps into the frames that have none.

Median flow: corners inside an object are followed by pyramidal Lucas-Kanade; their median shift
moves the object, and the median ratio of their distances from one another tells how much larger it
appears. An object that appears s times larger is s times nearer (pinhole camera, Kalal, Mikolajczyk
and Matas, Forward-backward error, 2010). Shift and ratio are taken against the keyframe, not added
up from frame to frame, so errors do not pile up.

The work is bounded: at most `MAX_OBJECTS` objects of at most `MAX_POINTS` corners.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.geometry import back_project, project
from cooper_ros.core.keyframes import Gray
from cooper_ros.core.pictures import window
from cooper_ros.core.types import NAN, UNKNOWN_POINT, Intrinsics, Segment, Segmentation

MAX_OBJECTS, MAX_POINTS = 16, 24
MIN_POINTS = 4
MIN_SHARE = 0.34
"""An object is lost when fewer corners, or a smaller share of them, can be followed."""

BACK_ERROR_PX = 1.0
"""A corner that does not come back to its place when followed backwards was not followed."""

MIN_BASE_PX = 4.0
"""Corners closer than this say nothing about how an object grew."""

MAX_RATIO = 3.0
MIN_OVERLAP = 0.3
MIN_VISIBLE = 0.4
"""An object is lost when it changed its size by more than `MAX_RATIO`, or less than this share of
its box is still in the image. Boxes of one class that overlap by `MIN_OVERLAP` are one object."""

FLOW: dict[str, Any] = {"winSize": (21, 21), "maxLevel": 3}
"""Windows of 21 px on four levels: shifts of some 20 px of the small image are found."""

Points = NDArray[np.float32]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class _Track:
    """`found`: the segment as the maps showed it. `origin` and `points` f32 [n, 2]: its corners
    then and now, in the small grey image; `count`: how many there were."""

    found: Segment
    now: Segment
    origin: Points
    points: Points
    count: int


@dataclass(frozen=True, eq=False)
class _Motion:
    """How an object moved since the keyframe: from `old` to `new` (median corner [2]) and `ratio`
    times larger, in the small image; a pixel of the camera image is `1 / scale` of its pixels."""

    old: Points
    new: Points
    ratio: float
    scale: float

    def place(self, u: float, v: float) -> tuple[float, float]:
        """Where a point of the object at (u, v) [px of the camera image] is now."""
        small = (np.array([u, v]) + 0.5) / self.scale - 0.5
        there = (self.new + self.ratio * (small - self.old) + 0.5) * self.scale - 0.5
        return float(there[0]), float(there[1])


class ObjectTracker:
    """Objects of one camera. Boxes are in pixels of the image, positions in its optical frame."""

    def __init__(self) -> None:
        self._gray: Gray | None = None
        self._tracks: list[_Track] = []
        self._next_id = 1
        self._scale = 1.0
        self._intrinsics: Intrinsics | None = None

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The objects that are being followed, as they are now."""
        return tuple(track.now for track in self._tracks)

    def start(
        self, gray: Gray, segmentation: Segmentation, intrinsics: Intrinsics | None
    ) -> Segmentation:
        """Take over what the maps of a keyframe show; returns it with track ids.

        An object of the same class at the same place keeps its number. `gray` is the `small_gray`
        of the image, `intrinsics` are those of the image that the boxes are in.
        """
        if self._gray is not None and self._gray.shape == gray.shape:
            self.follow(gray)
        known = list(self.segments)
        self._gray, self._intrinsics = gray, intrinsics
        self._scale = segmentation.full_size[0] / gray.shape[1]
        tracks, numbered = [], []
        objects = sorted(segmentation.segments, key=lambda s: -s.pixel_count)
        followed = [s for s in objects if s.instance][:MAX_OBJECTS]
        for segment in objects:
            if segment in followed:
                segment = replace(segment, track_id=self._number(segment, known))
                corners = self._corners(segmentation, segment, gray)
                if len(corners) >= MIN_POINTS:
                    tracks.append(_Track(segment, segment, corners, corners, len(corners)))
            numbered.append(segment)
        self._tracks = tracks
        return replace(segmentation, segments=tuple(numbered))

    def follow(self, gray: Gray) -> tuple[Segment, ...]:
        """Where the objects are in the next frame; those that were lost are missing."""
        if self._gray is None or not self._tracks or gray.shape != self._gray.shape:
            self._tracks = []
            self._gray = gray
            return ()
        before = np.concatenate([track.points for track in self._tracks])
        after, good = _flow(self._gray, gray, before)
        self._gray = gray
        tracks, start = [], 0
        for track in self._tracks:
            end = start + len(track.points)
            kept = good[start:end]
            moved = self._moved(track, track.origin[kept], after[start:end][kept], gray.shape)
            if moved is not None:
                tracks.append(moved)
            start = end
        self._tracks = tracks
        return self.segments

    def _number(self, segment: Segment, known: list[Segment]) -> int:
        """The number of the object that was at this place, else a new one."""
        same = [s for s in known if s.class_id == segment.class_id]
        best = max(same, key=lambda s: overlap(s.box, segment.box), default=None)
        if best is not None and overlap(best.box, segment.box) >= MIN_OVERLAP:
            known.remove(best)
            return best.track_id
        self._next_id += 1
        return self._next_id - 1

    def _corners(self, segmentation: Segmentation, segment: Segment, gray: Gray) -> Points:
        """Corners inside a segment: f32 [n, 2] in the small image."""
        x, y, width, height = segment.box
        inside = window(segmentation.instances, segment.box, segmentation.full_size)
        inside = inside == segment.instance
        left, top = int(x / self._scale), int(y / self._scale)
        right = min(math.ceil((x + width) / self._scale), gray.shape[1])
        bottom = min(math.ceil((y + height) / self._scale), gray.shape[0])
        if right - left < 3 or bottom - top < 3:
            return np.zeros((0, 2), np.float32)
        mask = cv2.resize(inside.astype(np.uint8), (right - left, bottom - top),
                          interpolation=cv2.INTER_NEAREST)  # fmt: skip
        seen = np.ascontiguousarray(gray[top:bottom, left:right])
        found = cv2.goodFeaturesToTrack(seen, MAX_POINTS, 0.02, 2, mask=mask)
        if found is None:
            return np.zeros((0, 2), np.float32)
        return found.reshape(-1, 2).astype(np.float32) + np.array([left, top], np.float32)

    def _moved(
        self, track: _Track, origin: Points, points: Points, shape: tuple[int, ...]
    ) -> _Track | None:
        """The track with its corners at `points`; None when it is lost."""
        if len(points) < max(MIN_POINTS, MIN_SHARE * track.count):
            return None
        ratio = _growth(origin, points)
        if not 1.0 / MAX_RATIO < ratio < MAX_RATIO:
            return None
        motion = _Motion(np.median(origin, axis=0), np.median(points, axis=0), ratio, self._scale)
        size = (round(shape[1] * self._scale), round(shape[0] * self._scale))
        segment = self._placed(track.found, motion, size)
        if segment is None:
            return None
        return replace(track, now=segment, origin=origin, points=points)

    def _placed(self, found: Segment, motion: _Motion, size: tuple[int, int]) -> Segment | None:
        """The segment after a motion, in an image of this size; None when it has left it."""
        x, y, width, height = found.box
        ratio = motion.ratio
        left, top = motion.place(x, y)
        box = (left, top, width * ratio, height * ratio)
        clipped = _clip(box, *size)
        if clipped[2] * clipped[3] < MIN_VISIBLE * box[2] * box[3] or min(clipped[2:]) < 1:
            return None
        position = UNKNOWN_POINT
        distance, spread = found.distance_m / ratio, found.distance_stddev_m / ratio
        if self._intrinsics is not None and math.isfinite(found.position[2]):
            pixel = motion.place(*project(self._intrinsics, found.position))
            position = back_project(self._intrinsics, *pixel, found.position[2] / ratio)
        return replace(
            found,
            box=clipped,
            pixel_count=max(round(found.pixel_count * ratio**2), 1),
            distance_m=distance if math.isfinite(distance) else NAN,
            distance_stddev_m=spread if math.isfinite(spread) else NAN,
            position=position,
        )


def overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union of two boxes (x, y, width, height)."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return float(shared / (one[2] * one[3] + other[2] * other[3] - shared))


def _flow(before: Gray, after: Gray, points: Points) -> tuple[Points, NDArray[np.bool_]]:
    """(places f32 [n, 2] in the next picture, bool [n] which were found and come back)."""
    lucas_kanade: Any = cv2.calcOpticalFlowPyrLK  # the stubs want an array where None is meant
    there, found, _ = lucas_kanade(before, after, points[:, None], None, **FLOW)
    back, returned, _ = lucas_kanade(after, before, there, None, **FLOW)
    error = np.linalg.norm(back[:, 0] - points, axis=1)
    good = (found.ravel() == 1) & (returned.ravel() == 1) & (error < BACK_ERROR_PX)
    return there[:, 0], good


def _growth(origin: Points, points: Points) -> float:
    """Median ratio of the distances between corners, now to then; 1 where they are too close."""
    first, second = np.triu_indices(len(origin), 1)
    base = np.linalg.norm(origin[first] - origin[second], axis=1)
    now = np.linalg.norm(points[first] - points[second], axis=1)
    usable = base >= MIN_BASE_PX
    if np.count_nonzero(usable) < MIN_POINTS:
        return 1.0
    return float(np.median(now[usable] / base[usable]))


def _clip(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    left, top = max(round(box[0]), 0), max(round(box[1]), 0)
    right = min(round(box[0] + box[2]), width)
    bottom = min(round(box[1] + box[3]), height)
    return left, top, max(right - left, 0), max(bottom - top, 0)
