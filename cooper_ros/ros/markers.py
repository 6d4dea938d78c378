"""Objects and the newest answer as markers for RViz and Foxglove.

`visualization_msgs` is optional: without it the node works and `~/markers` is missing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Vector3
from numpy.typing import NDArray
from std_msgs.msg import ColorRGBA, Header

from cooper_ros.core.types import ObjectReference, Segment, SpatialAnswer
from cooper_ros.ros.messages import to_header, to_point

try:
    from visualization_msgs.msg import Marker, MarkerArray
except ImportError:  # pragma: no cover - depends on the installation
    Marker = MarkerArray = None

OBJECTS, NAMES, ANSWER = "objects", "names", "answer"
"""Namespaces of the markers, to switch them on and off in a viewer."""

TEXT_HEIGHT_M = 0.08
LIFETIME = Duration(sec=2)
"""How long a marker stays when nothing new comes: an object that is gone should not be shown."""

MIN_SIDE_M = 0.02
WHITE = (1.0, 1.0, 1.0)
YELLOW = (1.0, 0.85, 0.1)


def _marker(
    header: Header, namespace: str, number: int, kind: int, colour: Any, alpha: float = 1.0
) -> Any:
    red, green, blue = (float(value) for value in colour)
    marker = Marker(header=header, ns=namespace, id=number, type=kind, action=Marker.ADD)
    marker.color = ColorRGBA(r=red, g=green, b=blue, a=alpha)
    marker.lifetime = LIFETIME
    marker.pose.orientation.w = 1.0
    return marker


def _text(header: Header, namespace: str, number: int, text: str, where: Point, colour: Any) -> Any:
    marker = _marker(header, namespace, number, Marker.TEXT_VIEW_FACING, colour)
    marker.text = text
    marker.scale.z = TEXT_HEIGHT_M
    marker.pose.position = where
    return marker


def box_size(segment: Segment, intrinsics: Any) -> tuple[float, float, float]:
    """Width, height and thickness [m] of the box that stands for a segment.

    Width and height are those of its image box at the depth of its median point; thickness is twice
    the spread of its distances, because one camera does not see the back of an object.
    """
    z = segment.position[2]
    width = segment.box[2] * z / intrinsics.fx
    height = segment.box[3] * z / intrinsics.fy
    spread = segment.distance_stddev_m
    thickness = 2.0 * spread if math.isfinite(spread) else 0.0
    return max(width, MIN_SIDE_M), max(height, MIN_SIDE_M), max(thickness, MIN_SIDE_M)


def object_markers(
    segments: Sequence[Segment],
    header: Header,
    intrinsics: Any,
    colors: NDArray[np.uint8],
    stuff: Sequence[str] = (),
) -> Any:
    """MarkerArray with a box and a name with distance for every object that has a position.

    `intrinsics` are those of the image that the boxes are in; `colors` uint8 [N, 3] by class id.
    """
    markers = [Marker(header=header, ns=name, action=Marker.DELETEALL) for name in (OBJECTS, NAMES)]
    shown = [s for s in segments if s.label not in stuff and _placed(s)]
    for number, segment in enumerate(shown):
        width, height, thickness = box_size(segment, intrinsics)
        x, y, z = segment.position
        cube = _marker(header, OBJECTS, number, Marker.CUBE, colors[segment.class_id] / 255.0, 0.35)
        cube.pose.position = to_point((x, y, z))
        cube.scale = Vector3(x=width, y=height, z=thickness)
        markers.append(cube)
        above = to_point((x, y - 0.5 * height - TEXT_HEIGHT_M, z))
        text = f"{segment.label} {segment.distance_m:.2f} m"
        markers.append(_text(header, NAMES, number, text, above, WHITE))
    return MarkerArray(markers=markers)


def answer_markers(answer: SpatialAnswer) -> Any:
    """MarkerArray of an answer: a dot on each of its objects, a line between two, and its text.

    In the answer's own frame, whichever that is. Removes what the answer before has drawn, also
    when this one has no objects to show.
    """
    header = to_header(answer.stamp_ns, answer.frame_id)
    markers = [Marker(header=header, ns=ANSWER, action=Marker.DELETEALL)]
    ends = [to_point(item.position) for item in answer.objects if _placed(item)]
    if ends:
        dots = _marker(header, ANSWER, 0, Marker.SPHERE_LIST, YELLOW)
        dots.scale = Vector3(x=0.05, y=0.05, z=0.05)
        dots.points = ends
        line = _marker(header, ANSWER, 1, Marker.LINE_STRIP, YELLOW)
        line.scale.x = 0.015
        line.points = ends
        middle = np.mean([(end.x, end.y, end.z) for end in ends], axis=0)
        text = _text(header, ANSWER, 2, answer.text[:80], to_point(middle), YELLOW)
        drawn = [dots, line, text] if len(ends) > 1 else [dots, text]
        for marker in drawn:
            marker.lifetime = Duration(sec=10)  # an answer is read, an object is watched
        markers += drawn
    return MarkerArray(markers=markers)


def _placed(item: Segment | ObjectReference) -> bool:
    return all(math.isfinite(value) for value in item.position)
