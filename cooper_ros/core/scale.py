"""Metric scale: fitting a model's depth to metric anchors, with an interval that can be trusted.

A network's depth is wrong in a few numbers that all pixels of an image share, and in a part that
differs from object to object. The shared numbers are fitted here; what is left over becomes the
interval. Two forms, after the curve of the model's depth code:

- log:    depth = scale * nominal ^ exponent   (fitted as ln depth = ln nominal + b + a (ln nominal
  - ln 2 m), so that b is the error at 2 m and nearly independent of a)
- linear: depth = scale * nominal + shift      (errors weighted by 1 / depth)

where *nominal* is the depth that the model's code names. The fit is a maximum a posteriori estimate
with Gaussian priors on the shared numbers (the model's training, or a calibration), by iteratively
reweighted least squares with Tukey's biweight. Errors that anchors of one source have in common are
unknowns of the fit too, with their own priors. Sandwich covariance over blocks of the image
(Huber 1967, White 1980), because neighbouring errors are alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.anchors import Anchors, thin
from cooper_ros.core.errors import ScaleError
from cooper_ros.core.scale_state import LINEAR, LOG, REFERENCE_M, ScaleState, Vector
from cooper_ros.core.types import NAN, Intrinsics, ScaleReport, ScaleSource

__all__ = ["LINEAR", "LOG", "MetricScaler", "ScaleFit", "ScaleState"]

Array = NDArray[np.float32]

TUKEY = 4.685
ITERATIONS = 30
BLOCKS = (4, 3)
PRIOR_WEIGHT = 4.0  # the prior's noise counts as this many residuals
LEVEL = 0.90
PERCENTILE_PIXELS = 5000  # of a map, that say how near and far it reaches
MIN_INLIER_SHARE = 0.4
MAX_NOISE = 0.5
MAX_UNCERTAINTY = 0.35  # standard deviation of ln depth beyond which a fit says nothing


@dataclass(frozen=True, eq=False)
class ScaleFit:
    """A fit of one image.

    `inliers`: how many of the `anchor_count` thinned anchors took part; `rmse_m`: their root mean
    square residual [m]. `problem`: why the fit must not be used, for people; "" if it may.
    `note`: which anchors were left out of it, and why.
    """

    state: ScaleState
    anchor_count: int
    inliers: int
    rmse_m: float
    sources: tuple[str, ...]
    problem: str = ""
    note: str = ""

    @property
    def inlier_share(self) -> float:
        """Share of the anchors that the fit agrees with, NaN without anchors."""
        return self.inliers / self.anchor_count if self.anchor_count else NAN

    def report(self, range_m: tuple[float, float], message: str = "") -> ScaleReport:
        """The provenance of depth in the metres of this fit; `range_m` is the nominal range [m]."""
        return self.state.report(
            ScaleSource.ANCHORED,
            range_m,
            rmse_m=self.rmse_m,
            anchor_count=self.anchor_count,
            anchor_sources=self.sources,
            inlier_share=self.inlier_share,
            message=message,
        )


@dataclass(frozen=True)
class MetricScaler:
    """Fits the shared numbers of one model's depth to anchors. Holds no state of its own."""

    space: str = LOG

    def fit(
        self,
        nominal: Array,
        anchors: Sequence[Anchors],
        intrinsics: Intrinsics,
        prior: ScaleState,
    ) -> ScaleFit:
        """Fit `nominal` f32 [H, W], the depth that the model's code names [m], to anchors.

        `intrinsics` are of the same H x W. A fit with a `problem` still carries its state, for
        diagnosis. Raises ScaleError when prior and scaler do not belong together.
        """
        if prior.space != self.space:
            raise ScaleError(f"a {prior.space} prior cannot start a {self.space} fit")
        kept = [self._sample(nominal, one, intrinsics) for one in anchors]
        kept = [(one, p) for one, p in kept if len(one)]
        if not kept:
            return ScaleFit(prior, 0, 0, NAN, (), "no anchors in view")
        fit = _solved(kept, prior, intrinsics, nominal)
        surest = [(one, p) for one, p in kept if one.representative]
        if fit.problem and 0 < len(surest) < len(kept):
            without = _solved(surest, prior, intrinsics, nominal)
            if not without.problem:
                left = ", ".join(one.source for one, _ in kept if not one.representative)
                return replace(without, note=f"{left}: contradicts the other anchors, not used")
        return fit

    @staticmethod
    def _sample(
        nominal: Array, anchors: Anchors, intrinsics: Intrinsics
    ) -> tuple[Anchors, Vector]:
        height, width = nominal.shape
        column = np.clip(np.rint(anchors.u), 0, width - 1).astype(np.int64)
        row = np.clip(np.rint(anchors.v), 0, height - 1).astype(np.int64)
        value = nominal[row, column].astype(np.float64)
        with np.errstate(invalid="ignore"):
            usable = np.isfinite(value) & (value > 0.0) & (anchors.depth_m > 0.0)
        return thin(anchors.take(usable), value[usable], intrinsics)


