"""Reading a value from the text a model wrote. What cannot be read is UNPARSED: no fallback.

Only text goes in here; no map, no measurement.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from cooper_ros.core.classes import PLURALS, SYNONYMS
from cooper_ros.core.query import Query
from cooper_ros.core.types import NAN, Kind, Status
from cooper_ros.reasoning.units import METRES_PER_UNIT, NUMBER_WORDS


@dataclass(frozen=True, slots=True)
class Reading:
    """A value read from an answer.

    `status`: OK; UNPARSED (`message` says why); NOT_VISIBLE (the model wrote "none"). `value` as in
    `SpatialAnswer`; `low`, `high`: the bounds of a written range ("1.2 to 1.5 m"), else NaN.
    """

    value: float
    unit: str
    kind: Kind
    status: Status
    message: str = ""
    low: float = NAN
    high: float = NAN


MAX_LENGTH_M = 1e5  # more is a slip of the decoder, not a distance a camera can see

_BOXED = re.compile(r"\\boxed\{+([^{}]*)\}+")
_LATEX = re.compile(r"\\(?:text|mathrm|mathbf)\{([^{}]*)\}|\\[,;!~ ]|[$~\u2248*]")
_NUMBER = r"(?:\d+(?:[.,]\d+)?|\.\d+)"
_WORD_NUMBER = "|".join(NUMBER_WORDS)
_UNIT = "|".join(sorted(METRES_PER_UNIT, key=len, reverse=True))
_START, _END = r"(?<![\w.,+-])", r"(?![\w])"
_FEET_INCHES = re.compile(
    rf"{_START}({_NUMBER})\s*(?:feet|foot|ft|'|\u2032)\s*(?:and\s*)?"
    rf"({_NUMBER})\s*(?:inches|inch|in\b|''|\"|\u2033)"
)
_RANGE = re.compile(
    rf"{_START}({_NUMBER})\s*({_UNIT})?\s*(?:-|\u2013|to)\s*({_NUMBER})\s*({_UNIT}){_END}"
    rf"|\bbetween ({_NUMBER})\s*({_UNIT})?\s*and\s*({_NUMBER})\s*({_UNIT}){_END}"
)
_LENGTH = re.compile(rf"{_START}({_NUMBER}|{_WORD_NUMBER})\s*({_UNIT}){_END}")
_MARKS = re.compile(rf"{_START}({_NUMBER})\s*('(?!')|\u2032|''|\"|\u2033)")
_BARE = re.compile(rf"{_START}({_NUMBER}){_END}(?!\s*[.,]?\s*\d)")
_BROKEN = re.compile(r"\d\s+\.?\d|\d\s*\.\s+\d")  # "1 4 2 m", "1 . 4 m"
_INTEGER = re.compile(rf"(?<![\w.,+-])(\d+|{_WORD_NUMBER})(?![\w])(?![.,]\d)")
_NONE = re.compile(r"\b(?:none|not visible|not in view|cannot be seen|can't be seen)\b")
_YES = re.compile(r"\b(?:yes|true)\b")
_NO = re.compile(r"\b(?:no|false)\b")


def read_answer(text: str, query: Query | None = None) -> Reading:
    """Read the content of an answer tag.

    With a `query` its kind decides what is looked for; without one (free-form models) the kind is
    guessed from the text: a length, an integer, yes / no, otherwise TEXT. A `\\boxed{}` wins over
    the text around it; a number without a unit counts as metres only inside a box.
    """
    content, boxed = _content(text)
    if query is None:
        return _read_free(content, boxed)
    if query.kind is Kind.COUNT:
        return _read_count(content)
    if query.kind is Kind.TEXT:
        return Reading(NAN, "", Kind.TEXT, Status.OK)
    if _NONE.search(content):
        return Reading(NAN, query.unit, query.kind, Status.NOT_VISIBLE, "the model sees none")
    if query.kind is Kind.BOOLEAN:
        return _read_boolean(content)
    if query.kind is Kind.CHOICE:
        return _read_choice(content, query)
    return replace(_read_length(content, boxed), kind=query.kind)


def _content(text: str) -> tuple[str, bool]:
    """The relevant part, lower case, LaTeX removed; whether it came from a box."""
    boxes = _BOXED.findall(re.sub(r"\\(?:text|mathrm|mathbf)\{([^{}]*)\}", r" \1", text))
    boxes = [box for box in boxes if box.strip()]
    chosen = boxes[-1] if boxes else text
    plain = _LATEX.sub(lambda match: f" {match.group(1) or ''} ", chosen)
    return " ".join(plain.lower().replace("\u2019", "'").split()), bool(boxes)


def _unparsed(kind: Kind, message: str, unit: str = "") -> Reading:
    return Reading(NAN, unit, kind, Status.UNPARSED, message)


def _number(text: str) -> float:
    if text in NUMBER_WORDS:
        return float(NUMBER_WORDS[text])
    if re.fullmatch(r"[1-9]\d{0,2},\d{3}", text):
        return float(text.replace(",", ""))  # a thousands separator
    return float(text.replace(",", "."))


def _lengths(content: str) -> list[tuple[float, float, float]]:
    """(value, low, high) in metres of every length written; low and high NaN without a range."""
    found: list[tuple[float, float, float]] = []

    def take(convert: Callable[[re.Match[str]], tuple[float, float, float]]) -> Callable[..., str]:
        def replacement(match: re.Match[str]) -> str:
            found.append(convert(match))
            return " ; "

        return replacement

    def feet_inches(match: re.Match[str]) -> tuple[float, float, float]:
        return _number(match[1]) * 0.3048 + _number(match[2]) * 0.0254, NAN, NAN

    def span(match: re.Match[str]) -> tuple[float, float, float]:
        first, first_unit, second, unit = (match[i] or match[i + 4] for i in range(1, 5))
        low = _number(first) * METRES_PER_UNIT[first_unit or unit]
        high = _number(second) * METRES_PER_UNIT[unit]
        return (low + high) / 2.0, min(low, high), max(low, high)

    def single(match: re.Match[str]) -> tuple[float, float, float]:
        return _number(match[1]) * METRES_PER_UNIT[match[2]], NAN, NAN

    def marks(match: re.Match[str]) -> tuple[float, float, float]:
        factor = 0.3048 if match[2] in ("'", "\u2032") else 0.0254
        return _number(match[1]) * factor, NAN, NAN

    rest = content
    for pattern, convert in (
        (_FEET_INCHES, feet_inches),
        (_RANGE, span),
        (_LENGTH, single),
        (_MARKS, marks),
    ):
        rest = pattern.sub(take(convert), rest)
    return found


def _read_length(content: str, boxed: bool) -> Reading:
    if _BROKEN.search(content):
        return _unparsed(Kind.DISTANCE, "a broken number in the answer", "m")
    found = _lengths(content)
    if not found and boxed:
        found = [(_number(number), NAN, NAN) for number in _BARE.findall(content)]
    distinct = {round(value, 6) for value, _, _ in found}
    if not distinct:
        return _unparsed(Kind.DISTANCE, "no length with a unit in the answer", "m")
    if len(distinct) > 1:
        listed = ", ".join(f"{value:g} m" for value in sorted(distinct))
        return _unparsed(Kind.DISTANCE, f"several lengths in the answer: {listed}", "m")
    value, low, high = found[0]
    if not value <= MAX_LENGTH_M:
        return _unparsed(Kind.DISTANCE, f"{value:g} m is no plausible length", "m")
    return Reading(value, "m", Kind.DISTANCE, Status.OK, low=low, high=high)


def _read_count(content: str) -> Reading:
    numbers = {int(_number(number)) for number in _INTEGER.findall(content)}
    if not numbers and _NONE.search(content):
        numbers = {0}
    if len(numbers) != 1:
        why = "several integers" if numbers else "no integer"
        return _unparsed(Kind.COUNT, f"{why} in the answer")
    return Reading(float(numbers.pop()), "", Kind.COUNT, Status.OK)


def _read_boolean(content: str) -> Reading:
    yes, no = bool(_YES.search(content)), bool(_NO.search(content))
    if yes == no:
        return _unparsed(Kind.BOOLEAN, "neither a clear yes nor a clear no in the answer")
    return Reading(float(yes), "", Kind.BOOLEAN, Status.OK)


def _read_choice(content: str, query: Query) -> Reading:
    words = re.findall(r"[a-z]+", content)
    names = {PLURALS.get(name, name): name for name in query.objects}
    named = {names.get(word, SYNONYMS.get(word, word)) for word in words} & set(query.objects)
    if len(named) != 1:
        why = "both objects" if named else "neither object"
        return _unparsed(Kind.CHOICE, f"the answer names {why}")
    return Reading(float(query.objects.index(named.pop())), "", Kind.CHOICE, Status.OK)


def _read_free(content: str, boxed: bool) -> Reading:
    if _lengths(content):
        return _read_length(content, boxed)
    for reading in (_read_boolean(content), _read_count(content)):
        if reading.status is Status.OK:
            return reading
    return Reading(NAN, "", Kind.TEXT, Status.OK)
