"""Fitting what holds on real pictures: each judged by a fit that has not seen its set.

`Likeness`: linear discriminant between the mean vision tokens of simulated rooms and of real
pictures, every real set with the same weight. Half width: the largest of the sets' own quantiles of
|ln(true / model)|. Confidence: offset and slope of the log odds, by logistic regression.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cooper_ros.evaluation.confidence import WITHIN, logistic
from cooper_ros.evaluation.scores import ScoredObject
from cooper_ros.runtime.real_pictures import ALONE, ANCHORED, Likeness, RealPictures

LEVEL = 0.90
FALSE_ALARM = 0.02  # share of simulated rooms that may be taken for real
SHRINK = 0.3
FOLDS = 5
MIN_PICTURES = 5  # a set with fewer says nothing of how its pictures differ

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DepthSample:
    """Pixels of one RGB-D picture: `error` f32 [n], ln(true / model) as it is; `confidence` f32 [n]
    of simulated rooms; `right` bool [n] with anchors (error below `WITHIN`)."""

    error: NDArray[np.float32]
    confidence: NDArray[np.float32]
    right: NDArray[np.bool_]


@dataclass
class RealSet:
    """Pictures of one set: mean vision tokens [D] of each, and what is known of its depth or
    objects."""

    tokens: list[NDArray[np.float32]] = field(default_factory=list)
    depth: list[DepthSample] = field(default_factory=list)
    objects: list[ScoredObject] = field(default_factory=list)


def fit_likeness(rooms: Array, sets: Sequence[Array]) -> Likeness:
    """The line between simulated rooms [n, D] and sets of real pictures [m, D] each.

    The least score is that of rooms that took no part in the line: `FALSE_ALARM` of them are above.
    """
    fold_of = np.arange(len(rooms)) % FOLDS
    along, away = np.zeros(len(rooms)), np.zeros(len(rooms))
    for fold in range(FOLDS):
        out = fold_of == fold
        likeness = _line(rooms[~out], sets)
        scores = [likeness.scores(room) for room in rooms[out]]
        along[out], away[out] = np.array(scores).T
    whole = _line(rooms, sets)
    least = float(np.quantile(along, 1.0 - FALSE_ALARM))
    farthest = 1.1 * float(away.max())
    return Likeness(whole.centre, whole.spread, whole.direction, least, farthest)


def _line(rooms: Array, sets: Sequence[Array]) -> Likeness:
    centre = rooms.mean(axis=0)
    spread = rooms.std(axis=0) + 1e-6 + 1e-3 * float(rooms.std())
    inside = (rooms - centre) / spread
    outside = [(one - centre) / spread for one in sets]
    within = np.cov(inside.T)
    large = [np.cov(one.T) for one in outside if len(one) >= MIN_PICTURES]
    if large:
        within = 0.5 * within + 0.5 * np.mean(large, axis=0)
    level = float(np.trace(within)) / len(within)
    within = (1.0 - SHRINK) * within + SHRINK * level * np.eye(len(within))
    apart = np.mean([one.mean(axis=0) for one in outside], axis=0)
    direction: Array = np.linalg.solve(within, apart).astype(np.float64)
    direction /= max(float(direction @ apart), 1e-12)  # real pictures lie at 1, rooms at 0
    return Likeness(centre, spread, direction, math.inf, math.inf)


def half_width_of(sets: Sequence[RealSet]) -> float:
    """The largest of the sets' quantiles at `LEVEL` of |ln(true / model)|, pictures alike."""
    return max(
        (
            float(np.mean([np.quantile(np.abs(one.error), LEVEL) for one in each.depth]))
            for each in sets
            if each.depth
        ),
        default=math.nan,
    )


def confidence_of(sets: Sequence[RealSet]) -> dict[str, tuple[float, float]]:
    """(offset, slope) of the log odds by kind, every set with the same weight."""
    found = {}
    have = [one for one in sets if one.depth]
    for kind in (ALONE, ANCHORED):
        values, right = [], []
        for one in have:
            pixels = np.concatenate([_odds(sample.confidence) for sample in one.depth])
            values.append(np.stack([np.ones_like(pixels), pixels]))
            right.append(np.concatenate([_right(sample, kind) for sample in one.depth]))
        if values:
            offset, slope = logistic(values, right)
            if slope < 0.0:  # sure where it is wrong: then it says nothing
                (offset,), slope = logistic([one[:1] for one in values], right), 0.0
            found[kind] = float(offset), float(slope)
    return found


def _right(sample: DepthSample, kind: str) -> NDArray[np.bool_]:
    if kind == ANCHORED:
        return sample.right
    return np.abs(np.expm1(-sample.error)) < WITHIN


def _odds(confidence: NDArray[np.float32]) -> NDArray[np.float32]:
    clipped = np.clip(confidence, 1e-6, 1.0 - 1e-6)
    return np.log(clipped / (1.0 - clipped))


def fit(
    rooms: Array,
    sets: Mapping[str, RealSet],
    min_score: Mapping[str, float] | None = None,
) -> RealPictures:
    """The section of the manifest from mean tokens of simulated rooms [n, D] and real sets."""
    used = list(sets.values())
    return RealPictures(
        fit_likeness(rooms, [np.asarray(one.tokens, np.float64) for one in used if one.tokens]),
        LEVEL,
        half_width_of(used),
        confidence_of(used),
        dict(min_score or {}),
        tuple(sets),
    )


def cross_validated(rooms: Array, sets: Mapping[str, RealSet]) -> dict[str, dict[str, Any]]:
    """By set, from a fit without it: `recognised`, the share of its pictures that are taken for
    real; where it has depth `half_width`, `coverage` (share of its pixels inside), and by kind of
    metres `confidence` (mean) beside `right` (share of its pixels). Sets that are left alone by it
    are left out."""
    found = {}
    for name, one in sets.items():
        others = {other: each for other, each in sets.items() if other != name}
        if not others or not any(each.depth for each in others.values()):
            continue
        fitted = fit(rooms, others)
        unlike = [fitted.likeness.unlike(tokens) for tokens in one.tokens]
        figures: dict[str, Any] = {"n": len(one.tokens), "recognised": float(np.mean(unlike))}
        if one.depth:
            inside = [np.mean(np.abs(s.error) <= fitted.half_width) for s in one.depth]
            figures |= {"half_width": fitted.half_width, "coverage": float(np.mean(inside))}
            for kind in (ALONE, ANCHORED):
                said = [fitted.trusted(s.confidence, kind).mean() for s in one.depth]
                before = [s.confidence.mean() for s in one.depth]
                right = [_right(s, kind).mean() for s in one.depth]
                figures[kind] = {
                    "confidence": float(np.mean(said)),
                    "simulated": float(np.mean(before)),
                    "right": float(np.mean(right)),
                }
        found[name] = figures
    return found


def false_alarms(rooms: Array, sets: Mapping[str, RealSet]) -> float:
    """Share of simulated rooms taken for real by a fit, threshold included, without them."""
    tokens = [np.asarray(one.tokens, np.float64) for one in sets.values() if one.tokens]
    fold_of = np.arange(len(rooms)) % FOLDS
    taken = []
    for fold in range(FOLDS):
        likeness = fit_likeness(rooms[fold_of != fold], tokens)
        taken += [likeness.unlike(room) for room in rooms[fold_of == fold]]
    return float(np.mean(taken))
