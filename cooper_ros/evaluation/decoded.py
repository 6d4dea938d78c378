"""What a model wrote, read without asking the maps: the figures of the model itself.

A robot gets less (`reasoning.verdict`): what the maps do not show or contradict is refused.
"""

from __future__ import annotations

from dataclasses import replace

from cooper_ros.core.query import Query
from cooper_ros.core.types import SpatialAnswer, Status
from cooper_ros.reasoning.reading import read_answer
from cooper_ros.reasoning.verdict import agrees
from cooper_ros.runtime.calibration import Calibration

JUDGED = (Status.OK, Status.DISAGREES, Status.NOT_VISIBLE)
"""Statuses that the maps may have changed; the text was read before."""


def decoded(
    answer: SpatialAnswer, query: Query, calibration: Calibration | None = None
) -> SpatialAnswer:
    """The answer as its text alone says it: status, value, interval, agreement.

    `calibration`: that of the model, for the interval of a value that was taken out; None without.
    """
    if answer.status not in JUDGED or not answer.text:
        return answer
    reading = read_answer(answer.text, query)
    low, high = reading.low, reading.high
    if low != low and calibration is not None and query.unit == "m":
        low, high = calibration.bounds(query.family, reading.value)
    return replace(
        answer,
        status=reading.status,
        value=reading.value,
        low=low,
        high=high,
        agree=agrees(query.kind, reading.value, answer.measured),
    )
