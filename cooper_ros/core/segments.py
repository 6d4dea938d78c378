"""From class ids per pixel to regions: connected components, their boxes and distances."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from cooper_ros.core import geometry
from cooper_ros.core.classes import STUFF
from cooper_ros.core.errors import InvalidImageError
from cooper_ros.core.images import nearest_index, resize_labels, resize_score
from cooper_ros.core.occlusion import join_occluded
from cooper_ros.core.types import NAN, UNKNOWN_POINT, Intrinsics, Segment, Segmentation

Array = NDArray[np.float32]
Labels = NDArray[np.uint8]
Indices = NDArray[np.integer]

MIN_PIXELS = 12
SAME_OBJECT_LOG_RANGE = 0.15  # pieces whose ranges differ by more than this are two objects
_NEIGHBOURHOOD = np.ones((3, 3), np.uint8)  # dilating once joins pieces up to 2 px apart


def segments_from_labels(
    labels: Labels,
    score: Array | None,
    depth: Array | None,
    intrinsics: Intrinsics | None,
    names: Sequence[str],
    stuff: Collection[str] = STUFF,
    min_pixels: int = MIN_PIXELS,
    unnamed: int = -1,
) -> tuple[NDArray[np.uint16], tuple[Segment, ...]]:
    """(instances uint16 [H, W], segments) of a label image uint8 [H, W].

    Each class of `stuff` forms one segment with instance 0. Every other class is split into
    8-connected pieces; pieces at most 2 px apart are one object unless their distances differ by
    more than 15 %, and a piece smaller than `min_pixels` only counts as part of a larger
    neighbour. Instances are numbered from 1, by class id, then left to right. What stays alone and
    small gets instance 0 and no segment, nor do pixels with the id `unnamed`.

    `score` f32 [H, W] or None (NaN scores); `depth` f32 [H, W] metres or None, `intrinsics` or
    None: without both, distances and positions are NaN. Raises InvalidImageError when sizes differ.
    """
    for name, other in (("score", score), ("depth", depth)):
        if other is not None and other.shape != labels.shape:
            raise InvalidImageError(
                f"labels are {list(labels.shape)}, {name} is {list(other.shape)}: sizes must agree"
            )
    ranges = None
    if depth is not None and intrinsics is not None:
        ranges = geometry.ranges(depth, intrinsics)
    instances = np.zeros(labels.shape, np.uint16)
    segments: list[Segment] = []
    shape, count = labels.shape, 0
    for class_id in np.flatnonzero(np.bincount(labels.ravel(), minlength=1)):
        if class_id == unnamed:
            continue
        label = names[class_id] if class_id < len(names) else ""
        mask = labels == class_id
        if label in stuff:
            objects: list[Indices] = [np.flatnonzero(mask)]
        else:
            objects = _split(mask, ranges, min_pixels)
        given = (shape, score, depth, intrinsics, ranges)
        found = [
            (segment_of(int(class_id), label, index, *given), index)
            for index in objects
            if index.size >= min_pixels
        ]
        for segment, index in sorted(found, key=lambda pair: pair[0].box[:2]):
            if label not in stuff:
                count += 1
                segment = replace(segment, instance=count)
                instances.reshape(-1)[index] = count
            segments.append(segment)
    return instances, tuple(segments)


def _split(mask: NDArray[np.bool_], ranges: Array | None, min_pixels: int) -> list[Indices]:
    """Flat pixel indices per object of one class."""
    plane = mask.astype(np.uint8)
    count, pieces = cv2.connectedComponents(plane, connectivity=8)
    if count <= 2:
        return [np.flatnonzero(mask)]
    _, joined = cv2.connectedComponents(cv2.dilate(plane, _NEIGHBOURHOOD), connectivity=8)
    index = np.flatnonzero(mask)
    piece_of = pieces.reshape(-1)[index]
    order = np.argsort(piece_of, kind="stable")
    borders = np.searchsorted(piece_of[order], np.arange(2, count))
    parts = [index[part] for part in np.split(order, borders)]
    groups: dict[int, list[Indices]] = {}
    for part in sorted(parts, key=lambda item: -item.size):
        groups.setdefault(int(joined.reshape(-1)[part[0]]), []).append(part)
    objects: list[Indices] = []
    for group in groups.values():
        objects.extend(_merge(group, ranges, min_pixels))
    if ranges is None or len(objects) < 2:
        return objects
    # specks are no objects, and looking at hundreds of them in pairs would take long
    large = [item for item in objects if item.size >= min_pixels]
    return join_occluded(large, mask, ranges)


def _merge(group: list[Indices], ranges: Array | None, min_pixels: int) -> list[Indices]:
    """Objects of neighbouring pieces (largest first): one, unless their ranges tell them apart."""
    merged: list[list[Indices]] = []
    seeds: list[float] = []
    for part in group:
        # only pieces that may be objects of their own need a distance
        wanted = not merged or part.size >= min_pixels
        distance = _median_log_range(part, ranges) if wanted else NAN
        target = 0
        if merged and part.size >= min_pixels and math.isfinite(distance):
            gaps = [abs(distance - seed) if math.isfinite(seed) else 0.0 for seed in seeds]
            target = int(np.argmin(gaps))
            if gaps[target] > SAME_OBJECT_LOG_RANGE:
                target = len(merged)
        if target >= len(merged):
            merged.append([])
            seeds.append(distance)
        merged[target].append(part)
    return [np.concatenate(parts) for parts in merged]


def _median_log_range(index: Indices, ranges: Array | None) -> float:
    if ranges is None:
        return NAN
    values = ranges.reshape(-1)[index]
    values = values[np.isfinite(values)]
    return float(np.log(np.median(values))) if values.size else NAN


def segment_of(
    class_id: int,
    label: str,
    index: Indices,
    shape: tuple[int, ...],
    score: Array | None,
    depth: Array | None,
    intrinsics: Intrinsics | None,
    ranges: Array | None,
) -> Segment:
    """The segment of these flat pixel indices, instance 0; arguments as in `segments_from_labels`.
    """
    rows, columns = np.divmod(index, shape[1])
    if not index.size:
        return Segment(class_id, 0, label, NAN, (0, 0, 0, 0), 0)
    x0, y0 = int(columns.min()), int(rows.min())
    box = (x0, y0, int(columns.max()) - x0 + 1, int(rows.max()) - y0 + 1)
    mean_score = NAN if score is None else float(score.reshape(-1)[index].mean())
    distance, spread, position = NAN, NAN, UNKNOWN_POINT
    if depth is not None and intrinsics is not None:
        distance = geometry.object_distance(depth, index, intrinsics, ranges=ranges)
        spread = geometry.object_distance_stddev(depth, index, intrinsics, ranges=ranges)
        position = geometry.object_point(depth, index, intrinsics)
    return Segment(class_id, 0, label, mean_score, box, int(index.size), distance, spread, position)


def build_segmentation(
    labels: Labels,
    score: Array,
    names: Sequence[str],
    *,
    depth: Array | None = None,
    intrinsics: Intrinsics | None = None,
    stuff: Collection[str] = STUFF,
    min_pixels: int = MIN_PIXELS,
    stamp_ns: int = 0,
    frame_id: str = "",
) -> Segmentation:
    """A `Segmentation` from decoded labels; arguments as in `segments_from_labels`."""
    instances, segments = segments_from_labels(
        labels, score, depth, intrinsics, names, stuff, min_pixels
    )
    return Segmentation(labels, instances, tuple(names), score, segments, stamp_ns, frame_id)


def resize_segmentation(
    segmentation: Segmentation,
    width: int,
    height: int,
    image_size: tuple[int, int] | None = None,
) -> Segmentation:
    """The same segments on an image of another size [px]: ids nearest, scores linear.

    Boxes and pixel counts are those of ids resized to `image_size` (width, height; default: that of
    the maps), so they agree with them; segments that vanish when shrinking are left out. Distances
    and positions are unchanged.
    """
    source_height, source_width = segmentation.labels.shape
    image_size = image_size or (width, height)
    rows = nearest_index(image_size[1], source_height)
    columns = nearest_index(image_size[0], source_width)
    # Counting at the source size, how often each pixel is repeated, is faster than at the target.
    weight = np.outer(
        np.bincount(rows, minlength=source_height), np.bincount(columns, minlength=source_width)
    )
    segments = []
    for segment in segmentation.segments:
        seen = segmentation.mask(segment) & (weight > 0)
        if not seen.any():
            continue
        x0, box_width = _extent(np.isin(columns, np.flatnonzero(seen.any(axis=0))))
        y0, box_height = _extent(np.isin(rows, np.flatnonzero(seen.any(axis=1))))
        count = int(weight[seen].sum())
        box = (x0, y0, box_width, box_height)
        segments.append(replace(segment, box=box, pixel_count=count))
    return replace(
        segmentation,
        labels=resize_labels(segmentation.labels, width, height),
        instances=resize_labels(segmentation.instances, width, height),
        score=resize_score(segmentation.score, width, height),
        segments=tuple(segments),
        image_size=image_size,
    )


def segments_at(
    segments: Iterable[Segment], image_size: tuple[int, int], width: int, height: int
) -> list[Segment]:
    """Segments of an image of `image_size` (width, height) with boxes and pixel counts of the same
    picture at another size [px]."""
    if image_size == (width, height):
        return list(segments)
    sx, sy = width / image_size[0], height / image_size[1]
    moved = []
    for segment in segments:
        x, y, across, down = segment.box
        left, top = round(x * sx), round(y * sy)
        box = (left, top, round((x + across) * sx) - left, round((y + down) * sy) - top)
        count = round(segment.pixel_count * sx * sy)
        moved.append(replace(segment, box=box, pixel_count=count))
    return moved


def _extent(used: NDArray[np.bool_]) -> tuple[int, int]:
    """(first, length) of the span of true entries."""
    index = np.flatnonzero(used)
    return int(index[0]), int(index[-1] - index[0]) + 1
