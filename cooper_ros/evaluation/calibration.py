"""Fitting the intervals of a model's lengths on validation rooms (`cooper eval calibrate`).

Split conformal prediction on |ln(true / decoded)|: the half width is the ceil(0.9 (n + 1))-th
smallest of n errors, so that a new question from the same kind of rooms is covered with at least
90 % probability (Vovk et al.). Per family and range of the decoded value, because far objects are
read with other errors than near ones.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from cooper_ros.core.query import FAMILIES
from cooper_ros.evaluation.answers import Scored
from cooper_ros.runtime.calibration import Calibration

LEVEL = 0.90
UPPER_ENDS_M = (1.0, 2.0, 3.0, math.inf)
MIN_COUNT = 25  # a range with fewer answers is joined with the next one
LENGTHS = tuple(name for name, family in FAMILIES.items() if family.unit == "m")


def half_width(errors: Sequence[float], level: float = LEVEL) -> float:
    """The conformal half width of absolute errors; infinite when there are too few for `level`."""
    rank = math.ceil(level * (len(errors) + 1))
    return sorted(errors)[rank - 1] if rank <= len(errors) else math.inf


def fit(records: Iterable[Scored], level: float = LEVEL) -> Calibration:
    """The calibration of answers with known truth; families with too few answers get none."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for record in records:
        usable = record.answerable and math.isfinite(record.value) and record.value > 0.0
        if record.metric and usable and record.truth > 0.0:
            error = abs(math.log(record.truth / record.value))
            found[record.family].append((record.value, error))
    families = {family: _rows(pairs, level) for family, pairs in sorted(found.items())}
    return Calibration(level, {family: rows for family, rows in families.items() if rows})


def _rows(pairs: Sequence[tuple[float, float]], level: float) -> tuple[tuple[float, float], ...]:
    """(upper end, half width) per range of the decoded value, ranges joined until they are full."""
    groups: list[tuple[float, list[float]]] = []
    waiting: list[float] = []
    low = 0.0
    for upper in UPPER_ENDS_M:
        waiting += [error for value, error in pairs if low <= value < upper]
        low = upper
        if len(waiting) >= MIN_COUNT:
            groups.append((upper, waiting))
            waiting = []
    if groups:
        upper, errors = groups.pop()
        groups.append((math.inf, errors + waiting))
    return tuple((upper, half_width(errors, level)) for upper, errors in groups)


def write(folder: Path, calibration: Calibration) -> None:
    """Put the calibration into a model folder's manifest (which is not among its own hashes)."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["calibration"] = calibration.to_dict()
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)
