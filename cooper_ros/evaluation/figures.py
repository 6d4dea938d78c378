"""From the results of single scenes to one table of figures with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cooper_ros.core.classes import CLASS_NAMES
from cooper_ros.evaluation import depth as depth_metrics
from cooper_ros.evaluation.answers import Scored, all_figures
from cooper_ros.evaluation.bootstrap import SAMPLES, interval, mean_of, median_of
from cooper_ros.evaluation.confidence import reliability_figures
from cooper_ros.evaluation.robot import robot_figures
from cooper_ros.evaluation.segmentation import class_iou, mean_iou, pixel_accuracy
from cooper_ros.evaluation.targets import target_figures
from cooper_ros.evaluation.trial import SceneResult

Results = Sequence[SceneResult]


def summarise(results: Results, *, seed: int = 0, samples: int = SAMPLES) -> dict[str, Any]:
    """All figures of a run; NaN where something was not measured.

    Keys: `depth`, `segmentation`, `objects`, `questions` (the decoded text), `robot` (what the maps
    leave of it), `measured`, `baselines`, `probes`, `seconds`, `targets`. Intervals (`interval95`)
    come from a bootstrap over scenes. Raises ValueError without results.
    """
    if not results:
        raise ValueError("no scene was evaluated")
    answers = [record for result in results for record in result.answers]
    figures = {
        "depth": _depth(results, samples, seed),
        "segmentation": _segmentation(results, samples, seed),
        "objects": _objects(results, samples, seed),
        "questions": all_figures(answers, samples=samples, seed=seed),
        "robot": robot_figures(answers, samples=samples, seed=seed),
        "measured": all_figures([r.as_measured() for r in answers], samples=samples, seed=seed),
        "baselines": _baselines(results, samples, seed),
        "probes": _probes(results, samples, seed),
        "seconds": {
            "maps_median": median_of([r.map_seconds for r in results]),
            "answer_median": median_of([[a.seconds for a in r.answers] for r in results]),
        },
    }
    figures["baselines"]["error_ratio"] = _error_ratios(figures)
    figures["targets"] = target_figures(figures)
    return figures


def _error_ratios(figures: dict[str, Any]) -> dict[str, float]:
    """The model's error over that of the baseline which does not look; 0.5 is half of it."""
    ratios = {}
    mean_depth = figures["baselines"].get("mean_depth")
    if mean_depth:
        ratios["depth"] = figures["depth"]["absrel"] / mean_depth["depth"]["absrel"]
    question_only = figures["baselines"].get("question_only", {})
    for family, found in question_only.items():
        key = "median_rel_error"
        if key in found and found[key] > 0.0:
            ratios[family] = figures["questions"][family][key] / found[key]
    return ratios


def _bounds(
    results: Results, statistic: Callable[[Results], float], samples: int, seed: int
) -> tuple[float, float]:
    return interval(results, statistic, samples=samples, seed=seed)


def _depth(results: Results, samples: int, seed: int) -> dict[str, Any]:
    def mean(reading: str, metric: str) -> Callable[[Results], float]:
        return lambda chosen: mean_of([[f[reading][metric] for f in r.depth] for r in chosen])

    figures: dict[str, Any] = {
        metric: mean("metric", metric)(results) for metric in depth_metrics.METRICS
    }
    for reading in ("median_aligned", "affine_aligned"):
        figures[reading] = {
            metric: mean(reading, metric)(results) for metric in depth_metrics.METRICS
        }
    sums = [result.bins for result in results if result.bins is not None]
    figures["bins"] = depth_metrics.bin_figures(np.sum(sums, axis=0)) if sums else {}
    figures["absrel_confident_half"] = mean_of([[c[0] for c in r.confidence] for r in results])
    figures["absrel_other_half"] = mean_of([[c[1] for c in r.confidence] for r in results])
    kept = [result.reliability for result in results if result.reliability is not None]
    if kept:
        figures["reliability"] = reliability_figures(np.sum(kept, axis=0))
    figures["interval95"] = {
        metric: _bounds(results, mean("metric", metric), samples, seed)
        for metric in ("absrel", "delta1")
    }
    return figures


def _segmentation(results: Results, samples: int, seed: int) -> dict[str, Any]:
    def confusion(chosen: Results) -> np.ndarray:
        return np.sum([r.confusion for r in chosen if r.confusion is not None], axis=0)

    total = confusion(results)
    iou = class_iou(total)
    boundary = [result.boundary_f for result in results]
    return {
        "miou": mean_iou(total),
        "pixel_accuracy": pixel_accuracy(total),
        "boundary_f": mean_of(boundary),
        "iou": {
            name: float(value)
            for name, value in zip(CLASS_NAMES, iou, strict=True)
            if not math.isnan(value)
        },
        "interval95": {
            "miou": _bounds(results, lambda chosen: mean_iou(confusion(chosen)), samples, seed)
        },
    }


def _objects(results: Results, samples: int, seed: int, field: str = "objects") -> dict[str, Any]:
    """Distance of every visible object read from the depth map under its true mask."""

    def errors(chosen: Results) -> list[list[float]]:
        return [
            [range_error(read, true) for true, read in getattr(result, field)] for result in chosen
        ]

    def within(chosen: Results) -> float:
        return mean_of([[float(e < 0.20) for e in group] for group in errors(chosen)])

    return {
        "n": sum(len(group) for group in errors(results)),
        "median_rel_error": median_of(errors(results)),
        "within_20pct": within(results),
        "interval95": {
            "median_rel_error": _bounds(
                results, lambda chosen: median_of(errors(chosen)), samples, seed
            ),
            "within_20pct": _bounds(results, within, samples, seed),
        },
    }


def range_error(read: float, true: float) -> float:
    """Relative error of a range read from a map; infinite where none could be read."""
    return abs(read - true) / true if math.isfinite(read) else math.inf


def _baselines(results: Results, samples: int, seed: int) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    if any(result.mean_depth for result in results):
        figures["mean_depth"] = {
            "depth": {
                metric: mean_of([[frame[metric] for frame in r.mean_depth] for r in results])
                for metric in depth_metrics.METRICS
            },
            "objects": _objects(results, samples, seed, "mean_depth_objects"),
        }
    question_only = [record for result in results for record in result.question_only]
    if question_only:
        figures["question_only"] = all_figures(question_only, samples=samples, seed=seed)
    direct = [record for result in results for record in result.direct]
    if direct:
        figures["direct"] = all_figures(direct, samples=samples, seed=seed)
    return figures


def _probes(results: Results, samples: int, seed: int) -> dict[str, Any]:
    """See `probes`: the depth factor per scene is the median of its questions' factors."""
    figures: dict[str, Any] = {}
    factors = [[median_of([r.depth_factors])] for r in results if r.depth_factors]
    if factors:
        figures["depth_scaled_by_1.5"] = {
            "scenes": len(factors),
            "median_factor": median_of(factors),
            "interval95": interval(factors, median_of, samples=samples, seed=seed),
        }
    probed = [result for result in results if result.blank]
    if probed:
        figures["blank_image"] = {
            "scenes": len(probed),
            "correct": overall([record for r in probed for record in r.blank]),
            "correct_with_image": overall([record for r in probed for record in r.answers]),
            "correct_question_only": overall([a for r in probed for a in r.question_only]),
        }
    return figures


def overall(records: Sequence[Scored]) -> float:
    """Share of correct answers over all families; answerable questions only."""
    return mean_of([[float(record.correct) for record in records if record.answerable]])


def plain(value: Any) -> Any:
    """JSON has no NaN and no infinity: both become None; floats get six digits."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
