"""What the model wrote, read, beside what the maps of the same frame say; not judged yet."""

from __future__ import annotations

import math
from dataclasses import replace

from cooper_ros.core.measure import Measurement
from cooper_ros.core.query import Query
from cooper_ros.core.types import (
    MODEL_SOURCE,
    NAN,
    AnsweredBy,
    Kind,
    ObjectReference,
    SpatialAnswer,
    Status,
)
from cooper_ros.reasoning.canonical import answer_text, canonical_question
from cooper_ros.reasoning.chains import format_value, parse_chains
from cooper_ros.reasoning.loop import LoopResult
from cooper_ros.reasoning.reading import Reading, read_answer
from cooper_ros.reasoning.tags import plain_text


def build_answer(
    question: str,
    query: Query | None,
    loop: LoopResult,
    measurement: Measurement | None = None,
) -> SpatialAnswer:
    """What was read; stamp, model and interval are added with `dataclasses.replace`.

    Whether it may be acted on is decided afterwards, by `verdict.judge`.

    `query` is None for free-form questions, `measurement` is None where nothing was measured. The
    value comes from the text alone. Status, first that applies:
    - the loop's own (NO_ANSWER, CANCELED, TIMEOUT, ERROR);
    - NOT_METRIC: metres were asked for and the maps have no metric scale (value NaN: refused);
    - UNPARSED: no value of the right kind in the text (value NaN);
    - AMBIGUOUS: several objects of that name; `objects` are the candidates, nearest first;
    - NOT_VISIBLE: the model wrote that it sees none (value NaN);
    - OK.
    """
    kind = query.kind if query is not None else Kind.TEXT
    unit = query.unit if query is not None else ""
    base = SpatialAnswer(
        question,
        kind,
        loop.status,
        plain_text(loop.answer),
        NAN,
        unit,
        measured=measurement.value if measurement is not None else NAN,
        objects=_objects(loop, measurement),
        trace=loop.trace,
        question_understood=canonical_question(query) if query is not None else "",
        message=measurement.message if measurement is not None else "",
    )
    if loop.status is not Status.OK:
        return replace(base, message=_LOOP_MESSAGES.get(loop.status, base.message))
    if query is not None and measurement is not None and query.needs_metres:
        if measurement.status is Status.NOT_METRIC:
            return replace(base, status=Status.NOT_METRIC)
    reading = read_answer(base.text, query)
    if query is None:
        base = replace(base, kind=reading.kind, unit=reading.unit)
    if reading.status is Status.UNPARSED:
        return replace(base, status=Status.UNPARSED, message=reading.message)
    return _with_reading(base, query, reading, measurement)


def _with_reading(
    base: SpatialAnswer, query: Query | None, reading: Reading, measurement: Measurement | None
) -> SpatialAnswer:
    answer = replace(
        base,
        status=reading.status,
        value=reading.value,
        low=reading.low,
        high=reading.high,
    )
    if measurement is not None and measurement.status is Status.AMBIGUOUS:
        return replace(answer, status=Status.AMBIGUOUS)
    if reading.status is Status.NOT_VISIBLE:
        message = reading.message
        if query is not None and math.isfinite(base.measured):
            shown = format_value(query, base.measured)
            message = f"the model sees none, but the maps give {shown}"
        return replace(answer, message=message)
    return answer


def failed_answer(
    question: str, status: Status, message: str, query: Query | None = None
) -> SpatialAnswer:
    """An answer that never reached the model: bad question, no image, stale image, time-out."""
    if query is None:
        return SpatialAnswer(question, status=status, message=message)
    return SpatialAnswer(
        question,
        query.kind,
        status,
        unit=query.unit,
        message=message,
        question_understood=canonical_question(query),
    )


def measured_answer(question: str, query: Query, measurement: Measurement) -> SpatialAnswer:
    """The answer to a question that no text of a model was asked for: the measurement, in words.

    `agree` is False and `confidence` NaN, because there is nothing to compare; the value is NaN
    and the status that of the measurement unless it is OK.
    """
    found = measurement.status is Status.OK
    return SpatialAnswer(
        question,
        query.kind,
        measurement.status,
        answer_text(query, measurement.value) if found else "",
        measurement.value,
        query.unit,
        measured=measurement.value,
        objects=measurement.objects,
        message=measurement.message,
        question_understood=canonical_question(query),
        answered_by=AnsweredBy.MEASURED if found else AnsweredBy.UNKNOWN,
    )


def in_asked_unit(answer: SpatialAnswer, query: Query | None) -> SpatialAnswer:
    """The answer with its text in the unit that was asked for; `value` stays in metres.

    Only where it is OK: of others the text is what the model wrote.
    """
    if query is None or not query.asked_unit or answer.status is not Status.OK:
        return answer
    return replace(answer, text=answer_text(query, answer.value))


_LOOP_MESSAGES = {
    Status.NO_ANSWER: "the model ended its turns without an answer",
    Status.CANCELED: "cancelled before the answer",
    Status.TIMEOUT: "out of time before the answer",
    Status.ERROR: "generation failed",
}


def _objects(
    loop: LoopResult, measurement: Measurement | None
) -> tuple[ObjectReference, ...]:
    """The measured objects; those of the model's own chain where the maps could say nothing."""
    said = (Status.OK, Status.AMBIGUOUS, Status.NOT_VISIBLE)
    if measurement is not None and (measurement.objects or measurement.status in said):
        return measurement.objects
    return tuple(
        ObjectReference(
            item.label,
            position=(item.x_m, item.y_m, item.d_m),
            distance_m=item.distance_m,
            source=MODEL_SOURCE,
        )
        for item in parse_chains(loop.last_turn)
    )
