"""What completion is worth on real RGB-D pictures: against interpolation, and against the fit.

A set is a folder in one of two layouts, pictures in colour with registered depth beside them:

- `color_NAME.jpg|png` and `depth_NAME.png`, with `intrinsics.json` (fx, fy, cx, cy, and
  `depth_unit_m` where it is not 0.001);
- as NYU Depth v2 is commonly unpacked: `rgb_NAME.jpg|png` with `sync_depth_NAME.png` or
  `NAME.jpg|png` with `NAME_depth.png` in any folder below, millimetres, camera of the data set.

Anchors are random pixels of the sensor (or those of one row, as a lidar of one line sees them);
errors are measured at other pixels, between 0.3 and 8 m. `outliers`: 30 % of the anchors replaced
by depths anywhere in that range. A ratio is the error of completion over the better of
interpolation and fit, each a mean over the set.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.anchors import Anchors
from cooper_ros.core.completion import DepthCompleter
from cooper_ros.core.errors import CooperError
from cooper_ros.core.kriging import Kernel
from cooper_ros.core.scale import MetricScaler, ScaleState
from cooper_ros.core.types import Intrinsics
from cooper_ros.evaluation.interpolation import interpolated
from cooper_ros.evaluation.rgbd import SUFFIXES, read_pair
from cooper_ros.evaluation.table import align, number

COUNTS = (4, 16, 64, 256)
TRIALS: dict[str, tuple[int, str]] = {
    **{f"{count} points": (count, "points") for count in COUNTS},
    "16 points, 30 % outliers": (16, "outliers"),
    "64 points, 30 % outliers": (64, "outliers"),
    "one line of 64": (64, "line"),
}
OUTLIERS = 0.3
NEAR_M, FAR_M = 0.3, 8.0
PIXELS = 4000  # at which errors are measured
POINT_SIGMA = 0.01  # the points are the sensor that is compared with; its rounding is left
METHODS = ("interpolation", "fit", "completion")
NYU_CAMERA = (518.86, 519.47, 325.58, 253.74)
CAMERA_FILE = "intrinsics.json"
Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class View:
    """One picture: the model's depth f32 [H, W], the sensor's (NaN = none), and the camera."""

    name: str
    nominal: Array
    truth: Array
    camera: Intrinsics


def listed(folder: Path) -> list[tuple[Path, Path]]:
    """(colour, depth) files of a set, in the order of names. Raises CooperError without any."""
    found = []
    for depth in sorted(folder.rglob("*.png")):
        for stem in _colour_stems(depth.stem):
            names = [depth.with_name(stem + suffix) for suffix in SUFFIXES]
            colour = next((path for path in names if path.is_file()), None)
            if colour is not None:
                found.append((colour, depth))
                break
    if not found:
        raise CooperError(
            f"{folder} holds no color_NAME.jpg with depth_NAME.png, no rgb_NAME.jpg with "
            "sync_depth_NAME.png and no NAME.jpg with NAME_depth.png"
        )
    return found


def _colour_stems(stem: str) -> list[str]:
    if stem.startswith("sync_depth_"):
        return ["rgb_" + stem.removeprefix("sync_depth_")]
    if stem.startswith("depth_"):
        return ["color_" + stem.removeprefix("depth_")]
    return [stem.removesuffix("_depth")] if stem.endswith("_depth") else []


def camera_of(
    folder: Path, given: tuple[float, float, float, float] | None, nyu: bool = False
) -> tuple[tuple[float, float, float, float], float]:
    """((fx, fy, cx, cy), metres per unit of depth): as the folder's file says, else as `given`,
    else that of NYU Depth v2 if it is that. Raises CooperError when there is none."""
    path = folder / CAMERA_FILE
    if not path.is_file():
        k = given or (NYU_CAMERA if nyu else None)
        if k is None:
            raise CooperError(f"{path} is not there: write it (fx, fy, cx, cy), or --intrinsics")
        return k, 0.001
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        fx, fy, cx, cy = (float(read[key]) for key in ("fx", "fy", "cx", "cy"))
        return (fx, fy, cx, cy), float(read.get("depth_unit_m", 0.001))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CooperError(f"{path} needs fx, fy, cx and cy as numbers: {error}") from error


def views_of(
    folder: Path,
    pipeline: Any,
    given: tuple[float, float, float, float] | None = None,
    most: int | None = None,
) -> list[View]:
    """The pictures of a set with the model's depth, at most `most` of them (evenly chosen)."""
    files = listed(folder)
    k, unit = camera_of(folder, given, nyu=not files[0][1].stem.startswith("depth_"))
    if most is not None and len(files) > most:
        files = [files[i] for i in np.linspace(0, len(files) - 1, most).round().astype(int)]
    views = []
    for colour, depth in files:
        frame, truth = read_pair(colour, depth, k, unit)
        assert frame.intrinsics is not None  # read_pair gives the camera that it was given
        nominal = np.asarray(pipeline.see(frame).depth().depth, np.float32)
        views.append(View(colour.stem, nominal, truth, frame.intrinsics))
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
        rng = np.random.default_rng([draw, zlib.crc32(view.name.encode())])
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
    prior = ScaleState.of_model("log", metric=True)
    state = MetricScaler("log").fit(view.nominal, anchors, view.camera, prior).state
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
    given: tuple[float, float, float, float] | None = None,
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
    for folder in folders:
        views = views_of(folder, pipeline, given, most)
        name = folder.name if folder.name not in sets else str(folder)
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
