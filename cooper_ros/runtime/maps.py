"""From a generated map to what a robot reads: metres and classes at camera resolution."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cooper_ros.core.codecs import ClassReading
from cooper_ros.core.errors import CooperError
from cooper_ros.core.images import resize_depth, resize_score
from cooper_ros.core.segments import build_segmentation, resize_segmentation
from cooper_ros.core.types import (
    DepthMap,
    Frame,
    Intrinsics,
    ScaleReport,
    ScaleSource,
    Segmentation,
)
from cooper_ros.runtime.backend import Float
from cooper_ros.runtime.calibration import Calibration
from cooper_ros.runtime.pictures import unit_range
from cooper_ros.runtime.real_pictures import RealPictures
from cooper_ros.runtime.spec import ModelSpec


def usable_intrinsics(frame: Frame) -> Intrinsics | None:
    """The frame's intrinsics, None where they are missing, zero or not finite."""
    intrinsics = frame.intrinsics
    return intrinsics if intrinsics is not None and intrinsics.is_valid else None


def depth_map(
    spec: ModelSpec,
    frame: Frame,
    picture: Float,
    confidence: Float | None = None,
    calibration: Calibration | None = None,
    real: RealPictures | None = None,
) -> DepthMap:
    """DepthMap of a generated picture [3, h, w] in [-1, 1], at the frame's resolution.

    Metric only when the model's code is in metres and the frame has usable intrinsics; else every
    metre is NaN and only `relative` speaks. `confidence` f32 [h, w] of the picture's pixels, where
    the model is calibrated; else it is 1 minus the spread of the three channels, which a sure
    model draws equal. `real`: the picture is unlike simulated rooms, and this is what holds there.
    """
    codec = spec.depth.codec()
    width, height = frame.width, frame.height
    intrinsics = usable_intrinsics(frame)
    metric = spec.depth.metric and intrinsics is not None
    metres: Float = np.full((height, width), np.nan, dtype=np.float32)
    if metric:
        metres = resize_depth(codec.decode(picture), width, height)
    report = None
    if metric:
        rows = calibration.measured_half_widths() if calibration else ()
        message = ""
        if real is not None:
            rows, message = real.half_widths(), real.caution
        report = ScaleReport(
            ScaleSource.MODEL_PRIOR, "model", 1.0, 1.0, 0.0, half_widths=rows, message=message
        )
    method = "error_below_25pct" if confidence is not None else "channel_spread"
    if confidence is None:
        unit = unit_range(picture)
        confidence = np.float32(1.0) - (unit.max(axis=0) - unit.min(axis=0))
    return DepthMap(
        metres,
        resize_score(codec.relative(picture), width, height),
        resize_score(confidence, width, height),
        metric,
        ScaleSource.MODEL_PRIOR if metric else ScaleSource.UNKNOWN,
        intrinsics,
        frame.stamp_ns,
        frame.frame_id,
        report,
        confidence_method=method,
    )


NO_MAP: Float = np.full((1, 1), np.nan, np.float32)
"""Stands for a map that was let go."""


def without_confidence(depth: DepthMap) -> DepthMap:
    """The depth map without its maps of confidence and interval, each as large as the depth; its
    report still says the interval by depth."""
    return replace(depth, confidence=NO_MAP, half_width=None)


def without_score(segmentation: Segmentation) -> Segmentation:
    """The segmentation without its map of scores; those of the segments stay."""
    return replace(segmentation, score=NO_MAP)


def segmentation_map(
    spec: ModelSpec,
    frame: Frame,
    picture: Float,
    depth: DepthMap | None,
    drawn_depth: Float | None = None,
    reading: ClassReading | None = None,
) -> Segmentation:
    """Segmentation of a generated picture [3, h, w] in [-1, 1], at the frame's resolution.
    `reading`: its classes and scores, where the model gave them.

    With a metric `depth` of the same frame, segments carry distance and position; `drawn_depth` is
    the picture of that depth [3, h, w], where it was drawn by the model. Raises CooperError for a
    model whose colours have no palette (the official weights).
    """
    settings = spec.segmentation
    if settings is None:
        raise CooperError(
            "the colours of this model's segmentation have no class palette: "
            "its segmentation is a picture only (FrameContext.picture)"
        )
    labels, score = settings.codec().decode(picture) if reading is None else reading
    drawn_m = None if drawn_depth is None else spec.depth.codec().decode(drawn_depth)
    small = _at_size(depth, labels.shape[1], labels.shape[0], drawn_m)
    # Regions are found at the resolution the model drew: the resized ones are the same regions.
    drawn = build_segmentation(
        labels,
        score,
        settings.names,
        depth=small.depth if small else None,
        intrinsics=small.intrinsics if small else None,
        stuff=settings.stuff,
        min_pixels=settings.min_pixels,
        stamp_ns=frame.stamp_ns,
        frame_id=frame.frame_id,
    )
    return resize_segmentation(drawn, frame.width, frame.height, frame.full_size)


@dataclass(frozen=True, eq=False)
class _Metric:
    depth: Float
    intrinsics: Intrinsics


def _at_size(
    depth: DepthMap | None, width: int, height: int, there: Float | None = None
) -> _Metric | None:
    """Metric depth and its intrinsics at another size (`there`: it is known at that size); None
    where there are no metres."""
    if depth is None or not depth.metric or depth.intrinsics is None:
        return None
    if there is None or there.shape != (height, width):
        there = resize_depth(depth.depth, width, height)
    return _Metric(there, depth.intrinsics.scaled(width, height))
