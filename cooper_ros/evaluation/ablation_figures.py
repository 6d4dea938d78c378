"""From the results of the variants to one table: each row, and its difference to the first one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cooper_ros.evaluation.ablation import Variant
from cooper_ros.evaluation.answers import Scored
from cooper_ros.evaluation.bootstrap import SAMPLES, interval, mean_of, median_of
from cooper_ros.evaluation.figures import overall, range_error
from cooper_ros.evaluation.segmentation import mean_iou
from cooper_ros.evaluation.table import number
from cooper_ros.evaluation.trial import SceneResult

Results = Sequence[SceneResult]
BEGIN, END = "<!-- ablation:begin -->", "<!-- ablation:end -->"


def _metric(name: str) -> Callable[[Results], float]:
    return lambda found: mean_of([[f["metric"][name] for f in r.depth] for r in found])


def _miou(found: Results) -> float:
    parts = [r.confusion for r in found if r.confusion is not None]
    return mean_iou(np.sum(parts, axis=0)) if parts else math.nan


def _objects(found: Results) -> float:
    return median_of([[range_error(read, true) for true, read in r.objects] for r in found])


def _distances(found: Results) -> list[list[Scored]]:
    return [[a for a in r.answers if a.family == "distance" and a.answerable] for r in found]


def _distance_error(found: Results) -> float:
    return median_of([[a.relative_error for a in group] for group in _distances(found)])


def _distance_within(found: Results) -> float:
    return mean_of([[float(a.relative_error < 0.20) for a in g] for g in _distances(found)])


def _correct(found: Results) -> float:
    return overall([record for result in found for record in result.answers])


STATISTICS: dict[str, Callable[[Results], float]] = {
    "absrel": _metric("absrel"),
    "delta1": _metric("delta1"),
    "miou": _miou,
    "object_error": _objects,
    "distance_error": _distance_error,
    "distance_within_20pct": _distance_within,
    "correct": _correct,
}
"""Columns: depth AbsRel and delta1, mIoU, median relative error of object ranges read from the map
under true masks, of answered distances, share of these within 20 %, share of all right answers."""

HEADS = {
    "absrel": "AbsRel",
    "delta1": "delta1",
    "miou": "mIoU",
    "object_error": "object range error",
    "distance_error": "distance error",
    "distance_within_20pct": "within 20 %",
    "correct": "all answers right",
}


def summarise_ablation(
    found: Sequence[Mapping[str, SceneResult]],
    variants: Sequence[Variant],
    *,
    seed: int = 0,
    samples: int = SAMPLES,
) -> list[dict[str, Any]]:
    """One dictionary per variant: `name`, `title`, `questions`, `distances` (of them), every
    statistic, `measured` (share
    of right answers when the value measured on the same maps is taken), and `minus_reference`:
    per statistic (difference, low, high), 95 % bootstrap over scenes, pairs kept together.

    Figures of maps are NaN for variants that draw the same maps as the reference.
    """
    reference = [scene[variants[0].name] for scene in found]
    rows = []
    for variant in variants:
        mine = [scene[variant.name] for scene in found]
        row: dict[str, Any] = {"name": variant.name, "title": variant.title}
        row["questions"] = sum(len(r.answers) for r in mine)
        row["distances"] = sum(len(group) for group in _distances(mine))
        row.update({name: statistic(mine) for name, statistic in STATISTICS.items()})
        row["measured"] = overall([a.as_measured() for r in mine for a in r.answers])
        if variant is not variants[0]:
            row["minus_reference"] = {
                name: _difference(reference, mine, statistic, samples, seed)
                for name, statistic in STATISTICS.items()
                if not math.isnan(row[name])
            }
        rows.append(row)
    return rows


def _difference(
    reference: Results,
    mine: Results,
    statistic: Callable[[Results], float],
    samples: int,
    seed: int,
) -> tuple[float, float, float]:
    pairs = list(zip(mine, reference, strict=True))

    def minus(chosen: Sequence[tuple[SceneResult, SceneResult]]) -> float:
        first, second = statistic([a for a, _ in chosen]), statistic([b for _, b in chosen])
        # two infinite medians differ by nothing that can be told
        return first - second if math.isfinite(second) else math.nan

    low, high = interval(pairs, minus, samples=samples, seed=seed)
    return minus(pairs), low, high


def ablation_table(figures: Mapping[str, Any]) -> str:
    """The rows as a Markdown table; a star marks differences whose interval leaves out zero."""
    lines = ["| | " + " | ".join(HEADS.values()) + " |", "|---" * (len(HEADS) + 1) + "|"]
    for row in figures["variants"]:
        cells = [_cell(row, name) for name in HEADS]
        lines.append(f"| {row['title']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if value is None or math.isnan(value):
        return "" if name in ("absrel", "delta1", "miou", "object_error") else "-"
    difference = row.get("minus_reference", {}).get(name)
    text = number(value)
    if not difference or any(bound is None for bound in difference):
        return text
    change, low, high = difference
    star = "*" if low > 0.0 or high < 0.0 else ""
    return f"{text} ({change:+.3f}{star})"


def ablation_text(figures: Mapping[str, Any]) -> str:
    """What was run, the table, and how to read it."""
    first = figures["variants"][0]
    measured = number(first["measured"])
    distances = f" ({first['distances']} about a distance)" if "distances" in first else ""
    head = (
        f"Model `{figures['model_id']}`, {figures['frames']} pictures of {figures['scenes']} "
        f"rooms (split {figures['split']}, seed {figures['seed']}, world {figures['world']}), "
        f"{figures['asked']} questions{distances} per row, maps in the context from the start."
    )
    foot = (
        "In brackets: difference to the first row; a star where its 95 % interval (paired "
        "bootstrap over rooms) leaves out zero. Empty: the same maps as in the first row. "
        "Answers counted right when the value measured on the first row's own maps is taken "
        f"instead: {measured}."
    )
    return "\n\n".join([head, ablation_table(figures), foot])


def put_between(page: str, text: str) -> str:
    """`page` with the part between the markers replaced. Raises ValueError without markers."""
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"the page needs one {BEGIN} and one {END}")
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"
