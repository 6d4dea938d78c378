"""Scoring answers to questions: decoded values, measured values, intervals, refusals.

A question whose truth is a number must be answered with one: a refusal or an unreadable answer
counts as an infinite relative error, or as wrong. Questions whose right answer is "none" are kept
apart (`absent`).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cooper_ros.core.query import FAMILIES
from cooper_ros.core.types import Kind
from cooper_ros.evaluation.bootstrap import interval, mean_of, median_of

METRIC_KINDS = (Kind.DISTANCE, Kind.SIZE)
WITHIN = (0.10, 0.20, 0.25)
DISTANCE_BINS_M = (0.0, 1.0, 2.0, 3.0, 10.0)


@dataclass(frozen=True, slots=True)
class Robot:
    """The same answer as a robot gets it, judged by the maps of the frame: `status` (name), `value`
    and `checked` as in `SpatialAnswer`."""

    status: str = "UNKNOWN"
    value: float = math.nan
    checked: bool = False


@dataclass(frozen=True, slots=True)
class Scored:
    """One question with its truth and what came back.

    `truth`: as `SpatialAnswer.value`, NaN when "none" is right; `value`, `measured`, `low`, `high`,
    `agree`, `status` (name) as in `SpatialAnswer`, all as the text alone says it; `robot` is what
    the maps leave of it.
    """

    scene: int
    family: str
    question: str
    objects: tuple[str, ...]
    truth: float
    value: float = math.nan
    status: str = "UNKNOWN"
    text: str = ""
    measured: float = math.nan
    agree: bool = False
    low: float = math.nan
    high: float = math.nan
    seconds: float = math.nan
    robot: Robot = Robot()

    @property
    def metric(self) -> bool:
        """Whether the value is a length."""
        return FAMILIES[self.family].kind in METRIC_KINDS

    @property
    def answerable(self) -> bool:
        """Whether the truth is a number (not "none")."""
        return math.isfinite(self.truth)

    @property
    def parsed(self) -> bool:
        """Whether an answer in the taught form came back (a value, or "none")."""
        return self.status in ("OK", "AMBIGUOUS", "NOT_VISIBLE")

    @property
    def refused(self) -> bool:
        """Whether the model said that the object is not there."""
        return self.status == "NOT_VISIBLE"

    @property
    def relative_error(self) -> float:
        """|value - truth| / truth; infinite without a value."""
        if not math.isfinite(self.value):
            return math.inf
        return abs(self.value - self.truth) / max(abs(self.truth), 1e-6)

    @property
    def correct(self) -> bool:
        """Same value (lengths: within 20 %); refused where "none" is right."""
        if not self.answerable:
            return self.refused
        return self.relative_error < 0.20 if self.metric else self.value == self.truth

    def as_measured(self) -> Scored:
        """The same question answered by the value measured on the maps."""
        status = "OK" if math.isfinite(self.measured) else "NOT_VISIBLE"
        nan = math.nan
        return replace(self, value=self.measured, status=status, low=nan, high=nan)


def by_scene(records: Iterable[Scored]) -> list[list[Scored]]:
    """Records grouped by scene, scenes in ascending order."""
    groups: dict[int, list[Scored]] = defaultdict(list)
    for record in records:
        groups[record.scene].append(record)
    return [groups[scene] for scene in sorted(groups)]


def accuracy(groups: Sequence[Sequence[Scored]]) -> float:
    """Share of correct answers, absent objects included."""
    return mean_of([[float(record.correct) for record in group] for group in groups])


def _within(groups: Sequence[Sequence[Scored]], limit: float) -> float:
    return mean_of([[float(r.relative_error < limit) for r in group] for group in groups])


def _median_error(groups: Sequence[Sequence[Scored]]) -> float:
    return median_of([[r.relative_error for r in group] for group in groups])


def coverage(records: Sequence[Scored]) -> tuple[float, float]:
    """(share of truths inside [low, high], median of width / value) where answers have bounds."""
    bounded = [r for r in records if math.isfinite(r.low) and math.isfinite(r.high)]
    if not bounded:
        return math.nan, math.nan
    inside = [r.low <= r.truth <= r.high for r in bounded]
    widths = [(r.high - r.low) / max(r.value, 1e-6) for r in bounded]
    return float(np.mean(inside)), float(np.median(widths))


def _coverage_bins(records: Sequence[Scored]) -> dict[str, dict[str, float]]:
    bins = {}
    for low, high in zip(DISTANCE_BINS_M, DISTANCE_BINS_M[1:], strict=False):
        chosen = [r for r in records if low <= r.truth < high]
        share = coverage(chosen)[0]
        if not math.isnan(share):
            bins[f"{low:g}-{high:g} m"] = {"n": len(chosen), "coverage_90": share}
    return bins


def family_figures(records: Sequence[Scored], *, samples: int = 0, seed: int = 0) -> dict:
    """Figures of the questions of one family.

    Keys: `n` (answerable questions), then for lengths `median_rel_error`, `within_10pct`,
    `within_20pct`, `within_25pct`, otherwise `accuracy`; `parse_rate`, `refused` (answerable, yet
    "none" came), `agree` (text and maps), `coverage_90`, `width_90` and `coverage_bins` (NaN or
    empty without bounds), `absent_n` and `absent_refused` where "none" is right, and
    `seconds_median`. With `samples` > 0 also `interval95` by bootstrap over scenes.
    """
    answerable = [record for record in records if record.answerable]
    absent = [record for record in records if not record.answerable]
    figures: dict = {"n": len(answerable)}
    groups = by_scene(answerable)
    bounds = {}
    if records and records[0].metric:
        figures["median_rel_error"] = _median_error(groups)
        for limit in WITHIN:
            figures[f"within_{round(100 * limit)}pct"] = _within(groups, limit)
        if samples:
            bounds["median_rel_error"] = interval(
                groups, _median_error, samples=samples, seed=seed
            )
            bounds["within_20pct"] = interval(
                groups, lambda chosen: _within(chosen, 0.20), samples=samples, seed=seed
            )
        figures["coverage_90"], figures["width_90"] = coverage(answerable)
        figures["coverage_bins"] = _coverage_bins(answerable)
    else:
        figures["accuracy"] = accuracy(groups)
        if samples:
            bounds["accuracy"] = interval(groups, accuracy, samples=samples, seed=seed)
    figures["parse_rate"] = mean_of([[float(record.parsed) for record in records]])
    figures["refused"] = mean_of([[float(record.refused) for record in answerable]])
    figures["agree"] = mean_of([[float(record.agree) for record in answerable]])
    figures["absent_n"] = len(absent)
    figures["absent_refused"] = mean_of([[float(record.refused) for record in absent]])
    figures["seconds_median"] = median_of([[record.seconds for record in records]])
    if samples:
        figures["interval95"] = bounds
    return figures


def all_figures(records: Sequence[Scored], *, samples: int = 0, seed: int = 0) -> dict[str, dict]:
    """`family_figures` of every family that has questions, in the order of the grammar."""
    groups: dict[str, list[Scored]] = defaultdict(list)
    for record in records:
        groups[record.family].append(record)
    return {
        family: family_figures(groups[family], samples=samples, seed=seed)
        for family in FAMILIES
        if family in groups
    }
