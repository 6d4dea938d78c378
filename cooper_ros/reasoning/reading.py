"""Reading a value from the text a model wrote. What cannot be read is UNPARSED: no fallback.

Only text goes in here; no map, no measurement.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from cooper_ros.core.classes import PLURALS, SYNONYMS
from cooper_ros.core.query import Query
from cooper_ros.core.types import NAN, Kind, Status
from cooper_ros.reasoning.lengths import Number, NumberError, find_lengths, find_numbers, prepare
from cooper_ros.reasoning.tags import find_answer


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
# "at least 2 m" bounds a length, "not 2 m" denies one: neither says what it is.
_BOUND_BEFORE = re.compile(
    r"(?:\b(?:than|at least|at most|over|under|up to|beyond|above|below|within|not|exceeds?"
    r"|exceeding|maximum|minimum|max|min)|n't|[<>\u2264\u2265])"
    r"\s*(?:of|about|roughly|approximately|only|just|even|quite|exactly)?\s*$"
)
_BOUND_BEHIND = re.compile(
    r"^\s*(?:\+|or (?:more|less|fewer|further|farther|closer)\b|at (?:most|least)\b)"
)
_NONE = re.compile(r"\b(?:none|not visible|not in view|cannot be seen|can't be seen)\b")
_YES = re.compile(r"\b(?:yes|true)\b")
_NO = re.compile(r"\b(?:no|false)\b")
_NOT = re.compile(r"\b(?:not|neither|nor|cannot)\b|n't\b")
_NO_ANSWER = re.compile(
    r"\bno (?:idea|clue|answer|way|information)\b|\bnot (?:yes|no|true|false)\b"
)


def read_answer(text: str, query: Query | None = None) -> Reading:
    """Read the content of an answer tag, or of the first one in a whole turn.

    With a `query` its kind decides what is looked for; without one (free-form models) the kind is
    guessed from the text: a length, an integer, yes / no, otherwise TEXT. A `\\boxed{}` wins over
    the text around it; a number without a unit counts as metres only inside a box.
    """
    inner = find_answer(text)
    content, boxed = _content(text if inner is None else inner)
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
    return " ".join(prepare(plain).split()), bool(boxes)


def _unparsed(kind: Kind, message: str, unit: str = "") -> Reading:
    return Reading(NAN, unit, kind, Status.UNPARSED, message)


def _only_bounds(content: str, item: Number) -> bool:
    before, behind = content[: item.start], content[item.end :]
    return bool(_BOUND_BEFORE.search(before) or _BOUND_BEHIND.search(behind))


def _read_length(content: str, boxed: bool) -> Reading:
    try:
        found = find_lengths(content)
        if not found and boxed:
            found = find_lengths(f"{content.rstrip(' .')} m")
    except NumberError as error:
        return _unparsed(Kind.DISTANCE, f"in the answer {error}", "m")
    if any(_only_bounds(content, length) for length in found):
        return _unparsed(Kind.DISTANCE, "the answer bounds or denies a length", "m")
    distinct = {round(length.value, 6) for length in found}
    if not distinct:
        return _unparsed(Kind.DISTANCE, "no length with a unit in the answer", "m")
    if len(distinct) > 1:
        listed = ", ".join(f"{value:g} m" for value in sorted(distinct))
        return _unparsed(Kind.DISTANCE, f"several lengths in the answer: {listed}", "m")
    first = found[0]
    if not first.value <= MAX_LENGTH_M:
        return _unparsed(Kind.DISTANCE, f"{first.value:g} m is no plausible length", "m")
    return Reading(first.value, "m", Kind.DISTANCE, Status.OK, low=first.low, high=first.high)


def _read_count(content: str) -> Reading:
    try:
        found = find_numbers(content)
    except NumberError as error:
        return _unparsed(Kind.COUNT, f"in the answer {error}")
    numbers = {item.value for item in found}
    if not numbers and _NONE.search(content):
        numbers = {0.0}
    if len(numbers) != 1:
        why = "several numbers" if numbers else "no integer"
        return _unparsed(Kind.COUNT, f"{why} in the answer")
    (number,) = numbers
    if not number.is_integer() or any(_only_bounds(content, item) for item in found):
        return _unparsed(Kind.COUNT, "no exact integer in the answer")
    return Reading(number, "", Kind.COUNT, Status.OK)


def _read_boolean(content: str) -> Reading:
    yes, no = bool(_YES.search(content)), bool(_NO.search(content))
    if yes == no or _NO_ANSWER.search(content):
        return _unparsed(Kind.BOOLEAN, "neither a clear yes nor a clear no in the answer")
    return Reading(float(yes), "", Kind.BOOLEAN, Status.OK)


def _read_choice(content: str, query: Query) -> Reading:
    words = re.findall(r"[a-z]+", content)
    names = {PLURALS.get(name, name): name for name in query.objects}
    named = {names.get(word, SYNONYMS.get(word, word)) for word in words} & set(query.objects)
    if _NOT.search(content):
        return _unparsed(Kind.CHOICE, "the answer denies something instead of naming an object")
    if len(named) != 1:
        why = "both objects" if named else "neither object"
        return _unparsed(Kind.CHOICE, f"the answer names {why}")
    return Reading(float(query.objects.index(named.pop())), "", Kind.CHOICE, Status.OK)


def _read_free(content: str, boxed: bool) -> Reading:
    if _holds_length(content):
        return _read_length(content, boxed)
    for reading in (_read_boolean(content), _read_count(content)):
        if reading.status is Status.OK:
            return reading
    return Reading(NAN, "", Kind.TEXT, Status.OK)


def _holds_length(content: str) -> bool:
    """Whether a length is written, readable or not."""
    try:
        return bool(find_lengths(content))
    except NumberError:
        return True
