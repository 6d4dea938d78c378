"""Results in another TF frame than the camera's, at the time the image was taken."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.errors import FrameError
from cooper_ros.core.types import ObjectReference, Point3, SpatialAnswer
from cooper_ros.ros.distances import ItemDistance
from cooper_ros.ros.frames import Frames, transform_points


def pose_for(
    frames: Frames | None, target: str, frame_id: str, stamp_ns: int
) -> NDArray[np.float64] | None:
    """What takes positions of an image to `target`; None where they stay. Raises FrameError."""
    if not target or target == frame_id:
        return None
    if frames is None:
        raise FrameError(f"cannot relate frame {frame_id!r} to {target!r}: the node is not active")
    return frames.lookup(target, frame_id, stamp_ns)


def moved(point: Point3, pose: NDArray[np.float64]) -> Point3:
    """A position in the other frame; unknown stays unknown."""
    if not all(map(math.isfinite, point)):
        return point
    x, y, z = transform_points(pose, point)[0]
    return float(x), float(y), float(z)


def moved_object(reference: ObjectReference, pose: NDArray[np.float64]) -> ObjectReference:
    """The reference with its position in the other frame; its distance stays that to the camera."""
    return replace(reference, position=moved(reference.position, pose))


def answer_in(frames: Frames | None, answer: SpatialAnswer, target: str) -> SpatialAnswer:
    """The answer with positions and frame id in `target` ("" = as it is). Raises FrameError."""
    pose = pose_for(frames, target, answer.frame_id, answer.stamp_ns)
    if pose is None:
        return answer
    objects = tuple(moved_object(item, pose) for item in answer.objects)
    return replace(answer, objects=objects, frame_id=target)


def items_in(
    frames: Frames | None, frame: Any, items: list[ItemDistance], target: str
) -> list[ItemDistance]:
    """The same for measured distances to what is in a camera frame. Raises FrameError."""
    pose = pose_for(frames, target, frame.frame_id, frame.stamp_ns)
    if pose is None:
        return items
    return [
        replace(
            item,
            position=moved(item.position, pose),
            reference=moved_object(item.reference, pose),
            candidates=tuple(moved_object(one, pose) for one in item.candidates),
        )
        for item in items
    ]
