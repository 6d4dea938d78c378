"""What a robot gets: how much is answered, how far off that is, and what is answered falsely.

The other figures of answers are those of the decoded text, whatever the maps say about it.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from cooper_ros.core.query import COUNT, FAMILIES, PRESENCE
from cooper_ros.evaluation.answers import Scored, by_scene
from cooper_ros.evaluation.bootstrap import interval, mean_of, median_of

ALL = "all"


def given(record: Scored) -> bool:
    """Whether a robot gets an answer to act on."""
    return record.robot.status == "OK"


def about_something_absent(record: Scored) -> bool:
    """Whether the thing asked for is not in the picture."""
    return not record.answerable or (record.family in (COUNT, PRESENCE) and record.truth == 0.0)


def falsely_given(record: Scored) -> bool:
    """Whether an answer speaks of something that is not there as if it were; "no" and 0 do not."""
    return about_something_absent(record) and given(record) and record.robot.value != record.truth


def correct(record: Scored) -> bool:
    """Same value; lengths: within 20 %."""
    if record.metric:
        return _error(record) < 0.20
    return record.robot.value == record.truth


def _error(record: Scored) -> float:
    return abs(record.robot.value - record.truth) / max(abs(record.truth), 1e-6)


def figures_of(records: Sequence[Scored], *, samples: int = 0, seed: int = 0) -> dict[str, Any]:
    """Figures of questions of one family, or of several.

    `n`, `answered` (share with STATUS_OK), of what is there; then of the OK ones among them
    `median_rel_error` (lengths, NaN without any) and `correct`; `absent_n` and `false_ok`: share
    of the questions about absent things that are answered as if they were there; `statuses`:
    counts by name, of all. With `samples` > 0 `interval95` of the shares.
    """
    present = [record for record in records if not about_something_absent(record)]
    absent = [record for record in records if about_something_absent(record)]
    told = [record for record in present if given(record)]
    lengths = [record for record in told if record.metric]
    figures: dict[str, Any] = {
        "n": len(present),
        "answered": _share(present, given),
        "correct": _share(told, correct),
        "median_rel_error": median_of([[_error(r) for r in group] for group in by_scene(lengths)]),
        "absent_n": len(absent),
        "false_ok": _share(absent, falsely_given),
        "statuses": dict(Counter(record.robot.status for record in records).most_common()),
    }
    if samples:
        figures["interval95"] = {
            "answered": _bounds(present, given, samples, seed),
            "correct": _bounds(told, correct, samples, seed),
            "false_ok": _bounds(absent, falsely_given, samples, seed),
        }
    return figures


def robot_figures(
    records: Sequence[Scored], *, samples: int = 0, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """`figures_of` every family that has questions, and of all together under "all"."""
    groups: dict[str, list[Scored]] = defaultdict(list)
    for record in records:
        groups[record.family].append(record)
    found = {
        family: figures_of(groups[family], samples=samples, seed=seed)
        for family in FAMILIES
        if family in groups
    }
    return {**found, ALL: figures_of(records, samples=samples, seed=seed)}


def _share(records: Iterable[Scored], test: Any) -> float:
    groups = by_scene(records)
    return mean_of([[float(test(record)) for record in group] for group in groups])


def _bounds(
    records: Iterable[Scored], test: Any, samples: int, seed: int
) -> tuple[float, float]:
    groups = by_scene(records)
    if not groups:
        return math.nan, math.nan
    return interval(
        groups,
        lambda chosen: mean_of([[float(test(r)) for r in group] for group in chosen]),
        samples=samples,
        seed=seed,
    )
