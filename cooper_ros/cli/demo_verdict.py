"""How far the demo's answers are from the truth: of every answer, and of all in one line."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from cooper_ros.cli.demo_questions import ABSENT, DemoQuestion
from cooper_ros.core.types import SpatialAnswer, Status

CLOSE = 0.20
"""A length that is off by at most this share of the true one counts as right."""

WHY = {"DISAGREES": "contradicted by the maps", "NOT_VISIBLE": "not on the maps"}
"""Statuses in words."""


@dataclass(frozen=True)
class Verdict:
    """What an answer is worth.

    `error`: of a length, |value - truth| / truth, else None; `right`: within `CLOSE`, or the same
    word or number; None if the question was not answered.
    """

    right: bool | None
    error: float | None = None


def judge(question: DemoQuestion, answer: SpatialAnswer) -> Verdict:
    """Compare an answer with the truth. Only one with STATUS_OK counts as given, except that for
    something that is not there "not visible" is the right one."""
    truth = question.truth
    if truth == ABSENT:
        if answer.status is Status.NOT_VISIBLE:
            return Verdict(True)
        return Verdict(False if answer.status is Status.OK else None)
    if answer.status is not Status.OK:
        return Verdict(None)
    if isinstance(truth, str):
        return Verdict(answer.text.strip().lower() == truth)
    if not math.isfinite(answer.value):
        return Verdict(None)
    if question.unit != "m":
        return Verdict(answer.value == truth)
    error = abs(answer.value - truth) / max(truth, 0.05)
    return Verdict(error <= CLOSE, error)


def summarise(verdicts: Sequence[Verdict], statuses: Sequence[str]) -> dict[str, Any]:
    """Figures of all answers; `statuses`: name of the status of each."""
    errors = [verdict.error for verdict in verdicts if verdict.error is not None]
    others = [v.right for v in verdicts if v.error is None and v.right is not None]
    unanswered = Counter(
        status for verdict, status in zip(verdicts, statuses, strict=True) if verdict.right is None
    )
    return {
        "lengths": len(errors),
        "lengths_within_20pct": sum(error <= CLOSE for error in errors),
        "lengths_median_error": round(median(errors), 4) if errors else None,
        "lengths_worst_error": round(max(errors), 4) if errors else None,
        "others": len(others),
        "others_right": sum(others),
        "not_answered": dict(unanswered),
    }


def in_words(summary: dict[str, Any]) -> str:
    """The figures as one line."""
    parts = []
    lengths = summary["lengths"]
    if lengths:
        middle, worst = (100 * summary[f"lengths_{name}_error"] for name in ("median", "worst"))
        parts.append(
            f"{lengths} length{'s' if lengths > 1 else ''} off by {middle:.0f} % "
            f"(median; the worst by {worst:.0f} %)"
        )
    if summary["others"]:
        parts.append(f"{summary['others_right']} of {summary['others']} others right")
    missing = summary["not_answered"]
    if missing:
        reasons = (f"{n} {WHY.get(s, s.lower().replace('_', ' '))}" for s, n in missing.items())
        parts.append(f"{sum(missing.values())} not answered ({', '.join(reasons)})")
    return "against the truth: " + (", ".join(parts) or "nothing was answered")
