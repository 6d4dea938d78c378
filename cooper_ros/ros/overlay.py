"""Pictures for people: objects over the camera image, and depth with its legend."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.types import Segment, Segmentation
from cooper_ros.ros import lettering
from cooper_ros.ros.lettering import BLACK, WHITE, Box, Colour, Picture

MAX_OBJECTS, MIN_FRACTION = 10, 0.002
"""Objects drawn: at most so many, the best, each at least this share of the image."""

TINT = 0.45
"""Share of an object's colour in its pixels."""

TICK_STEPS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
MOST_TICKS = 6
DARK: Colour = (24, 24, 24)


def display_colors(palette: Sequence[Sequence[float]]) -> NDArray[np.uint8]:
    """Colours uint8 [N, 3] by class id, of a model's palette in [-1, 1]."""
    values = np.asarray(palette, np.float32).reshape(-1, 3)
    return np.round(np.clip((values + 1.0) / 2.0, 0.0, 1.0) * 255.0).astype(np.uint8)


def class_colors(palette: Sequence[Sequence[float]]) -> NDArray[np.uint8]:
    """Colours uint8 [256, 3] of every class id: a model's palette, then others for what detectors
    and label images name; grey for what nobody named."""
    own = display_colors(palette)
    colors = np.full((256, 3), 128, np.uint8)
    # the golden ratio spreads hues evenly, however many there are
    hues = (np.arange(256) * 0.618034 % 1.0 * 179.0).astype(np.uint8)
    wheel = np.stack([hues, np.full(256, 200, np.uint8), np.full(256, 230, np.uint8)], axis=1)
    colors[:255] = cv2.cvtColor(wheel[None], cv2.COLOR_HSV2RGB)[0][:255]
    colors[: len(own)] = own
    return colors


def depth_picture(depth: NDArray[np.float32], low: float, high: float) -> Picture:
    """Depth or relative depth [H, W] as RGB: bright near, dark far, grey where unknown."""
    known = np.isfinite(depth)
    span = max(high - low, 1e-6)
    level = np.clip((np.where(known, depth, high) - low) / span, 0.0, 1.0)
    picture = _depth_colours(level)
    picture[~known] = 128
    return picture


