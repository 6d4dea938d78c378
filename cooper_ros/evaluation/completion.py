"""What completion is worth on real RGB-D pictures: against interpolation, and against the fit.

Sets are those of `evaluation.rgbd_sets`. Anchors are random pixels of the sensor (or those of one
row, as a lidar of one line sees them); errors are measured at other pixels, between 0.3 and 8 m.
`outliers`: 30 % of the anchors replaced by depths anywhere in that range. A ratio is the error of
completion over the better of interpolation and fit, each a mean over the set.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.anchors import Anchors
from cooper_ros.core.completion import DepthCompleter
from cooper_ros.core.kriging import Kernel
from cooper_ros.core.scale import MetricScaler, ScaleState
from cooper_ros.core.types import Intrinsics
from cooper_ros.evaluation.interpolation import interpolated
from cooper_ros.evaluation.rgbd_sets import FAR_M, NEAR_M, SetCamera, named, pictures_of
from cooper_ros.evaluation.table import align, number

if TYPE_CHECKING:
    from cooper_ros.runtime.pipeline import CooperPipeline

COUNTS = (4, 16, 64, 256)
TRIALS: dict[str, tuple[int, str]] = {
    **{f"{count} points": (count, "points") for count in COUNTS},
    "16 points, 30 % outliers": (16, "outliers"),
    "64 points, 30 % outliers": (64, "outliers"),
    "one line of 64": (64, "line"),
}
OUTLIERS = 0.3
PIXELS = 4000  # at which errors are measured
POINT_SIGMA = 0.01  # the points are the sensor that is compared with; its rounding is left
METHODS = ("interpolation", "fit", "completion")
Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class View:
    """One picture: the depth f32 [H, W] that the model's code names, the sensor's (NaN = none), the
    camera, and what is known of the model's scale."""

    name: str
    nominal: Array
    truth: Array
    camera: Intrinsics
    prior: ScaleState = field(default_factory=lambda: ScaleState.of_model("log", metric=True))


def views_of(
    folder: Path,
    pipeline: CooperPipeline,
    given: SetCamera | None = None,
    most: int | None = None,
) -> list[View]:
    """The pictures of a set with the model's depth, at most `most` of them (evenly chosen)."""
    views = []
    for picture in pictures_of(folder, given, most):
        nominal = pipeline.see(picture.frame).nominal_depth()
        prior = pipeline.spec.depth.scale_prior()
        views.append(View(picture.name, nominal, picture.truth, picture.camera, prior))
    return views


def evaluate_view(
    view: View, draws: int = 1, kernel: Kernel | None = None
) -> dict[str, list[dict[str, float]]]:
    """Figures of every trial of `TRIALS` that the picture has anchors for, one per draw: AbsRel of
    each method, and `covered`, the share of pixels within the 90 % interval."""
    completer = DepthCompleter() if kernel is None else DepthCompleter(kernel)
    with np.errstate(invalid="ignore"):
        usable = (view.truth > NEAR_M) & (view.truth < FAR_M) & (view.nominal > 0.0)
    rows, columns = np.nonzero(usable)
    found: dict[str, list[dict[str, float]]] = {trial: [] for trial in TRIALS}
    for draw in range(draws):
        rng = chance(view.name, draw)
        order = rng.permutation(len(rows))
        for trial, (count, kind) in TRIALS.items():
            chosen = _line(rows, count, rng) if kind == "line" else order[:count]
            others = np.setdiff1d(order[count : count + PIXELS], chosen)
            if len(chosen) < count or not len(others):
                continue
            at = rows[chosen], columns[chosen]
            depth = view.truth[at].astype(np.float64)
            if kind == "outliers":
                wrong = rng.permutation(count)[: round(OUTLIERS * count)]
                depth[wrong] = np.exp(rng.uniform(np.log(NEAR_M), np.log(FAR_M), len(wrong)))
            others_at = rows[others], columns[others]
            found[trial].append(_compared(view, at, depth, others_at, completer))
    return found


def chance(name: str, draw: int) -> np.random.Generator:
    """The chance that draws anchors of a picture: the same wherever and whenever it is drawn."""
    return np.random.default_rng([draw, zlib.crc32(name.encode())])


