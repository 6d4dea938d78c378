"""Results of the core as messages of this package.

Unknown numbers stay NaN on the wire. Stamps and frames are those of the camera image that a result
was made from, never the time at which it was finished.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import Point
from sensor_msgs.msg import RegionOfInterest
from std_msgs.msg import ColorRGBA, Header

from cooper_ros import msg as interfaces
from cooper_ros.core import types

NANOSECONDS = 1_000_000_000
LONGEST_S = 2**31 - 1
"""Longest Duration [s] that fits its field."""
COUNT_UNIT = "1"
COUNTED = (types.Kind.COUNT, types.Kind.BOOLEAN, types.Kind.CHOICE)


def to_time(stamp_ns: int) -> Time:
    """Nanoseconds since the epoch as a Time."""
    return Time(sec=int(stamp_ns // NANOSECONDS), nanosec=int(stamp_ns % NANOSECONDS))


def time_to_ns(stamp: Time) -> int:
    """A Time as nanoseconds."""
    return int(stamp.sec) * NANOSECONDS + int(stamp.nanosec)


def to_duration(seconds: float) -> Duration:
    """Seconds as a Duration; unknown or negative becomes 0, too long the longest there is."""
    if not math.isfinite(seconds) or seconds < 0.0:
        return Duration()
    total = round(min(seconds, LONGEST_S) * NANOSECONDS)
    return Duration(sec=int(total // NANOSECONDS), nanosec=int(total % NANOSECONDS))


def duration_to_seconds(duration: Duration) -> float:
    """A Duration in seconds."""
    return float(duration.sec) + float(duration.nanosec) / NANOSECONDS


def to_header(stamp_ns: int, frame_id: str) -> Header:
    """Header with acquisition time and optical frame."""
    return Header(stamp=to_time(stamp_ns), frame_id=frame_id)


def to_point(position: Sequence[float]) -> Point:
    """A 3-vector [m] as a Point."""
    return Point(x=float(position[0]), y=float(position[1]), z=float(position[2]))


def to_box(box: Sequence[int]) -> RegionOfInterest:
    """(x, y, width, height) [px] as a RegionOfInterest."""
    x, y, width, height = (max(int(value), 0) for value in box)
    return RegionOfInterest(x_offset=x, y_offset=y, width=width, height=height)


def to_segment(segment: types.Segment) -> interfaces.Segment:
    """Segment.msg of a core segment."""
    return interfaces.Segment(
        class_id=int(segment.class_id),
        instance=int(segment.instance),
        label=segment.label,
        score=float(segment.score),
        box=to_box(segment.box),
        pixel_count=int(segment.pixel_count),
        distance=float(segment.distance_m),
        distance_stddev=float(segment.distance_stddev_m),
        position=to_point(segment.position),
        track_id=int(segment.track_id),
        source=segment.source,
    )


def to_segment_array(segmentation: types.Segmentation) -> interfaces.SegmentArray:
    """SegmentArray.msg, larger segments first."""
    ordered = sorted(segmentation.segments, key=lambda segment: -segment.pixel_count)
    return interfaces.SegmentArray(
        header=to_header(segmentation.stamp_ns, segmentation.frame_id),
        segments=[to_segment(segment) for segment in ordered],
        map_stamp=to_time(segmentation.stamp_ns),
    )


def to_followed_array(
    segments: Sequence[types.Segment], header: Header, map_stamp_ns: int
) -> interfaces.SegmentArray:
    """SegmentArray.msg of objects that were followed from the maps of an earlier image."""
    return interfaces.SegmentArray(
        header=header,
        segments=[to_segment(segment) for segment in segments],
        tracked=True,
        map_stamp=to_time(map_stamp_ns),
    )


def to_label_info(
    names: Sequence[str],
    countable: Sequence[bool],
    colors: Sequence[Sequence[float]],
    model_id: str,
    stamp_ns: int,
) -> interfaces.LabelInfo:
    """LabelInfo.msg; `colors` are RGB in [0, 1], entry i belongs to class id i."""
    return interfaces.LabelInfo(
        header=to_header(stamp_ns, ""),
        class_ids=list(range(len(names))),
        names=list(names),
        countable=[bool(value) for value in countable],
        colors=[
            ColorRGBA(r=float(red), g=float(green), b=float(blue), a=1.0)
            for red, green, blue in colors
        ],
        model_id=model_id,
    )


def _rescaled(nominal_m: float, depth: types.DepthMap) -> float:
    """A depth of the model's code in published metres, NaN where depth is not metric."""
    if not depth.metric:
        return math.nan
    report = depth.scale
    if report is None or math.isnan(report.scale):
        return float(nominal_m)
    return float(report.scale * nominal_m**report.exponent + report.shift_m)


def to_depth_info(
    depth: types.DepthMap, min_range_m: float, max_range_m: float, seconds: float
) -> interfaces.DepthInfo:
    """DepthInfo.msg of a depth map; the range is that of the model's depth code [m]."""
    metric = bool(depth.metric)
    report = depth.scale or types.ScaleReport()
    has_confidence = bool(depth.confidence.size) and math.isfinite(float(depth.confidence.flat[0]))
    return interfaces.DepthInfo(
        header=to_header(depth.stamp_ns, depth.frame_id),
        metric=metric,
        scale_source=int(depth.scale_source),
        scale=report.scale,
        shift=report.shift_m,
        fit_rmse=report.rmse_m,
        anchor_count=report.anchor_count,
        min_range=_rescaled(min_range_m, depth),
        max_range=_rescaled(max_range_m, depth),
        confidence_method=depth.confidence_method if has_confidence else "none",
        inference_time=to_duration(seconds),
        exponent=report.exponent,
        scale_method=report.method,
        anchor_sources=list(report.anchor_sources),
        inlier_share=report.inlier_share,
        error_90=report.error_90,
        scale_age=to_duration(report.age_s),
        message=report.message,
        completion_rmse=report.completion_rmse_m,
        source_shares=_source_shares(depth),
    )


