"""Metric depth of one frame from a fit of its scale, completed where its anchors allow that.

A fit (`core.scale`) holds for a while: memory, calibration and tracking use it. What completion
(`core.completion`) adds holds for this frame alone. Where completion does not hold, because too few
anchors lie on known depth or because they contradict each other, the fit is all there is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.anchors import Anchors
from cooper_ros.core.completion import METHOD, DepthCompleter
from cooper_ros.core.scale_state import ScaleState
from cooper_ros.core.types import (
    NAN,
    DepthMap,
    Intrinsics,
    ObjectReference,
    ScaleReport,
    ScaleSource,
    Segmentation,
)

MIN_TRUSTED_SHARE = 0.4  # of the anchors; fewer contradict each other: none is to be believed
CONFIDENCE_METHOD = "error_below_25pct"
CONFIDENT_ERROR = 0.25
ROWS = 12  # depths at which a report gives its interval
ROW_PIXELS = 2500  # that its rows are taken from

Array = NDArray[np.float32]


def fitted_depth(
    drawn: DepthMap, nominal: Array, state: ScaleState, report: ScaleReport
) -> DepthMap:
    """`drawn` in the metres of a fit; `nominal` f32 [H, W] is the depth that the model's code
    names [m]."""
    metres = state.metres(nominal).astype(np.float32)
    return replace(drawn, depth=metres, metric=True, scale_source=report.source, scale=report)


def anchored_depth(
    drawn: DepthMap,
    nominal: Array,
    state: ScaleState,
    report: ScaleReport,
    anchors: Sequence[Anchors],
    intrinsics: Intrinsics,
    complete: bool = True,
) -> DepthMap:
    """Depth from a fit and the anchors it was made of, completed where that is wanted."""
    if complete:
        return completed_depth(drawn, nominal, state, report, anchors, intrinsics)
    return fitted_depth(drawn, nominal, state, report)


def completed_depth(
    drawn: DepthMap,
    nominal: Array,
    state: ScaleState,
    report: ScaleReport,
    anchors: Sequence[Anchors],
    intrinsics: Intrinsics,
    completer: DepthCompleter | None = None,
) -> DepthMap:
    """`drawn` in the metres of the fit `state`, with the residuals of this frame's anchors added:
    with an interval and a confidence at each pixel, and `report` saying so (`scale_method`
    "completion"). The depth of the fit alone where completion does not hold; the report's message
    then says why, unless there are merely too few anchors.

    Only representative anchors count: a floor of known height says nothing of a sofa's place.
    """
    surest = [one for one in anchors if one.representative]
    completer = completer or DepthCompleter()
    found = completer.complete(nominal, surest, intrinsics, state) if surest else None
    if found is None:
        return fitted_depth(drawn, nominal, state, report)
    if found.trusted < MIN_TRUSTED_SHARE * found.anchor_count:
        said = (
            f"depth was not completed: only {found.trusted} of {found.anchor_count} anchors agree "
            "with their neighbours"
        )
        report = replace(report, message="; ".join(filter(None, (report.message, said))))
        return fitted_depth(drawn, nominal, state, report)
    assert found.half_width is not None
    report = replace(
        report,
        method=METHOD,
        completion_rmse_m=found.rmse_m,
        half_widths=rows_of(found.depth, found.half_width) or report.half_widths,
    )
    return replace(
        drawn,
        depth=found.depth,
        metric=True,
        scale_source=report.source,
        scale=report,
        confidence=confidence_of(found.half_width),
        confidence_method=CONFIDENCE_METHOD,
        half_width=found.half_width,
    )


def confidence_of(half_width: Array) -> Array:
    """Probability f32 [H, W] that depth is less than 25 % off, from half widths of its 90 %
    interval; 0 where depth is unknown.

    Of a Laplace distribution: errors of depth have heavier tails than a normal one.
    """
    confidence = np.float32(-math.log(10.0) * math.log1p(CONFIDENT_ERROR)) / half_width
    cv2.exp(confidence, confidence)  # in place: a map's pages cost as much as its arithmetic
    np.subtract(np.float32(1.0), confidence, out=confidence)
    return np.asarray(cv2.patchNaNs(confidence, 0.0))


def rows_of(depth: Array, half_width: Array) -> tuple[tuple[float, float], ...]:
    """What a report says of the interval: (depth [m], median half width) by rising depth."""
    step = max(1, math.isqrt(depth.size // ROW_PIXELS))
    depths, widths = depth[::step, ::step].ravel(), half_width[::step, ::step].ravel()
    known = np.isfinite(depths) & np.isfinite(widths)
    depths, widths = depths[known], widths[known]
    if not len(depths):
        return ()
    order = np.argsort(depths)
    parts = np.array_split(order, min(ROWS, len(order)))
    rows = [(float(np.median(depths[part])), float(np.median(widths[part]))) for part in parts]
    return tuple(row for i, row in enumerate(rows) if not i or row[0] > rows[i - 1][0])


def width_on(depth: DepthMap, item: ObjectReference, segmentation: Segmentation | None) -> float:
    """Half width of ln(true / depth) on the object: the median of its pixels, NaN where only the
    report speaks of it."""
    mask = None if depth.half_width is None else _mask_of(depth, item, segmentation)
    if mask is None or depth.half_width is None:
        return NAN
    return median_width(depth.half_width[mask])


def _mask_of(
    depth: DepthMap, item: ObjectReference, segmentation: Segmentation | None
) -> NDArray[np.bool_] | None:
    """The object's pixels bool [H, W] on the depth map, None where they are not known."""
    if segmentation is None or not item.label:
        return None
    if segmentation.labels.shape != depth.depth.shape:
        return None
    return np.asarray(
        (segmentation.labels == item.class_id) & (segmentation.instances == item.instance)
    )