def _line(rows: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """`count` pixels of the row, among the middle quarter of rows, where the sensor saw most."""
    height = int(rows.max(initial=0)) + 1
    seen = np.bincount(rows, minlength=height)
    low, high = height * 3 // 8, height * 5 // 8 + 1
    row = low + int(np.argmax(seen[low:high]))
    return np.asarray(rng.permutation(np.flatnonzero(rows == row))[:count])


def _compared(
    view: View,
    at: tuple[NDArray[Any], NDArray[Any]],
    depth: NDArray[np.float64],
    others: tuple[NDArray[Any], NDArray[Any]],
    completer: DepthCompleter,
) -> dict[str, float]:
    v, u = at[0].astype(np.float64), at[1].astype(np.float64)
    anchors = [Anchors(u, v, depth, np.full(len(u), POINT_SIGMA), "sensor")]
    scaler = MetricScaler(view.prior.space)
    state = scaler.fit(view.nominal, anchors, view.camera, view.prior).state
    completed = completer.complete(view.nominal, anchors, view.camera, state)
    assert completed is not None and completed.half_width is not None
    place = np.stack([others[1], others[0]], axis=1).astype(np.float64)
    plain = np.exp(interpolated(np.stack([u, v], axis=1), np.log(depth), place))
    truth = view.truth[others].astype(np.float64)
    found = completed.depth[others]
    guesses = (plain, state.metres(view.nominal[others]), found)
    inside = np.abs(np.log(truth / found)) <= completed.half_width[others]
    errors = {m: absrel(one, truth) for m, one in zip(METHODS, guesses, strict=True)}
    return {**errors, "covered": float(inside.mean())}


def absrel(guess: NDArray[Any], truth: NDArray[Any]) -> float:
    """Mean of |guess - truth| / truth."""
    return float(np.mean(np.abs(guess - truth) / truth))


def evaluate_set(
    views: Sequence[View], draws: int = 1, kernel: Kernel | None = None
) -> dict[str, dict[str, float]]:
    """Mean figures of a set per trial, with `ratio` and `to_fit`; trials nobody could have are
    left out."""
    each = [evaluate_view(view, draws, kernel) for view in views]
    figures = {}
    for trial in TRIALS:
        rows = [row for one in each for row in one[trial]]
        if rows:
            mean = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
            best = min(mean["interpolation"], mean["fit"])
            mean |= {"ratio": mean["completion"] / best, "to_fit": mean["completion"] / mean["fit"]}
            figures[trial] = mean
    return figures


def mean_of_sets(sets: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, Any]:
    """Per trial the mean over sets, and `worst_ratio`."""
    mean: dict[str, Any] = {}
    for trial in TRIALS:
        rows = [one[trial] for one in sets.values() if trial in one]
        if rows:
            mean[trial] = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
            mean[trial]["worst_ratio"] = max(row["ratio"] for row in rows)
    return mean


def evaluate_folders(
    folders: Sequence[Path],
    given: SetCamera | None = None,
    *,
    draws: int = 1,
    most: int | None = None,
    model: str | None = None,
    backend: str = "auto",
) -> dict[str, Any]:
    """All figures: `sets` by folder name, their `mean`, and what was run."""
    from cooper_ros.runtime.pipeline import CooperPipeline

    pipeline = CooperPipeline.open(model, backend)
    sets, frames = {}, {}
    for name, folder in named(folders).items():
        views = views_of(folder, pipeline, given, most)
        sets[name], frames[name] = evaluate_set(views, draws), len(views)
    return {
        "model": pipeline.model_id,
        "draws": draws,
        "frames": frames,
        "sets": sets,
        "mean": mean_of_sets(sets),
    }


def completion_table(figures: Mapping[str, Any]) -> str:
    """The table for people."""
    head = ["set", "anchors", *METHODS, "ratio to the better", "covered by 90 %"]
    rows = []
    for name, found in {**figures["sets"], "mean of sets": figures["mean"]}.items():
        frames = figures["frames"].get(name)
        title = name if frames is None else f"{name} ({frames})"
        for trial, one in found.items():
            cells = [number(one[method]) for method in METHODS]
            rows.append([title, trial, *cells, number(one["ratio"], 2), number(one["covered"], 2)])
    return align(head, rows)
