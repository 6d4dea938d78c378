"""What an outline that others drew adds to the error of a length measured inside it.

A box without a mask may be taken for what stands before or behind its thing; a mask a few pixels
too large or too small changes sizes. Fitted on simulated rooms (`cooper eval eyes`, validation
rooms): 90 % of |ln(measured / true)| is below these.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from cooper_ros.core.query import BETWEEN, DISTANCE, HEIGHT, WIDTH, Query
from cooper_ros.core.types import BOX, MODEL_SOURCE, ObjectReference

HALF_WIDTHS_OF_BOXES = {DISTANCE: 0.08, BETWEEN: 0.24, WIDTH: 0.40, HEIGHT: 0.44}
HALF_WIDTHS_OF_MASKS = {DISTANCE: 0.015, BETWEEN: 0.03, WIDTH: 0.17, HEIGHT: 0.15}


def boxed(context: Any, items: Sequence[ObjectReference]) -> tuple[str, ...]:
    """Names of those objects that were found by a box without a mask."""
    outlines = {
        (s.class_id, s.instance) for s in context.segmentation().segments if s.outline == BOX
    }
    return tuple(i.label for i in items if (i.class_id, i.instance) in outlines)


def widened(
    context: Any,
    query: Query,
    items: Sequence[ObjectReference],
    value: float,
    bounds: tuple[float, float],
) -> tuple[float, float]:
    """The interval of a length [m] on things that others outlined; as it is for the model's own."""
    low, high = bounds
    others = [item for item in items if item.source != MODEL_SOURCE]
    if not others or not value > 0.0 or not high >= value:
        return bounds
    table = HALF_WIDTHS_OF_BOXES if boxed(context, items) else HALF_WIDTHS_OF_MASKS
    width = math.hypot(math.log(high / value), table.get(query.family, 0.0))
    return min(low, value * math.exp(-width)), value * math.exp(width)
