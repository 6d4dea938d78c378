"""What others name in an image (boxes, labels, masks), as a `Segmentation` on the depth at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core import geometry
from cooper_ros.core.box_surface import Box, box_surface
from cooper_ros.core.classes import STUFF
from cooper_ros.core.images import resize_labels
from cooper_ros.core.segments import MIN_PIXELS, segment_of, segments_from_labels
from cooper_ros.core.types import (
    BOX,
    MASK,
    NAN,
    DepthMap,
    Intrinsics,
    Segment,
    Segmentation,
)

UNNAMED = 255
"""Class id of pixels that nobody named."""
SAME_BOX, SAME_THING = 0.7, 0.5
"""Overlap (intersection over union) of boxes of one name from which on they are one detection, and
from which on a box and a mask are one thing."""
NO_SCORES = np.full((1, 1), np.nan, np.float32)


ENOUGH = 4096
"""Pixels of a segment whose distance and position stand for those of all; answers look at all."""


@dataclass(frozen=True, slots=True)
class NamedBox:
    """One detection. `box` (x, y, width, height) [px] in the camera's image, inside it; `score` in
    [0, 1], NaN if unknown; `source`: its topic; `instance`: its value in the instance masks, 0
    without."""

    class_id: int
    score: float
    box: Box
    source: str
    instance: int = 0


@dataclass(frozen=True, eq=False)
class NamedImage:
    """What is named in one image.

    `names[i]`: name of class id i. `labels` uint8 [h, w] class ids, `UNNAMED` for none, of the
    whole image at any size; `instances` uint16 of the same size, 0 = none; `source`: topic of the
    labels. `stuff`: names without instances.
    """

    names: tuple[str, ...]
    boxes: tuple[NamedBox, ...] = ()
    labels: NDArray[np.uint8] | None = None
    instances: NDArray[np.uint16] | None = None
    source: str = ""
    stuff: frozenset[str] = field(default_factory=lambda: frozenset(STUFF))


@dataclass
class _Canvas:
    """Maps that are being painted, at the size of the depth map."""

    labels: NDArray[np.uint8]
    instances: NDArray[np.uint16]
    segments: list[Segment]
    depth: NDArray[np.float32] | None
    intrinsics: Intrinsics | None
    ranges: NDArray[np.float32] | None
    count: int = 0
    """Instances so far."""

    def paint(self, index: NDArray[np.integer], class_id: int) -> int:
        """A new instance on these pixels; its number."""
        self.count += 1
        number = self.count
        self.labels.reshape(-1)[index] = class_id
        self.instances.reshape(-1)[index] = number
        return number

    def measured(self, class_id: int, name: str, index: NDArray[np.integer]) -> Segment:
        """The segment of these flat pixel indices; medians of `ENOUGH` of its pixels."""
        shape = self.labels.shape
        maps = (shape, None, self.depth, self.intrinsics, self.ranges)
        segment = segment_of(class_id, name, _thinned(index), *maps)
        if index.size <= ENOUGH:
            return segment
        rows, columns = np.divmod(index, shape[1])
        x, y = int(columns.min()), int(rows.min())
        box = (x, y, int(columns.max()) - x + 1, int(rows.max()) - y + 1)
        return replace(segment, box=box, pixel_count=int(index.size))


def name_maps(
    given: NamedImage,
    depth: DepthMap,
    full_size: tuple[int, int],
    base: Segmentation | None = None,
) -> Segmentation:
    """The segmentation of an image by those names, at the size of its depth map.

    `full_size` (width, height) [px] of the image that boxes are in. `base`: the model's own
    segmentation, which shows where nothing else is named; its class ids are the first of `names`.
    """
    shape = depth.depth.shape
    metric = depth.metric and depth.intrinsics is not None
    camera = depth.intrinsics if metric else None
    canvas = _Canvas(
        np.full(shape, UNNAMED, np.uint8),
        np.zeros(shape, np.uint16),
        [],
        depth.depth if metric else None,
        camera,
        geometry.ranges(depth.depth, camera) if camera is not None else None,
    )
    masks: NDArray[np.uint16] | None = None
    if given.instances is not None:
        masks = given.instances
        if masks.shape != shape:
            masks = resize_labels(masks, shape[1], shape[0])
    if given.labels is not None:
        _paint_labels(canvas, given, masks)
    scale = shape[1] / full_size[0], shape[0] / full_size[1]
    _paint_boxes(canvas, given, masks, scale)
    if base is not None:
        _fill(canvas, base)
    return Segmentation(
        canvas.labels,
        canvas.instances,
        given.names,
        NO_SCORES,
        tuple(_in_camera_pixels(canvas.segments, scale)),
        depth.stamp_ns,
        depth.frame_id,
        full_size,
    )


def _paint_labels(canvas: _Canvas, given: NamedImage, masks: NDArray[np.uint16] | None) -> None:
    assert given.labels is not None
    height, width = canvas.labels.shape
    labels = given.labels
    if labels.shape != (height, width):
        labels = resize_labels(labels, width, height)
    if masks is None:
        instances, segments = segments_from_labels(
            labels, None, canvas.depth, canvas.intrinsics, given.names, given.stuff,
            unnamed=UNNAMED,
        )  # fmt: skip
        canvas.labels[:], canvas.instances[:] = labels, instances
        canvas.count = int(instances.max(initial=0))
        canvas.segments += [replace(s, source=given.source) for s in segments]
        return
    canvas.labels[:] = labels
    countable = np.array([name not in given.stuff for name in given.names] + [False])
    ids = np.where(labels == UNNAMED, len(given.names), labels)
    numbered = np.where(countable[ids], masks, 0)
    present = np.flatnonzero(np.bincount(labels.reshape(-1), minlength=256)[:UNNAMED])
    for class_id in map(int, present):
        name = given.names[class_id]
        if name not in given.stuff:
            continue
        index = np.flatnonzero(labels == class_id)
        if index.size >= MIN_PIXELS:
            segment = canvas.measured(class_id, name, index)
            canvas.segments.append(replace(segment, source=given.source))
    for pixels in _groups(np.where(labels == UNNAMED, 0, numbered)):
        if pixels.size < MIN_PIXELS:
            continue
        class_id = int(np.bincount(labels.reshape(-1)[pixels]).argmax())
        segment = canvas.measured(class_id, given.names[class_id], pixels)
        instance = canvas.paint(pixels, class_id)
        canvas.segments.append(
            replace(segment, instance=instance, source=given.source, outline=MASK)
        )


def _thinned(index: NDArray[np.integer]) -> NDArray[np.integer]:
    """About `ENOUGH` of these pixels at most; an odd step keeps clear of rows and columns."""
    step = -(-index.size // ENOUGH)
    return index[:: step | 1] if step > 1 else index


def _groups(numbers: NDArray[np.uint16]) -> list[NDArray[np.integer]]:
    """Flat pixel indices of each number but 0, by rising number."""
    index = np.flatnonzero(numbers)
    values = numbers.reshape(-1)[index]
    order = np.argsort(values, kind="stable")
    values = values[order]
    return np.split(index[order], np.flatnonzero(np.diff(values)) + 1) if index.size else []


def _paint_boxes(
    canvas: _Canvas,
    given: NamedImage,
    masks: NDArray[np.uint16] | None,
    scale: tuple[float, float],
) -> None:
    """Far things first: a nearer one keeps its pixels, as it does in the image."""
    shape = canvas.labels.shape
    boxes = [_at(item.box, scale, shape) for item in given.boxes]
    already = [(s.label, s.box) for s in canvas.segments]
    drawn = []
    for place, (item, box) in enumerate(zip(given.boxes, boxes, strict=True)):
        name = given.names[item.class_id]
        if any(label == name and overlap(box, other) >= SAME_THING for label, other in already):
            continue  # the labels show it, with its mask
        index, outline = _mask_of(item, box, masks, canvas.instances.shape), MASK
        if index is None:
            others, outline = boxes[:place] + boxes[place + 1 :], BOX
            if canvas.ranges is not None:
                index = box_surface(canvas.ranges, box, others)
            if index is None or not index.size:  # no depth: it is somewhere in there
                index = _inside(box, shape)
        distance = NAN
        if index.size and canvas.depth is not None and canvas.intrinsics is not None:
            distance = geometry.object_distance(
                canvas.depth, _thinned(index), canvas.intrinsics, ranges=canvas.ranges
            )
        drawn.append((distance, item, box, index, outline))
    drawn.sort(key=lambda part: -part[0] if part[0] == part[0] else -np.inf)
    painted = [(*part, canvas.paint(part[3], part[1].class_id)) for part in drawn]
    for _, item, box, index, outline, instance in painted:
        left = index[canvas.instances.reshape(-1)[index] == instance]
        segment = canvas.measured(item.class_id, given.names[item.class_id], left)
        canvas.segments.append(
            replace(
                segment,
                instance=instance,
                score=item.score,
                box=box,
                source=item.source,
                outline=outline,
            )
        )


def _mask_of(
    item: NamedBox, box: Box, masks: NDArray[np.uint16] | None, shape: tuple[int, ...]
) -> NDArray[np.integer] | None:
    """Flat pixel indices of the instance mask of a detection; None without one."""
    if masks is None:
        return None
    x, y, width, height = box
    inside = masks[y : y + height, x : x + width]
    number = item.instance
    if not number:
        counts = np.bincount(inside.reshape(-1))
        counts[0] = 0
        number = int(counts.argmax())
    if not number or not (inside == number).any():
        return None
    rows, columns = np.nonzero(inside == number)
    if rows.size < MIN_PIXELS:
        return None
    return (rows + y) * shape[1] + columns + x


def _fill(canvas: _Canvas, base: Segmentation) -> None:
    """Put the model's classes where nobody else named anything, and those of its objects that are
    mostly left."""
    silent = canvas.labels == UNNAMED
    canvas.labels[silent] = base.labels[silent]
    offset = canvas.count
    for segment in base.segments:
        mask = base.mask(segment)
        left = np.flatnonzero(mask & silent)
        if 2 * left.size < np.count_nonzero(mask) or left.size < MIN_PIXELS:
            continue
        instance = 0
        if segment.instance:
            instance = offset + segment.instance
            canvas.instances.reshape(-1)[left] = instance
        own = canvas.measured(segment.class_id, segment.label, left)
        canvas.segments.append(replace(own, instance=instance, score=segment.score))


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes (x, y, width, height)."""
    across = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    down = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    common = max(across, 0) * max(down, 0)
    return common / max(one[2] * one[3] + other[2] * other[3] - common, 1)


