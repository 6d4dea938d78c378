"""What is known of the numbers that all pixels of a depth map share: a state and its uncertainty.

See `core.scale` for the two forms (log and linear) and how a state is fitted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.errors import ScaleError
from cooper_ros.core.types import ScaleReport, ScaleSource

Vector = NDArray[Any]  # f64

LOG, LINEAR = "log", "linear"
REFERENCE_M = 2.0
DRIFT = 0.05  # change of the shared numbers from one image to another, and per sqrt(second)


@dataclass(frozen=True, eq=False)
class ScaleState:
    """What is known of the shared numbers: `mean` f64 [2], `covariance` f64 [2, 2].

    log: mean = (b, a); linear: mean = (scale - 1, shift [m]). `noise`: standard deviation of what
    differs from object to object, as share of the depth. `quantile`: half width of the 90 %
    interval in standard deviations.
    """

    space: str
    mean: Vector
    covariance: Vector
    noise: float
    quantile: float = 1.645

    @classmethod
    def of_model(cls, space: str, metric: bool) -> ScaleState:
        """Before any anchor: tight for a model trained in metres, very wide for others."""
        if space not in (LOG, LINEAR):
            raise ScaleError(f"space must be {LOG} or {LINEAR}, got {space!r}")
        deviations = (0.3, 0.2)
        if not metric:
            deviations = (3.0, 1.0) if space == LOG else (10.0, 10.0)
        return cls(space, np.zeros(2), np.diag(np.square(deviations)), 0.2)

    def later(self, seconds: float) -> ScaleState:
        """The same for another image, `seconds` later: less certain."""
        drift = DRIFT**2 * (1.0 + max(seconds, 0.0))
        return replace(self, covariance=self.covariance + np.eye(2) * drift)

    def basis(self, nominal: Vector) -> Vector:
        """Effect f64 [n, 2] of the shared numbers on the relative error at nominal depths [m]."""
        if self.space == LOG:
            return np.stack([np.ones_like(nominal), np.log(nominal / REFERENCE_M)], axis=1)
        depth = np.maximum(self.metres(nominal), 0.05)
        return np.stack([nominal / depth, 1.0 / depth], axis=1)

    def metres(self, nominal: Vector) -> Vector:
        """Nominal depth -> depth [m], f64 of any shape; NaN where it would not be positive."""
        nominal = np.asarray(nominal, np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            if self.space == LOG:
                return np.asarray(self.scale * nominal**self.exponent)
            depth = self.scale * nominal + self.shift_m
            return np.where(depth > 0.0, depth, np.nan)

    @property
    def scale(self) -> float:
        """Factor of the published depth (see the module)."""
        if self.space == LOG:
            return math.exp(self.mean[0] - self.mean[1] * math.log(REFERENCE_M))
        return 1.0 + float(self.mean[0])

    @property
    def exponent(self) -> float:
        """Exponent of the nominal depth; 1 in the linear form."""
        return 1.0 + float(self.mean[1]) if self.space == LOG else 1.0

    @property
    def shift_m(self) -> float:
        """Offset [m]; 0 in the logarithmic form."""
        return 0.0 if self.space == LOG else float(self.mean[1])

    @property
    def method(self) -> str:
        """Name of the form."""
        return "power" if self.space == LOG else "affine"

    def uncertainty(self, nominal: Vector) -> Vector:
        """Standard deviation f64 [n] of ln(depth) that comes from the shared numbers alone."""
        basis = self.basis(np.asarray(nominal, np.float64).reshape(-1))
        return np.sqrt(np.einsum("ni,ij,nj->n", basis, self.covariance, basis))

    def half_widths(self, nominal: Vector) -> Vector:
        """Half widths f64 [n] of ln(true / published): shared and own errors together."""
        return self.quantile * np.hypot(self.uncertainty(nominal), self.noise)

    def report(
        self, source: ScaleSource, range_m: tuple[float, float], **fields: object
    ) -> ScaleReport:
        """The provenance of depth made with this state; `range_m` is the nominal range [m]."""
        nominal = np.geomspace(max(range_m[0], 0.05), range_m[1], 12)
        depth, width = self.metres(nominal), self.half_widths(nominal)
        rows = tuple(
            (float(d), float(w)) for d, w in zip(depth, width, strict=True) if math.isfinite(d)
        )
        report = ScaleReport(
            source, self.method, self.scale, self.exponent, self.shift_m, half_widths=rows
        )
        return replace(report, **fields)  # type: ignore[arg-type]

    def to_text(self) -> str:
        """One line that `from_text` reads: for parameters."""
        numbers = [*self.mean, self.covariance[0, 0], self.covariance[0, 1], self.covariance[1, 1]]
        listed = " ".join(f"{number:.5g}" for number in [*numbers, self.noise, self.quantile])
        return f"{self.space} {listed}"

    @classmethod
    def from_text(cls, text: str) -> ScaleState:
        """Read what `to_text` wrote. Raises ScaleError that says what is wrong."""
        problem = f"not a calibration (take the text that ~/calibrate_scale returns): {text[:80]!r}"
        words = text.split()
        try:
            space, numbers = words[0], [float(word) for word in words[1:]]
            b, a, bb, ab, aa, noise, quantile = numbers
        except (IndexError, ValueError) as error:
            raise ScaleError(problem) from error
        covariance = np.array([[bb, ab], [ab, aa]])
        usable = (
            space in (LOG, LINEAR)
            and all(map(math.isfinite, numbers))
            and bb > 0.0
            and aa > 0.0
            and bb * aa > ab * ab
            and noise > 0.0
            and 0.0 < quantile < 10.0
        )
        if not usable:
            raise ScaleError(problem)
        return cls(space, np.array([b, a]), covariance, noise, quantile)


def calibrations_of(text: str) -> dict[str, ScaleState]:
    """The states of a calibration text by camera name ("" = any camera): entries separated by `;`,
    each with `name=` before it where it is for one camera of several. Raises ScaleError."""
    states = {}
    for entry in filter(str.strip, text.split(";")):
        name, _, state = entry.rpartition("=")
        states[name.strip()] = ScaleState.from_text(state.strip())
    return states


def calibration_text(text: str, camera: str, state: ScaleState | None) -> str:
    """The text with the state of one camera put in, or taken out (None)."""
    states = calibrations_of(text)
    states.pop(camera, None)
    if state is not None:
        states[camera] = state
    return "; ".join(
        f"{name}={one.to_text()}" if name else one.to_text() for name, one in states.items()
    )


def calibration_problem(text: str) -> str:
    """Why a calibration text cannot be taken, for people; "" if it can."""
    try:
        calibrations_of(text)
    except ScaleError as error:
        return str(error)
    return ""
