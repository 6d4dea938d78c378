"""Numbers are read whole or not at all, in answers and in questions by the same parser."""

from __future__ import annotations

import math
import random

import pytest

from cooper_ros.core.errors import QuestionError
from cooper_ros.core.query import Query
from cooper_ros.core.types import Status
from cooper_ros.reasoning.grammar import parse_question
from cooper_ros.reasoning.lengths import NumberError, find_lengths, find_numbers, prepare
from cooper_ros.reasoning.reading import read_answer
from cooper_ros.reasoning.units import METRES_PER_UNIT, UNIT_SYMBOLS, format_length

DISTANCE, COUNT = Query("distance", ("mug",)), Query("count", ("mug",))

WHOLE = {
    ".5 m": 0.5,
    "0.5m": 0.5,
    "1,5 m": 1.5,
    "0,500 m": 0.5,
    "4,500 mm": 4.5,
    "1,200 mm": 1.2,
    "12,345 mm": 12.345,
    "1,234,567 mm": 1234.567,
    "1,234.5 mm": 1.2345,
    "1.234,5 mm": 1.2345,
    "2 m 50 cm": 2.5,
    "2m50cm": 2.5,
    "2 m and 50 cm": 2.5,
    "1 m 5 mm": 1.005,
    "1 m 20 cm 5 mm": 1.205,
    "5 ft 7 in": 1.7018,
    "5 feet and 7 inches": 1.7018,
    "5'7\"": 1.7018,
    "5' 7''": 1.7018,
    "twelve feet": 3.6576,
    "twenty-two metres": 22.0,
    "twenty two metres": 22.0,
    "one hundred and fifty cm": 1.5,
    "a hundred cm": 1.0,
    "one point five metres": 1.5,
    "zero point two five m": 0.25,
    "half a metre": 0.5,
    "a half metre": 0.5,
    "a metre and a half": 1.5,
    "one and a half metres": 1.5,
    "2 and a half metres": 2.5,
    "2 metres and a half": 2.5,
    "a metre": 1.0,
    "an inch": 0.0254,
    "2-metre": 2.0,
    "12 in": 0.3048,
    "(2 m)": 2.0,
    "\u0663 m": 3.0,
}

REFUSED = (
    "-1.4 m", "\u22121 m", "\u20131 m", "- 1.4 m", "minus 2 m", "negative 2 m", "+1.4 m",
    "1 or 2 m", "1 m or 2", "one or two metres", "1, 2 m", "1 and 2 m", "3, maybe 4 m", "1 / 2 m",
    "1,500 m", "1,500 ft", "1,500 km", "1,250 cm", "4.500 mm",
    "1.4.2 m", "1,4,2 m", "1 4 2 m", "1 . 4 m", "1 .5 m", "1. 4 m", "1 500 mm", "1'500 mm",
    "1_500 mm", "1/2 m", "1 1/2 m", "1\u20442 m", "1e3 m", "1.5e0 m", "x2 m", "2x3 m", "2 x 3 m",
    "2 \u00d7 3 m", "1:2 m", "1 point 5 m", "2 m 50", "2m 50", "5 ft 7", "5'7", "2 m 150 cm",
    "2.5 m 50 cm", "2 m 3 m", "2 m 5 ft", "1 m to 2", "1.4 \u00b1 0.1 m", "1.5-0.2 m",
    "2 to 1 m", "10-20-30 m", "<2 m", "> 2 m", "\u2264 2 m", "9" * 400 + " m",
)  # fmt: skip
"""What is refused wherever a length is looked for."""

NO_LENGTH = (
    "1\u00bd m", "2m50", "2 m\u00b2", "2 m2", "2 m^2", "2 m/s", "2 metres per second", "m 1.4",
    "2 square metres", "three quarters of a metre", "a quarter of a metre", "2 thousand m",
    "two thousand metres", "a dozen metres", "3 in the box", "the \"2\" box", "2 mugs", "6\u00b2 m",
    "",
)  # fmt: skip


@pytest.mark.parametrize(("text", "metres"), WHOLE.items())
def test_a_number_is_read_whole(text: str, metres: float) -> None:
    for written in (text, f"it is {text} away", f"about {text.upper()}."):
        reading = read_answer(written, DISTANCE)
        assert reading.status is Status.OK, reading.message
        assert reading.value == pytest.approx(metres)
    if 0.1 < metres < 1000.0:
        radius = parse_question(f"is the mug within {text}?").radius_m
        assert radius == pytest.approx(metres, abs=6e-3)  # to the centimetre, as it is shown


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_whole_is_refused(text: str) -> None:
    for written in (text, f"it is {text} away", f"the mug is {text}."):
        reading = read_answer(written, DISTANCE)
        assert reading.status is Status.UNPARSED and math.isnan(reading.value), written
    with pytest.raises(QuestionError):
        parse_question(f"is the mug within {text}?")


