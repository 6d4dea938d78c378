"""Kriging of the residuals of ln depth at anchors: kernel, robust solution, field.

See `core.completion` for what it is for. An anchor that the others contradict is one of a mixture,
found by expectation maximisation on leave-one-out residuals, which a Gaussian process gives for
nothing (Dubrule 1983).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.anchors import Anchors, thin
from cooper_ros.core.scale import studentised_quantile
from cooper_ros.core.scale_state import REFERENCE_M, ScaleState
from cooper_ros.core.types import Intrinsics

Array = NDArray[np.float32]
Vector = NDArray[Any]  # f64

MAX_ANCHORS = 300  # more are thinned to one per cell: the cost grows with the cube
CELLS = (20, 15)
AMPLITUDES = (0.5, 1.0, 2.0)  # candidates, as factors of the kernel's
CALM = (0.1, 0.25, 0.5)  # the same while outliers are sought: in more, they pass for structure
OUTLIER_SHARE = 0.05  # expected before the anchors were looked at
HONEST_SHARE = 0.08  # of good anchors, look like outliers: at the edges of objects
LEAST_SHARE = 0.003
OUTLIER_DENSITY = 0.3  # of ln depth: an outlier lies anywhere within a factor of about 30
OUTLIER_SIGMA = 2.0  # own error of an anchor that is certainly an outlier
STRICT_ROUNDS, MILD_ROUNDS = 3, 3  # of expectation maximisation, at most
SETTLED = 0.05  # change of how sure anchors are, below which rounds end
SCORED_ANCHORS = 40  # that say which amplitude is likeliest
LEAST_EXPONENT = np.float32(-25.0)
INVERTED_WHOLE = 48  # rows; larger triangles are inverted by halves


@dataclass(frozen=True)
class Kernel:
    """Covariance of what is wrong in ln depth after the fit, and its trend.

    Defaults are fitted on four sets of real RGB-D pictures (docs/evaluation.md). `parts`: rows of
    (amplitude, width as share of the picture's width, width in ln depth). `trend`: standard
    deviations of a constant, ln depth, place, and place times ln depth. `nugget`: what differs from
    pixel to pixel.
    """

    parts: tuple[tuple[float, float, float], ...] = (
        (0.256, 0.485, 10.0),
        (0.196, 0.485, 0.43),
        (0.096, 0.137, 0.25),
        (0.036, 0.137, 10.0),
        (0.076, 0.039, 0.104),
    )
    trend: tuple[float, float, float, float] = (0.25, 0.13, 0.233, 0.068)
    nugget: float = 0.0155

    def groups(self) -> dict[float, list[tuple[float, float]]]:
        """Parts by their width over place: (variance, width in ln depth)."""
        found: dict[float, list[tuple[float, float]]] = {}
        for amplitude, width, depth_width in self.parts:
            found.setdefault(width, []).append((amplitude**2, depth_width))
        return found

    @property
    def variance(self) -> float:
        """Of all parts together, at one point."""
        return sum(amplitude**2 for amplitude, _, _ in self.parts)


@dataclass(frozen=True, eq=False)
class Points:
    """The anchors as rows: place in widths of the picture from its centre, the model's ln depth
    there, the anchor's ln depth above it, own and shared errors."""

    x: Vector
    y: Vector
    model: Vector
    residual: Vector
    own: Vector
    shared: Vector

    def __len__(self) -> int:
        return len(self.x)

    @property
    def log_depth(self) -> Vector:
        return self.model + self.residual

    @classmethod
    def sample(
        cls,
        nominal: Array,
        anchors: Sequence[Anchors],
        intrinsics: Intrinsics,
        state: ScaleState,
    ) -> Points:
        height, width = nominal.shape
        total = sum(len(one) for one in anchors)
        kept = []
        for one in anchors:
            column = np.clip(np.rint(one.u), 0, width - 1).astype(np.int64)
            row = np.clip(np.rint(one.v), 0, height - 1).astype(np.int64)
            with np.errstate(invalid="ignore", divide="ignore"):
                value = np.log(state.metres(nominal[row, column]))
                usable = np.isfinite(value) & np.isfinite(one.depth_m) & (one.depth_m > 0.0)
            one, value = one.take(usable), value[usable]
            if total > MAX_ANCHORS:
                one, metres = thin(one, np.exp(value), intrinsics, CELLS)
                value = np.log(metres)
            kept.append((one, value))
        count = sum(len(one) for one, _ in kept)
        shared = np.zeros((count, sum(one.shared.shape[1] for one, _ in kept)))
        first = column_first = 0
        for one, _ in kept:
            last, column_last = first + len(one), column_first + one.shared.shape[1]
            shared[first:last, column_first:column_last] = one.shared
            first, column_first = last, column_last
        model = np.concatenate([value for _, value in kept] or [np.zeros(0)])
        depth = np.concatenate([one.depth_m for one, _ in kept] or [np.ones(0)])
        u = np.concatenate([one.u for one, _ in kept] or [np.zeros(0)])
        v = np.concatenate([one.v for one, _ in kept] or [np.zeros(0)])
        own = np.concatenate([one.sigma for one, _ in kept] or [np.zeros(0)])
        x, y = (u + 0.5) / width - 0.5, (v + 0.5 - 0.5 * height) / width
        return cls(x, y, model, np.log(depth) - model, own, shared)


def _gauss(a: Vector, b: Vector, width: float) -> Array:
    """f32: half the time, and a covariance needs no more. Never so small that a product of three
    is no normal number any more: those take a processor a hundred times as long."""
    apart = np.subtract.outer((a / width).astype(np.float32), (b / width).astype(np.float32))
    np.square(apart, out=apart)
    apart *= np.float32(-0.5)
    np.maximum(apart, LEAST_EXPONENT, out=apart)
    return np.asarray(np.exp(apart, out=apart))


def _over_depth(a: Vector, b: Vector, parts: Sequence[tuple[float, float]]) -> Array:
    """Parts (variance, width in ln depth) of one width over place: f32 [len(a), len(b)]."""
    over = np.zeros((len(a), len(b)), np.float32)
    for variance, width in parts:
        over += np.float32(variance) * _gauss(a, b, width)
    return over


def _unit_covariance(points: Points, kernel: Kernel) -> Vector:
    """Covariance f64 [n, n] of the kernel's parts at the anchors."""
    x, y, logs = points.x, points.y, points.model
    unit = np.zeros((len(points), len(points)), np.float32)
    for width, parts in kernel.groups().items():
        over = _over_depth(logs, logs, parts)
        over *= _gauss(x, x, width)
        over *= _gauss(y, y, width)
        unit += over
    return unit.astype(np.float64)


def _basis(x: Vector, y: Vector, logs: Vector, trend: tuple[float, ...]) -> Vector:
    """Trend f64 [n, 6], each column times its standard deviation."""
    depth = logs - math.log(REFERENCE_M)
    constant, slope, tilt, bend = trend
    columns = (constant + 0.0 * x, slope * depth, tilt * x, tilt * y, bend * x * depth)
    return np.stack([*columns, bend * y * depth], axis=1)


@dataclass(frozen=True, eq=False)
class Field:
    """The solved field: weights of the anchors and of the trend."""

    kernel: Kernel
    points: Points
    weights: Vector  # of the kernel at unit amplitude
    slopes: Vector  # of the trend's columns
    amplitude2: float
    whitening: Vector  # inverse Cholesky factor of the anchors' covariance
    inlier: Vector
    left_out: Vector  # prediction from the others minus anchor, ln depth
    quantile: float

    @classmethod
    def solve(cls, points: Points, kernel: Kernel, fit_noise: float) -> Field:
        unit = _unit_covariance(points, kernel)
        trend = _basis(points.x, points.y, points.model, kernel.trend)
        common = trend @ trend.T + points.shared @ points.shared.T
        own = kernel.nugget**2 + np.square(points.own)
        inlier = _inliers(unit, common, own, points.residual, fit_noise)
        noise = _doubted(own, inlier)
        scores = _scores(AMPLITUDES, unit, common, noise, points.residual, inlier, own)
        share = np.exp(scores - scores.max())
        amplitude2 = float(share @ np.square(AMPLITUDES) / share.sum())
        solved = _Solved.of(amplitude2 * unit + common, noise, points.residual)
        told = inlier > 0.5
        spread = solved.variance - noise + own
        quantile = studentised_quantile(np.abs(solved.error[told]) / np.sqrt(spread[told]))
        return cls(
            kernel,
            points,
            amplitude2 * solved.alpha,
            trend.T @ solved.alpha,
            amplitude2,
            solved.whitening,
            inlier,
            -solved.error,
            quantile,
        )

    def mean(self, x: Vector, y: Vector, logs: Vector) -> Array:
        """The field f32 [rows, layers, columns] at the nodes x, y, logs (one axis each)."""
        flat = np.zeros((len(y) * len(logs), len(x)), np.float32)
        weights = self.weights.astype(np.float32)
        for width, parts in self.kernel.groups().items():
            over = weights * _over_depth(logs, self.points.model, parts)
            left = _gauss(y, self.points.y, width)[:, None] * over[None]
            right = _gauss(x, self.points.x, width)
            flat += left.reshape(-1, len(self.points)) @ right.T
        field = flat.reshape(len(y), len(logs), len(x))
        constant, slope, tilt, bend = self.kernel.trend
        lift, steep, right, down, bend_right, bend_down = self.slopes
        depth = (logs - math.log(REFERENCE_M))[:, None]
        across = constant * lift + slope * steep * depth
        across = across + x * (tilt * right + bend * bend_right * depth)
        upright = y[:, None] * (tilt * down + bend * bend_down * depth[:, 0])
        field += across.astype(np.float32)
        field += upright[:, :, None].astype(np.float32)
        return field

    def half_width(self, x: Vector, y: Vector, logs: Vector) -> Vector:
        """Half width of the 90 % interval at the nodes, as `mean`."""
        shape = (len(y), len(logs), len(x), len(self.points))
        points = _basis(self.points.x, self.points.y, self.points.model, self.kernel.trend)
        nodes = _basis(*_nodes(x, y, logs), self.kernel.trend).astype(np.float32)
        cross = (nodes @ points.T.astype(np.float32)).reshape(shape)
        part = np.empty(shape, np.float32)
        for width, parts in self.kernel.groups().items():
            over = _over_depth(logs, self.points.model, parts) * np.float32(self.amplitude2)
            left = _gauss(y, self.points.y, width)[:, None] * over[None]
            cross += np.multiply(left[:, :, None], _gauss(x, self.points.x, width), out=part)
        white = cross.reshape(-1, len(self.points)) @ self.whitening.T.astype(np.float32)
        known = np.einsum("ij,ij->i", white, white)
        before = self.amplitude2 * self.kernel.variance + np.square(nodes).sum(axis=1)
        variance = np.maximum(before - known, 0.0) + self.kernel.nugget**2
        width = self.quantile * np.sqrt(variance)
        return width.reshape(len(y), len(logs), len(x)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class _Solved:
    """One kernel at the anchors: weights, and each anchor's error against the others' word."""

    alpha: Vector
    error: Vector
    variance: Vector  # of the error
    noise: Vector
    whitening: Vector  # inverse Cholesky factor of the anchors' covariance

    @classmethod
    def of(cls, covariance: Vector, noise: Vector, residual: Vector) -> _Solved:
        whitening = _whitening(covariance, noise)
        alpha = whitening.T @ (whitening @ residual)
        variance = 1.0 / np.einsum("ij,ij->j", whitening, whitening)
        return cls(alpha, alpha * variance, variance, noise, whitening)

    def score(self, inlier: Vector, own: Vector) -> float:
        """Predictive ln likelihood of the trusted anchors (sum over leave-one-out)."""
        spread = np.maximum(self.variance - self.noise, 1e-9) + own
        return float(-0.5 * (inlier * (np.square(self.error) / spread + np.log(spread))).sum())


def _whitening(covariance: Vector, noise: Vector) -> Vector:
    """Inverse Cholesky factor of the covariance f64 [n, n] with `noise` f64 [n] on its diagonal."""
    noisy = covariance.copy()
    noisy.flat[:: len(noise) + 1] += noise
    return _lower_inverse(np.linalg.cholesky(noisy))


def _lower_inverse(factor: Vector) -> Vector:
    """Inverse of a lower triangular matrix by halves: most of it is matrix products."""
    size = len(factor)
    if size <= INVERTED_WHOLE:
        return np.asarray(np.linalg.inv(factor))
    half = size // 2
    upper, lower = _lower_inverse(factor[:half, :half]), _lower_inverse(factor[half:, half:])
    inverse = np.zeros_like(factor)
    inverse[:half, :half], inverse[half:, half:] = upper, lower
    inverse[half:, :half] = -lower @ (factor[half:, :half] @ upper)
    return inverse


def _doubted(own: Vector, inlier: Vector) -> Vector:
    """Variance of anchors of `own` variance, between that and an outlier's by how sure it is that
    they are none. Geometric: kriging follows any anchor whose error is small, so that a share of
    the precision would still be all of it."""
    return np.asarray(own**inlier * OUTLIER_SIGMA ** (2.0 * (1.0 - inlier)))


def _inliers(
    unit: Vector, common: Vector, own: Vector, residual: Vector, fit_noise: float
) -> Vector:
    """How sure it is, for each anchor, that it is no outlier: from the fit, then from the others'
    predictions."""
    variance = np.full(len(own), 4.0 * fit_noise**2) + own
    inlier = _responsibility(residual, variance, OUTLIER_SHARE, _gauss_density)
    share, covariance = OUTLIER_SHARE, CALM[-1] ** 2 * unit + common
    # Strict first, since a wrong anchor that is trusted misleads the others; then those that have
    # merely a heavy tail, as honest anchors do at the edges of objects, are taken back.
    for rounds, density in ((STRICT_ROUNDS, _gauss_density), (MILD_ROUNDS, _student_density)):
        if density is _student_density:
            covariance = _likeliest(unit, common, own, residual, inlier)
        for _ in range(rounds):
            solved = _Solved.of(covariance, _doubted(own, inlier), residual)
            spread = np.maximum(solved.variance - solved.noise, 1e-9) + own
            before, inlier = inlier, _responsibility(solved.error, spread, share, density)
            share = float(np.clip((1.0 - inlier).mean() - HONEST_SHARE, LEAST_SHARE, 0.5))
            if np.abs(inlier - before).max() < SETTLED:
                break
    return inlier


def _likeliest(
    unit: Vector, common: Vector, own: Vector, residual: Vector, inlier: Vector
) -> Vector:
    """The covariance, of those not above the kernel's own, in which the trusted anchors fit
    best."""
    scores = _scores(CALM, unit, common, _doubted(own, inlier), residual, inlier, own)
    return np.asarray(CALM[int(np.argmax(scores))] ** 2 * unit + common)


def _scores(
    amplitudes: Sequence[float],
    unit: Vector,
    common: Vector,
    noise: Vector,
    residual: Vector,
    inlier: Vector,
    own: Vector,
) -> Vector:
    """Predictive ln likelihood of amplitudes of the kernel; of many anchors a part says enough."""
    few = slice(None, None, max(1, round(len(noise) / SCORED_ANCHORS)))
    unit, common = unit[few, few], common[few, few]
    solved = [_Solved.of(a**2 * unit + common, noise[few], residual[few]) for a in amplitudes]
    return np.array([one.score(inlier[few], own[few]) for one in solved])


def _gauss_density(square: Vector) -> Vector:
    return np.asarray(np.exp(-0.5 * square) / math.sqrt(2.0 * math.pi))


def _student_density(square: Vector) -> Vector:
    """Of Student's t with three degrees of freedom."""
    return np.asarray(2.0 / (math.pi * math.sqrt(3.0)) / np.square(1.0 + square / 3.0))


def _responsibility(
    error: Vector, variance: Vector, outliers: float, density: Callable[[Vector], Vector]
) -> Vector:
    good = (1.0 - outliers) * density(np.square(error) / variance) / np.sqrt(variance)
    return np.asarray(good / (good + outliers * OUTLIER_DENSITY))


def _nodes(x: Vector, y: Vector, logs: Vector) -> tuple[Vector, Vector, Vector]:
    rows, layers, columns = np.meshgrid(y, logs, x, indexing="ij")
    return columns.ravel(), rows.ravel(), layers.ravel()
