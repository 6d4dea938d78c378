"""What a model's depth is worth on real RGB-D pictures, as it is, aligned, and with a few anchors.

Each reading is one way to metres:

- `metric`: as the model says it;
- `median_aligned`: times the one factor that makes the medians equal;
- `affine`: robust scale and shift in inverse depth, which judges relative depth;
- `N points`: N random pixels of the sensor as range points through the product's scaling
  (`core.scale`), errors at other pixels.

Beside the `model` stand, with the same treatment: the same model on a `grey` picture (what it says
without looking), a `constant` map (the true median, or that of the points), and linear
`interpolation` of the points without any camera. Measured where the sensor saw 0.3 to 8 m; figures
of a set are means over its pictures, the mean is over sets.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.anchors import Anchors
from cooper_ros.core.scale import MetricScaler, ScaleState
from cooper_ros.core.types import Intrinsics
from cooper_ros.evaluation.bootstrap import mean_of
from cooper_ros.evaluation.completion import COUNTS, PIXELS, POINT_SIGMA, chance
from cooper_ros.evaluation.depth import METRICS, align_inverse, align_median, depth_errors
from cooper_ros.evaluation.interpolation import interpolated
from cooper_ros.evaluation.probes import blank_frame
from cooper_ros.evaluation.rgbd_sets import RgbdPicture, SetCamera, named, pictures_of
from cooper_ros.evaluation.table import align, number
from cooper_ros.runtime.pipeline import CooperPipeline

WHOLE = ("metric", "median_aligned", "affine")
READINGS = (*WHOLE, *(f"{count} points" for count in COUNTS))
METHODS = ("model", "grey", "constant", "interpolation")
DRAWS = 3

Array = NDArray[np.float32]
Figures = dict[str, dict[str, dict[str, float]]]
"""reading -> method -> metric -> value."""


@dataclass(frozen=True, eq=False)
class Seen:
    """A picture and the depth f32 [H, W] that the model's code names: on it (`nominal`) and on a
    grey one (`grey`). `prior`: what is known of their scale; `metric`: they are metres as they
    are."""

    picture: RgbdPicture
    nominal: Array
    grey: Array
    prior: ScaleState
    metric: bool = True


@dataclass
class Looker:
    """Runs a model on pictures; what it says of nothing is asked once per camera."""

    pipeline: CooperPipeline
    nothing: dict[Intrinsics, Array] = field(default_factory=dict)

    def __call__(self, picture: RgbdPicture) -> Seen:
        depth = self.pipeline.spec.depth
        camera = picture.camera
        if camera not in self.nothing:
            blank = blank_frame(picture.frame)
            self.nothing[camera] = self.pipeline.see(blank).nominal_depth()
        nominal = self.pipeline.see(picture.frame).nominal_depth()
        return Seen(picture, nominal, self.nothing[camera], depth.scale_prior(), depth.metric)


def picture_figures(seen: Seen, draws: int = DRAWS) -> Figures:
    """`depth_errors` of one picture for every reading that it has pixels for, and every method."""
    believed = seen.picture.believed()
    truth = np.where(believed, seen.picture.truth, np.float32(np.nan))
    figures = _whole(seen, truth)
    with np.errstate(invalid="ignore"):
        usable = believed & (seen.nominal > 0.0) & (seen.grey > 0.0)
    rows, columns = np.nonzero(usable)
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    for draw in range(draws):
        order = chance(seen.picture.name, draw).permutation(len(rows))
        for count in COUNTS:
            chosen, others = order[:count], order[count : count + PIXELS]
            if len(others):
                at = rows[chosen], columns[chosen]
                errors = _anchored(seen, at, (rows[others], columns[others]))
                kept = found.setdefault(f"{count} points", {})
                for method, one in errors.items():
                    kept.setdefault(method, []).append(one)
    for reading, methods in found.items():
        figures[reading] = {method: _mean(rows) for method, rows in methods.items()}
    return figures


def _whole(seen: Seen, truth: Array) -> Figures:
    """The readings without points."""
    middle = float(np.nanmedian(truth)) if np.isfinite(truth).any() else math.nan
    constant = depth_errors(np.full_like(truth, middle), truth)
    none = np.full_like(truth, np.nan)

    def metres(depth: Array, _: Array) -> Array:
        return depth if seen.metric else none

    ways: dict[str, Callable[..., Any]] = {
        "metric": metres,
        "median_aligned": align_median,
        "affine": align_inverse,
    }
    figures: Figures = {}
    for reading, way in ways.items():
        figures[reading] = {
            "model": depth_errors(way(seen.nominal, truth), truth),
            "grey": depth_errors(way(seen.grey, truth), truth),
            "constant": constant,
        }
    return figures


def _anchored(
    seen: Seen, at: tuple[NDArray[Any], NDArray[Any]], others: tuple[NDArray[Any], NDArray[Any]]
) -> dict[str, dict[str, float]]:
    """Errors at pixels `others` (rows, columns) with the sensor's depth at pixels `at`."""
    truth = seen.picture.truth
    depth = truth[at].astype(np.float64)
    v, u = at[0].astype(np.float64), at[1].astype(np.float64)
    anchors = Anchors(u, v, depth, np.full(len(u), POINT_SIGMA), "sensor")
    place = np.stack([others[1], others[0]], axis=1).astype(np.float64)
    plain = np.exp(interpolated(np.stack([u, v], axis=1), np.log(depth), place))
    guesses = {
        "model": _scaled(seen, seen.nominal, anchors)[others],
        "grey": _scaled(seen, seen.grey, anchors)[others],
        "constant": np.full(len(plain), np.median(depth)),
        "interpolation": plain,
    }
    return {method: depth_errors(one, truth[others]) for method, one in guesses.items()}


