"""From a camera message to maps: what the inference thread does with one image."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sensor_msgs.msg import CameraInfo

from cooper_ros.core.errors import IntrinsicsError
from cooper_ros.core.pictures import WORK_PIXELS, blank_problem
from cooper_ros.core.types import DepthMap, Frame, ObjectReference, Segmentation, SpatialAnswer
from cooper_ros.ros.camera_infos import camera_info_to_intrinsics
from cooper_ros.ros.messages import time_to_ns
from cooper_ros.ros.name_source import NameSource
from cooper_ros.ros.rates import Stopwatch, Taken
from cooper_ros.ros.scaling import Scaling
from cooper_ros.ros.sensor_depth import SensorDepth
from cooper_ros.ros.slots import Snapshot
from cooper_ros.ros.worker import Early
from cooper_ros.runtime.cancel import CancelToken
from cooper_ros.runtime.maps import without_confidence, without_score

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
    `picture_problem`: that the picture is empty, "" if it shows something. `names_missing`: why
    nobody named anything in it, "" if somebody did.
    """

    snapshot: Snapshot
    frame: Frame
    context: Any
    depth: DepthMap
    segmentation: Segmentation | None
    calibration_problem: str
    seconds: float
    converting: Taken = Taken()
    picture_problem: str = ""
    names_missing: str = ""


def to_frame(
    snapshot: Snapshot, find_info: FindInfo, pixels: int = WORK_PIXELS
) -> tuple[Frame, str]:
    """Convert an image and its calibration; the text says why there are no intrinsics.

    The frame has at most so many `pixels`, and says how large the image was. Raises
    InvalidImageError. A bad or missing calibration is not an error: the frame then has no
    intrinsics and depth stays relative.
    """
    read = snapshot.read(pixels)
    header, (width, height) = snapshot.header, read.size
    info, problem = snapshot.camera_info, ""
    if info is None:
        info, problem = find_info(header.frame_id)
    intrinsics = None
    if info is not None:
        try:
            intrinsics = camera_info_to_intrinsics(info, width, height, snapshot.rectified)
            if intrinsics is None:
                problem = "camera_info has a zero matrix K: the camera is not calibrated"
            else:
                intrinsics = intrinsics.scaled(read.rgb.shape[1], read.rgb.shape[0])
        except IntrinsicsError as error:
            problem = str(error)
    stamp_ns = time_to_ns(header.stamp)
    frame = Frame(read.rgb, intrinsics, stamp_ns, header.frame_id, read.size, read.grey_range)
    return frame, problem


class Perceiver:
    """Runs the pipeline on snapshots."""

    def __init__(
        self,
        pipeline: Any,
        find_info: Callable[[str, str], tuple[CameraInfo | None, str]],
        find_scaling: Callable[[str], Scaling | SensorDepth | None] = lambda camera: None,
        names: NameSource | None = None,
    ) -> None:
        """`find_info(camera, frame_id)`: see `FindInfo`; `find_scaling(camera)`: what gives its
        depth a metric scale, None for the model's own; `names`: who names things besides it."""
        self._names = names
        self._pipeline = pipeline
        self._find_info = find_info
        self._find_scaling = find_scaling
        self._converting = Taken()
        self.max_pixels = WORK_PIXELS

    def convert(self, snapshot: Snapshot) -> tuple[Frame, str]:
        """See `to_frame`."""
        with Stopwatch() as watch:
            find_info = partial(self._find_info, snapshot.camera)
            converted = to_frame(snapshot, find_info, min(WORK_PIXELS, self.max_pixels))
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
        if self._names is not None:
            self._pipeline.naming = self._names.naming(snapshot)
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
        missing = ""
        if self._names is not None:
            segmentation = self._names.put(context, snapshot, depth, segmentation)
            self._pipeline.naming = self._names.naming()
            missing = context.naming.missing
        return Perception(
            snapshot,
            frame,
            context,
            depth,
            segmentation,
            problem or _scale_problem(depth),
            time.monotonic() - started,
            self._converting,
            blank_problem(frame.rgb),
            missing,
        )


def slimmed(perception: Perception) -> Perception:
    """What is kept of a perception for questions when it was published: without the maps that no
    question reads, where they are large."""
    if not perception.frame.is_reduced:
        return perception
    perception.context.drop_scores()
    segmentation = perception.segmentation
    return replace(
        perception,
        depth=without_confidence(perception.depth),
        segmentation=without_score(segmentation) if segmentation is not None else None,
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
    message = answer.message
    if message and perception.calibration_problem and not perception.depth.metric:
        message = f"{message} ({perception.calibration_problem})"
    if perception.picture_problem:
        message = "; ".join(filter(None, (message, perception.picture_problem)))
    return answer if message == answer.message else replace(answer, message=message)
