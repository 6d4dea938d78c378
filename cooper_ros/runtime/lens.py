"""Results of a pinhole view put back to the pixels of a distorted image, and the other way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cooper_ros.core.images import resize_score
from cooper_ros.core.rectify import Rectifier
from cooper_ros.core.types import DepthMap, Frame, Segmentation
from cooper_ros.runtime.backend import Float


def rectified(frame: Frame, lens: Rectifier) -> Frame:
    """The frame as a pinhole camera would have seen it."""
    return replace(frame, rgb=lens.rectify(frame.rgb), intrinsics=lens.pinhole)


def depth_to_image(depth: DepthMap, lens: Rectifier, frame: Frame) -> DepthMap:
    """Depth of the view at the pixels of `frame`."""
    return replace(
        depth,
        depth=lens.map_to_image(depth.depth),
        relative=lens.map_to_image(depth.relative),
        confidence=lens.map_to_image(depth.confidence),
        intrinsics=frame.intrinsics,
    )


def with_confidence(
    depth: DepthMap, confidence: Float | None, lens: Rectifier | None
) -> DepthMap:
    """The depth with another confidence f32 [h, w] of the view; as it is without one, or where its
    own was let go."""
    height, width = depth.depth.shape
    if confidence is None or depth.confidence.shape != (height, width):
        return depth
    drawn = resize_score(confidence, width, height)
    return replace(depth, confidence=drawn if lens is None else lens.map_to_image(drawn))


def depth_to_view(depth: DepthMap, lens: Rectifier) -> DepthMap:
    """Depth of a distorted image at the pixels of the view."""
    return replace(
        depth,
        depth=lens.map_to_view(depth.depth),
        intrinsics=lens.pinhole,
        half_width=None,
        sensed=None,
    )


def segmentation_to_image(drawn: Segmentation, lens: Rectifier) -> Segmentation:
    """Segments of the view at the image's pixels: boxes and counts are taken anew, distances and
    positions stay (they are in metres); segments outside the image are left out."""
    moved = replace(
        drawn,
        labels=lens.map_to_image(drawn.labels),
        instances=lens.map_to_image(drawn.instances),
        score=np.nan_to_num(lens.map_to_image(drawn.score)),
    )
    height, width = moved.labels.shape
    s = drawn.full_size[0] / width, drawn.full_size[1] / height  # boxes are in the camera's pixels
    segments = []
    for segment in drawn.segments:
        rows, columns = np.nonzero(moved.mask(segment))
        if not len(rows):
            continue
        x0, x1 = round(int(columns.min()) * s[0]), round((int(columns.max()) + 1) * s[0])
        y0, y1 = round(int(rows.min()) * s[1]), round((int(rows.max()) + 1) * s[1])
        count = round(len(rows) * s[0] * s[1])
        segments.append(replace(segment, box=(x0, y0, x1 - x0, y1 - y0), pixel_count=count))
    return replace(moved, segments=tuple(segments))
