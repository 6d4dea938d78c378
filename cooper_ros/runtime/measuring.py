"""Answers that are measured on the maps of the frame alone, and what measurements add to others."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cooper_ros.core.errors import GenerationCancelled
from cooper_ros.core.measure import Measurement, measure_maps
from cooper_ros.core.metric_depth import source_on, width_on
from cooper_ros.core.query import Query
from cooper_ros.core.types import NAN, Kind, ScaleSource, SpatialAnswer, Status
from cooper_ros.reasoning.crosscheck import failed_answer, measured_answer
from cooper_ros.reasoning.tags import MAP_ORDER
from cooper_ros.reasoning.verdict import judge
from cooper_ros.runtime.cancel import CancelToken
from cooper_ros.runtime.events import Event, MapReady, MapRequested
from cooper_ros.runtime.naming import MEASURED
from cooper_ros.runtime.outlines import boxed, widened

if TYPE_CHECKING:
    from cooper_ros.runtime.frame_context import FrameContext

NEAREST_SURFACE = "has no mask: measured on the nearest surface in its box"


def only_measured(context: FrameContext, query: Query | None) -> bool:
    """Whether the maps alone answer: because it was set so, or because this model was taught no
    words for the question or for what it names."""
    if query is None:
        return False
    if context.naming.answers == MEASURED:
        return True
    return beyond_model(context, query)


def beyond_model(asked: Any, query: Query) -> bool:
    """Whether a word-level model (of a context or a pipeline) has no words for a question."""
    tokenizer = asked.engine.tokenizer
    return tokenizer.word_level and (not query.taught or bool(tokenizer.unknown_words(query.text)))


def measured_events(
    context: Any,
    question: str,
    query: Query,
    cancel: CancelToken | None,
    started: float,
) -> Iterator[Event]:
    """Answer from the maps, whatever the mode: they are made if they are missing.

    The model draws the maps and writes nothing; without a model (`MeasuredContext`) they are what
    others see. `started`: `time.monotonic()` [s] of the question.
    """
    try:
        if cancel is not None:
            cancel.check()
        for kind in MAP_ORDER if context.has_model else ():
            yield MapRequested(1, kind)
            begun, cached = time.monotonic(), context.has_map(kind)
            made = context.map(kind, cancel)
            yield MapReady(1, kind, cached, time.monotonic() - begun, made)
        if unnamed(context, query):
            answer = failed_answer(question, Status.NO_IMAGE, context.naming.missing, query)
            yield stamped(context, answer, NAN, time.monotonic() - started)
            return
        segmentation, depth = context.segmentation(cancel), context.depth(cancel)
        measurement = measure_maps(query, segmentation, depth, gravity=context.gravity)
    except GenerationCancelled:
        answer = failed_answer(question, Status.CANCELED, "cancelled before the answer", query)
    else:
        answer = measured_answer(question, query, measurement)
        answer = with_measured_bounds(context, query, answer, measurement)
        answer = replace(answer, low=answer.measured_low, high=answer.measured_high)
        answer = cautioned(context, query, judge(answer, query, measurement))
    yield stamped(context, answer, NAN, time.monotonic() - started)


def unnamed(context: Any, query: Query | None) -> bool:
    """Whether the question names things, but nobody has named anything in this image."""
    return query is not None and bool(query.objects and context.naming.missing)


def with_measured_bounds(
    context: Any, query: Query | None, answer: SpatialAnswer, measurement: Measurement
) -> SpatialAnswer:
    """The answer with the interval of the measured length, from the depth map's own scale."""
    depth = context.depth()
    report = depth.scale
    answer = replace(answer, gravity_known=context.gravity is not None)
    if query is None or query.unit != "m" or report is None:
        return answer
    distances = [item.distance_m for item in measurement.objects]
    widths: list[float] = []
    if depth.half_width is not None and measurement.objects:
        segmentation = context.segmentation()
        widths = [width_on(depth, item, segmentation) for item in measurement.objects]
    bounds = report.length_bounds(answer.measured, distances, widths)
    low, high = widened(context, query, measurement.objects, answer.measured, bounds)
    return replace(answer, measured_low=low, measured_high=high)


def cautioned(context: Any, query: Query | None, answer: SpatialAnswer) -> SpatialAnswer:
    """The answer with a word of caution where it rests on metres that are the model's own, in a
    picture unlike those that it learned them from, and on boxes without masks."""
    real = context.real
    rests = query is not None and query.needs_metres and answer.status is Status.OK
    told_of = query is not None and query.kind is not Kind.COUNT and answer.status is Status.OK
    rough = boxed(context, answer.objects) if told_of and answer.objects else ()
    if rough:
        told = f"the {' and the '.join(rough)} {NEAREST_SURFACE}"
        answer = replace(answer, message="; ".join(filter(None, (answer.message, told))))
    if real is None or not rests or context.scale_source is not ScaleSource.MODEL_PRIOR:
        return answer
    return replace(answer, message="; ".join(filter(None, (answer.message, real.caution))))


def source_of(context: FrameContext, answer: SpatialAnswer) -> ScaleSource:
    """Where most of the metres of the answer's objects come from."""
    depth = context.depth() if context.has_metres and answer.objects else None
    if depth is None or depth.sensed is None:
        return context.scale_source
    segmentation = context.segmentation()
    found = [source_on(depth, item, segmentation) for item in answer.objects]
    return max(found, key=found.count)


def stamped(
    context: Any, answer: SpatialAnswer, confidence: float, seconds: float
) -> SpatialAnswer:
    """The answer with its confidence and provenance; `seconds` it took."""
    return replace(
        answer,
        confidence=confidence,
        scale_source=source_of(context, answer),
        stamp_ns=context.frame.stamp_ns,
        frame_id=context.frame.frame_id,
        model_id=context.model_id,
        seconds=seconds,
    )
