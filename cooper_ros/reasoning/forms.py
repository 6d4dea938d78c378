"""The forms of questions that are understood, word by word.

A template is a row of words; `[x]` may be left out, `(x|y)` is one of several. In capitals:
A an object, N and THEM objects without "nearest" or "farthest", E one with "a" or "any", R a
radius, U a unit, and the word groups of `_GROUPS`. A question has one of these forms as a whole or
none: a word that has no place in a form is never passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from cooper_ros.core.query import (
    BEHIND,
    BETWEEN,
    COUNT,
    DISTANCE,
    FARTHER,
    FREE,
    FRONT,
    HEIGHT,
    LEFT,
    NEARER,
    PRESENCE,
    REACHABLE,
    RIGHT,
    WIDTH,
)
from cooper_ros.reasoning.units import UNIT_SYMBOLS

MENTION, RADIUS = "<object>", "<radius>"
"""What stands for an object and for a radius in the words that are matched."""

_NEAREST, _FARTHEST = "<nearest>", "<farthest>"
PICK_MARKS = {"nearest": _NEAREST, "closest": _NEAREST} | dict.fromkeys(
    ("farthest", "furthest"), _FARTHEST
)
"""What stands for an object with such a word before it."""

UNIT_WORDS = tuple(word for word in UNIT_SYMBOLS if word != "in")

_ARTICLE = "(a|an|the|my|your|our|this|that|these|those)"
_GROUPS = {
    "A": f"[{_ARTICLE}] ({MENTION}|{_NEAREST}|{_FARTHEST})",
    "N": f"[any|some|{_ARTICLE}] {MENTION}",
    "THEM": f"[of {_ARTICLE}] {MENTION}",
    "E": f"(a|an|any|some) {MENTION}",
    "R": RADIUS,
    "U": "(" + "|".join(UNIT_WORDS) + ")",
    "BE": "(is|are)",
    "ME": "(me|you|us|here|the robot|this robot|[the] camera)",
    "I": "(i|you|we|one|it|the robot|this robot|the camera)",
    "FROM": "[from ME]",
    "TO": "[to ME]",
    "AWAY": "[away|off]",
    "AHEAD": "([straight] ahead [of ME]|in front [of ME]|[straight] forward|[straight] forwards)",
    "GO": "(go|drive|move|walk|travel)",
    "SEEN": "(here|there|visible|present|in view|in sight|in front of ME)",
    "SEE": "(see|find|spot|detect)",
    "CAN": "(can|could|do|does)",
    "NEAR": "(nearer|closer|[the] nearest|[the] closest)",
    "FAR": "([the] farther|[the] further|[the] farthest|[the] furthest)",
    "OR": "([,] or|,|and)",
    "LEFTOF": "[(on|to|at) [the]] left [hand] [side] of",
    "RIGHTOF": "[(on|to|at) [the]] right [hand] [side] of",
    "MYLEFT": "((on|to|at) (the|my|your|our) left [hand] [side] [of ME]|left of ME)",
    "MYRIGHT": "((on|to|at) (the|my|your|our) right [hand] [side] [of ME]|right of ME)",
    "WITHIN": "(within|less than|closer than|nearer than|at most) R",
    "REACH": "[of ME|from ME|away|away from ME|of reach|reach]",
}

_LENGTHS: dict[str, tuple[str, ...]] = {
    DISTANCE: (
        "how far AWAY FROM BE A AWAY FROM",
        "how far AWAY A BE AWAY FROM",
        "how far AWAY BE it FROM to A",
        "how far AWAY [is] [to] A FROM",
        "how far do I have to GO to [reach|get to] A",
        "how (distant|close|near) BE A TO",
        "(how much|what) BE the (distance|range) FROM (to|of|from) A FROM",
        "(how much|what) BE the (distance|range) between ME and A",
        "what BE A (distance|range)",
        "[the] (distance|range) FROM [to|of|from] A FROM",
        "[the] (distance|range) (between|from) ME (and|to) A",
        "A (distance|range)",
        "(at|in) (what|which) (distance|range) BE A",
        "how many U BE it FROM to A",
        "how many U BE A AWAY FROM",
        "how many U [away] BE A FROM",
        "how many U [away] [to] A",
        "how far in U BE A AWAY FROM",
    ),
    BETWEEN: (
        "how far [away|apart] BE A AWAY from A",
        "how far away from A BE A",
        "how far apart A and A BE",
        "how far AWAY A BE AWAY from A",
        "how far apart BE A and A [from each other|from one another]",
        "how far BE A and A (apart|from each other|from one another)",
        "how far BE it from A to A",
        "how far BE it to A from A",
        "how far BE it between A and A",
        "how far [apart] BE A to A",
        "how (close|near) BE A to A",
        "(how much|what) BE the (distance|range) (between A and|from A to|of A from|of A to) A",
        "[the] (distance|range) between A and A",
        "[the] (distance|range) [from] A (to|from) A",
        "how many U BE A AWAY from A",
        "how many U apart BE A and A",
        "how many U BE (it|there) (from|between) A (to|and) A",
    ),
    WIDTH: (
        "how (wide|broad) BE A",
        "how (wide|broad) A BE",
        "(how much|what) BE the width of A",
        "what BE A width",
        "[the] width [of] A",
        "A width",
        "how many U (wide|broad) BE A",
        "how many U BE A (wide|broad)",
    ),
    HEIGHT: (
        "how (tall|high) BE A",
        "how (tall|high) A BE",
        "(how much|what) BE the height of A",
        "what BE A height",
        "[the] height [of] A",
        "A height",
        "how many U (tall|high) BE A",
        "how many U BE A (tall|high)",
    ),
    FREE: (
        "how much [free|clear] (space|room) [BE] [there|free] [AHEAD]",
        "how much [free|clear] (space|room) do I have [AHEAD]",
        "how much BE free AHEAD",
        "how far can I GO [AHEAD]",
        "how far AHEAD can I GO",
        "how far BE it [free|clear] AHEAD",
        "how many U can I GO AHEAD",
        "how far BE the [nearest|closest|next|first] obstacle AHEAD",
        "what BE the [free|clear] (space|room|distance) AHEAD",
        "what BE the distance to the [nearest|closest|next|first] obstacle AHEAD",
        "[the] (free|clear) (space|room|distance) AHEAD",
    ),
}
_COUNT_HEADS = (
    "how many THEM BE [there]",
    "how many THEM there BE",
    "how many THEM CAN I SEE",
    "how many THEM",
    f"[what BE] [the] (number|amount|count) of [all] [{_ARTICLE}] {MENTION}",
    f"count [all] [of] [{_ARTICLE}] {MENTION}",
)
_PRESENCE_HEADS = ("BE there N", "CAN I SEE N", "BE E")

_OTHERS: dict[str, tuple[str, ...]] = {
    NEARER: (
        "(which|what|who) [one] BE NEAR TO [,] A OR A",
        "(which|what|who) [one] BE NEAR TO : A OR A",
        "which [one] of A and A BE NEAR TO",
        "(A OR A|[between|of] A and A) , (which|what|who) [one] BE NEAR TO",
        "BE A or A NEAR TO",
    ),
    FARTHER: (
        "(which|what|who) [one] BE FAR AWAY FROM [,] A OR A",
        "which [one] of A and A BE FAR AWAY FROM",
        "(A OR A|[between|of] A and A) , (which|what|who) [one] BE FAR AWAY FROM",
        "BE A or A FAR AWAY FROM",
    ),
    LEFT: ("BE A LEFTOF A", "BE A MYLEFT"),
    RIGHT: ("BE A RIGHTOF A", "BE A MYRIGHT"),
    FRONT: ("BE A in front of A", "BE A (nearer|closer) TO than A [is|are]"),
    BEHIND: ("BE A behind A", "BE A (farther|further) AWAY FROM than A [is|are]"),
    COUNT: (
        *(f"{head} [SEEN]" for head in _COUNT_HEADS),
        *(f"{head} WITHIN REACH" for head in _COUNT_HEADS),
    ),
    REACHABLE: (
        "BE A [reachable|in reach] WITHIN REACH",
        "CAN I (reach|get|grasp|get to) A WITHIN",
        "BE the distance to A (less than|at most) R",
    ),
    PRESENCE: (
        "BE there N [SEEN]",
        "BE A SEEN",
        "CAN I (SEE|have) N [SEEN]",
        f"(any|some) {MENTION} [SEEN]",
        "N (in view|in sight|visible|present)",
        "(do|does) A exist",
        "BE there N WITHIN REACH",
        "CAN I SEE N WITHIN REACH",
        "BE E WITHIN REACH",
    ),
}
_SIDES: tuple[tuple[str, str, tuple[str, ...]], ...] = tuple(
    (
        family,
        side,
        tuple(f"{head} [WITHIN REACH] ({place} A|{mine})" for head in heads)
        + tuple(f"{head} ({place} A|{mine}) WITHIN REACH" for head in heads),
    )
    for family, heads in ((PRESENCE, _PRESENCE_HEADS), (COUNT, _COUNT_HEADS))
    for side, place, mine in ((LEFT, "LEFTOF", "MYLEFT"), (RIGHT, "RIGHTOF", "MYRIGHT"))
)

_ASK = "(tell|give|show) me [please]|say|do you know|i want to know|i would like to know"
_LEAD = f"[please] [,] [[(can|could|would|will) you [please]] ({_ASK}) [:|,]] [in U [,]]"
_SUFFIXES = (
    "[,|.] (please|thanks|thank you)",
    "[,] (now|right now|currently|at the moment)",
    "in view",
    "[,] [measured|given] in U",
)


def _regex(template: str) -> str:
    """The template as a pattern over words that each end with a space."""
    parts = []
    for token in re.findall(r"[\[\]()|]|[^\s\[\]()|]+", template):
        if token == "[":
            parts.append("(?:")
        elif token == "]":
            parts.append(")?")
        elif token == "(":
            parts.append("(?:")
        elif token in ")|":
            parts.append(token)
        elif token in _GROUPS:
            parts.append(f"(?:{_regex(_GROUPS[token])})")
        else:
            parts.append(re.escape(token) + " ")
    return "".join(parts)


def _one_of(templates: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{_regex(template)})" for template in templates))


@lru_cache(maxsize=1)
def _forms() -> tuple[tuple[str, str, re.Pattern[str]], ...]:
    """(family, side, pattern), in the order in which they are tried."""
    plain = [
        (family, "", _one_of(templates))
        for family, templates in (*_OTHERS.items(), *_LENGTHS.items())
        if family != REACHABLE
    ]
    sides = [(family, side, _one_of(templates)) for family, side, templates in _SIDES]
    # "is a chair within 2 m" asks for any of them, "is the chair" for one: that comes last
    return (*sides, *plain, (REACHABLE, "", _one_of(_OTHERS[REACHABLE])))


@lru_cache(maxsize=1)
def _edges() -> tuple[re.Pattern[str], re.Pattern[str]]:
    suffixes = "|".join(_regex(text) for text in _SUFFIXES)
    return re.compile(_regex(_LEAD)), re.compile(rf"(?<!\S)(?:{suffixes})$")


@lru_cache(maxsize=1)
def form_words() -> frozenset[str]:
    """Every word that has a place in some form."""
    templates = [text for texts in (*_LENGTHS.values(), *_OTHERS.values()) for text in texts]
    templates += [text for _, _, texts in _SIDES for text in texts]
    templates += [*_GROUPS.values(), _LEAD, *_SUFFIXES]
    return frozenset(re.findall(r"(?<![<a-z])[a-z]+", " ".join(templates)))


@dataclass(frozen=True, slots=True)
class Match:
    """The form of a question: its family, the side it names, and which marks are its core, without
    what is said before and after out of politeness, or to name a unit."""

    family: str
    side: str
    first: int
    last: int


def match_form(marks: Sequence[str]) -> Match | None:
    """The form that these words have as a whole, None if they have none.

    `marks`: the words of a question, objects and radii replaced by their marks.
    """
    for first, last in _cores(marks):
        core = "".join(f"{mark} " for mark in marks[first:last])
        for family, side, pattern in _forms():
            if pattern.fullmatch(core):
                return Match(family, side, first, last)
    return None


def _cores(marks: Sequence[str]) -> Iterator[tuple[int, int]]:
    """(first, last) of what may be the question itself, the longest first."""
    lead, suffix = _edges()
    text = "".join(f"{mark} " for mark in marks)
    begun = lead.match(text)
    first = begun.group().count(" ") if begun else 0
    while text:
        last = text.count(" ")
        yield 0, last
        if 0 < first < last:
            yield first, last
        ended = suffix.search(text)
        if ended is None:
            return
        text = text[: ended.start()]
