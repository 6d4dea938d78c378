"""The metric scale of one camera's depth: anchors of a frame in, depth with provenance out.

Order of trust: anchors of this very frame (range points, registered depth, floor plane), the fit of
a moment ago, a calibration, the model's own training. An external depth image, where asked for,
stands in for the model's depth altogether.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from cooper_ros.core.anchors import Anchors, anchors_from_depth
from cooper_ros.core.errors import CooperError, ScaleError
from cooper_ros.core.images import resize_depth
from cooper_ros.core.metric_depth import anchored_depth, filled_depth, fitted_depth
from cooper_ros.core.scale import (
    MAX_UNCERTAINTY,
    MetricScaler,
    ScaleFit,
    ScaleState,
)
from cooper_ros.core.types import DepthMap, Frame, Intrinsics, ScaleReport, ScaleSource
from cooper_ros.ros.evidence import (
    Evidence,
    EvidenceSources,
    ProblemLog,
    sensor_report,
    sensor_width,
)
from cooper_ros.ros.worker import Snapshot

TYPICAL_M = (1.0, 3.0)
HISTORY = 30
"""Fits kept for ~/calibrate_scale."""


class Scaling:
    """Keeps what is known of one camera's scale from frame to frame (inference thread only).

    `warn(text)` hears of every problem that was not there on the frame before.
    """

    def __init__(self, sources: EvidenceSources, warn: Callable[[str], None]) -> None:
        self._sources = sources
        self._problems = ProblemLog(warn, "metric scale")
        self._last: tuple[ScaleState, int, float] | None = None
        self._history: deque[ScaleState] = deque(maxlen=HISTORY)
        self._epoch = 0
        """Counts `forget`, which other threads call: a fit begun before one is not remembered."""
        self._begun = 0
        self.calibration: ScaleState | None = None

    def apply(self, context: Any, snapshot: Snapshot, cancel: Any = None) -> None:
        """Give the frame of `context` its metric depth and gravity, as far as they can be known."""
        frame: Frame = context.frame
        intrinsics = frame.intrinsics
        if intrinsics is None or not intrinsics.is_valid:
            return
        found = Evidence()
        self._begun = self._epoch
        height_m, context.gravity = self._sources.ground(frame, found)
        if self._sources.settings.depth_source == "external":
            if self._put_external(context, intrinsics, snapshot, cancel, found):
                self._problems.note(found)
                return
        self._sources.add_ranges(frame, intrinsics, snapshot, found)
        self._sources.add_floor(context, intrinsics, height_m, cancel, found)
        prior, age = self._prior(context, frame, snapshot)
        self._fit(context, intrinsics, prior, age, found, snapshot, cancel)
        self._problems.note(found)

    # -- fitting ---------------------------------------------------------------------------------

    def _prior(
        self, context: Any, frame: Frame, snapshot: Snapshot
    ) -> tuple[ScaleState, float | None]:
        """What is known before this frame's anchors, and the age of the fit it comes from [s]."""
        base = context.spec.depth.scale_prior()
        space = base.space
        if self.calibration is not None and self.calibration.space == space:
            base = self.calibration.later(0.0)
        if self._last is None or self._last[0].space != space:
            return base, None
        state, stamp_ns, received = self._last
        age = abs(snapshot.received - received)
        if frame.stamp_ns and stamp_ns:
            age = abs(frame.stamp_ns - stamp_ns) / 1e9
        later = state.later(age)
        tighter = np.trace(later.covariance) < np.trace(base.covariance)
        if age <= self._sources.settings.scale_memory_s and tighter:
            return later, age
        return base, None

    def _fit(
        self,
        context: Any,
        intrinsics: Intrinsics,
        prior: ScaleState,
        age: float | None,
        found: Evidence,
        snapshot: Snapshot,
        cancel: Any,
    ) -> None:
        calibrated = age is not None or self.calibration is not None
        if not found.anchors and not calibrated:
            self._note(context, found, cancel)
            return
        nominal = context.nominal_depth(cancel)
        fit: ScaleFit | None = None
        if found.anchors:
            fit = MetricScaler(prior.space).fit(nominal, found.anchors, intrinsics, prior)
            found.problems += filter(None, (fit.problem, fit.note))
        settings = context.spec.depth
        range_m = (settings.min_m, settings.max_m)
        message = "; ".join(found.problems)
        if fit is not None and not fit.problem:
            if self._begun == self._epoch:
                self._last = (fit.state, context.frame.stamp_ns, snapshot.received)
                self._history.append(fit.state)
            state, report = fit.state, fit.report(range_m, message)
        elif calibrated:
            state = prior
            report = state.report(
                ScaleSource.CALIBRATED, range_m, age_s=age or 0.0, message=message
            )
        else:
            self._note(context, found, cancel)
            return
        depth: DepthMap = context.depth(cancel)
        if report.source is ScaleSource.ANCHORED:
            made = anchored_depth(
                depth, nominal, state, report, found.anchors, intrinsics,
                self._sources.settings.depth_completion,
            )  # fmt: skip
            found.problems += _said_since(message, made.scale)
        else:
            made = fitted_depth(depth, nominal, state, report)
        context.put_depth(made)

    def _note(self, context: Any, found: Evidence, cancel: Any) -> None:
        """Keep the model's own scale, and say in its report what was wrong with the anchors."""
        if found.problems:
            depth: DepthMap = context.depth(cancel)
            report = depth.scale or ScaleReport()
            said = "; ".join(filter(None, (*found.problems, report.message)))
            report = replace(report, message=said)
            context.note_scale(report)

    def _put_external(
        self,
        context: Any,
        intrinsics: Intrinsics,
        snapshot: Snapshot,
        cancel: Any,
        found: Evidence,
    ) -> bool:
        """Put a sensor's depth in place of the model's; False where there is none for the frame."""
        frame: Frame = context.frame
        external = self._sources.external(frame, snapshot, found)
        if external is None:
            return False
        sensor, topic, age = external
        sigma = self._sources.settings.range_sigma
        try:
            anchors = anchors_from_depth(sensor, intrinsics, sigma=sigma)
        except CooperError as error:
            found.problems.append(f"{topic}: {error}")
            return False
        metres = resize_depth(sensor, frame.width, frame.height)
        known = np.isfinite(metres)
        if not known.any():
            found.problems.append(f"{topic}: no pixel has a depth")
            return False
        depth: DepthMap = context.depth(cancel)
        filling = replace(depth, depth=np.full_like(metres, np.nan))
        if not known.all():  # the model fills the holes, in the sensor's scale
            prior, _ = self._prior(context, frame, snapshot)
            nominal = context.nominal_depth(cancel)
            fit = MetricScaler(prior.space).fit(nominal, [anchors], intrinsics, prior)
            if fit.problem:
                found.problems.append(f"holes of {topic} stay unknown: {fit.problem}")
            else:
                range_m = (context.spec.depth.min_m, context.spec.depth.max_m)
                filling = anchored_depth(
                    depth, nominal, fit.state, fit.report(range_m), [anchors], intrinsics,
                    self._sources.settings.depth_completion,
                )  # fmt: skip
                found.problems += _said_since("", filling.scale)
        rmse = filling.scale.completion_rmse_m if filling.scale else math.nan
        report = sensor_report(topic, age, sigma, found, rmse)
        context.put_depth(filled_depth(metres, filling, report, sensor_width(sigma)))
        return True

    # -- calibration -----------------------------------------------------------------------------

    def forget(self) -> None:
        """Drop what was learned from frames: another lens, another place, another time."""
        self._epoch += 1
        self._last = None
        self._history.clear()

    def calibrate(
        self, context: Any, anchors: Anchors, cancel: Any = None
    ) -> tuple[ScaleState, int, float]:
        """(state, anchors used, relative residual) of anchors given by hand. Raises ScaleError."""
        prior = context.spec.depth.scale_prior()
        nominal = context.nominal_depth(cancel)
        fit = MetricScaler(prior.space).fit(nominal, [anchors], context.frame.intrinsics, prior)
        if fit.problem:
            raise ScaleError(fit.problem)
        row = np.rint(anchors.v).astype(int)
        seen = fit.state.metres(nominal[row, np.rint(anchors.u).astype(int)])
        if fit.inliers < fit.anchor_count:  # a sensor has outliers, a tape measure has mistakes
            raise ScaleError(_contradiction(seen / anchors.depth_m))
        residual = float(np.sqrt(np.nanmean((seen / anchors.depth_m - 1.0) ** 2)))
        return fit.state, fit.anchor_count, residual

    def calibrate_from_history(self) -> tuple[ScaleState, int]:
        """(state, frames) that the fits of the last frames agree on. Raises ScaleError."""
        states = list(self._history)
        if len(states) < 3:
            raise ScaleError(
                f"{len(states)} frames with usable anchors so far, 3 are needed: publish range "
                "points, or set camera_height_m"
            )
        means = np.stack([state.mean for state in states])
        mean = np.median(means, axis=0)
        between = np.cov(means.T) if len(states) > 2 else np.zeros((2, 2))
        within = np.mean([state.covariance for state in states], axis=0)
        noise = float(np.median([state.noise for state in states]))
        quantile = float(np.median([state.quantile for state in states]))
        state = ScaleState(states[0].space, mean, between + within, noise, quantile)
        differ = float(state.uncertainty(np.array(TYPICAL_M)).max())
        if not differ < MAX_UNCERTAINTY:
            raise ScaleError(
                f"the scales of the last {len(states)} frames contradict each other (by a factor "
                f"of {math.exp(min(differ, 9.0)):.1f}): check the sensor's mounting (TF) and its "
                "time stamps"
            )
        return state, len(states)


def _said_since(before: str, report: ScaleReport | None) -> list[str]:
    """What a report says more than it did."""
    said = report.message if report is not None else before
    return [] if said == before else [said.removeprefix(before).removeprefix("; ")]


def _contradiction(ratio: Any) -> str:
    """Which of the distances given by hand does not fit the others; `ratio`: seen to given."""
    worst = int(np.nanargmax(np.abs(np.log(ratio))))
    factor = float(max(ratio[worst], 1.0 / ratio[worst]))
    side = "farther" if ratio[worst] > 1.0 else "nearer"
    return (
        f"distance {worst + 1} of {len(ratio)} contradicts the others: by them that place is "
        f"{factor:.1f} times {side}; measure it again, or leave it out"
    )