def _scaled(seen: Seen, nominal: Array, anchors: Anchors) -> NDArray[Any]:
    """Metres as the node would publish them: a fit with a problem is not used."""
    prior = seen.prior
    fit = MetricScaler(prior.space).fit(nominal, [anchors], seen.picture.camera, prior)
    return (prior if fit.problem else fit.state).metres(nominal)


def shown(seen: Seen, count: int) -> dict[str, NDArray[Any]]:
    """Depth [H, W] for the report: `affine` (aligned) and with `count` random `points`; unknown
    where there are not enough."""
    truth = np.where(seen.picture.believed(), seen.picture.truth, np.float32(np.nan))
    with np.errstate(invalid="ignore"):
        rows, columns = np.nonzero(np.isfinite(truth) & (seen.nominal > 0.0))
    order = chance(seen.picture.name, 0).permutation(len(rows))[:count]
    found = {"affine": align_inverse(seen.nominal, truth), "points": np.full_like(truth, np.nan)}
    if len(order) == count:
        v, u = rows[order].astype(np.float64), columns[order].astype(np.float64)
        depth = truth[rows[order], columns[order]].astype(np.float64)
        anchors = Anchors(u, v, depth, np.full(count, POINT_SIGMA), "sensor")
        found["points"] = _scaled(seen, seen.nominal, anchors)
    return found


def _mean(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {metric: mean_of([[row[metric] for row in rows]]) for metric in METRICS}


def mean_figures(each: Sequence[Figures]) -> Figures:
    """Means over pictures, or over sets; readings that none of them has are left out."""
    mean: Figures = {}
    for reading in READINGS:
        have = [one[reading] for one in each if reading in one]
        methods = [method for method in METHODS if any(method in one for one in have)]
        if have:
            mean[reading] = {m: _mean([one[m] for one in have]) for m in methods}
    return mean


def evaluate_set(
    folder: Path,
    look: Callable[[RgbdPicture], Seen],
    given: SetCamera | None = None,
    draws: int = DRAWS,
    most: int | None = None,
) -> dict[str, Any]:
    """`frames`, `readings` (their mean) and `each` picture's, by name."""
    each = {
        picture.name: picture_figures(look(picture), draws)
        for picture in pictures_of(folder, given, most)
    }
    return {"frames": len(each), "readings": mean_figures(list(each.values())), "each": each}


def evaluate_folders(
    folders: Sequence[Path],
    given: SetCamera | None = None,
    *,
    draws: int = DRAWS,
    most: int | None = None,
    model: str | None = None,
    backend: str = "auto",
) -> dict[str, Any]:
    """All figures: `sets` by folder name, their `mean`, what was run; `depth`: the mean figures of
    the model alone."""
    pipeline = CooperPipeline.open(model, backend)
    look = Looker(pipeline)
    sets = {
        name: evaluate_set(folder, look, given, draws, most)
        for name, folder in named(folders).items()
    }
    mean = mean_figures([one["readings"] for one in sets.values()])
    return {
        "model": pipeline.model_id,
        "frames": sum(one["frames"] for one in sets.values()),
        "draws": draws,
        "depth": {reading: methods["model"] for reading, methods in mean.items()},
        "mean": mean,
        "sets": sets,
    }


def rgbd_rows(figures: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """(header, rows) of the table for people."""
    head = ["set, reading", *(f"AbsRel {m}" if m == "model" else m for m in METHODS)]
    head += ["delta1", "RMSE [m]"]
    rows = []
    for title, readings in _titled(figures):
        for reading, methods in readings.items():
            cells = [number(methods.get(m, {}).get("absrel")) for m in METHODS]
            model = methods["model"]
            cells += [number(model["delta1"], 2), number(model["rmse"], 2)]
            rows.append([f"{title} {reading.replace('_', '-')}", *cells])
    return head, rows


def _titled(figures: Mapping[str, Any]) -> Iterator[tuple[str, Figures]]:
    for name, one in figures["sets"].items():
        yield f"{name} ({one['frames']})", one["readings"]
    if len(figures["sets"]) > 1:
        yield "mean of sets", figures["mean"]


def rgbd_table(figures: Mapping[str, Any]) -> str:
    """The table for people."""
    return align(*rgbd_rows(figures))
