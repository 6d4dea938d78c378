"""From a camera message to maps: what the inference thread does with one image."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sensor_msgs.msg import CameraInfo, CompressedImage

from cooper_ros.core.errors import IntrinsicsError
from cooper_ros.core.types import DepthMap, Frame, ObjectReference, Segmentation, SpatialAnswer
from cooper_ros.ros.conversion import camera_info_to_intrinsics, compressed_to_rgb, image_to_rgb
from cooper_ros.ros.messages import time_to_ns
from cooper_ros.ros.rates import Stopwatch, Taken
from cooper_ros.ros.scaling import Scaling
from cooper_ros.ros.slots import Snapshot
from cooper_ros.ros.worker import Early
from cooper_ros.runtime.cancel import CancelToken

NO_SCALE = (
    "this model's depth is relative and nothing gives it a scale: publish range points, set "
    "camera_height_m or ground_frame, or call ~/calibrate_scale"
)
FindInfo = Callable[[str], "tuple[CameraInfo | None, str]"]
"""Frame id -> (newest camera_info, why there is none)."""


@dataclass(frozen=True, eq=False)
class Perception:
    """One image and its maps; `context` answers questions about it.

    `calibration_problem` says why lengths cannot be given in metres, "" if they can. `seconds` is
    what the model took, `converting` what the conversion of the message took before.
    """

    snapshot: Snapshot
    frame: Frame
    context: Any
    depth: DepthMap
    segmentation: Segmentation | None
    calibration_problem: str
    seconds: float
    converting: Taken = Taken()


def to_frame(snapshot: Snapshot, find_info: FindInfo) -> tuple[Frame, str]:
    """Convert an image and its calibration; the text says why there are no intrinsics.

    Raises InvalidImageError. A bad or missing calibration is not an error: the frame then has no
    intrinsics and depth stays relative.
    """
    message = snapshot.message
    compressed = isinstance(message, CompressedImage)
    rgb = compressed_to_rgb(message) if compressed else image_to_rgb(message)
    height, width = rgb.shape[:2]
    info, problem = snapshot.camera_info, ""
    if info is None:
        info, problem = find_info(message.header.frame_id)
    intrinsics = None
    if info is not None:
        try:
            intrinsics = camera_info_to_intrinsics(info, width, height, snapshot.rectified)
            if intrinsics is None:
                problem = "camera_info has a zero matrix K: the camera is not calibrated"
        except IntrinsicsError as error:
            problem = str(error)
    frame = Frame(rgb, intrinsics, time_to_ns(message.header.stamp), message.header.frame_id)
    return frame, problem


class Perceiver:
    """Runs the pipeline on snapshots."""

    def __init__(
        self,
        pipeline: Any,
        find_info: Callable[[str, str], tuple[CameraInfo | None, str]],
        find_scaling: Callable[[str], Scaling | None] = lambda camera: None,
    ) -> None:
        """`find_info(camera, frame_id)`: see `FindInfo`; `find_scaling(camera)`: what gives its
        depth a metric scale, None for the model's own."""
        self._pipeline = pipeline
        self._find_info = find_info
        self._find_scaling = find_scaling
        self._converting = Taken()

    def convert(self, snapshot: Snapshot) -> tuple[Frame, str]:
        """See `to_frame`."""
        with Stopwatch() as watch:
            converted = to_frame(snapshot, partial(self._find_info, snapshot.camera))
        self._converting = watch.taken
        return converted

    def __call__(
        self,
        snapshot: Snapshot,
        cancel: CancelToken,
        early: Early | None = None,
        converted: tuple[Frame, str] | None = None,
    ) -> Perception:
        """Perceive one image (inference thread). `early` hears of it before its maps are made;
        `converted`: what `convert` gave for it."""
        frame, problem = converted or self.convert(snapshot)
        started = time.monotonic()
        cancel.check()
        context = self._pipeline.see(frame)
        cancel.check()
        if early is not None:
            early(frame, context, problem)
        scaling = self._find_scaling(snapshot.camera) if snapshot.from_camera else None
        if scaling is not None:
            scaling.apply(context, snapshot, cancel)
        segmentation = None
        if self._pipeline.spec.segmentation is not None:
            depth, segmentation = context.perceive(cancel)
        else:  # colours without a palette are a picture, not classes
            depth = context.depth(cancel)
        return Perception(
            snapshot,
            frame,
            context,
            depth,
            segmentation,
            problem or _scale_problem(depth),
            time.monotonic() - started,
            self._converting,
        )


def with_tracks(answer: SpatialAnswer, perception: Perception) -> SpatialAnswer:
    """The answer, its objects with the numbers under which they are followed."""
    if perception.segmentation is None or not answer.objects:
        return answer
    numbers = {
        (s.class_id, s.instance): s.track_id for s in perception.segmentation.segments if s.track_id
    }

    def numbered(item: ObjectReference) -> ObjectReference:
        return replace(item, track_id=numbers.get((item.class_id, item.instance), 0))

    return replace(answer, objects=tuple(numbered(item) for item in answer.objects))


def _scale_problem(depth: DepthMap) -> str:
    """Why depth is relative although the camera is calibrated, "" if it is metric."""
    if depth.metric:
        return ""
    report = depth.scale
    return report.message if report is not None and report.message else NO_SCALE


def explain(answer: Any, perception: Perception) -> Any:
    """The answer with its camera, the track ids, and the reason for missing metres."""
    if perception.snapshot.from_camera:
        answer = replace(with_tracks(answer, perception), camera=perception.snapshot.camera)
    if perception.calibration_problem and not perception.depth.metric:
        text = f"{answer.message} ({perception.calibration_problem})".strip()
        if answer.message:
            return replace(answer, message=text)
    return answer
