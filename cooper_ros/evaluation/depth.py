"""Errors of depth maps, per frame: metric, and after the alignments that papers use.

Definitions follow Eigen et al. (2014): AbsRel = mean |p - t| / t, SqRel = mean (p - t)^2 / t [m],
RMSE [m], RMSE of ln, delta_k = share of pixels with max(p / t, t / p) < 1.25^k. Figures of several
frames are means over frames, so that every picture counts the same.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

METRICS = ("absrel", "sqrel", "rmse", "rmse_log", "delta1", "delta2", "delta3")
BIN_EDGES_M = (0.25, 1.0, 2.0, 3.0, 5.0, 10.0)
INVERSE_RANGE_M = (0.3, 8.0)
INVERSE_PASSES = 8
SMALLEST_M = 1e-3  # predictions are clamped to this: an aligned map may cross zero


def usable(predicted: Array, truth: Array, mask: NDArray[np.bool_] | None = None) -> NDArray:
    """Pixels on which both maps are known: bool, same shape."""
    with np.errstate(invalid="ignore"):
        known = np.isfinite(predicted) & np.isfinite(truth) & (truth > 0)
    return known if mask is None else known & mask


def depth_errors(
    predicted: Array, truth: Array, mask: NDArray[np.bool_] | None = None
) -> dict[str, float]:
    """All `METRICS` of one frame; both maps [H, W] in metres, NaN (truth: or <= 0) = unknown.

    NaN for every metric when no pixel is known in both. Raises ValueError when shapes differ.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"predicted depth is {predicted.shape}, truth is {truth.shape}")
    known = usable(predicted, truth, mask)
    if not known.any():
        return dict.fromkeys(METRICS, math.nan)
    p = np.maximum(predicted[known].astype(np.float64), SMALLEST_M)
    t = truth[known].astype(np.float64)
    difference = p - t
    ratio = np.maximum(p / t, t / p)
    return {
        "absrel": float(np.mean(np.abs(difference) / t)),
        "sqrel": float(np.mean(difference**2 / t)),
        "rmse": float(np.sqrt(np.mean(difference**2))),
        "rmse_log": float(np.sqrt(np.mean((np.log(p) - np.log(t)) ** 2))),
        "delta1": float(np.mean(ratio < 1.25)),
        "delta2": float(np.mean(ratio < 1.25**2)),
        "delta3": float(np.mean(ratio < 1.25**3)),
    }


def align_median(predicted: Array, truth: Array) -> Array:
    """`predicted` times the one factor that makes the medians equal (unknown pixels left out)."""
    known = usable(predicted, truth)
    if not known.any():
        return predicted
    middle = float(np.median(predicted[known]))
    return predicted * (float(np.median(truth[known])) / max(middle, SMALLEST_M))


def align_affine(predicted: Array, truth: Array) -> Array:
    """Least-squares scale and shift of `predicted` onto `truth`, as Marigold's evaluation does.

    `predicted` may be relative depth without unit. A constant map becomes the truth's mean.
    """
    known = usable(predicted, truth)
    if not known.any():
        return predicted
    p, t = predicted[known].astype(np.float64), truth[known].astype(np.float64)
    spread = p - p.mean()
    power = float(spread @ spread)
    scale = float(spread @ t) / power if power > 0.0 else 0.0
    return predicted * scale + (t.mean() - scale * p.mean())