def median_width(half_width: NDArray[Any]) -> float:
    """Median of the half widths that are known, NaN without any."""
    known = half_width[np.isfinite(half_width)]
    return float(np.median(known)) if known.size else NAN


def source_on(
    depth: DepthMap, item: ObjectReference, segmentation: Segmentation | None
) -> ScaleSource:
    """Where most of the object's metres come from."""
    mask = None if depth.sensed is None else _mask_of(depth, item, segmentation)
    if mask is None or depth.sensed is None:
        return depth.scale_source
    mask &= np.isfinite(depth.depth)
    seen = int(np.count_nonzero(depth.sensed & mask))
    mostly_filled = 2 * seen < int(np.count_nonzero(mask))
    return ScaleSource.ANCHORED if mostly_filled else depth.scale_source


def filled_depth(
    sensor: Array, filling: DepthMap, report: ScaleReport, sensor_width: float
) -> DepthMap:
    """What a sensor measured f32 [H, W] [m] (NaN = nothing), its holes filled by `filling`, which
    is in the sensor's scale. `report` is the sensor's; `sensor_width`: half width of its interval.
    """
    known = np.isfinite(sensor)
    depth = np.where(known, sensor, filling.depth)
    width = filling.half_width
    if width is None:
        width = _widths_of(filling)
    width = np.where(known, np.float32(sensor_width), width)
    return replace(
        filling,
        depth=depth,
        metric=True,
        scale_source=report.source,
        scale=replace(report, half_widths=rows_of(depth, width) or report.half_widths),
        half_width=width,
        confidence=confidence_of(width),
        confidence_method=CONFIDENCE_METHOD,
        sensed=known,
    )


def _widths_of(depth: DepthMap) -> Array:
    """Half width f32 [H, W] that the report names for each pixel; NaN where nothing is known."""
    if depth.scale is None or not depth.scale.half_widths:
        return np.full_like(depth.depth, np.nan)
    depths, widths = np.array(depth.scale.half_widths).T
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.interp(np.log(depth.depth), np.log(depths), widths)
    return np.asarray(np.where(np.isfinite(depth.depth), found, np.nan), np.float32)
