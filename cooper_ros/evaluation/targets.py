"""How good the default model should be, and whether it is: the targets of its training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

ORDERING = ("nearer", "farther", "left", "right", "front", "behind")

Figures = Mapping[str, Any]


@dataclass(frozen=True)
class Target:
    """One wanted figure: for a model trained on two cores, and on a GPU. `smaller`: less is
    better."""

    title: str
    cpu: float
    gpu: float
    read: Callable[[Figures], float]
    smaller: bool = False

    def reached(self, value: float, wanted: float) -> bool:
        """Whether a figure is at least as good."""
        return value <= wanted if self.smaller else value >= wanted


def _question(family: str, key: str) -> Callable[[Figures], float]:
    return lambda figures: figures["questions"].get(family, {}).get(key, math.nan)


def pooled(questions: Mapping[str, Any], families: tuple[str, ...] = ORDERING) -> float:
    """Accuracy over several families, every question counted once."""
    found = [questions[name] for name in families if questions.get(name, {}).get("n")]
    total = sum(part["n"] for part in found)
    return sum(part["n"] * part["accuracy"] for part in found) / total if total else math.nan


TARGETS = (
    Target("depth AbsRel", 0.13, 0.08, lambda f: f["depth"]["absrel"], smaller=True),
    Target("depth delta1", 0.84, 0.93, lambda f: f["depth"]["delta1"]),
    Target("mIoU", 0.68, 0.80, lambda f: f["segmentation"]["miou"]),
    Target(
        "object depth error", 0.15, 0.07, lambda f: f["objects"]["median_rel_error"], smaller=True
    ),
    Target("distance within 20 %", 0.70, 0.88, _question("distance", "within_20pct")),
    Target("between within 20 %", 0.45, 0.65, _question("between", "within_20pct")),
    Target("order and side", 0.88, 0.93, lambda f: pooled(f["questions"])),
    Target("count exact", 0.60, 0.75, _question("count", "accuracy")),
)


def target_figures(figures: Figures) -> dict[str, dict[str, Any]]:
    """`{title: {"value", "cpu", "gpu", "reached_cpu", "reached_gpu"}}`; `reached_*` is None where
    nothing was measured. The last entry: whether maps in the context beat answering without them
    (ratio of the median distance errors, wanted below 1)."""
    found = {}
    for target in TARGETS:
        value = target.read(figures)
        found[target.title] = _entry(target, value)
    maps = figures["questions"].get("distance", {}).get("median_rel_error", math.nan)
    direct = figures["baselines"].get("direct", {}).get("distance", {})
    without = direct.get("median_rel_error", math.nan)
    ratio = maps / without if math.isfinite(without) and without > 0.0 else math.nan
    better = Target("distance error, maps / no maps", 1.0, 1.0, lambda _: math.nan, smaller=True)
    found[better.title] = _entry(better, ratio)
    return found


def _entry(target: Target, value: float) -> dict[str, Any]:
    known = not math.isnan(value)
    return {
        "value": value,
        "cpu": target.cpu,
        "gpu": target.gpu,
        "reached_cpu": target.reached(value, target.cpu) if known else None,
        "reached_gpu": target.reached(value, target.gpu) if known else None,
    }


def target_rows(figures: Figures) -> tuple[list[str], list[list[str]]]:
    """(header, rows) of the targets."""
    from cooper_ros.evaluation.table import number

    words = {True: "reached", False: "missed", None: "-"}
    rows = [
        [
            title,
            number(entry["value"]),
            f"{entry['cpu']:.2f} {words[entry['reached_cpu']]}",
            f"{entry['gpu']:.2f} {words[entry['reached_gpu']]}",
        ]
        for title, entry in target_figures(figures).items()
    ]
    return ["targets", "measured", "CPU-trained", "GPU-trained"], rows