def align_inverse(predicted: Array, truth: Array) -> Array:
    """Scale and shift of inverse depth that fit `truth` best, robustly; then depth again, kept
    within `INVERSE_RANGE_M`.

    `INVERSE_PASSES` of least squares reweighted towards least absolute differences (all figures of
    the project were made with that many; more lower AbsRel by up to 0.004). This is what a network
    of relative depth is judged by: far pixels, where inverse depth is nearly 0, count less. A
    constant map becomes one near the truth's middle.
    """
    known = usable(predicted, truth) & (np.nan_to_num(predicted) > 0.0)
    if not known.any():
        return predicted
    x, y = 1.0 / predicted[known].astype(np.float64), 1.0 / truth[known].astype(np.float64)
    weights = np.ones_like(x)
    scale = shift = 0.0
    for _ in range(INVERSE_PASSES + 1):
        total = weights.sum()
        middle_x, middle_y = float(weights @ x / total), float(weights @ y / total)
        power = float(weights @ (x - middle_x) ** 2)
        same = power <= total * 1e-12 * middle_x**2  # a constant map has no slope
        scale = 0.0 if same else float(weights @ ((x - middle_x) * (y - middle_y))) / power
        shift = middle_y - scale * middle_x
        missed = np.abs(y - scale * x - shift)
        least = 1.5e-3 * float(np.median(missed)) + 1e-12
        weights = 1.0 / np.maximum(missed, least)
    near, far = INVERSE_RANGE_M
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = np.clip(scale / predicted + shift, 1.0 / far, 1.0 / near)
        return np.asarray(1.0 / inverse)


def aligned_errors(predicted: Array, relative: Array, truth: Array) -> dict[str, dict[str, float]]:
    """`depth_errors` of the three readings of one frame: metric, median- and affine-aligned.

    `predicted` in metres (all NaN when the model is not metric); `relative` is what the affine
    alignment and, without metres, the median alignment start from.
    """
    source = predicted if np.isfinite(predicted).any() else relative
    return {
        "metric": depth_errors(predicted, truth),
        "median_aligned": depth_errors(align_median(source, truth), truth),
        "affine_aligned": depth_errors(align_affine(source, truth), truth),
    }


def bin_sums(predicted: Array, truth: Array) -> NDArray[np.float64]:
    """Sums per range bin of the truth, f64 [bins, 6]: pixels, |error| / truth, counts of delta1 to
    delta3, squared error [m^2].

    Sums of several frames are added; `bin_figures` turns them into figures.
    """
    known = usable(predicted, truth)
    p = np.maximum(predicted[known].astype(np.float64), SMALLEST_M)
    t = truth[known].astype(np.float64)
    index = np.digitize(t, BIN_EDGES_M) - 1
    count = len(BIN_EDGES_M) - 1
    inside = (index >= 0) & (index < count)
    p, t, index = p[inside], t[inside], index[inside]
    ratio = np.maximum(p / t, t / p)
    good = [(ratio < 1.25**power).astype(np.float64) for power in (1, 2, 3)]
    weights = (np.ones_like(t), np.abs(p - t) / t, *good, (p - t) ** 2)
    return np.stack([np.bincount(index, weight, count) for weight in weights], 1)


def bin_figures(sums: NDArray[np.float64]) -> dict[str, dict[str, float]]:
    """Figures per range bin, `"1-2 m": {"share", "absrel", "delta1", "delta2", "delta3", "rmse"}`,
    pixels weighted equally."""
    total = max(float(sums[:, 0].sum()), 1.0)
    figures = {}
    for low, high, (pixels, *parts) in zip(BIN_EDGES_M, BIN_EDGES_M[1:], sums, strict=False):
        absrel, *good, squared = (part / pixels if pixels else math.nan for part in parts)
        figures[f"{low:g}-{high:g} m"] = {
            "share": pixels / total,
            "absrel": absrel,
            **{f"delta{power}": share for power, share in enumerate(good, 1)},
            "rmse": math.sqrt(squared),
        }
    return figures


def confident_half(
    predicted: Array, truth: Array, confidence: NDArray[np.floating]
) -> tuple[float, float]:
    """(AbsRel of the more confident half of the pixels, of the other half).

    A useful confidence makes the first clearly smaller. NaN where confidence is unknown.
    """
    known = usable(predicted, truth) & np.isfinite(confidence)
    if int(known.sum()) < 2:
        return math.nan, math.nan
    error = np.abs(predicted[known] - truth[known]) / truth[known]
    order = np.argsort(-confidence[known], kind="stable")
    half = len(order) // 2
    return float(error[order[:half]].mean()), float(error[order[half:]].mean())
