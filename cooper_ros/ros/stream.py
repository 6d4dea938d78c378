"""Video: maps for the frames that show something new, followed objects for those between.

Work per frame stays bounded: a keyframe costs one perception, a frame between costs one optical
flow of a bounded number of corners. A question between keyframes is answered on the keyframe while
the picture has not changed; else its frame becomes a keyframe.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.keyframes import Gray, KeyframeRule, cells, picture_change, small_gray
from cooper_ros.core.tracking import ObjectTracker
from cooper_ros.core.types import Frame, Segment
from cooper_ros.ros.perception import Perceiver, Perception, slimmed
from cooper_ros.ros.slots import Snapshot
from cooper_ros.ros.worker import Early
from cooper_ros.runtime.cancel import CancelToken


@dataclass(frozen=True, eq=False)
class Followed:
    """A frame without maps of its own: `segments` are those of `key`, where they are now."""

    snapshot: Snapshot
    frame: Frame
    key: Perception
    segments: tuple[Segment, ...]


@dataclass
class _Stream:
    """What is known of one camera. `cells` are those of the keyframe."""

    tracker: ObjectTracker = field(default_factory=ObjectTracker)
    key: Perception | None = None
    cells: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    frames_since: int = 0


class StreamPerceiver:
    """Decides for every camera frame whether it gets maps.

    `rule()` gives the present rule. `publish(perception)` gets keyframes, with track ids;
    `publish_followed(followed)` the frames between. All calls but `forget` come from one thread.
    """

    def __init__(
        self,
        perceiver: Perceiver,
        rule: Callable[[], KeyframeRule],
        publish: Callable[[Perception], None],
        publish_followed: Callable[[Followed], None],
    ) -> None:
        self._perceiver = perceiver
        self._rule = rule
        self._publish = publish
        self._publish_followed = publish_followed
        self._streams: dict[str, _Stream] = {}
        self._epochs: dict[str, int] = {}

    def forget(self, camera: str) -> None:
        """The next frame of this camera is a keyframe, e.g. its calibration changed. A frame that
        is being perceived now is no keyframe for later ones."""
        self._epochs[camera] = self._epochs.get(camera, 0) + 1
        self._streams.pop(camera, None)

    def perceive(
        self, snapshot: Snapshot, cancel: CancelToken, early: Early | None = None
    ) -> Perception:
        """Maps to answer a question on: of this image, or of a keyframe with the same view.

        `early`: see `worker.Job`; not called for a keyframe that is there already.
        """
        if not snapshot.from_camera:
            return self._perceiver(snapshot, cancel, early)
        rule, stream = self._rule(), self._streams.get(snapshot.camera)
        if rule.all_frames or stream is None or stream.key is None:
            return self._keyframe(snapshot, cancel, early)
        frame, problem = self._perceiver.convert(snapshot)
        gray = small_gray(frame.rgb)
        if self._fits(stream, frame) and rule.same_view(_change(stream, gray)):
            return stream.key
        return self._keyframe(snapshot, cancel, early, (frame, problem), gray)

    def look(self, snapshot: Snapshot, cancel: CancelToken) -> Perception | None:
        """Take the next frame of a stream; None when it is not a keyframe."""
        rule, stream = self._rule(), self._streams.get(snapshot.camera)
        if rule.all_frames or stream is None or stream.key is None:
            return self._keyframe(snapshot, cancel)
        frame, problem = self._perceiver.convert(snapshot)
        gray = small_gray(frame.rgb)
        stream.frames_since += 1
        if not self._fits(stream, frame) or rule.wants(
            stream.frames_since, _change(stream, gray)
        ):
            return self._keyframe(snapshot, cancel, None, (frame, problem), gray)
        self._publish_followed(Followed(snapshot, frame, stream.key, stream.tracker.follow(gray)))
        return None

    @staticmethod
    def _fits(stream: _Stream, frame: Frame) -> bool:
        """Whether the frame comes from the camera setting of the keyframe."""
        key = stream.key
        return (
            key is not None
            and frame.full_size == key.frame.full_size
            and frame.frame_id == key.frame.frame_id
            and frame.intrinsics == key.frame.intrinsics
        )

    def _keyframe(
        self,
        snapshot: Snapshot,
        cancel: CancelToken,
        early: Early | None = None,
        converted: tuple[Frame, str] | None = None,
        gray: Gray | None = None,
    ) -> Perception:
        epoch = self._epochs.get(snapshot.camera)
        perception = self._perceiver(snapshot, cancel, early, converted)
        if self._rule().all_frames:
            self._streams.pop(snapshot.camera, None)
        else:
            perception = self._start(perception, gray)
        if epoch != self._epochs.get(snapshot.camera):
            self._streams.pop(snapshot.camera, None)
        self._publish(perception)
        kept, stream = slimmed(perception), self._streams.get(snapshot.camera)
        if stream is not None and stream.key is perception:
            stream.key = kept
        return kept

    def _start(self, perception: Perception, gray: Gray | None) -> Perception:
        stream = self._streams.setdefault(perception.snapshot.camera, _Stream())
        if gray is None:
            gray = small_gray(perception.frame.rgb)
        if perception.segmentation is not None:
            segmentation, intrinsics = perception.segmentation, perception.depth.intrinsics
            if intrinsics is not None:  # boxes are in the pixels of the camera's image
                intrinsics = intrinsics.scaled(*segmentation.full_size)
            numbered = stream.tracker.start(gray, segmentation, intrinsics)
            perception = replace(perception, segmentation=numbered)
        stream.key, stream.cells, stream.frames_since = perception, cells(gray), 0
        return perception


def _change(stream: _Stream, gray: Gray) -> float:
    return picture_change(stream.cells, cells(gray))
