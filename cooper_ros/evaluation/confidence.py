"""Confidence of depth: fitting it, and how well it keeps its word (reliability)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.codecs import ClassReading
from cooper_ros.core.images import nearest_index
from cooper_ros.runtime.confidence import (
    DEPTH_ONLY,
    WITH_CLASSES,
    DepthConfidence,
    feature_names,
    features,
    named,
)
from cooper_ros.runtime.spec import ModelSpec

WITHIN = 0.25  # the error of delta1: what half of the literature calls a right pixel
BINS = 10
STRIDE = 2  # neighbouring pixels of a drawn map say the same
FRAME_WEIGHT = 20.0  # what one picture counts for: its pixels are not independent
RIDGE = 1.0
STEPS = 12
FOLDS = 5

Array = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class ConfidenceSample:
    """Pixels of one picture: `both` and `depth_only` features f32 [n, pixels], `right` bool
    [pixels] (error below `WITHIN`), `error` relative f32 [pixels]."""

    scene: int
    both: Array
    depth_only: Array
    right: NDArray[np.bool_]
    error: Array


def sample(
    spec: ModelSpec,
    scene: int,
    depth: Array,
    segmentation: Array,
    drawn: Array,
    truth: Array,
    reading: ClassReading | None = None,
) -> ConfidenceSample:
    """Features of generated pictures [3, h, w], and how wrong the depth at their pixels is.

    `drawn` and `truth`: depth [H, W] in metres at the frame's size; unknown pixels are left out.
    """
    height, width = depth.shape[1:]
    grid = np.ix_(nearest_index(height, truth.shape[0]), nearest_index(width, truth.shape[1]))
    p, t = drawn[grid].astype(np.float64), truth[grid].astype(np.float64)
    known = np.isfinite(p) & np.isfinite(t) & (t > 0.0)
    known &= (np.add.outer(np.arange(height), np.arange(width)) % STRIDE) == 0
    error = np.abs(p[known] - t[known]) / t[known]
    return ConfidenceSample(
        scene,
        features(spec, depth, segmentation, reading)[:, known],
        features(spec, depth, None)[:, known],
        error < WITHIN,
        error.astype(np.float32),
    )


def fit(spec: ModelSpec, samples: Sequence[ConfidenceSample]) -> DepthConfidence:
    """Weights of both kinds of input."""
    weights = {}
    for kind, classes in ((DEPTH_ONLY, False), (WITH_CLASSES, True)):
        found = logistic([_values(s, classes) for s in samples], [s.right for s in samples])
        weights[kind] = named(feature_names(spec, classes), np.round(found, 4).tolist())
    return DepthConfidence(WITHIN, weights)


def _values(one: ConfidenceSample, classes: bool) -> Array:
    return one.both if classes else one.depth_only


def logistic(values: Sequence[Array], right: Sequence[NDArray[np.bool_]]) -> NDArray[np.float64]:
    """Ridge logistic regression by Newton steps: weights [n] of features [n, pixels] per picture.

    Every picture counts as `FRAME_WEIGHT` observations. There is no intercept: hat functions that
    add up to one are among the features.
    """
    x = np.concatenate([v.astype(np.float64) for v in values], axis=1)
    y = np.concatenate(right).astype(np.float64)
    share = np.concatenate([np.full(len(r), FRAME_WEIGHT / max(len(r), 1)) for r in right])
    weights = np.zeros(len(x))
    for _ in range(STEPS):
        chance = 1.0 / (1.0 + np.exp(-np.clip(weights @ x, -30.0, 30.0)))
        slope = x @ (share * (chance - y)) + RIDGE * weights
        bend = (x * (share * chance * (1.0 - chance))) @ x.T + RIDGE * np.eye(len(x))
        step = np.linalg.solve(bend, slope)
        weights -= step
        if float(np.abs(step).max()) < 1e-6:
            break
    return weights


def cross_validated(spec: ModelSpec, samples: Sequence[ConfidenceSample]) -> dict[str, Any]:
    """`reliability_figures` by kind of input, on rooms that took no part in the fit."""
    scenes = sorted({one.scene for one in samples})
    fold_of = {scene: rank % FOLDS for rank, scene in enumerate(scenes)}
    figures = {}
    for kind, classes in ((DEPTH_ONLY, False), (WITH_CLASSES, True)):
        sums = np.zeros((BINS, 4))
        halves: list[tuple[float, float]] = []
        for fold in range(FOLDS):
            train = [one for one in samples if fold_of[one.scene] != fold]
            if not train:
                continue
            weights = logistic([_values(s, classes) for s in train], [s.right for s in train])
            for one in samples:
                if fold_of[one.scene] == fold:
                    logit = weights @ _values(one, classes)
                    chance = 1.0 / (1.0 + np.exp(-logit))
                    sums += reliability_sums(chance, one.error)
                    halves.append(_halves(chance, one.error))
        figures[kind] = reliability_figures(sums)
        for name, column in (("absrel_confident_half", 0), ("absrel_other_half", 1)):
            known = [pair[column] for pair in halves if math.isfinite(pair[column])]
            figures[kind][name] = float(np.mean(known)) if known else math.nan
    return figures


def _halves(chance: Array, error: Array) -> tuple[float, float]:
    half = len(error) // 2
    if half == 0:
        return math.nan, math.nan
    order = np.argsort(-chance, kind="stable")
    return float(error[order[:half]].mean()), float(error[order[half:]].mean())


def reliability_sums(confidence: Array, error: Array) -> NDArray[np.float64]:
    """Sums per bin of confidence, f64 [BINS, 4]: pixels, confidence, right ones, squared difference
    of both. Sums of several frames are added. `error` is relative; unknown pixels are left out."""
    known = np.isfinite(confidence) & np.isfinite(error)
    c, right = confidence[known].astype(np.float64), (error[known] < WITHIN).astype(np.float64)
    index = np.clip((c * BINS).astype(int), 0, BINS - 1)
    parts = (np.ones_like(c), c, right, (c - right) ** 2)
    return np.stack([np.bincount(index, part, BINS) for part in parts], 1)


def frame_sums(confidence: Array, predicted: Array, truth: Array) -> NDArray[np.float64]:
    """`reliability_sums` of one frame's maps [H, W], every fourth pixel."""
    rows, columns = (nearest_index(max(size // 4, 1), size) for size in truth.shape)
    grid = np.ix_(rows, columns)
    p, t = predicted[grid].astype(np.float64), truth[grid].astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.where(t > 0.0, np.abs(p - t) / t, np.nan)
    return reliability_sums(confidence[grid], error)


def reliability_figures(sums: NDArray[np.float64]) -> dict[str, Any]:
    """`within` (the error meant), `right` (share of pixels below it), `ece` (expected calibration
    error: mean |confidence - share right| over bins, weighted by pixels), `brier`, and `bins`."""
    total = float(sums[:, 0].sum())
    if total == 0.0:
        return {"within": WITHIN, "right": math.nan, "ece": math.nan, "brier": math.nan, "bins": {}}
    bins = {}
    for index, (pixels, confidence, right, _) in enumerate(sums):
        if pixels:
            bins[f"{index / BINS:g}-{(index + 1) / BINS:g}"] = {
                "share": pixels / total,
                "confidence": confidence / pixels,
                "right": right / pixels,
            }
    return {
        "within": WITHIN,
        "right": float(sums[:, 2].sum()) / total,
        "ece": float(np.abs(sums[:, 1] - sums[:, 2]).sum()) / total,
        "brier": float(sums[:, 3].sum()) / total,
        "bins": bins,
    }
