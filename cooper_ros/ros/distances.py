"""Metres to named objects, pixels and boxes, measured on one frame's maps. No language model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cooper_ros.core import geometry
from cooper_ros.core.classes import PLURALS, SYNONYMS
from cooper_ros.core.measure import prominent
from cooper_ros.core.metric_depth import width_on
from cooper_ros.core.types import (
    NAN,
    UNKNOWN_POINT,
    DepthMap,
    ObjectReference,
    Point3,
    ScaleReport,
    ScaleSource,
    Segmentation,
    Status,
)
from cooper_ros.reasoning.vocabulary import SYNONYMS as SYNONYM_GROUPS
from cooper_ros.reasoning.vocabulary import Synonyms, vocabulary_of
from cooper_ros.ros.boxes import Box, BoxMeasurer
from cooper_ros.runtime.cancel import CancelToken, check
from cooper_ros.runtime.naming import Naming

_SINGULAR = {plural: name for name, plural in PLURALS.items()}


@dataclass(frozen=True)
class ItemDistance:
    """Distance [m] to one item of a request, or the status and reason why there is none.

    `candidates` are the objects of an ambiguous name; `low_m`, `high_m` the 90 % interval;
    `memory_age_s` how long it was not seen, 0: it is in this image.
    """

    status: Status
    message: str = ""
    distance_m: float = NAN
    position: Point3 = UNKNOWN_POINT
    reference: ObjectReference = ObjectReference("")
    candidates: tuple[ObjectReference, ...] = ()
    low_m: float = NAN
    high_m: float = NAN
    memory_age_s: float = 0.0


def class_name(name: str) -> str:
    """The class that a word means: singular, synonyms resolved."""
    word = name.strip().lower()
    word = _SINGULAR.get(word, word)
    return SYNONYMS.get(word, word)


def distance_to_name(
    name: str, depth: DepthMap, segmentation: Segmentation, synonyms: Synonyms = SYNONYM_GROUPS
) -> ItemDistance:
    """Distance to the one object of this name, which may be any that is there."""
    label = vocabulary_of(segmentation.names, synonyms).name_of(name) or class_name(name)
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
    u: float,
    v: float,
    depth: DepthMap,
    segmentation: Segmentation | None,
    image_size: tuple[int, int] | None = None,
) -> ItemDistance:
    """Distance to the surface seen at column u, row v [px] of an image of `image_size` (width,
    height), by default that of the maps."""
    rows, columns = depth.relative.shape
    width, height = image_size or (columns, rows)
    at = _place(u, v, depth, image_size)
    if at is None:
        return ItemDistance(
            Status.BAD_QUESTION, f"pixel ({u:g}, {v:g}) is outside the {width}x{height} image"
        )
    row, column = at
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


def _place(
    u: float, v: float, depth: DepthMap, image_size: tuple[int, int] | None
) -> tuple[int, int] | None:
    """(row, column) of the maps at column u, row v [px] of the image; None outside."""
    rows, columns = depth.relative.shape
    width, height = image_size or (columns, rows)
    if not (math.isfinite(u) and math.isfinite(v)):
        return None
    if not (-0.5 <= u < width - 0.5 and -0.5 <= v < height - 0.5):
        return None
    column = min(int((u + 0.5) * columns / width), columns - 1)
    return min(int((v + 0.5) * rows / height), rows - 1), column


def _under(row: int, column: int, segmentation: Segmentation | None) -> ObjectReference:
    if segmentation is None:
        return ObjectReference("")
    class_id = int(segmentation.labels[row, column])
    instance = int(segmentation.instances[row, column])
    for segment in segmentation.segments:
        if (segment.class_id, segment.instance) == (class_id, instance):
            return ObjectReference.from_segment(segment)
    if instance:  # an object that is hidden (`min_score`): its class is not to be believed
        return ObjectReference("", class_id)
    names = segmentation.names
    return ObjectReference(names[class_id] if class_id < len(names) else "", class_id)


def distance_to_box(
    box: Box, measurer: BoxMeasurer, depth: DepthMap, image_size: tuple[int, int] | None = None
) -> ItemDistance:
    """Distance to what fills most of a box (x, y, width, height) [px]: see `BoxMeasurer`."""
    width, height = image_size or depth.relative.shape[::-1]
    x, y, box_width, box_height = box
    found = measurer.content(box)
    if found is None:
        return ItemDistance(
            Status.BAD_QUESTION,
            f"box {box_width}x{box_height} at ({x}, {y}) is not inside the {width}x{height} image",
        )
    if not depth.metric or depth.intrinsics is None:
        return ItemDistance(Status.NOT_METRIC, "depth is not metric", reference=found.reference)
    if not math.isfinite(found.distance_m):
        return ItemDistance(Status.NO_ANSWER, "no depth in the box", reference=found.reference)
    return ItemDistance(Status.OK, "", found.distance_m, found.position, found.reference)


def measure_items(
    names: Sequence[str],
    pixels: Sequence[tuple[float, float]],
    depth: DepthMap,
    segmentation: Segmentation | None,
    boxes: Sequence[Box] = (),
    cancel: CancelToken | None = None,
    image_size: tuple[int, int] | None = None,
    naming: Naming = Naming(),  # noqa: B008 - frozen
) -> list[ItemDistance]:
    """Distances to names, then to pixels, then to boxes, in order, with their intervals.

    Pixels and boxes are those of an image of `image_size` (width, height; default: the maps').
    `naming`: what others name. A model without classes knows no names. Raises GenerationCancelled
    after `cancel.cancel()`.
    """
    results = []
    for name in names:
        check(cancel)
        if segmentation is None and naming.missing:
            missing = ItemDistance(
                Status.NO_IMAGE, naming.missing, reference=ObjectReference(name)
            )
            results.append(missing)
        elif segmentation is None:
            results.append(
                ItemDistance(
                    Status.BAD_QUESTION,
                    "this model has no class names: ask for pixels",
                    reference=ObjectReference(name),
                )
            )
        else:
            results.append(distance_to_name(name, depth, segmentation, naming.synonyms))
    for u, v in pixels:
        check(cancel)
        results.append(distance_to_pixel(u, v, depth, segmentation, image_size))
    measurer = BoxMeasurer(depth, segmentation, len(boxes), image_size)
    for box in boxes:
        check(cancel)
        results.append(distance_to_box(box, measurer, depth, image_size))
    if depth.scale is None:
        return results
    pixel_items = range(len(names), len(names) + len(pixels))
    bounded = []
    for index, item in enumerate(results):
        width = width_on(depth, item.reference, segmentation)
        if index in pixel_items:
            width = _width_at(*pixels[index - len(names)], depth, image_size)
        bounded.append(_bounded(item, depth.scale, width))
    return bounded


def _width_at(u: float, v: float, depth: DepthMap, image_size: tuple[int, int] | None) -> float:
    """Half width of the interval at a pixel, NaN where only the report speaks of it."""
    at = _place(u, v, depth, image_size)
    if depth.half_width is None or at is None:
        return NAN
    return float(depth.half_width[at])


def _bounded(item: ItemDistance, scale: ScaleReport, width: float) -> ItemDistance:
    """The item with its interval, and with what there is to say of metres that nothing anchors.
    `width`: half width of ln(true / published) there, NaN where only its distance counts."""
    low, high = scale.length_bounds(item.distance_m, [item.distance_m], [width])
    message = item.message
    if item.status is Status.OK and scale.source is ScaleSource.MODEL_PRIOR:
        message = message or scale.message
    return replace(item, low_m=low, high_m=high, message=message)
