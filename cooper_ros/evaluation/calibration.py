"""Fitting the intervals of a model's lengths on validation rooms (`cooper eval calibrate`).

The interval of a decoded length v holds every true length t for which v would be ordinary: v lies
between the 5 % and the 95 % quantile of what the model decodes where the truth is t (quantiles in a
sliding window over ln t, monotone, with the finite-sample rank of conformal prediction). Near and
far objects are then covered alike (label-conditional conformal prediction: Vovk et al.), however
often either is met; intervals by the decoded value would be narrower, but cover rare distances
less. Coverage is measured on rooms that took no part in the fit.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.query import DISTANCE, FAMILIES
from cooper_ros.evaluation.answers import DISTANCE_BINS_M, Scored
from cooper_ros.runtime.calibration import MEASURED, Calibration, Rows

LEVEL = 0.90
MIN_COUNT = 40  # families with fewer answers get no intervals
MIN_WINDOW, WINDOW_SHARE = 40, 0.2  # answers in the sliding window over the truth
GRID, TABLE = 25, 12  # true lengths at which quantiles are taken; rows of the table
FOLDS = 5
TIE = 1e-6  # logarithms closer than this are the same decoded value
LENGTHS = tuple(name for name, family in FAMILIES.items() if family.unit == "m")

Array = NDArray[np.float64]


def usable(records: Iterable[Scored]) -> list[Scored]:
    """Answers with a true and a decoded length."""
    return [
        r
        for r in records
        if r.metric and r.answerable and r.truth > 0.0 and math.isfinite(r.value) and r.value > 0.0
    ]


def fit(records: Iterable[Scored], level: float = LEVEL) -> Calibration:
    """The calibration of answers with known truth; families with too few answers get none."""
    records = list(records)
    found: dict[str, list[Scored]] = defaultdict(list)
    for record in usable(records):
        found[record.family].append(record)
    families = {
        family: _rows([(r.truth, r.value) for r in group], level)
        for family, group in sorted(found.items())
        if len(group) >= MIN_COUNT
    }
    measured = [
        (r.truth, r.measured)
        for r in records
        if r.family == DISTANCE and r.answerable and r.truth > 0.0 and r.measured > 0.0
    ]
    if len(measured) >= MIN_COUNT:
        families[MEASURED] = _rows(measured, level)
    return Calibration(level, families)


def _rows(pairs: Sequence[tuple[float, float]], level: float) -> Rows:
    """Rows of (decoded value, low, high) from pairs of (truth, decoded value)."""
    truth, decoded = np.log(np.asarray(pairs, np.float64)).T
    tail = (1.0 - level) / 2.0
    first, last = np.quantile(truth, (0.02, 0.98))
    grid = np.asarray(np.linspace(float(first), float(last), GRID), np.float64)
    lower, upper = (_curve(truth, decoded, grid, q) for q in (tail, 1.0 - tail))
    values = np.linspace(decoded.min(), decoded.max(), TABLE)
    # the nearest truth whose upper quantile reaches v, the farthest whose lower one is not above
    low = np.where(values <= upper[0] + TIE, truth.min(), np.interp(values, upper, grid))
    high = np.where(values >= lower[-1] - TIE, truth.max(), np.interp(values, lower, grid))
    low, high = np.minimum(low, values), np.maximum(high, values)
    rows = np.round(np.exp(np.stack([values, low, high], 1)), 4)
    keep = np.flatnonzero(np.diff(rows[:, 0], prepend=-1.0) > 0)  # one decoded value only
    return tuple((float(v), float(a), float(b)) for v, a, b in rows[keep])


def _curve(truth: Array, decoded: Array, grid: Array, share: float) -> Array:
    """The quantile of `decoded` in a window of nearest truths around every grid point, strictly
    rising. The window is wide and lies to one side at the ends, so what is ranked are the residuals
    of a straight line through it, seen from the grid point."""
    size = min(max(MIN_WINDOW, round(WINDOW_SHARE * len(truth))), len(truth))
    found = []
    for at in grid:
        near = np.argsort(np.abs(truth - at), kind="stable")[:size]
        offset = truth[near] - at
        slope = max(_slope(offset, decoded[near]), 0.0)
        seen = np.sort(decoded[near] - slope * offset)
        # ranks floor(share (n + 1)) and ceil(share (n + 1)), counted from 1, outwards
        place = share * (size + 1)
        rank = math.floor(place) if share < 0.5 else math.ceil(place)
        found.append(seen[min(max(rank, 1), size) - 1])
    return np.maximum.accumulate(np.array(found)) + 1e-9 * np.arange(len(grid))


def _slope(x: Array, y: Array) -> float:
    """Of the least-squares line; 0 where all x are equal."""
    spread = x - x.mean()
    power = float(spread @ spread)
    return float(spread @ (y - y.mean())) / power if power > 0.0 else 0.0


def cross_validated(
    records: Sequence[Scored], level: float = LEVEL, folds: int = FOLDS
) -> dict[str, Any]:
    """Coverage and width by family on rooms that took no part in the fit.

    `{"distance": {"n", "coverage", "width_factor", "by_truth": {"0-1 m": {"n", "coverage"}, ..},
    "by_answer": {...}}}`; `width_factor` is the median of high / low.
    """
    good = usable(records)
    scenes = sorted({record.scene for record in good})
    fold_of = {scene: rank % folds for rank, scene in enumerate(scenes)}
    found: dict[str, list[tuple[Scored, float, float]]] = defaultdict(list)
    for fold in range(folds):
        fitted = fit([r for r in good if fold_of[r.scene] != fold], level)
        for record in good:
            if fold_of[record.scene] == fold and record.family in fitted.families:
                found[record.family].append((record, *fitted.bounds(record.family, record.value)))
    return {family: _measured(rows) for family, rows in sorted(found.items())}


def _measured(rows: Sequence[tuple[Scored, float, float]]) -> dict[str, Any]:
    inside = np.array([low <= r.truth <= high for r, low, high in rows])
    return {
        "n": len(rows),
        "coverage": float(inside.mean()),
        "width_factor": float(np.median([high / low for _, low, high in rows])),
        "by_truth": _bins(np.array([r.truth for r, _, _ in rows]), inside),
        "by_answer": _bins(np.array([r.value for r, _, _ in rows]), inside),
    }


def _bins(lengths: Array, inside: NDArray[np.bool_]) -> dict[str, Any]:
    bins = {}
    for low, high in zip(DISTANCE_BINS_M, DISTANCE_BINS_M[1:], strict=False):
        chosen = inside[(lengths >= low) & (lengths < high)]
        if chosen.size:
            bins[f"{low:g}-{high:g} m"] = {"n": chosen.size, "coverage": float(chosen.mean())}
    return bins


def write(
    folder: Path, calibration: Calibration, measured: Mapping[str, Any] | None = None
) -> None:
    """Put the calibration, and what was `measured` about it, into a model folder's manifest (which
    is not among its own hashes)."""
    from cooper_ros.evaluation.figures import plain

    section = calibration.to_dict()
    if measured is not None:
        section["measured"] = plain(dict(measured))
    write_section(folder, "calibration", section)


def write_section(folder: Path, key: str, section: Any) -> None:
    """Put one section into a model folder's manifest; the others stay."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest[key] = section
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)