def _source_shares(depth: types.DepthMap) -> list[float]:
    """Share of the pixels whose metres come from each source, by its number; f32 [5]."""
    shares = [0.0] * len(types.ScaleSource)
    known = np.count_nonzero(np.isfinite(depth.depth)) if depth.metric else 0
    total = max(depth.depth.size, 1)
    shares[depth.scale_source] += known / total
    if depth.sensed is not None and depth.metric:  # the model filled the sensor's holes
        filled = np.count_nonzero(np.isfinite(depth.depth) & ~depth.sensed) / total
        shares[depth.scale_source] -= filled
        shares[types.ScaleSource.ANCHORED] += filled
    shares[types.ScaleSource.UNKNOWN] += 1.0 - known / total
    return shares


def to_object(reference: types.ObjectReference) -> interfaces.ObjectReference:
    """ObjectReference.msg of a core reference."""
    return interfaces.ObjectReference(
        label=reference.label,
        class_id=int(reference.class_id),
        instance=int(reference.instance),
        box=to_box(reference.box),
        position=to_point(reference.position),
        distance=float(reference.distance_m),
        score=float(reference.score),
        track_id=int(reference.track_id),
        source=reference.source,
    )


def to_step(
    step: types.ReasoningStep, topics: dict[types.StepType, str], stamp_ns: int
) -> interfaces.ReasoningStep:
    """ReasoningStep.msg; `topics` says where the maps of this frame were published."""
    topic = topics.get(step.type, "")
    return interfaces.ReasoningStep(
        type=int(step.type),
        text=step.text,
        token_count=int(step.token_count),
        topic=topic,
        stamp=to_time(stamp_ns) if topic else Time(),
        duration=to_duration(step.seconds),
    )


def to_answer(
    answer: types.SpatialAnswer,
    *,
    return_trace: bool = False,
    topics: dict[types.StepType, str] | None = None,
    image_age_s: float = math.nan,
) -> interfaces.SpatialAnswer:
    """SpatialAnswer.msg of a core answer; the trace only on request."""
    trace = answer.trace if return_trace else ()
    return interfaces.SpatialAnswer(
        header=to_header(answer.stamp_ns, answer.frame_id),
        question=answer.question,
        kind=int(answer.kind),
        status=int(answer.status),
        text=answer.text,
        value=float(answer.value),
        unit=answer.unit or _count_unit(answer.kind),
        measured=float(answer.measured),
        agree=bool(answer.agree),
        low=float(answer.low),
        high=float(answer.high),
        confidence=float(answer.confidence),
        objects=[to_object(reference) for reference in answer.objects],
        trace=[to_step(step, topics or {}, answer.stamp_ns) for step in trace],
        scale_source=int(answer.scale_source),
        image_age=to_duration(image_age_s),
        inference_time=to_duration(answer.seconds),
        model_id=answer.model_id,
        message=answer.message,
        camera=answer.camera,
        measured_low=float(answer.measured_low),
        measured_high=float(answer.measured_high),
        gravity_known=bool(answer.gravity_known),
        question_understood=answer.question_understood,
        answered_by=int(answer.answered_by),
        memory_age=to_duration(answer.memory_age_s),
        checked=bool(answer.checked),
    )


def _count_unit(kind: types.Kind) -> str:
    """Numbers without a unit say so on the wire; "" there means that no number was asked for."""
    return COUNT_UNIT if kind in COUNTED else ""


def from_object(message: interfaces.ObjectReference) -> types.ObjectReference:
    """The core reference of an ObjectReference.msg."""
    box, position = message.box, message.position
    return types.ObjectReference(
        message.label,
        int(message.class_id),
        int(message.instance),
        (int(box.x_offset), int(box.y_offset), int(box.width), int(box.height)),
        (position.x, position.y, position.z),
        float(message.distance),
        float(message.score),
        int(message.track_id),
        message.source,
    )


def from_step(message: interfaces.ReasoningStep) -> types.ReasoningStep:
    """The core step of a ReasoningStep.msg."""
    return types.ReasoningStep(
        types.StepType(message.type),
        message.text,
        int(message.token_count),
        duration_to_seconds(message.duration),
    )


def from_answer(message: interfaces.SpatialAnswer) -> types.SpatialAnswer:
    """The core answer of a SpatialAnswer.msg."""
    return types.SpatialAnswer(
        question=message.question,
        kind=types.Kind(message.kind),
        status=types.Status(message.status),
        text=message.text,
        value=float(message.value),
        unit="" if message.unit == COUNT_UNIT else message.unit,
        measured=float(message.measured),
        agree=bool(message.agree),
        low=float(message.low),
        high=float(message.high),
        confidence=float(message.confidence),
        objects=tuple(from_object(reference) for reference in message.objects),
        trace=tuple(from_step(step) for step in message.trace),
        scale_source=types.ScaleSource(message.scale_source),
        stamp_ns=time_to_ns(message.header.stamp),
        frame_id=message.header.frame_id,
        model_id=message.model_id,
        message=message.message,
        seconds=duration_to_seconds(message.inference_time),
        camera=message.camera,
        measured_low=float(message.measured_low),
        measured_high=float(message.measured_high),
        gravity_known=bool(message.gravity_known),
        question_understood=message.question_understood,
        answered_by=types.AnsweredBy(message.answered_by),
        memory_age_s=duration_to_seconds(message.memory_age),
        checked=bool(message.checked),
    )
