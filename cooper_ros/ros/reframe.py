"""Results in another TF frame than the camera's, at the time the image was taken."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.errors import FrameError
from cooper_ros.core.types import UNKNOWN_POINT, Frame, ObjectReference, Point3, SpatialAnswer
from cooper_ros.ros.distances import ItemDistance
from cooper_ros.ros.frames import Frames, bare, transform_points


def pose_for(
    frames: Frames | None, target: str, frame_id: str, stamp_ns: int
) -> NDArray[np.float64] | None:
    """What takes positions of an image to `target`; None where they stay. Raises FrameError."""
    if not target or bare(target) == bare(frame_id):
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
    """The answer with positions and frame id in `target` ("" = as it is).

    Where TF cannot relate the frames, positions become unknown and the message says why: numbers
    in another frame than the one asked for would be taken for it.
    """
    if not answer.stamp_ns and not answer.frame_id:
        return answer  # no image was looked at
    try:
        pose = pose_for(frames, target, answer.frame_id, answer.stamp_ns)
    except FrameError as error:
        objects = tuple(replace(item, position=UNKNOWN_POINT) for item in answer.objects)
        message = "; ".join(filter(None, (answer.message, f"no positions: {error}")))
        return replace(answer, objects=objects, message=message)
    if pose is None:
        return answer
    objects = tuple(moved_object(item, pose) for item in answer.objects)
    return replace(answer, objects=objects, frame_id=target)


def items_in(
    frames: Frames | None, frame: Frame, items: list[ItemDistance], target: str
) -> tuple[list[ItemDistance], str, str]:
    """(items, frame id of their positions, problem): the same for measured distances."""
    try:
        pose = pose_for(frames, target, frame.frame_id, frame.stamp_ns)
    except FrameError as error:
        unknown = [_with_positions(item, lambda _: UNKNOWN_POINT) for item in items]
        return unknown, frame.frame_id, f"no positions: {error}"
    if pose is None:
        return items, frame.frame_id, ""
    return [_with_positions(item, lambda p: moved(p, pose)) for item in items], target, ""


def _with_positions(item: ItemDistance, change: Callable[[Point3], Point3]) -> ItemDistance:
    """An item with all its positions changed."""
    return replace(
        item,
        position=change(item.position),
        reference=replace(item.reference, position=change(item.reference.position)),
        candidates=tuple(replace(one, position=change(one.position)) for one in item.candidates),
    )
