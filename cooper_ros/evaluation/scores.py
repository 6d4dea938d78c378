"""Fitting the least score of every class on validation rooms (`cooper eval calibrate`).

An object of a drawn map is right if at least half of its pixels have its class in truth. Of each
class those with the best scores are kept, as many as can be while at least half of them are right:
what is shown is then more often there than not, and nothing more than necessary is hidden. A class
of which not even the best are right half the time needs a score that none of them has: half way
from the best to 1. One that is too rare to tell is judged with all rare ones together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.types import Segmentation
from cooper_ros.evaluation.table import align, number

PRECISION = 0.5
RIGHT_SHARE = 0.5
KNOWN_SHARE = 0.3
MIN_COUNT = 20  # objects from which on a class is judged by itself
MIN_SHOWN = 5  # fewer right ones at the top are luck
FOLDS = 5


@dataclass(frozen=True)
class ScoredObject:
    """One object of a drawn map: scene, class, score, and whether it is there in truth."""

    scene: int
    label: str
    score: float
    right: bool


def objects_of(
    scene: int,
    segmentation: Segmentation,
    truth: NDArray[np.uint8],
    names: Sequence[str],
    known: NDArray[np.bool_] | None = None,
) -> list[ScoredObject]:
    """The objects of a map at the resolution of the true classes uint8 [H, W], ids by `names`.

    `known`: pixels [H, W] whose class somebody said, all without it. An object with less than
    `KNOWN_SHARE` of them is left out, and only they count.
    """
    found = []
    for segment in segmentation.segments:
        if not segment.instance or not segment.score == segment.score:
            continue
        mask = segmentation.mask(segment)
        if known is not None:
            whole, mask = int(mask.sum()), mask & known
            if int(mask.sum()) < KNOWN_SHARE * whole:
                continue
        there = truth[mask]
        right = False
        if segment.label in names and there.size:
            right = float((there == names.index(segment.label)).mean()) >= RIGHT_SHARE
        found.append(ScoredObject(scene, segment.label, segment.score, right))
    return found


def fit(objects: Iterable[ScoredObject], names: Iterable[str]) -> dict[str, float]:
    """Least score by class, for `names` (the classes with instances); 0 is left out."""
    groups: dict[str, list[ScoredObject]] = defaultdict(list)
    for one in objects:
        groups[one.label].append(one)
    names = list(names)
    rare = [one for name in names for one in groups[name] if len(groups[name]) < MIN_COUNT]
    together = threshold(rare)
    found = {
        name: threshold(groups[name]) if len(groups[name]) >= MIN_COUNT else together
        for name in names
    }
    return {name: score for name, score in found.items() if score > 0.0}


def threshold(objects: Sequence[ScoredObject]) -> float:
    """The lowest score from which on at least half of the objects are right."""
    if not objects:
        return 0.0
    ordered = sorted(objects, key=lambda one: -one.score)
    right = np.cumsum([one.right for one in ordered])
    kept = np.arange(1, len(ordered) + 1)
    good = np.flatnonzero((right >= PRECISION * kept) & (kept >= min(MIN_SHOWN, len(ordered))))
    if not good.size:
        return round(0.5 + 0.5 * ordered[0].score, 4)
    last = int(good[-1])
    if last == len(ordered) - 1:
        return 0.0
    return float(np.ceil(5e3 * (ordered[last].score + ordered[last + 1].score)) / 1e4)


def cross_validated(
    objects: Sequence[ScoredObject], names: Sequence[str], folds: int = FOLDS
) -> dict[str, dict[str, Any]]:
    """On rooms that took no part in the fit, by class and under "all": `n` objects, `precision` of
    all, `shown` share, `precision_shown`, `kept` share of the right ones that stay."""
    scenes = sorted({one.scene for one in objects})
    fold_of = {scene: rank % folds for rank, scene in enumerate(scenes)}
    seen: list[tuple[ScoredObject, bool]] = []
    for fold in range(folds):
        least = fit((one for one in objects if fold_of[one.scene] != fold), names)
        seen += [
            (one, one.score >= least.get(one.label, 0.0))
            for one in objects
            if fold_of[one.scene] == fold
        ]
    found = {
        name: _figures([pair for pair in seen if pair[0].label == name]) for name in names
    }
    found = {name: figures for name, figures in found.items() if figures["n"]}
    return {**found, "all": _figures(seen)}


def _figures(seen: Sequence[tuple[ScoredObject, bool]]) -> dict[str, Any]:
    right = np.array([one.right for one, _ in seen], bool)
    shown = np.array([is_shown for _, is_shown in seen], bool)
    return {
        "n": len(seen),
        "precision": _mean(right),
        "shown": _mean(shown),
        "precision_shown": _mean(right[shown]),
        "kept": _mean(shown[right]),
    }


def _mean(values: NDArray[np.bool_]) -> float:
    return float(values.mean()) if values.size else float("nan")


def text(measured: dict[str, dict[str, Any]], least: dict[str, float]) -> str:
    """The table for people."""
    rows = [
        [
            name,
            str(found["n"]),
            number(found["precision"], 2),
            "-" if name == "all" else number(least.get(name, 0.0), 3),
            number(found["shown"], 2),
            number(found["precision_shown"], 2),
            number(found["kept"], 2),
        ]
        for name, found in measured.items()
    ]
    head = ["objects on the map", "n", "right", "least score", "shown", "of these right"]
    return align([*head, "right ones kept"], rows)