def _solved(
    kept: list[tuple[Anchors, Vector]], prior: ScaleState, intrinsics: Intrinsics, nominal: Array
) -> ScaleFit:
    system = _System.build(kept, prior, intrinsics)
    return system.solve(tuple(one.source for one, _ in kept), nominal)


@dataclass(frozen=True, eq=False)
class _System:
    """Rows of the least squares problem; unknowns are the shared numbers, then shared errors."""

    prior: ScaleState
    nominal: Vector
    depth: Vector
    own: Vector
    extra: Vector
    block: NDArray[np.int64]
    speaks: NDArray[np.bool_]

    @classmethod
    def build(
        cls, kept: list[tuple[Anchors, Vector]], prior: ScaleState, intrinsics: Intrinsics
    ) -> _System:
        count = sum(len(one) for one, _ in kept)
        extra = np.zeros((count, sum(one.shared.shape[1] for one, _ in kept)))
        row = column = 0
        for one, _ in kept:
            k = one.shared.shape[1]
            extra[row : row + len(one), column : column + k] = one.shared
            row, column = row + len(one), column + k
        u = np.concatenate([one.u for one, _ in kept])
        v = np.concatenate([one.v for one, _ in kept])
        x = np.clip((u + 0.5) * BLOCKS[0] / intrinsics.width, 0, BLOCKS[0] - 1).astype(np.int64)
        y = np.clip((v + 0.5) * BLOCKS[1] / intrinsics.height, 0, BLOCKS[1] - 1).astype(np.int64)
        return cls(
            prior,
            np.concatenate([p for _, p in kept]),
            np.concatenate([one.depth_m for one, _ in kept]),
            np.concatenate([one.sigma for one, _ in kept]),
            extra,
            x + BLOCKS[0] * y,
            np.concatenate([np.full(len(one), one.representative) for one, _ in kept]),
        )

    def _rows(self) -> tuple[Vector, Vector]:
        """Design matrix and right side: residual = y - X theta is a relative error."""
        if self.prior.space == LOG:
            shared = np.stack(
                [np.ones_like(self.nominal), np.log(self.nominal / REFERENCE_M)], axis=1
            )
            y = np.log(self.depth / self.nominal)
        else:
            shared = np.stack([self.nominal, np.ones_like(self.nominal)], axis=1)
            shared /= self.depth[:, None]
            y = 1.0 - self.nominal / self.depth
        return np.concatenate([shared, self.extra], axis=1), y

    def solve(self, sources: tuple[str, ...], image: Array) -> ScaleFit:
        X, y = self._rows()
        count, size = X.shape
        mean = np.zeros(size)
        mean[:2] = self.prior.mean
        precision = np.eye(size)
        precision[:2, :2] = np.linalg.inv(self.prior.covariance)
        theta, noise = self._start(X, y, mean), self.prior.noise
        weights, share = np.ones(count), np.ones(count)
        for _ in range(ITERATIONS):
            residual = y - X @ theta
            noise = self._noise(residual, share)
            variance = noise**2 + self.own**2
            share = np.clip(1.0 - residual**2 / (TUKEY**2 * variance), 0.0, None) ** 2
            weights = share / variance
            normal = (X * weights[:, None]).T @ X + precision
            updated = np.linalg.solve(normal, (X.T * weights) @ y + precision @ mean)
            done = float(np.abs(updated - theta).max()) < 1e-6
            theta = updated
            if done:
                break
        residual = y - X @ theta
        inlier = share > 0.0
        covariance = self._covariance(X, residual, weights, normal, precision)[:2, :2]
        told = inlier & self.speaks
        quantile = studentised_quantile(np.abs(residual[told]) / np.sqrt(variance[told]))
        state = ScaleState(self.prior.space, theta[:2], covariance, noise, quantile)
        missed = (state.metres(self.nominal) - self.depth)[inlier]
        rmse = float(np.sqrt(np.nanmean(missed**2))) if inlier.any() else NAN
        fit = ScaleFit(state, count, int(inlier.sum()), rmse, sources)
        return replace(fit, problem=_problem(fit, image))

    def _start(self, X: Vector, y: Vector, mean: Vector) -> Vector:
        """The candidate with the smallest median residual: prior, one factor, or a line."""
        candidates = [mean]
        if self.prior.space == LOG:
            factor = mean.copy()
            factor[0] += float(np.median(y - X @ mean))
        else:
            factor = mean.copy()
            factor[0] = float(np.median(self.depth / self.nominal)) - 1.0
            factor[1] = 0.0
        candidates.append(factor)
        line = self._theil_sen()
        if line is not None:
            candidates.append(np.r_[line, mean[2:]])
        return min(candidates, key=lambda theta: float(np.median(np.abs(y - X @ theta))))

    def _theil_sen(self) -> Vector | None:
        """Median slope over pairs of anchors, for relative depth that starts far off."""
        log = self.prior.space == LOG
        x = np.log(self.nominal / REFERENCE_M) if log else self.nominal
        d = np.log(self.depth / REFERENCE_M) if log else self.depth
        first, second = np.triu_indices(len(x), 1)
        run = x[second] - x[first]
        far = np.abs(run) > 0.1 * max(float(np.ptp(x)), 1e-6)
        if not far.any():
            return None
        slope = float(np.median((d[second] - d[first])[far] / run[far]))
        if not slope > 0.0:
            return None
        offset = float(np.median(d - slope * x))
        return np.array([offset, slope - 1.0]) if log else np.array([slope - 1.0, offset])

    def _noise(self, residual: Vector, share: Vector) -> float:
        """Spread of what the model gets wrong from object to object, anchor errors taken out."""
        residual, share, own_sigma = (a[self.speaks] for a in (residual, share, self.own))
        if not len(residual):
            return self.prior.noise
        spread = 1.4826 * float(np.median(np.abs(residual)))
        inner = share > 0.0
        if inner.any():
            typical = float(np.sqrt(np.mean(residual[inner] ** 2)))
            spread = max(spread, min(typical, 1.5 * spread))
        count = len(residual)
        own = float(np.median(own_sigma)) ** 2
        mine = max(spread**2 - own, 1e-6)
        pooled = (PRIOR_WEIGHT * self.prior.noise**2 + count * mine) / (PRIOR_WEIGHT + count)
        return math.sqrt(pooled)

    def _covariance(
        self, X: Vector, residual: Vector, weights: Vector, normal: Vector, precision: Vector
    ) -> Vector:
        """Covariance of the unknowns: of independent errors, or of errors alike within a block if
        that is larger."""
        plain = np.linalg.inv(normal)
        score = X * (weights * residual)[:, None]
        blocks = np.unique(self.block)
        if len(blocks) < 4:
            return plain * max(1.0, len(residual) / max(len(blocks) * 4, 1))
        sums = np.stack([score[self.block == b].sum(axis=0) for b in blocks])
        factor = len(blocks) / (len(blocks) - 1)
        sandwich = plain @ (factor * sums.T @ sums + precision) @ plain
        inflation = np.sqrt(np.maximum(np.diag(sandwich) / np.diag(plain), 1.0))
        return plain * np.outer(inflation, inflation)


