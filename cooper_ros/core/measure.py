"""The same quantity a question asks for, measured on the maps of the frame.

For what a model was taught this never feeds into an answer's value; it stands beside it, so that a
robot can see whether text and maps agree. What no model was taught is answered by it alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cooper_ros.core import geometry
from cooper_ros.core.errors import InvalidImageError
from cooper_ros.core.query import (
    BEHIND,
    BETWEEN,
    COUNT,
    DISTANCE,
    FARTHER,
    FRONT,
    HEIGHT,
    LEFT,
    NEARER,
    NEAREST,
    PRESENCE,
    REACHABLE,
    RIGHT,
    WIDTH,
    Query,
)
from cooper_ros.core.types import (
    NAN,
    REGION,
    DepthMap,
    Intrinsics,
    Kind,
    ObjectReference,
    Segment,
    Segmentation,
    Status,
)

Array = NDArray[np.float32]


LEAST_AREA_SHARE = 0.12
"""A segment showing less of a surface than this share of the largest one of its class is taken for
a stray piece of a drawn map, not for an object of its own."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """A measured quantity.

    `value`: metres, count, 0 / 1, or the index of the chosen object, as in `SpatialAnswer`; NaN
    unless `status` is OK. `objects`: what was measured, in the order of the question; all
    candidates, nearest first, when AMBIGUOUS. `message`: for people, "" when OK.
    """

    value: float
    unit: str
    objects: tuple[ObjectReference, ...]
    status: Status
    message: str = ""
    kind: Kind = Kind.TEXT


class _Refused(Exception):
    def __init__(
        self, status: Status, message: str, objects: tuple[ObjectReference, ...] = ()
    ) -> None:
        super().__init__(message)
        self.status, self.objects = status, objects


def measure(
    query: Query,
    segmentation: Segmentation,
    depth: Array | None,
    intrinsics: Intrinsics | None,
    *,
    gravity: ArrayLike | None = None,
) -> Measurement:
    """Measure what `query` asks on maps of one size.

    `depth` f32 [H, W] in metres, None when not metric; `gravity` as in `geometry.object_extent`.
    Status: OK; NOT_VISIBLE (no such object); AMBIGUOUS (several, where one is meant); NOT_METRIC
    (metres needed, but no metric depth or no intrinsics); NO_ANSWER (no valid depth on the object).
    Raises InvalidImageError when the sizes of the maps differ.
    """
    if depth is not None and depth.shape != segmentation.labels.shape:
        raise InvalidImageError(
            f"depth is {list(depth.shape)}, labels are {list(segmentation.labels.shape)}: "
            "sizes must agree"
        )
    try:
        value, objects = _Measurer(query, segmentation, depth, intrinsics, gravity).run()
    except _Refused as refusal:
        return Measurement(
            NAN, query.unit, refusal.objects, refusal.status, str(refusal), query.kind
        )
    references = tuple(ObjectReference.from_segment(segment) for segment in objects)
    if value != value:
        message = "no valid depth where it was needed"
        return Measurement(NAN, query.unit, references, Status.NO_ANSWER, message, query.kind)
    return Measurement(value, query.unit, references, Status.OK, "", query.kind)


def measure_maps(
    query: Query,
    segmentation: Segmentation,
    depth_map: DepthMap,
    *,
    gravity: ArrayLike | None = None,
) -> Measurement:
    """`measure` on a `DepthMap`, which says itself whether it is metric."""
    depth = depth_map.depth if depth_map.metric else None
    return measure(query, segmentation, depth, depth_map.intrinsics, gravity=gravity)


@dataclass(frozen=True)
class _Measurer:
    query: Query
    segmentation: Segmentation
    depth: Array | None
    intrinsics: Intrinsics | None
    gravity: ArrayLike | None

    def run(self) -> tuple[float, list[Segment]]:
        family = self.query.family
        if family == COUNT:
            found = sorted(self._meant(), key=lambda segment: segment.box[0])
            return float(len(found)), found
        if family == PRESENCE:
            found = _nearest_first(self._meant())[:1]
            return float(bool(found)), found
        if family == "free":
            depth, intrinsics = self._metric()
            return geometry.free_space_ahead(depth, intrinsics), []
        self._all_in_view()
        objects = [self._single(index) for index in range(len(self.query.objects))]
        if family in (LEFT, RIGHT):
            return float(self._is_beside(objects, family == LEFT)), objects
        return self._metric_value(objects), objects

    def _metric_value(self, objects: list[Segment]) -> float:
        family = self.query.family
        depth, intrinsics = self._metric()
        masks = [np.flatnonzero(self.segmentation.mask(segment)) for segment in objects]
        if family in (WIDTH, HEIGHT):
            extent = geometry.object_extent(depth, masks[0], intrinsics, self.gravity)
            return extent[0] if family == WIDTH else extent[1]
        if family == BETWEEN:
            return geometry.distance_between(depth, masks[0], masks[1], intrinsics)
        distances = [geometry.object_distance(depth, mask, intrinsics) for mask in masks]
        if not all(np.isfinite(distances)):
            return NAN
        if family == DISTANCE:
            return distances[0]
        if family == REACHABLE:
            return float(distances[0] <= self.query.radius_m)
        first_is_nearer = distances[0] < distances[1]
        if family == FRONT:
            return float(first_is_nearer)
        if family == BEHIND:
            return float(not first_is_nearer)
        if family in (NEARER, FARTHER):
            return float(first_is_nearer != (family == NEARER))
        raise ValueError(f"unknown question family {family!r}")

    def _meant(self) -> list[Segment]:
        """What is counted: within the radius and on the side that the query names."""
        found = self._found(0)
        if math.isfinite(self.query.radius_m):
            found = [s for s in found if self._distance(s) <= self.query.radius_m]
        if self.query.side:
            reference = [self._single(1)] if len(self.query.objects) > 1 else []
            found = [
                s for s in found if self._is_beside([s, *reference], self.query.side == LEFT)
            ]
        return found

    def _distance(self, segment: Segment) -> float:
        """Distance [m] of an object; refused where it is not known, so that no count is short."""
        depth, intrinsics = self._metric()
        mask = np.flatnonzero(self.segmentation.mask(segment))
        distance = geometry.object_distance(depth, mask, intrinsics)
        if not math.isfinite(distance):
            place = _place(ObjectReference.from_segment(segment))
            raise _Refused(Status.NO_ANSWER, f"no valid depth on the {segment.label} {place}")
        return distance

    def _is_beside(self, objects: Sequence[Segment], left: bool) -> bool:
        """Whether the first lies left (right) of the second, of the camera's axis without one."""
        width = self.segmentation.labels.shape[1]
        columns = [self._column(segment) for segment in objects]
        if len(columns) == 1:
            camera = self.intrinsics
            known = camera is not None and camera.is_valid
            columns.append(camera.cx if camera and known else (width - 1) / 2.0)
        return columns[0] < columns[1] if left else columns[0] > columns[1]

    def _column(self, segment: Segment) -> float:
        """Column [px] of the middle of an object; of its box where none of its pixels is left."""
        width = self.segmentation.labels.shape[1]
        column = geometry.mask_centre(self.segmentation.mask(segment), width)[0]
        if math.isnan(column):
            x, _, across, _ = segment.box
            column = (x + across / 2.0) * width / self.segmentation.full_size[0]
        return column

    def _found(self, index: int) -> list[Segment]:
        name = self.query.objects[index]
        if name not in self.segmentation.names:
            known = ", ".join(filter(None, self.segmentation.names))
            raise _Refused(Status.BAD_QUESTION, f"{name!r} is not among the classes: {known}")
        return prominent(self.segmentation.of_class(name))

    def _all_in_view(self) -> None:
        """Refuse when anything is missing, all of it named, before asking which one is meant."""
        names = [f"no {n}" for i, n in enumerate(self.query.objects) if not self._found(i)]
        if names:
            raise _Refused(Status.NOT_VISIBLE, f"{' and '.join(names)} in view")

    def _single(self, index: int) -> Segment:
        name, found = self.query.objects[index], self._found(index)
        if not found:
            raise _Refused(Status.NOT_VISIBLE, f"no {name} in view")
        pick = self.query.picks[index] if self.query.picks else ""
        if len(found) > 1 and pick:
            ordered = sorted(found, key=self._distance)
            return ordered[0 if pick == NEAREST else -1]
        if len(found) > 1:
            candidates = tuple(map(ObjectReference.from_segment, _nearest_first(found)))
            raise _Refused(
                Status.AMBIGUOUS,
                f"{len(found)} objects named {name!r} are in view: "
                + ", ".join(_place(candidate) for candidate in candidates),
                candidates,
            )
        return found[0]

    def _metric(self) -> tuple[Array, Intrinsics]:
        if self.depth is None:
            raise _Refused(Status.NOT_METRIC, "the depth map has no metric scale")
        if self.intrinsics is None or not self.intrinsics.is_valid:
            raise _Refused(Status.NOT_METRIC, "no valid camera intrinsics: publish camera_info")
        return self.depth, self.intrinsics


def prominent(segments: Iterable[Segment]) -> list[Segment]:
    """The segments of one class without stray pieces.

    Compares visible surface, pixels times squared distance [px m^2], where distances are known
    (things of one class are of like size, and a far one fills few pixels), else pixels. What a
    detector boxed or an instance mask shows is an object of its own, however small.
    """
    found = list(segments)
    metric = all(segment.distance_m == segment.distance_m for segment in found)
    area = [s.pixel_count * (s.distance_m**2 if metric else 1.0) for s in found]
    least = LEAST_AREA_SHARE * max(area, default=0.0)
    return [
        s for s, shown in zip(found, area, strict=True) if shown >= least or s.outline != REGION
    ]


def _nearest_first(segments: list[Segment]) -> list[Segment]:
    """Nearest first; unknown distances last, larger ones before."""
    return sorted(
        segments,
        key=lambda s: (s.distance_m if s.distance_m == s.distance_m else np.inf, -s.pixel_count),
    )


def _place(item: ObjectReference) -> str:
    x, y, width, height = item.box
    place = f"at ({x + width // 2}, {y + height // 2}) px"
    return place if item.distance_m != item.distance_m else f"{item.distance_m:.2f} m {place}"
