"""Metres to named objects and to pixels, measured on the maps of one frame. No language model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cooper_ros.core import geometry
from cooper_ros.core.classes import PLURALS, SYNONYMS
from cooper_ros.core.measure import prominent
from cooper_ros.core.types import (
    NAN,
    UNKNOWN_POINT,
    DepthMap,
    ObjectReference,
    Point3,
    Segmentation,
    Status,
)

_SINGULAR = {plural: name for name, plural in PLURALS.items()}


@dataclass(frozen=True)
class ItemDistance:
    """Distance [m] to one item of a request, or the status and reason why there is none.

    `candidates` are the objects of an ambiguous name.
    """

    status: Status
    message: str = ""
    distance_m: float = NAN
    position: Point3 = UNKNOWN_POINT
    reference: ObjectReference = ObjectReference("")
    candidates: tuple[ObjectReference, ...] = ()


def _class_name(name: str) -> str:
    word = name.strip().lower()
    word = _SINGULAR.get(word, word)
    return SYNONYMS.get(word, word)


def distance_to_name(name: str, depth: DepthMap, segmentation: Segmentation) -> ItemDistance:
    """Distance to the one object of this name."""
    label = _class_name(name)
    asked = ObjectReference(name)
    if label not in segmentation.names:
        return ItemDistance(
            Status.BAD_QUESTION,
            f"unknown object {name[:40]!r}; known are: {', '.join(segmentation.names)}",
            reference=asked,
        )
    found = tuple(map(ObjectReference.from_segment, prominent(segmentation.of_class(label))))
    if not found:
        return ItemDistance(Status.NOT_VISIBLE, f"no {label} is visible", reference=asked)
    if len(found) > 1:
        return ItemDistance(
            Status.AMBIGUOUS,
            f"{len(found)} objects are called {label}: ask for pixels inside one of the boxes",
            reference=asked,
            candidates=found,
        )
    if not depth.metric or not math.isfinite(found[0].distance_m):
        return ItemDistance(Status.NOT_METRIC, "depth is not metric", reference=found[0])
    return ItemDistance(
        Status.OK, distance_m=found[0].distance_m, position=found[0].position, reference=found[0]
    )


def distance_to_pixel(
    u: float, v: float, depth: DepthMap, segmentation: Segmentation | None
) -> ItemDistance:
    """Distance to the surface seen at column u, row v [px]."""
    height, width = depth.relative.shape
    if not (math.isfinite(u) and math.isfinite(v)) or not (
        -0.5 <= u < width - 0.5 and -0.5 <= v < height - 0.5
    ):
        return ItemDistance(
            Status.BAD_QUESTION, f"pixel ({u:g}, {v:g}) is outside the {width}x{height} image"
        )
    column, row = int(np.floor(u + 0.5)), int(np.floor(v + 0.5))
    reference = _under(row, column, segmentation)
    if not depth.metric or depth.intrinsics is None:
        return ItemDistance(Status.NOT_METRIC, "depth is not metric", reference=reference)
    z = float(depth.depth[row, column])
    if not math.isfinite(z):
        return ItemDistance(
            Status.NO_ANSWER, f"no depth at pixel ({u:g}, {v:g})", reference=reference
        )
    position = geometry.back_project(depth.intrinsics, float(column), float(row), z)
    return ItemDistance(Status.OK, "", math.dist(position, (0.0, 0.0, 0.0)), position, reference)


def _under(row: int, column: int, segmentation: Segmentation | None) -> ObjectReference:
    if segmentation is None:
        return ObjectReference("")
    class_id = int(segmentation.labels[row, column])
    instance = int(segmentation.instances[row, column])
    for segment in segmentation.segments:
        if (segment.class_id, segment.instance) == (class_id, instance):
            return ObjectReference.from_segment(segment)
    names = segmentation.names
    return ObjectReference(names[class_id] if class_id < len(names) else "", class_id)


def measure_items(
    names: Sequence[str],
    pixels: Sequence[tuple[float, float]],
    depth: DepthMap,
    segmentation: Segmentation | None,
) -> list[ItemDistance]:
    """Distances to names, then to pixels, in order. A model without classes knows no names."""
    results = []
    for name in names:
        if segmentation is None:
            results.append(
                ItemDistance(
                    Status.BAD_QUESTION,
                    "this model has no class names: ask for pixels",
                    reference=ObjectReference(name),
                )
            )
        else:
            results.append(distance_to_name(name, depth, segmentation))
    results.extend(distance_to_pixel(u, v, depth, segmentation) for u, v in pixels)
    return results
