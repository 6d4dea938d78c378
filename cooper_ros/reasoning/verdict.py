"""The one decision whether an answer may be acted on: what was read, against the maps of the frame.

Everything that gives an answer (service, action, command, page, bag, example) passes here, because
`FrameContext.ask` does. What the model wrote stays in `text` and `trace`, whatever the verdict.
"""

from __future__ import annotations

import math
from dataclasses import replace

from cooper_ros.core.measure import Measurement
from cooper_ros.core.query import COUNT, PRESENCE, Query
from cooper_ros.core.types import NAN, AnsweredBy, Kind, SpatialAnswer, Status

RELATIVE_TOLERANCE = 0.20
ABSOLUTE_TOLERANCE_M = 0.10
WIDEST_INTERVAL = 3.0
"""An interval whose ends differ by more than this factor excuses no disagreement."""

NOT_CHECKED = "not checked against maps"
LENGTHS = (Kind.DISTANCE, Kind.SIZE)


def agrees(kind: Kind, value: float, measured: float) -> bool:
    """Whether a read value and the measured one say the same.

    Lengths: |difference| <= max(20 % of the measured value, 0.10 m). Everything else: equal. False
    when either is NaN.
    """
    if not (math.isfinite(value) and math.isfinite(measured)):
        return False
    if kind in LENGTHS:
        tolerance = max(RELATIVE_TOLERANCE * abs(measured), ABSOLUTE_TOLERANCE_M)
        return abs(value - measured) <= tolerance
    return value == measured


def contradicts(answer: SpatialAnswer) -> bool:
    """Whether the maps contradict the value; never where there is no value or no measured one.

    A length beyond the tolerance of `agrees` is excused only by 90 % intervals that say something:
    at least one is known, and each that is known is no wider than a factor of 3 and holds the
    other value.
    """
    if not (math.isfinite(answer.value) and math.isfinite(answer.measured)):
        return False
    if agrees(answer.kind, answer.value, answer.measured):
        return False
    if answer.kind not in LENGTHS:
        return True
    intervals = (
        (answer.low, answer.high, answer.measured),
        (answer.measured_low, answer.measured_high, answer.value),
    )
    known = [found for found in intervals if math.isfinite(found[0]) and math.isfinite(found[1])]
    return not (known and all(_excuses(*found) for found in known))


def judge(
    answer: SpatialAnswer, query: Query | None, measurement: Measurement | None
) -> SpatialAnswer:
    """The answer as a robot gets it: status, `checked`, `agree`, `answered_by`, message.

    `answer` is what was read, intervals included; `measurement` what the maps say, None where
    there are none (the image alone was asked, or the model has no classes). In this order:
    - what failed already stays as it is, and answers that are measured themselves do;
    - NOT_VISIBLE: a thing that was asked for is not on the maps (value NaN). Counting and presence
      are answered all the same: with 0 and "no";
    - AMBIGUOUS stays;
    - DISAGREES: the maps contradict the value (see `contradicts`);
    - OK; without maps `checked` is False and the message says so.
    """
    checked = _shown(query, measurement)
    if answer.answered_by is AnsweredBy.MEASURED:
        return replace(answer, checked=checked)
    answer = replace(
        answer,
        agree=agrees(answer.kind, answer.value, answer.measured),
        checked=checked,
        answered_by=AnsweredBy.UNKNOWN,
    )
    if answer.status not in (Status.OK, Status.AMBIGUOUS):
        return answer
    if measurement is not None and measurement.status is Status.NOT_VISIBLE:
        return replace(
            answer,
            status=Status.NOT_VISIBLE,
            value=NAN,
            low=NAN,
            high=NAN,
            objects=measurement.objects,
            message=measurement.message,
        )
    by = AnsweredBy.BOTH if answer.agree else AnsweredBy.MODEL
    answer = replace(answer, answered_by=by)
    if answer.status is Status.AMBIGUOUS:
        return answer
    if contradicts(answer):
        return replace(answer, status=Status.DISAGREES, message=_contradiction(answer))
    if query is not None and measurement is None:
        return replace(answer, message=answer.message or NOT_CHECKED)
    return answer


def _shown(query: Query | None, measurement: Measurement | None) -> bool:
    """Whether the maps confirm that all things asked for are there (free space asks for none)."""
    if query is None or measurement is None:
        return False
    if measurement.status in (Status.NOT_VISIBLE, Status.BAD_QUESTION):
        return False
    if query.family in (COUNT, PRESENCE):
        return bool(measurement.objects)
    return bool(measurement.objects) or measurement.status is Status.OK


def _excuses(low: float, high: float, other: float) -> bool:
    return 0.0 < low <= other <= high <= WIDEST_INTERVAL * low


def _contradiction(answer: SpatialAnswer) -> str:
    unit = f" {answer.unit}" if answer.unit else ""
    read = f"{answer.value:.2f}{unit}" if answer.kind in LENGTHS else repr(answer.text)
    if answer.kind in LENGTHS:
        found = f"{answer.measured:.2f}{unit}"
    elif answer.kind is Kind.BOOLEAN:
        found = "yes" if answer.measured else "no"
    else:
        found = f"{answer.measured:g}"
    return f"the model says {read}, the maps of this image say {found}: do not act on either"
