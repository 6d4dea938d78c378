"""The one decision whether an answer may be acted on."""

from __future__ import annotations

import math

import pytest

from cooper_ros.core.measure import Measurement
from cooper_ros.core.query import FAMILIES, Query
from cooper_ros.core.types import NAN, AnsweredBy, Kind, ObjectReference, SpatialAnswer, Status
from cooper_ros.reasoning.verdict import NOT_CHECKED, contradicts, judge

MUG = ObjectReference("mug", 20, 1, distance_m=1.4)
GONE = Status.NOT_VISIBLE


def query_of(family: str) -> Query:
    return Query(family, ("mug", "chair")[: FAMILIES[family].object_count], text="?")


def read(family: str, value: float, text: str = "1.40 m", **fields) -> SpatialAnswer:
    """An answer as it was read, not judged."""
    kind, unit = FAMILIES[family].kind, FAMILIES[family].unit
    return SpatialAnswer("q", kind, Status.OK, text, value, unit, **fields)


def maps(family: str, value: float, status: Status = Status.OK, objects=(MUG,), message=""):
    kind, unit = FAMILIES[family].kind, FAMILIES[family].unit
    return Measurement(value, unit, objects, status, message, kind)


NAMED = [name for name, family in FAMILIES.items() if family.object_count]


@pytest.mark.parametrize("family", [n for n in NAMED if n not in ("count", "presence")])
def test_what_is_not_on_the_maps_is_not_answered(family: str) -> None:
    answer = read(family, 1.0, low=0.8, high=1.2)
    found = judge(answer, query_of(family), maps(family, NAN, GONE, (), "no mug in view"))
    assert found.status is Status.NOT_VISIBLE and found.message == "no mug in view"
    assert all(math.isnan(number) for number in (found.value, found.low, found.high))
    assert found.text == answer.text and not found.checked and not found.objects
    assert found.answered_by is AnsweredBy.UNKNOWN


@pytest.mark.parametrize("family", ["count", "presence"])
def test_nothing_can_be_counted(family: str) -> None:
    none = maps(family, 0.0, objects=())
    found = judge(read(family, 0.0, "no", measured=0.0), query_of(family), none)
    assert (found.status, found.value, found.agree) == (Status.OK, 0.0, True)
    assert found.answered_by is AnsweredBy.BOTH and not found.checked, "no such thing is there"
    found = judge(read(family, 1.0, "yes", measured=0.0), query_of(family), none)
    assert found.status is Status.DISAGREES and "model says" in found.message


@pytest.mark.parametrize("family", NAMED)
def test_what_is_there_is_answered_and_confirmed(family: str) -> None:
    found = judge(read(family, 1.0, measured=1.0), query_of(family), maps(family, 1.0))
    assert (found.status, found.value, found.message) == (Status.OK, 1.0, "")
    assert found.checked and found.agree and found.answered_by is AnsweredBy.BOTH


def test_what_could_not_be_measured_contradicts_nothing() -> None:
    unknown = maps("distance", NAN, Status.NO_ANSWER, message="no valid depth")
    found = judge(read("distance", 1.4), query_of("distance"), unknown)
    assert found.status is Status.OK and found.checked and not found.agree
    assert found.answered_by is AnsweredBy.MODEL


def test_without_maps_an_answer_says_that_nobody_checked_it() -> None:
    found = judge(read("distance", 1.4), query_of("distance"), None)
    assert (found.status, found.checked, found.message) == (Status.OK, False, NOT_CHECKED)
    assert found.answered_by is AnsweredBy.MODEL
    free = judge(SpatialAnswer("q", status=Status.OK, text="a kitchen"), None, None)
    assert (free.status, free.checked, free.message) == (Status.OK, False, "")


def test_failures_stay_what_they_are() -> None:
    for status in (Status.UNPARSED, Status.NO_ANSWER, Status.CANCELED, Status.NOT_METRIC):
        answer = SpatialAnswer("q", Kind.DISTANCE, status, "hm", measured=1.4, message="why")
        found = judge(answer, query_of("distance"), maps("distance", 1.4))
        assert (found.status, found.message) == (status, "why") and math.isnan(found.value)
        assert found.answered_by is AnsweredBy.UNKNOWN
    several = SpatialAnswer("q", Kind.DISTANCE, Status.AMBIGUOUS, "1 m", 1.0, "m", message="2 mugs")
    found = judge(several, query_of("distance"), maps("distance", NAN, Status.AMBIGUOUS))
    assert (found.status, found.message, found.checked) == (Status.AMBIGUOUS, "2 mugs", True)


def test_a_measured_answer_does_not_contradict_itself() -> None:
    answer = read("distance", 1.4, measured=1.4, answered_by=AnsweredBy.MEASURED)
    found = judge(answer, query_of("distance"), maps("distance", 1.4))
    assert found.status is Status.OK and found.checked
    assert not found.agree and found.answered_by is AnsweredBy.MEASURED


def length(value: float, measured: float, interval=(NAN, NAN), other=(NAN, NAN)) -> SpatialAnswer:
    return read(
        "distance", value, measured=measured, low=interval[0], high=interval[1],
        measured_low=other[0], measured_high=other[1],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (length(2.0, 2.39), False),  # within 20 %
        (length(0.30, 0.39), False),  # within 0.10 m
        (length(2.0, 3.0), True),  # nothing is known that excuses it
        (length(2.0, 3.0, (1.5, 3.5), (1.5, 4.0)), False),
        (length(2.0, 3.0, (1.5, 3.5)), False),  # of the other nothing is known
        (length(2.0, 3.0, (1.5, 2.9), (1.5, 4.0)), True),  # outside the interval of the value
        (length(2.0, 3.0, (1.5, 3.5), (2.5, 4.0)), True),  # outside that of the measured one
        (length(2.0, 3.0, (0.5, 6.0), (1.5, 4.0)), True),  # so wide that it says nothing
        (length(2.0, 3.0, (1.5, 3.5), (0.0, 4.0)), True),
        (length(2.0, 2.1, (0.1, 9.0), (0.1, 9.0)), False),  # wide, but they agree
        (length(2.0, NAN), False),
        (length(NAN, 2.0), False),
        (read("count", 2.0, measured=3.0), True),
        (read("count", 2.0, measured=2.0), False),
        (read("nearer", 0.0, measured=1.0), True),
        (read("left", 1.0, measured=0.0), True),
        (read("left", 1.0, measured=NAN), False),
    ],
)  # fmt: skip
def test_contradiction(answer: SpatialAnswer, expected: bool) -> None:
    assert contradicts(answer) is expected
