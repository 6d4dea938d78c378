"""Pictures for people: maps over the camera image."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.types import Segment, Segmentation

Picture = NDArray[np.uint8]
Box = tuple[int, int, int, int]  # left, top, width, height [px]
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
FONT = cv2.FONT_HERSHEY_SIMPLEX
MAX_BOXES, MIN_FRACTION = 24, 0.002
"""Objects drawn with box and name: at most so many, each at least this share of the image."""


def put_text(picture: Picture, text: str, x: int, y: int, scale: float = 0.5) -> None:
    """Write text with a dark outline, its baseline at (x, y) [px]; changes the picture."""
    for colour, thickness in ((BLACK, 3), (WHITE, 1)):
        cv2.putText(picture, text, (x, y), FONT, scale, colour, thickness, cv2.LINE_AA)


def label_picture(labels: NDArray[np.uint8], colors: NDArray[np.uint8]) -> Picture:
    """Class ids [H, W] in their display colours: uint8 [H, W, 3]; `colors` uint8 [N, 3]."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(colors)] = colors[:256]
    return table[labels]


def depth_picture(depth: NDArray[np.float32], low: float, high: float) -> Picture:
    """Depth or relative depth [H, W] as RGB: bright near, dark far, grey where unknown."""
    known = np.isfinite(depth)
    span = max(high - low, 1e-6)
    level = np.clip((np.where(known, depth, high) - low) / span, 0.0, 1.0)
    code = ((1.0 - level) * 255.0).astype(np.uint8)
    picture = cv2.cvtColor(cv2.applyColorMap(code, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    picture[~known] = 128
    return picture  # type: ignore[return-value]


def draw_overlay(
    rgb: Picture, segmentation: Segmentation, colors: NDArray[np.uint8], stuff: Sequence[str] = ()
) -> Picture:
    """The image with class colours at 45 %, and box, name and distance of the larger objects."""
    tint = label_picture(segmentation.labels, colors)
    mixed = cv2.addWeighted(np.ascontiguousarray(rgb), 0.55, tint, 0.45, 0.0)
    picture: Picture = mixed.astype(np.uint8, copy=False)
    return _draw_objects(picture, segmentation.segments, colors, stuff)


def draw_boxes(
    rgb: Picture, segments: Sequence[Segment], colors: NDArray[np.uint8], stuff: Sequence[str] = ()
) -> Picture:
    """The image with box, name and distance of objects that were followed into it."""
    return _draw_objects(rgb.copy(), segments, colors, stuff)


def _draw_objects(
    picture: Picture, segments: Sequence[Segment], colors: NDArray[np.uint8], stuff: Sequence[str]
) -> Picture:
    objects = [s for s in segments if s.instance and s.label not in stuff]
    smallest = MIN_FRACTION * picture.shape[0] * picture.shape[1]
    written: list[Box] = []
    for segment in sorted(objects, key=lambda s: -s.pixel_count)[:MAX_BOXES]:
        if segment.pixel_count < smallest:
            break
        x, y, width, height = segment.box
        colour = tuple(int(value) for value in colors[segment.class_id])
        cv2.rectangle(picture, (x, y), (x + width - 1, y + height - 1), colour, 2)
        text = f"{segment.label} #{segment.track_id}" if segment.track_id else segment.label
        if math.isfinite(segment.distance_m):
            text += f" {segment.distance_m:.2f} m"
        place = _free_place(text, segment.box, picture.shape, written)
        if place is not None:
            written.append(place)
            put_text(picture, text, place[0], place[1] + place[3])
    return picture


def _free_place(text: str, box: Box, shape: tuple[int, ...], written: Sequence[Box]) -> Box | None:
    """Where a text fits without covering another: above the box, in it, below it; or nowhere.

    Larger objects come first, so it is the smaller ones that go without a name.
    """
    (width, height), _ = cv2.getTextSize(text, FONT, 0.5, 1)
    x, y, _, tall = box
    left = max(min(x, shape[1] - width), 0)
    for top in (y - height - 4, y + 4, y + height + 10, y + tall + 4, y + tall - height - 4):
        place = (left, min(max(top, 2), shape[0] - height - 2), width, height)
        if not any(_overlap(place, other) for other in written):
            return place
    return None


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]