def without_doubles(boxes: Sequence[NamedBox]) -> list[NamedBox]:
    """The detections, of those of one name on one place the best only; in their order."""
    kept: list[NamedBox] = []
    for item in sorted(boxes, key=lambda box: -box.score if box.score == box.score else 0.0):
        if not any(
            item.class_id == other.class_id and overlap(item.box, other.box) >= SAME_BOX
            for other in kept
        ):
            kept.append(item)
    return [item for item in boxes if item in kept]


def _at(box: Box, scale: tuple[float, float], shape: tuple[int, ...]) -> Box:
    """A box of the camera's image on maps of this size, at least one pixel large."""
    x, y = (min(int(box[i] * scale[i]), shape[1 - i] - 1) for i in (0, 1))
    right = min(max(round((box[0] + box[2]) * scale[0]), x + 1), shape[1])
    bottom = min(max(round((box[1] + box[3]) * scale[1]), y + 1), shape[0])
    return x, y, right - x, bottom - y


def _inside(box: Box, shape: tuple[int, ...]) -> NDArray[np.int64]:
    x, y, width, height = box
    rows, columns = np.mgrid[y : y + height, x : x + width]
    return (rows * shape[1] + columns).reshape(-1)


def _in_camera_pixels(segments: Sequence[Segment], scale: tuple[float, float]) -> list[Segment]:
    if scale == (1.0, 1.0):
        return list(segments)
    moved = []
    for segment in segments:
        x, y, width, height = segment.box
        left, top = round(x / scale[0]), round(y / scale[1])
        right, bottom = round((x + width) / scale[0]), round((y + height) / scale[1])
        count = round(segment.pixel_count / (scale[0] * scale[1]))
        moved.append(
            replace(segment, box=(left, top, right - left, bottom - top), pixel_count=count)
        )
    return moved