@pytest.mark.parametrize("text", NO_LENGTH)
def test_what_is_no_length_is_none(text: str) -> None:
    assert find_lengths(prepare(text)) == []
    assert read_answer(text, DISTANCE).status is Status.UNPARSED


@pytest.mark.parametrize(
    "text",
    ["less than 2 m", "more than about 2 m", "at least 2 m", "at most 2 m", "over 2 m", "up to 2 m",
     "not 2 m", "it isn't 2 m", "within 2 m", "2 m or more", "2 m+", "no more than 2 m"],
)  # fmt: skip
def test_a_bound_is_no_distance(text: str) -> None:
    reading = read_answer(f"The mug is {text}", DISTANCE)
    assert reading.status is Status.UNPARSED and math.isnan(reading.value)


@pytest.mark.parametrize(
    ("text", "count"),
    [("twenty two", 22), ("1,200", 1200), ("3 mugs within 2 m", 3), ("3 and 3", 3), ("2 m", None),
     ("1/2", None), ("2-3", None), ("2 to 3", None), ("-1", None), ("at least 3", None),
     ("3 or more", None), ("more than 3", None), ("3rd", None), ("30%", None), ("3.5", None),
     ("not 3", None), ("9" * 400, None)],
)  # fmt: skip
def test_counts_are_whole_numbers(text: str, count: float | None) -> None:
    reading = read_answer(text, COUNT)
    if count is None:
        assert reading.status is Status.UNPARSED and math.isnan(reading.value), text
    else:
        assert (reading.status, reading.value) == (Status.OK, count)


@pytest.mark.parametrize("text", ["not the mug", "neither", "the mug, not the chair"])
def test_a_denied_choice_is_none(text: str) -> None:
    reading = read_answer(text, Query("nearer", ("mug", "chair")))
    assert reading.status is Status.UNPARSED


@pytest.mark.parametrize("text", ["not true", "no idea", "not yes"])
def test_a_denied_yes_is_no_yes(text: str) -> None:
    assert read_answer(text, Query("presence", ("mug",))).status is Status.UNPARSED


def test_every_spelling_of_every_unit_is_read_by_both() -> None:
    for unit, factor in METRES_PER_UNIT.items():
        number = {"km": "0.002", "mm": "1500"}.get(UNIT_SYMBOLS[unit], "2")
        text = f"{number} {unit}"
        assert read_answer(text, DISTANCE).value == pytest.approx(float(number) * factor)
        radius = parse_question(f"is the mug within {text}?").radius_m
        assert radius == pytest.approx(float(number) * factor, abs=5e-3)


def test_what_is_written_is_read_back() -> None:
    rng = random.Random(3)
    for symbol in ("m", "dm", "cm", "mm", "ft", "in", "yd"):
        for _ in range(50):
            value = rng.uniform(0.1, 30.0)
            text = format_length(value, symbol)
            assert read_answer(text, DISTANCE).value == pytest.approx(value, abs=6e-3), text
    assert format_length(-0.001) == "0.00 m" and format_length(-1.5, "cm") == "-150 cm"


def test_a_number_is_never_cut() -> None:
    """Whatever is read is all there is: no digit of the text is left out or used twice."""
    rng = random.Random(9)
    pieces = ["1", "2", "50", "0", ".", ",", " ", " m", "cm", " mm", "ft", "in", "-", "'", '"', "/",
              " or ", " and ", " to ", "half", " a ", "two", "\u00bd", "x", "e", "\u0663", "of ",
              "point ", "\u00b2", " chairs", "between ", ";", ":"]  # fmt: skip
    read = 0
    for _ in range(4000):
        text = prepare("".join(rng.choice(pieces) for _ in range(rng.randint(1, 9))))
        try:
            lengths = find_lengths(text)
            numbers = [*lengths, *find_numbers(text)]
        except NumberError as error:
            assert str(error)
            continue
        read += bool(lengths)
        spans = sorted((item.start, item.end) for item in numbers)
        assert all(a[1] <= b[0] for a, b in zip(spans, spans[1:], strict=False)), text
        covered = {k for start, end in spans for k in range(start, end)}
        digits = {k for k, letter in enumerate(text) if letter.isdecimal()}
        assert digits <= covered, text
        for length in lengths:
            assert math.isfinite(length.value) and length.value >= 0.0
            assert not (length.low > length.value or length.high < length.value)
    assert read > 100