def _depth_colours(level: NDArray[np.floating]) -> Picture:
    """Colours of levels [H, W] in [0, 1], near to far."""
    code = ((1.0 - level) * 255.0).astype(np.uint8)
    coloured = cv2.cvtColor(cv2.applyColorMap(code, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    return coloured.astype(np.uint8, copy=False)


def depth_legend(width: int, low: float, high: float, size: int, unit: str = "m") -> Picture:
    """A strip to put below a depth picture of this width: its colours with round distances.

    `low`, `high`: as given to `depth_picture`; `size` [px]: of the letters.
    """
    bar, gap = max(size // 2, 4), max(size // 4, 2)
    top, left, right = 2 * gap, min(2 * size, width // 4), width - min(2 * size, width // 4)
    height = top + bar + gap + lettering.extent("0", size)[1] + gap
    picture = np.full((height, width, 3), DARK, np.uint8)
    level = np.linspace(0.0, 1.0, right - left, dtype=np.float32)
    picture[top : top + bar, left:right] = _depth_colours(level[None].repeat(bar, axis=0))
    for value in ticks(low, high):
        x = left + round((value - low) / max(high - low, 1e-6) * (right - left - 1))
        picture[top + bar : top + bar + gap, x] = WHITE
        text = f"{value:g} {unit}".strip()
        half = lettering.extent(text, size)[0] // 2
        lettering.write(picture, text, x - half, top + bar + gap, size)
    return picture


def ticks(low: float, high: float) -> list[float]:
    """Round values between the two, at most `MOST_TICKS`."""
    for step in TICK_STEPS:
        first, last = math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6)
        if last - first < MOST_TICKS:
            return [round(number * step, 6) for number in range(first, last + 1)]
    return []


def draw_overlay(
    rgb: Picture,
    segmentation: Segmentation,
    colors: NDArray[np.uint8],
    stuff: Sequence[str] = (),
) -> Picture:
    """The image with colour, box, name and distance of its best objects.

    `colors` uint8 [N, 3] by class id; `stuff`: names of what is no object (floor, wall), and is
    neither coloured nor named. Boxes are in the picture's pixels.
    """
    picture = np.array(rgb, np.uint8, order="C")
    shown = best_objects(segmentation.segments, picture.shape, stuff)
    _tint(picture, segmentation, shown, colors)
    _draw_objects(picture, shown, colors)
    return picture


def draw_boxes(
    rgb: Picture,
    segments: Sequence[Segment],
    colors: NDArray[np.uint8],
    stuff: Sequence[str] = (),
) -> Picture:
    """The image with box, name and distance of objects that were followed into it."""
    picture = np.array(rgb, np.uint8, order="C")
    _draw_objects(picture, best_objects(segments, picture.shape, stuff), colors)
    return picture


def best_objects(
    segments: Sequence[Segment], shape: tuple[int, ...], stuff: Sequence[str] = ()
) -> list[Segment]:
    """The objects worth showing on an image of this shape, the best score first.

    Scores that are unknown (NaN) come last, the larger object first. What is below its class's
    `min_score` is no segment to begin with.
    """
    smallest = MIN_FRACTION * shape[0] * shape[1]
    objects = [
        s
        for s in segments
        if s.instance and s.label not in stuff and s.pixel_count >= smallest
    ]

    def rank(segment: Segment) -> tuple[float, int]:
        return -segment.score if math.isfinite(segment.score) else math.inf, -segment.pixel_count

    return sorted(objects, key=rank)[:MAX_OBJECTS]


def _tint(
    picture: Picture,
    segmentation: Segmentation,
    shown: Sequence[Segment],
    colors: NDArray[np.uint8],
) -> None:
    """Colour the pixels of the objects shown; everything else stays as the camera sees it."""
    instances = segmentation.instances
    if not shown or instances.shape != picture.shape[:2]:
        return
    number = np.zeros(max(int(instances.max()), *(s.instance for s in shown)) + 1, np.uint8)
    table = np.zeros((256, 1, 3), np.uint8)
    for index, segment in enumerate(shown, start=1):
        number[segment.instance] = index
        table[index] = colors[segment.class_id]
    mask = number[instances]
    tint = cv2.LUT(cv2.merge([mask, mask, mask]), table)
    cv2.copyTo(cv2.addWeighted(picture, 1.0 - TINT, tint, TINT, 0.0), mask, picture)


def _draw_objects(picture: Picture, shown: Sequence[Segment], colors: NDArray[np.uint8]) -> None:
    """Boxes first, then the names over them: the best object gets the best place."""
    height, width = picture.shape[:2]
    size, line = lettering.text_size(height), max(round(height / 240), 1)
    for segment in reversed(shown):
        x, y, wide, tall = segment.box
        ends = (x, y), (x + wide - 1, y + tall - 1)
        # a dark rim, so that the box is seen on any ground
        cv2.rectangle(picture, *ends, BLACK, line + 2)
        cv2.rectangle(picture, *ends, _colour(colors, segment), line)
    written: list[Box] = []
    padding = max(size // 5, 1)
    for segment in shown:
        text = _caption(segment)
        place = _free_place(
            lettering.extent(text, size, padding), segment.box, (width, height), written
        )
        if place is not None:
            ground = _colour(colors, segment)
            colour = lettering.readable_on(ground)
            written.append(lettering.write(picture, text, *place, size, colour, ground, padding))


def _colour(colors: NDArray[np.uint8], segment: Segment) -> Colour:
    red, green, blue = (int(value) for value in colors[segment.class_id])
    return red, green, blue


def _caption(segment: Segment) -> str:
    text = f"{segment.label} #{segment.track_id}" if segment.track_id else segment.label
    return f"{text} {segment.distance_m:.2f} m" if math.isfinite(segment.distance_m) else text


def _free_place(
    label: tuple[int, int], box: Box, size: tuple[int, int], written: Sequence[Box]
) -> tuple[int, int] | None:
    """Top left corner of a label at its box that covers no other label; None if there is none."""
    if label[0] > size[0] or label[1] > size[1]:
        return None
    for x, y in _places(label, box):
        x = min(max(x, 0), size[0] - label[0])
        y = min(max(y, 0), size[1] - label[1])
        if not any(_overlap((x, y, *label), other) for other in written):
            return x, y
    return None


def _places(label: tuple[int, int], box: Box) -> Iterator[tuple[int, int]]:
    """Above the box and below it, then inside from the top down, at last beside it."""
    (wide, high), (x, y, width, height) = label, box
    inside = range(y, max(y + height - high, y) + 1, max(high // 2, 1))
    for lefts, tops in (
        ((x, x + width - wide), (y - high, y + height, *inside)),
        ((x - wide, x + width), inside),
    ):
        for top in tops:
            yield from ((left, top) for left in lefts)


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]