def studentised_quantile(studentised: Vector) -> float:
    """Half width of the 90 % interval in standard deviations.

    Conformal rank (Vovk et al.) from 20 anchors on, Student's t (Cornish-Fisher) below.
    """
    count = len(studentised)
    if count >= 20:
        rank = min(math.ceil(LEVEL * (count + 1)), count)
        return float(np.clip(np.sort(studentised)[rank - 1], 1.3, 4.0))
    z, freedom = 1.645, PRIOR_WEIGHT + max(count - 2, 0)
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def _problem(fit: ScaleFit, image: Array) -> str:
    """Why a fit cannot be trusted, for people; "" if it can."""
    state = fit.state
    named = f"{fit.anchor_count} anchors ({', '.join(fit.sources)})"
    if fit.anchor_count >= 3 and fit.inlier_share < MIN_INLIER_SHARE:
        return (
            f"only {100 * fit.inlier_share:.0f} % of {named} agree with the picture's depth: check "
            "the sensor's mounting (TF), its time stamps and camera_info"
        )
    if state.noise > MAX_NOISE:
        return f"{named} and the picture's depth differ by another factor at every place"
    step = max(1, math.isqrt(image.size // PERCENTILE_PIXELS))
    image = image[step // 2 :: step, step // 2 :: step]
    with np.errstate(invalid="ignore"):
        known = image[np.isfinite(image) & (image > 0)]
    if not known.size or not state.scale > 0.0 or not 0.2 < state.exponent < 5.0:
        return f"{named} contradict the order of near and far in the picture's depth"
    typical = np.percentile(known, [10.0, 50.0, 90.0]).astype(np.float64)
    if not float(state.uncertainty(typical).max()) < MAX_UNCERTAINTY:
        return (
            f"{named} do not fix the scale: they are too few, or all at one distance; relative "
            "depth needs anchors at two distances at least"
        )
    return ""
