"""What anchors are worth: a model's depth in unseen rooms, scaled by points, floor, or both.

    python -m cooper_ros.evaluation.scale --scenes 60 --json

Anchors come from the true depth with the errors that sensors have: points 2 % each, 1 % in common,
every tenth one wrong; camera height 2 %, tilt 0.7 degrees. The floor is where the *model* sees it.
Reported per set of anchors: error of depth in metres (median over rooms of AbsRel, and its 90th
percentile), median half width of the 90 % interval, and how many pixels it covers.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from cooper_ros.core.anchors import Anchors, anchors_from_floor
from cooper_ros.core.geometry import points
from cooper_ros.core.scale import MetricScaler, ScaleState
from cooper_ros.evaluation.scenes import TestFrame, cache_directory, iterate_scenes, read_scene
from cooper_ros.runtime.pipeline import CooperPipeline

SETS: dict[str, tuple[int, bool]] = {
    "model alone": (0, False),
    "floor": (0, True),
    "4 points": (4, False),
    "4 points + floor": (4, True),
    "16 points": (16, False),
    "200 points": (200, False),
    "200 points + floor": (200, True),
}
WRONG_SHARE, POINT_SIGMA, POINT_BIAS = 0.1, 0.02, 0.01
HEIGHT_SIGMA, TILT_SIGMA_RAD = 0.02, 0.012
PIXELS = 400


def camera_height_m(item: TestFrame) -> float:
    """Height of the camera above the visible floor [m], NaN where none is visible."""
    floor = item.classes == 0
    if floor.sum() < 200 or item.frame.intrinsics is None:
        return math.nan
    below = points(item.depth, item.frame.intrinsics)[floor] @ item.gravity
    return float(np.median(below))


def point_anchors(item: TestFrame, count: int, rng: np.random.Generator) -> Anchors:
    """`count` range points on random pixels, with a sensor's errors."""
    height, width = item.depth.shape
    v, u = rng.integers(0, height, count), rng.integers(0, width, count)
    common = rng.normal(0.0, POINT_BIAS)
    depth = item.depth[v, u] * np.exp(rng.normal(common, POINT_SIGMA, count))
    wrong = rng.random(count) < WRONG_SHARE
    depth[wrong] = rng.uniform(0.3, 10.0, int(wrong.sum()))
    sigma = np.full(count, POINT_SIGMA)
    shared = np.full((count, 1), POINT_BIAS)
    return Anchors(u.astype(float), v.astype(float), depth.astype(float), sigma, "points", shared)


def floor_anchors(context: Any, item: TestFrame, rng: np.random.Generator) -> list[Anchors]:
    """The floor that the model sees, under a camera whose mounting is known with errors."""
    height = camera_height_m(item)
    labels, intrinsics = context.labels(), item.frame.intrinsics
    if not height > 0.0 or labels is None or intrinsics is None:
        return []
    tilt = item.gravity + rng.normal(0.0, TILT_SIGMA_RAD, 3)
    height *= math.exp(rng.normal(0.0, HEIGHT_SIGMA))
    floor = labels == context.spec.segmentation.names.index("floor")
    anchors = anchors_from_floor(floor, intrinsics, height, tilt)
    return [anchors] if len(anchors) else []


def evaluate(pipeline: CooperPipeline, scenes: int, seed: int) -> dict[str, dict[str, float]]:
    """Figures by set of anchors over one view of each of `scenes` unseen rooms."""
    prior = pipeline.spec.depth.scale_prior()
    found: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    refused: dict[str, int] = defaultdict(int)
    for job in iterate_scenes(cache_directory(), seed, scenes, 1):
        for item in read_scene(job.path, job.scene):
            rng = np.random.default_rng([seed, job.scene])
            context = pipeline.see(item.frame)
            nominal = context.nominal_depth()
            for name, (count, floor) in SETS.items():
                anchors = [point_anchors(item, count, rng)] if count else []
                anchors += floor_anchors(context, item, rng) if floor else []
                if not anchors and name != "model alone":
                    continue
                state, problem = prior, ""
                if anchors:
                    fit = MetricScaler(prior.space).fit(
                        nominal, anchors, item.frame.intrinsics, prior  # type: ignore[arg-type]
                    )
                    state, problem = fit.state, fit.problem
                if problem:
                    refused[name] += 1
                    continue
                found[name].append(_score(state, nominal, item, rng))
    return {name: _figures(found[name], refused[name]) for name in SETS}


def _score(
    state: ScaleState, nominal: np.ndarray, item: TestFrame, rng: np.random.Generator
) -> tuple[float, float, float]:
    """(AbsRel, half width, covered share) of one picture."""
    height, width = item.depth.shape
    v, u = rng.integers(0, height, PIXELS), rng.integers(0, width, PIXELS)
    truth, value = item.depth[v, u].astype(np.float64), nominal[v, u].astype(np.float64)
    guess, half = state.metres(value), state.half_widths(value)
    covered = np.abs(np.log(truth / guess)) <= half
    return (
        float(np.mean(np.abs(guess - truth) / truth)),
        float(np.median(half)),
        float(np.mean(covered)),
    )


def _figures(rows: Sequence[tuple[float, float, float]], refused: int) -> dict[str, float]:
    if not rows:
        return {"n": 0, "refused": refused}
    error, half, covered = np.array(rows).T
    return {
        "n": len(rows),
        "refused": refused,
        "absrel": round(float(np.median(error)), 4),
        "absrel_p90": round(float(np.percentile(error, 90)), 4),
        "half_width": round(float(np.median(half)), 4),
        "coverage": round(float(covered.mean()), 4),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--model", default=None, help="model folder (default: cooper-nano)")
    parser.add_argument("--scenes", type=int, default=60, help="rooms, one view of each")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other rooms")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    args = parser.parse_args(argv)
    table = evaluate(CooperPipeline.open(args.model), args.scenes, args.seed)
    for name, row in table.items():
        print(f"{name:20s} " + "  ".join(f"{key} {value:g}" for key, value in row.items()))
    if args.json:
        print(json.dumps(table))
    return 0


if __name__ == "__main__":
    sys.exit(main())
