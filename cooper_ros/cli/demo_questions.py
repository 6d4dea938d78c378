"""Which questions the demo asks about a view, and what the true answers are.

Only the truth of the simulated camera is used here: questions are about objects that are really
visible, one of their kind and large enough to be worth asking about.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from cooper_ros.core.query import BETWEEN, COUNT, DISTANCE, FREE, LEFT, NEARER, PRESENCE
from cooper_ros.reasoning.phrasings import render_question

MIN_FRACTION = 0.004
"""Smallest share of the image's pixels of an object that is asked about."""

CLEAR_RATIO = 1.15
"""How much farther the farther one must be, for `which is nearer` to have a plain answer."""

CLEAR_SHIFT = 0.08
"""How far apart in the image, in image widths, for `left of` to have a plain answer."""


@dataclass(frozen=True)
class Visible:
    """A truly visible object: share of the pixels, distance [m], position [m], median u [px]."""

    label: str
    fraction: float
    distance_m: float
    position: tuple[float, float, float]
    u: float

    @classmethod
    def from_truth(cls, item: dict[str, Any]) -> Visible:
        """One entry of the camera's `~/truth/objects`."""
        x, y, z = (float(value) for value in item["position"])
        return cls(
            item["label"], float(item["fraction"]), float(item["distance"]), (x, y, z), item["u"]
        )


@dataclass(frozen=True)
class DemoQuestion:
    """A question and its true answer: a number [unit], or the word expected in the text."""

    family: str
    text: str
    truth: float | str
    unit: str = ""


def _ask(family: str, objects: Sequence[str], truth: float | str, unit: str = "") -> DemoQuestion:
    return DemoQuestion(family, render_question(family, objects), truth, unit)


def choose_questions(
    visible: Sequence[Visible], free_space_m: float, image_width: int, limit: int = 6
) -> list[DemoQuestion]:
    """Up to `limit` questions of different kinds, the plainest first; never fewer than four.

    Any view has free space, a count and the presence of something, so there are always enough.
    """
    counts = Counter(item.label for item in visible)
    single = sorted(
        (item for item in visible if counts[item.label] == 1 and item.fraction >= MIN_FRACTION),
        key=lambda item: -item.fraction,
    )
    kinds = [
        [_ask(DISTANCE, [item.label], item.distance_m, "m") for item in single],
        [_between(one, other) for one, other in combinations(single, 2)],
        [_left(one, other) for one, other in combinations(single, 2)
         if abs(one.u - other.u) > CLEAR_SHIFT * image_width],
        [_nearer(one, other) for one, other in combinations(single, 2)
         if not 1 / CLEAR_RATIO < one.distance_m / other.distance_m < CLEAR_RATIO],
        _counts(visible, counts),
        [_ask(FREE, [], free_space_m, "m")] if math.isfinite(free_space_m) else [],
        [_ask(PRESENCE, [label], "yes") for label in counts],
        [_ask(PRESENCE, [label], "no") for label in ("sofa", "bed", "person", "robot")
         if label not in counts],
    ]  # fmt: skip
    chosen: list[DemoQuestion] = []
    while len(chosen) < limit and any(kinds):
        for kind in kinds:
            if kind and len(chosen) < limit:
                chosen.append(kind.pop(0))
    return chosen


def _between(one: Visible, other: Visible) -> DemoQuestion:
    truth = math.dist(one.position, other.position)
    return _ask(BETWEEN, [one.label, other.label], truth, "m")


def _left(one: Visible, other: Visible) -> DemoQuestion:
    return _ask(LEFT, [one.label, other.label], "yes" if one.u < other.u else "no")


def _nearer(one: Visible, other: Visible) -> DemoQuestion:
    nearer = one if one.distance_m < other.distance_m else other
    return _ask(NEARER, [one.label, other.label], nearer.label)


def _counts(visible: Sequence[Visible], counts: Counter[str]) -> list[DemoQuestion]:
    """Counting only where every instance is large enough to be seen as one."""
    small = {item.label for item in visible if item.fraction < MIN_FRACTION}
    plain = [label for label in counts if label not in small]
    ordered = sorted(plain, key=lambda label: -counts[label])
    return [_ask(COUNT, [label], float(counts[label])) for label in ordered]
