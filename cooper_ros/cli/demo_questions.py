"""Which questions the demo asks about a view, and what the true answers are.

Only the truth of the simulated camera is used here, never what the node says: questions are about
objects that are really visible, one of their kind and large enough to be worth asking about.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from cooper_ros.core.classes import PLURALS
from cooper_ros.core.query import (
    BEHIND,
    BETWEEN,
    COUNT,
    DISTANCE,
    FARTHER,
    FREE,
    FRONT,
    HEIGHT,
    LEFT,
    NEARER,
    PRESENCE,
    REACHABLE,
    RIGHT,
    WIDTH,
)
from cooper_ros.core.types import NAN
from cooper_ros.reasoning.phrasings import render_question

MIN_FRACTION = 0.004
"""Smallest share of the image's pixels of an object that is asked about."""

CLEAR_RATIO = 1.15
"""How much farther the farther one must be, for `which is nearer` to have a plain answer."""

CLEAR_SHIFT = 0.08
"""How far apart in the image, in image widths, for `left of` to have a plain answer."""

REACH_M, FAR_REACH_M = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0), 1.25
"""Radii of `is it within`, and how far off the radius, as a factor, an object must be."""

ABSENT = "not there"
"""The truth about the distance of something that is not in view."""

NOT_IN_VIEW = ("sofa", "bed", "person", "robot", "plant", "tv", "laptop", "bin")
"""What is asked for although it is not there; the first of which that is so."""


@dataclass(frozen=True)
class Visible:
    """A truly visible object: share of the pixels, distance [m], position [m], median u [px],
    width and height [m], and whether no border of the image cuts it."""

    label: str
    fraction: float
    distance_m: float
    position: tuple[float, float, float]
    u: float
    width_m: float = NAN
    height_m: float = NAN
    whole: bool = True

    @classmethod
    def from_truth(cls, item: dict[str, Any]) -> Visible:
        """One entry of the camera's `~/truth/objects`."""
        x, y, z = (float(value) for value in item["position"])
        return cls(
            item["label"], float(item["fraction"]), float(item["distance"]), (x, y, z), item["u"],
            float(item["width"]), float(item["height"]), bool(item["whole"]),
        )  # fmt: skip


@dataclass(frozen=True)
class DemoQuestion:
    """A question and its true answer: a number [unit], the word expected, or `ABSENT`."""

    family: str
    text: str
    truth: float | str
    unit: str = ""


def _ask(
    family: str, objects: Sequence[str], truth: float | str, unit: str = "", radius_m: float = NAN
) -> DemoQuestion:
    return DemoQuestion(family, render_question(family, objects, radius_m), truth, unit)


def choose_questions(
    visible: Sequence[Visible], free_space_m: float, image_width: int, limit: int = 0
) -> list[DemoQuestion]:
    """One question of every kind that the view allows, the plainest, then more of them.

    At most `limit`; 0: one of every kind. Never fewer than four: every view has a free space, a
    count, something that is there, and something that is not.
    """
    kinds = [kind for kind in _kinds(visible, free_space_m, image_width) if kind]
    limit = limit or max(len(kinds), 4)
    chosen: list[DemoQuestion] = []
    while len(chosen) < limit and any(kinds):
        for kind in kinds:
            if kind and len(chosen) < limit:
                chosen.append(kind.pop(0))
    return chosen


def _kinds(
    visible: Sequence[Visible], free_space_m: float, image_width: int
) -> list[list[DemoQuestion]]:
    """Questions by kind, about what is whole, large and clearly apart; every kind begins with
    another object, so that a view is not judged by one."""
    counts = Counter(item.label for item in visible)
    single = sorted(
        (item for item in visible if counts[item.label] == 1 and item.fraction >= MIN_FRACTION),
        key=lambda item: (not item.whole, -item.fraction),
    )
    pairs = list(combinations(single, 2))
    aside = [pair for pair in pairs if _shift(*pair) > CLEAR_SHIFT * image_width]
    apart = [pair for pair in pairs if _ratio(*pair) > CLEAR_RATIO]
    countable = _countable(visible, counts)
    absent = [label for label in NOT_IN_VIEW if label not in counts]
    return [
        [_ask(DISTANCE, [item.label], item.distance_m, "m") for item in single],
        [_between(*pair) for pair in pairs],
        [_side(LEFT, *pair) for pair in _turned(aside)],
        [_nearer(NEARER, *pair) for pair in _turned(apart)],
        [_count(label, counts[label]) for label in countable],
        [q for label in countable for q in _count_within(label, visible)],
        [q for label in countable for q in _count_left(label, visible, image_width)],
        [_ask(FREE, [], free_space_m, "m")] if math.isfinite(free_space_m) else [],
        [_ask(WIDTH, [item.label], item.width_m, "m")
         for item in _turned(single) if math.isfinite(item.width_m)],
        [_ask(HEIGHT, [item.label], item.height_m, "m")
         for item in _turned(single, 2) if math.isfinite(item.height_m)],
        [_reachable(item) for item in _turned(single, 3)],
        [_side(RIGHT, *pair) for pair in _turned(aside, 2)],
        [_nearer(FARTHER, *pair) for pair in _turned(apart, 2)],
        [_order(FRONT, *pair) for pair in _turned(apart, 3)],
        [_order(BEHIND, *pair) for pair in _turned(apart, 4)],
        [_ask(PRESENCE, [label], "yes") for label in counts],
        [_ask(PRESENCE, [label], "no") for label in absent],
        [_ask(DISTANCE, [label], ABSENT) for label in _turned(absent)],
    ]  # fmt: skip


