"""Reading values from text: what counts, and what is refused."""

from __future__ import annotations

import math
import random

import pytest

from cooper_ros.core.query import FAMILIES, Query
from cooper_ros.core.types import Kind, Status
from cooper_ros.reasoning.grammar import format_value
from cooper_ros.reasoning.reading import read_answer

DISTANCE = Query("distance", ("mug",))
COUNT = Query("count", ("mug",))
PRESENCE = Query("presence", ("mug",))
CHOICE = Query("nearer", ("mug", "chair"))


@pytest.mark.parametrize(
    ("text", "metres"),
    [
        ("1.42 m", 1.42),
        ("1.42m", 1.42),
        ("42 cm", 0.42),
        ("1.5 metres", 1.5),
        ("350 millimeters", 0.35),
        ("3 feet", 0.9144),
        ("12 inches", 0.3048),
        ("5 ft 7 in", 1.7018),
        ("5'7\"", 1.7018),
        ("6\"", 0.1524),
        ("two metres", 2.0),
        ("1,5 m", 1.5),
        ("1,200 mm", 1.2),
        (".5 m", 0.5),
        ("about ~1.4 m.", 1.4),
        ("The mug is 1.42 m away.", 1.42),
        ("it is 2 m or 200 cm away", 2.0),
        ("\\boxed{1.7}", 1.7),
        ("\\boxed{{1.7}}", 1.7),
        ("1.9 m and 0.4 m give \\boxed{1.7\\text{ m}}", 1.7),
        ("$\\boxed{42 \\text{ cm}}$", 0.42),
        ("\\boxed{} or \\boxed{3 m}", 3.0),
    ],
)
def test_lengths(text, metres):
    reading = read_answer(text, DISTANCE)
    assert reading.status is Status.OK, reading.message
    assert reading.value == pytest.approx(metres)
    assert (reading.unit, reading.kind) == ("m", Kind.DISTANCE)


@pytest.mark.parametrize(
    "text",
    [
        "", "m", "1.42", "m 1.4", "1.4.2 m", "-1.4 m", "1 4 2 m", "1 . 4 m", "1.4 m and 2 m",
        "far away", "\\boxed{far}", "1.42 q", "9" * 30 + " m", "nan m", "inf m", "1e3 m",
        "\\boxed{1 m} \\boxed{}x 2", "yes",
    ],
)
def test_what_cannot_be_read_is_unparsed(text):
    reading = read_answer(text, DISTANCE)
    if text.startswith("\\boxed{1 m}"):
        assert reading.value == 1.0  # the filled box counts
        return
    assert reading.status is Status.UNPARSED and math.isnan(reading.value)
    assert reading.message


@pytest.mark.parametrize("text", ["1.2 to 1.6 m", "1.2-1.6 m", "between 120 cm and 160 cm"])
def test_ranges_are_averaged_and_kept(text):
    reading = read_answer(text, DISTANCE)
    assert (reading.value, reading.low, reading.high) == pytest.approx((1.4, 1.2, 1.6))


def test_none_means_not_visible():
    for query in (DISTANCE, CHOICE, PRESENCE):
        reading = read_answer("none", query)
        assert reading.status is Status.NOT_VISIBLE and math.isnan(reading.value)
    assert read_answer("none", COUNT).value == 0


@pytest.mark.parametrize(
    ("text", "count"),
    [("3", 3), ("there are 3 mugs", 3), ("\\boxed{3}", 3), ("three", 3), ("0", 0),
     ("3.5", None), ("2 or 3", None), ("-1", None), ("", None), ("many", None), ("1 2", None)],
)
def test_counts(text, count):
    reading = read_answer(text, COUNT)
    if count is None:
        assert reading.status is Status.UNPARSED
    else:
        assert (reading.value, reading.kind) == (count, Kind.COUNT)


@pytest.mark.parametrize(
    ("text", "value"),
    [("yes", 1), ("No.", 0), ("\\boxed{Yes}", 1), ("false", 0), ("yes and no", None), ("", None),
     ("maybe", None), ("nothing", None)],
)
def test_booleans(text, value):
    reading = read_answer(text, PRESENCE)
    if value is None:
        assert reading.status is Status.UNPARSED and math.isnan(reading.value)
    else:
        assert reading.value == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("mug", 0), ("the cup", 0), ("Chair.", 1), ("chairs", 1), ("mug chair", None),
     ("bottle", None), ("", None)],
)
def test_choices(text, value):
    reading = read_answer(text, CHOICE)
    if value is None:
        assert reading.status is Status.UNPARSED
    else:
        assert reading.value == value


def test_free_form_answers_show_their_kind():
    assert read_answer("It is 2 m away.").kind is Kind.DISTANCE
    assert read_answer("yes").kind is Kind.BOOLEAN
    assert read_answer("\\boxed{4}").kind is Kind.COUNT
    text = read_answer("The mug is red.")
    assert (text.kind, text.status) == (Kind.TEXT, Status.OK) and math.isnan(text.value)


def test_every_written_answer_is_read_back():
    rng = random.Random(3)
    for name, family in FAMILIES.items():
        query = Query(name, ("mug", "chair")[: family.object_count], 0.8)
        for _ in range(50):
            if family.unit == "m":
                value = round(rng.uniform(0.0, 10.0), 2)
            elif family.kind is Kind.COUNT:
                value = float(rng.randint(0, 6))
            else:
                value = float(rng.randint(0, 1))
            reading = read_answer(format_value(query, value), query)
            assert reading.status is Status.OK
            assert (reading.value, reading.kind) == (pytest.approx(value), family.kind)


def test_reader_survives_anything():
    rng = random.Random(5)
    pieces = ["1", ".", "42", " ", "m", "cm", "\\boxed{", "}", "yes", "no", "-", "'", '"', "to",
              "none", "\u00e9", "\n", ",", "<answer>", "between", "and", "\u0663"]
    for _ in range(1000):
        text = "".join(rng.choice(pieces) for _ in range(rng.randint(0, 12)))
        for query in (DISTANCE, COUNT, PRESENCE, CHOICE, None):
            reading = read_answer(text, query)
            if reading.status is not Status.OK:
                assert math.isnan(reading.value) and reading.message
            elif reading.kind is not Kind.TEXT:
                assert math.isfinite(reading.value) and reading.value >= 0


def test_a_whole_turn_is_read_as_its_answer() -> None:
    thought = "<think> <obj> mug u 63 v 51 d 0.34 x +0.06 y +0.00 </obj> </think>"
    turn = f"{thought} <answer> 0.35 m </answer>"
    assert read_answer(turn).value == pytest.approx(0.35)
