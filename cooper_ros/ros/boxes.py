"""What fills a box of the image, and how far it is. All boxes of a request in one pass."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.projection import pixel_rays, ray_lengths
from cooper_ros.core.types import (
    NAN,
    UNKNOWN_POINT,
    DepthMap,
    ObjectReference,
    Point3,
    Segmentation,
)

OBJECT_SHARE = 0.25
"""Share of a box from which on an object in it is what the box means."""

PIXELS = 2**23
"""Pixels that the boxes of one request may cost together. A box has an equal share of them; of one
that is larger, every n-th row and column is looked at."""

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class BoxContent:
    """What a box means: the object, its distance and position [m], NaN without depth."""

    reference: ObjectReference
    distance_m: float = NAN
    position: Point3 = UNKNOWN_POINT


class BoxMeasurer:
    """Measures boxes (x, y, width, height) [px] on one frame's maps; work and memory are bounded.

    `count`: how many boxes share `PIXELS`. `image_size` (width, height): of the image that boxes
    are in, where the maps are smaller. `looked_at`: pixels that were looked at so far.
    """

    def __init__(
        self,
        depth: DepthMap,
        segmentation: Segmentation | None,
        count: int,
        image_size: tuple[int, int] | None = None,
    ) -> None:
        shape = depth.relative.shape
        width, height = image_size or shape[::-1]
        self._scale = shape[1] / width, shape[0] / height
        if segmentation is not None and segmentation.labels.shape != shape:
            segmentation = None
        self._depth = depth
        self._segmentation = segmentation
        self._numbers = None if segmentation is None else _segment_numbers(segmentation)
        self._share = max(PIXELS // max(count, 1), 1)
        self.looked_at = 0

    def content(self, box: Box) -> BoxContent | None:
        """What fills most of a box, measured on its pixels in the box alone; None outside.

        The object (else the floor, wall or ceiling) with most pixels; without classes, or where
        none has a segment, all of the box.
        """
        window = self._window(box)
        if window is None:
            return None
        reference, inside = ObjectReference("", box=box), None
        if self._numbers is not None and self._segmentation is not None:
            found = self._largest(window)
            if found is not None:
                number, inside = found
                reference = ObjectReference.from_segment(self._segmentation.segments[number])
        return self._measured(reference, window, inside)

    def _window(self, box: Box) -> tuple[slice, slice] | None:
        height, width = self._depth.relative.shape
        x, y, box_width, box_height = box
        if min(box_width, box_height) < 1:
            return None
        sx, sy = self._scale
        left, top = max(math.floor(x * sx), 0), max(math.floor(y * sy), 0)
        right = min(math.ceil((x + box_width) * sx), width)
        bottom = min(math.ceil((y + box_height) * sy), height)
        if left >= right or top >= bottom:
            return None
        area = (right - left) * (bottom - top)
        step = max(math.ceil(math.sqrt(area / self._share)), 1)
        self.looked_at += -(-(right - left) // step) * -(-(bottom - top) // step)
        return slice(top, bottom, step), slice(left, right, step)

    def _largest(self, window: tuple[slice, slice]) -> tuple[int, NDArray[np.bool_]] | None:
        """Number of the segment with most pixels and those pixels; objects before stuff."""
        assert self._segmentation is not None and self._numbers is not None
        segments = self._segmentation.segments
        inside = self._numbers[
            self._segmentation.labels[window], self._segmentation.instances[window]
        ]
        counts = np.bincount(inside.reshape(-1), minlength=len(segments) + 1)[1:]
        if not counts.any():
            return None
        # A box drawn around a thin object holds more background than object.
        is_object = np.array([segment.instance > 0 for segment in segments])
        first = is_object & (counts >= OBJECT_SHARE * inside.size)
        number = int(np.argmax(np.where(first, counts + inside.size, counts)))
        return number, inside == number + 1

    def _measured(
        self,
        reference: ObjectReference,
        window: tuple[slice, slice],
        inside: NDArray[np.bool_] | None,
    ) -> BoxContent:
        intrinsics = self._depth.intrinsics
        if not self._depth.metric or intrinsics is None:
            return BoxContent(reference)
        z = self._depth.depth[window]
        with np.errstate(invalid="ignore"):
            usable = np.isfinite(z) & (z > 0.0)
        if inside is not None:
            usable &= inside
        z = z[usable]
        if not z.size:
            return BoxContent(reference)
        distance = float(np.median(z * ray_lengths(intrinsics)[window][usable]))
        points = pixel_rays(intrinsics)[window][usable] * z[:, None]
        across, down, forward = np.median(points, axis=0)
        return BoxContent(reference, distance, (float(across), float(down), float(forward)))


def _segment_numbers(segmentation: Segmentation) -> NDArray[np.int32]:
    """Table [class id, instance] -> place of the segment + 1, 0 where there is none."""
    most = int(segmentation.instances.max(initial=0))
    table: NDArray[np.int32] = np.zeros((256, most + 1), np.int32)
    for place, segment in enumerate(segmentation.segments):
        if segment.instance <= most:
            table[segment.class_id, segment.instance] = place + 1
    return table