def _turned(items: Sequence[Any], by: int = 1) -> list[Any]:
    """The same, beginning with another."""
    start = by % len(items) if items else 0
    return [*items[start:], *items[:start]]


def _shift(one: Visible, other: Visible) -> float:
    return abs(one.u - other.u)


def _ratio(one: Visible, other: Visible) -> float:
    return max(one.distance_m / other.distance_m, other.distance_m / one.distance_m)


def _between(one: Visible, other: Visible) -> DemoQuestion:
    truth = math.dist(one.position, other.position)
    return _ask(BETWEEN, [one.label, other.label], truth, "m")


def _side(family: str, one: Visible, other: Visible) -> DemoQuestion:
    true = one.u < other.u if family == LEFT else one.u > other.u
    return _ask(family, [one.label, other.label], "yes" if true else "no")


def _order(family: str, one: Visible, other: Visible) -> DemoQuestion:
    nearer = one.distance_m < other.distance_m
    true = nearer if family == FRONT else not nearer
    return _ask(family, [one.label, other.label], "yes" if true else "no")


def _nearer(family: str, one: Visible, other: Visible) -> DemoQuestion:
    near, far = sorted((one, other), key=lambda item: item.distance_m)
    return _ask(family, [one.label, other.label], (near if family == NEARER else far).label)


def _reachable(item: Visible) -> DemoQuestion:
    """Whether something is within a radius that is clearly off its distance, above or below."""
    beyond = [r for r in REACH_M if r > item.distance_m * FAR_REACH_M][:1]
    before = [r for r in REACH_M if r < item.distance_m / FAR_REACH_M][-1:]
    # far things are asked for in vain, near ones not: by their distance alone
    radius = (before + beyond if item.distance_m > 2.0 else beyond + before)[0]
    truth = "yes" if item.distance_m <= radius else "no"
    return _ask(REACHABLE, [item.label], truth, radius_m=radius)


def _count(label: str, number: int) -> DemoQuestion:
    return _ask(COUNT, [label], float(number))


def _count_within(label: str, visible: Sequence[Visible]) -> list[DemoQuestion]:
    """How many are within the first radius that none of them is near to, but some are within."""
    distances = [item.distance_m for item in visible if item.label == label]
    for radius in REACH_M:
        clear = all(not 1 / FAR_REACH_M < radius / d < FAR_REACH_M for d in distances)
        if clear and min(distances) < radius:
            text = f"how many {PLURALS.get(label, label)} are within {radius:.2f} m ?"
            return [DemoQuestion(COUNT, text, float(sum(d < radius for d in distances)))]
    return []


def _count_left(label: str, visible: Sequence[Visible], image_width: int) -> list[DemoQuestion]:
    """How many are left of the camera's axis, where all of them are clearly off it."""
    shifts = [item.u / image_width - 0.5 for item in visible if item.label == label]
    if any(abs(shift) < CLEAR_SHIFT for shift in shifts):
        return []
    text = f"how many {PLURALS.get(label, label)} are on the left ?"
    return [DemoQuestion(COUNT, text, float(sum(shift < 0.0 for shift in shifts)))]


def _countable(visible: Sequence[Visible], counts: Counter[str]) -> list[str]:
    """Names of which every instance is large enough to be seen as one, the most numerous first."""
    small = {item.label for item in visible if item.fraction < MIN_FRACTION}
    plain = [label for label in counts if label not in small]
    return sorted(plain, key=lambda label: -counts[label])
