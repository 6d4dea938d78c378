"""What the robot's other sensors say about the depth of one image: anchors, or why there are none.

Range points and registered depth images are found by time and related by TF; the floor plane comes
from TF or from the parameters that say how the camera is mounted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image

from cooper_ros.core.anchors import (
    Anchors,
    anchors_from_depth,
    anchors_from_floor,
    anchors_from_points,
    gravity_from_tilt,
)
from cooper_ros.core.errors import CooperError, FrameError, ScaleError
from cooper_ros.core.types import Frame, Intrinsics, ScaleReport, ScaleSource
from cooper_ros.ros.clouds import cloud_to_points
from cooper_ros.ros.conversion import image_to_depth
from cooper_ros.ros.frames import Frames, transform_points
from cooper_ros.ros.ranges import RangeInput, Reading, age_s
from cooper_ros.ros.worker import Snapshot

SENSOR_BIAS = 0.01
"""Error that all points of a range sensor share, as share of the distance."""
NO_CLASSES = "ground plane: the floor cannot be told apart, this model has no class floor"


@dataclass(frozen=True)
class ScaleSettings:
    """The node's parameters of this matter; angles in degrees, see ros/parameters.py."""

    range_max_age_s: float = 0.15
    range_sigma: float = 0.02
    camera_height_m: float = 0.0
    camera_pitch_deg: float = 0.0
    camera_roll_deg: float = 0.0
    ground_frame: str = ""
    depth_source: str = "model"
    depth_completion: bool = True
    scale_memory_s: float = 2.0


@dataclass
class Evidence:
    """What one frame offers: anchors, and what was wrong with those that are missing."""

    anchors: list[Anchors] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class ProblemLog:
    """Says what was wrong with a frame's evidence once, and again when it comes back as another
    problem. `title` goes before it."""

    def __init__(self, warn: Callable[[str], None], title: str) -> None:
        self._warn, self._title, self._warned = warn, title, ""

    def note(self, found: Evidence) -> None:
        """The problems of one frame."""
        kinds = "; ".join(problem.split(":")[0] for problem in found.problems)
        if kinds and kinds != self._warned:
            self._warn(f"{self._title}: {'; '.join(found.problems)}")
        self._warned = kinds


def sensor_width(sigma: float) -> float:
    """Half width of the 90 % interval of ln(true / measured); `sigma`: error of single points."""
    return 1.645 * math.hypot(sigma, SENSOR_BIAS)


def sensor_report(
    topic: str, age_s: float, sigma: float, found: Evidence, completion_rmse_m: float = math.nan
) -> ScaleReport:
    """The provenance of depth that a sensor measured."""
    width = sensor_width(sigma)
    return ScaleReport(
        ScaleSource.EXTERNAL,
        "sensor",
        1.0,
        1.0,
        0.0,
        anchor_sources=(topic,),
        half_widths=((0.1, width), (100.0, width)),
        age_s=age_s,
        message="; ".join(found.problems),
        completion_rmse_m=completion_rmse_m,
    )


class EvidenceSources:
    """Collects the evidence for one camera's frames (inference thread).

    `ranges`, `external`: inputs, None where not subscribed.
    """

    def __init__(
        self, frames: Frames, ranges: RangeInput | None, external: RangeInput | None
    ) -> None:
        self._frames = frames
        self._ranges = ranges
        self._external = external
        self.settings = ScaleSettings()

    def ground(self, frame: Frame, found: Evidence) -> tuple[float, Any]:
        """(height of the camera above the floor [m], gravity), NaN and None where unknown."""
        settings = self.settings
        if settings.ground_frame:
            try:
                pose = self._frames.lookup(settings.ground_frame, frame.frame_id, frame.stamp_ns)
            except FrameError as error:
                found.problems.append(f"ground_frame: {error}")
            else:
                return float(pose[2, 3]), pose[:3, :3].T @ np.array([0.0, 0.0, -1.0])
        if settings.camera_height_m > 0.0:
            pitch, roll = map(
                math.radians, (settings.camera_pitch_deg, settings.camera_roll_deg)
            )
            return settings.camera_height_m, gravity_from_tilt(pitch, roll)
        return math.nan, None

    def add_floor(
        self, context: Any, intrinsics: Intrinsics, height_m: float, cancel: Any, found: Evidence
    ) -> None:
        if context.gravity is None:
            return
        labels = context.labels(cancel)
        if labels is None or "floor" not in context.spec.segmentation.names:
            found.problems.append(NO_CLASSES)
            return
        floor = labels == context.spec.segmentation.names.index("floor")
        try:
            anchors = anchors_from_floor(floor, intrinsics, height_m, context.gravity)
        except ScaleError as error:
            found.problems.append(f"ground plane: {error}")
            return
        if len(anchors):
            found.anchors.append(anchors)
        else:
            found.problems.append("ground plane: no floor is in view")

    def _reading(
        self, source: RangeInput | None, snapshot: Snapshot, frame: Frame, found: Evidence
    ) -> tuple[Reading | None, float]:
        """The reading that belongs to a frame and its age [s]."""
        if source is None:
            return None, math.nan
        if source.problem:
            found.problems.append(source.problem)
        reading = source.nearest(frame.stamp_ns, snapshot.received)
        if reading is None:
            return None, math.nan
        age = age_s(reading, frame.stamp_ns, snapshot.received)
        if age > self.settings.range_max_age_s:
            found.problems.append(
                f"{source.topic}: the message closest to the image is {age:.2f} s away from it, "
                f"more than {self.settings.range_max_age_s:g} s (parameter range_max_age_s): do "
                "both sensors stamp with one clock?"
            )
            return None, age
        return reading, age

    def add_ranges(
        self, frame: Frame, intrinsics: Intrinsics, snapshot: Snapshot, found: Evidence
    ) -> None:
        reading, _ = self._reading(self._ranges, snapshot, frame, found)
        if reading is None or self._ranges is None:
            return
        options = {
            "sigma": self.settings.range_sigma,
            "bias": SENSOR_BIAS,
            "source": self._ranges.topic,
        }
        message = reading.message
        try:
            if isinstance(message, Image):
                anchors = anchors_from_depth(image_to_depth(message), intrinsics, **options)
            else:
                points = cloud_to_points(message)
                pose = self._frames.lookup(
                    frame.frame_id, message.header.frame_id, reading.stamp_ns or frame.stamp_ns
                )
                anchors = anchors_from_points(
                    transform_points(pose, points), intrinsics, **options
                )
        except CooperError as error:
            found.problems.append(f"{self._ranges.topic}: {error}")
            return
        if len(anchors):
            found.anchors.append(anchors)
        else:
            found.problems.append(f"{self._ranges.topic}: none of its points is in view")

    def external(
        self, frame: Frame, snapshot: Snapshot, found: Evidence
    ) -> tuple[NDArray[np.float32], str, float] | None:
        """Another sensor's depth f32 [h, w] for this frame (metres, NaN where unknown), its topic
        and its age [s]; None where there is none, with the reason among the problems."""
        reading, age = self._reading(self._external, snapshot, frame, found)
        if reading is None or self._external is None:
            found.problems.append("depth_source is external, but there is no depth for this image")
            return None
        try:
            depth = image_to_depth(reading.message)
        except CooperError as error:
            found.problems.append(f"{self._external.topic}: {error}")
            return None
        with np.errstate(invalid="ignore"):
            known = np.where(depth > 0.0, depth, np.nan).astype(np.float32)
        return known, self._external.topic, age
