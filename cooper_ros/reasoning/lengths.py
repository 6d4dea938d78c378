"""Numbers and lengths in text: the one parser for questions and for what models write.

A number is read whole or not at all. ".5 m" is half a metre, "2 m 50 cm" is 2.5 m; what is
negative, has alternatives ("1 or 2 m"), or can be read two ways ("1,500 m") is refused with
NumberError.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass, replace

from cooper_ros.core.types import NAN
from cooper_ros.reasoning.units import METRES_PER_UNIT, NUMBER_WORDS, TENS, UNIT_SYMBOLS


class NumberError(ValueError):
    """A text holds a number that cannot be read as a whole; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number in a text.

    `start`, `end`: its characters in the prepared text; `value`: [m] for a length, else as written;
    `low`, `high` [m]: bounds of a written range ("1.2 to 1.5 m": `value` is the middle), else NaN.
    """

    start: int
    end: int
    value: float
    low: float = NAN
    high: float = NAN


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # "number", "word" or "mark"
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Part:
    """A number, and its unit if it has one; token indices first .. last - 1."""

    first: int
    last: int
    text: str
    unit: str = ""
    value: float = NAN  # of a number in words; digits are converted when the unit is known

    @property
    def metres(self) -> float:
        """The part in metres."""
        return self.number * METRES_PER_UNIT[self.unit]

    @property
    def number(self) -> float:
        """The number alone."""
        return self.value if self.value == self.value else _decimal(self.text, self.unit)


_TOKEN = re.compile(
    r"(?P<number>(?:[0-9]+|(?<![\w)])\.[0-9]+)(?:[.,_/\u2044:\u00b7][0-9]+)*)"
    r"|(?P<word>[^\W\d_]+)|(?P<mark>''|\S)"
)
_FEET, _INCHES = ("'", "\u2032"), ("''", '"', "\u2033")
_OPENING = frozenset("([{\"'~\u2248\u223c\u2245:=;,|$*\u00bf")
_SIGNS = frozenset("+-\u2212\u2013\u00b1\u00d7\u00f7/^<>\u2264\u2265x")
_MINUS = ("-", "\u2212", "\u2013", "minus", "negative")
_DASHES = ("-", "\u2013", "\u2014", "\u2212", "to")
_LINKS = frozenset(("or", "and", "maybe", "perhaps", "possibly", "even", ",", ";", "/", *_DASHES))
_SPOILERS = frozenset(
    "minus negative point thousand million dozen quarter quarters third thirds tenth half".split()
)
"""Beside a number, these words change it in a way that is not read here."""

_BEHIND = frozenset("\u00b1\u00d7%\u00b0")
_AREA = frozenset("/^\u00b7*") | {"per"}
_AFTER_IN = frozenset(
    "away wide tall high long deep broad across apart from to or and at of".split()
)
"""What may follow "in" as a unit; before anything else it is the preposition ("3 in the box")."""


def prepare(text: str) -> str:
    """Lower case with ASCII digits and quotes, the form in which numbers are read."""
    plain = unicodedata.normalize("NFC", text).lower().replace("\u2019", "'")
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in plain)


def find_lengths(text: str) -> list[Number]:
    """Every length in a prepared text, in order. Raises NumberError when one cannot be read."""
    return _Reader(text).lengths()


def find_numbers(text: str) -> list[Number]:
    """Every number that is no part of a length, in order. Raises NumberError as above."""
    return _Reader(text).bare()


def _decimal(text: str, unit: str) -> float:
    """The value of a written number; commas and dots that mark thousands are told from decimals."""
    if re.fullmatch(r"[0-9]*\.?[0-9]+", text):
        # nobody writes micrometres in millimetres, many write thousands with a dot
        if unit == "mm" and re.fullmatch(r"[1-9][0-9]{0,2}\.[0-9]{3}", text):
            raise NumberError(f"'{text} {unit}' can be read two ways")
        return float(text)
    if re.fullmatch(r"[1-9][0-9]{0,2},[0-9]{3}", text):
        if unit not in ("mm", ""):
            raise NumberError(f"'{text} {unit}' can be read two ways")
        return float(text.replace(",", ""))
    if re.fullmatch(r"[0-9]+,[0-9]+", text):
        return float(text.replace(",", "."))
    for mark, point in ((",", "."), (".", ",")):
        thousands = rf"[1-9][0-9]{{0,2}}(?:\{mark}[0-9]{{3}})+(?:\{point}[0-9]+)?"
        if re.fullmatch(thousands, text):
            return float(text.replace(mark, "").replace(point, "."))
    raise NumberError(f"{text!r} is no number that can be read")


class _Reader:
    """The tokens of one text and the numbers in it."""

    def __init__(self, text: str) -> None:
        self.tokens = [
            _Token(str(match.lastgroup), match.group(), match.start(), match.end())
            for match in _TOKEN.finditer(text)
        ]
        self.parts: list[_Part] = []
        index = 0
        while index < len(self.tokens):
            part = self._part(index)
            if part is not None:
                self.parts.append(part)
            index = part.last if part is not None else index + 1

    # -- numbers with their units ----------------------------------------------------------------

    def _word(self, index: int) -> str:
        return self.tokens[index].text if 0 <= index < len(self.tokens) else ""

    def _glued(self, index: int) -> bool:
        """Whether no space separates this token from the one before."""
        if not 0 < index < len(self.tokens):
            return False
        return self.tokens[index].start == self.tokens[index - 1].end

    def _part(self, index: int) -> _Part | None:
        token = self.tokens[index]
        if token.kind == "number":
            part = _Part(index, index + 1, token.text)
        elif token.kind == "word":
            spelled = self._spelled(index)
            if spelled is None:
                return None
            part = spelled
        else:
            return None
        return self._with_unit(self._and_a_half(part))

    def _spelled(self, index: int) -> _Part | None:
        """A number in words, an article before a unit, or "half (a)" before one."""
        word, at = self._word(index), index
        if word in ("a", "an", "half"):
            if word == "half":
                at += self._word(index + 1) in ("a", "an")
            elif self._word(index + 1) == "half":
                at += 1
            unit = self._word(at + 1)
            if unit in METRES_PER_UNIT and len(unit) > 2 and self._word(index - 1) != "of":
                half = "half" in (word, self._word(at))
                return _Part(index, at + 1, word, value=0.5 if half else 1.0)
            if word == "half" or self._word(index + 1) != "hundred":
                return None
        found = self._cardinal(index)
        return None if found is None else _Part(index, found[1], word, value=found[0])

    def _cardinal(self, index: int) -> tuple[float, int] | None:
        """(value, index behind it) of "twenty-two", "a hundred and five", "one point five"."""
        small = (1.0, index + 1) if self._word(index) in ("a", "an") else self._below_100(index)
        if small is None:
            return None
        value, at = small
        if self._word(at) == "hundred":
            value, at = value * 100.0, at + 1
            rest = self._below_100(at + (self._word(at) == "and"))
            if rest is not None:
                value, at = value + rest[0], rest[1]
        if self._word(at) == "point" and NUMBER_WORDS.get(self._word(at + 1), 10) < 10:
            digits = ""
            at += 1
            while NUMBER_WORDS.get(self._word(at), 10) < 10:
                digits, at = digits + str(NUMBER_WORDS[self._word(at)]), at + 1
            value += float(f"0.{digits}")
        return value, at

    def _below_100(self, index: int) -> tuple[float, int] | None:
        word = self._word(index)
        if word in NUMBER_WORDS:
            return float(NUMBER_WORDS[word]), index + 1
        if word not in TENS:
            return None
        at = index + 1 + (self._word(index + 1) == "-" and self._glued(index + 1))
        ones = NUMBER_WORDS.get(self._word(at), 0)
        if 0 < ones < 10:
            return float(TENS[word] + ones), at + 1
        return float(TENS[word]), index + 1

    def _and_a_half(self, part: _Part) -> _Part:
        words = tuple(self._word(part.last + k) for k in range(3))
        whole = part.value == part.value or part.text.isdigit()
        if words == ("and", "a", "half") and whole:
            return replace(part, last=part.last + 3, value=part.number + 0.5)
        return part

    def _with_unit(self, part: _Part) -> _Part:
        at = part.last
        if self._word(at) == "-" and self._glued(at) and self._word(at + 1) in METRES_PER_UNIT:
            at += 1  # a 2-metre table
        unit = self._unit(at, part)
        if not unit:
            return part
        part = replace(part, last=at + 1, unit=unit)
        if tuple(self._word(at + k) for k in (1, 2, 3)) == ("and", "a", "half"):
            return replace(part, last=at + 4, value=part.number + 0.5)  # a metre and a half
        return part

    def _unit(self, index: int, part: _Part) -> str:
        """Symbol of the unit at this token, "" if it is none."""
        word, after = self._word(index), self._word(index + 1)
        if word in _FEET or word in _INCHES:
            quoted = self._word(part.first - 1) == word
            if quoted or not self._glued(index) or (self._glued(index + 1) and after.isalpha()):
                return ""
            return "ft" if word in _FEET else "in"
        if word not in UNIT_SYMBOLS:
            return ""
        if word == "in" and after.isalpha() and after not in _AFTER_IN:
            return ""
        if after in _AREA:
            return ""  # an area, a speed
        goes_on = self._glued(index + 1) and (after[0].isdigit() or after == "_")
        if goes_on and self._word(index + 2) not in UNIT_SYMBOLS:
            return ""  # "2m50", but "2m50cm" is a length
        return UNIT_SYMBOLS[word]

    # -- what stands beside a number -------------------------------------------------------------

    def checked(self, first: _Part, last: _Part | None = None) -> _Part:
        """`first` again. Raises NumberError where what stands beside it changes the number.

        `last`: where a length of several parts ends.
        """
        last = last or first
        before = self._word(first.first - 1)
        written = self.tokens[max(first.first - 1, 0) : last.last]
        shown = " ".join(token.text for token in written)
        if before in _MINUS:
            raise NumberError(f"{shown!r} is negative, or a part of something else")
        glued = self._glued(first.first) and before not in _OPENING
        if glued or before in _SIGNS or before in _SPOILERS:
            raise NumberError(f"{shown!r} cannot be read as a number")
        after = self._word(last.last)
        if after in _BEHIND or after in _SPOILERS or self._goes_on(last.last):
            raise NumberError(f"'{shown} {after}' cannot be read as a number")
        return first

    def _goes_on(self, index: int) -> bool:
        """Whether a number goes on in letters or digits: "1e3", "1.5.2"."""
        if not self._glued(index):
            return False
        number_follows = self._glued(index + 1) and self._word(index + 1)[:1].isdigit()
        return self.tokens[index].kind != "mark" or number_follows

    # -- lengths ---------------------------------------------------------------------------------

    def lengths(self) -> list[Number]:
        """See `find_lengths`."""
        found: list[Number] = []
        index = 0
        while index < len(self.parts):
            taken = self._range(index) or self._compound(index)
            if taken is not None:
                found.append(taken[0])
            index = taken[1] if taken is not None else index + 1
        return found

    def bare(self) -> list[Number]:
        """See `find_numbers`."""
        lengths = self.lengths()
        found = []
        for part in self.parts:
            begin = self.tokens[part.first].start
            if not part.unit and not any(n.start <= begin < n.end for n in lengths):
                self.checked(part)
                found.append(self._number(part, part, part.number))
        return found

    def _number(self, first: _Part, last: _Part, value: float) -> Number:
        if not math.isfinite(value):
            raise NumberError("a number that is too large")
        return Number(self.tokens[first.first].start, self.tokens[last.last - 1].end, value)

    def _between(self, index: int) -> list[str]:
        """The words between a number and the next one."""
        one, other = self.parts[index : index + 2]
        return [token.text for token in self.tokens[one.last : other.first]]

    def _range(self, index: int) -> tuple[Number, int] | None:
        """A range as in "1.2 to 1.5 m" and "between 1.2 m and 1.5 m"."""
        if index + 1 >= len(self.parts):
            return None
        one, other = self.parts[index : index + 2]
        between = self._between(index)
        spoken = self._word(one.first - 1) == "between" and between == ["and"]
        if not other.unit or not (spoken or (len(between) == 1 and between[0] in _DASHES)):
            return None
        one = replace(one, unit=one.unit or other.unit)
        low, high = one.metres, other.metres
        if low > high:
            raise NumberError("a range that begins with its larger end")
        length = self._length(index, index + 1, (low + high) / 2.0)
        return replace(length, low=low, high=high), index + 2

    def _compound(self, index: int) -> tuple[Number, int] | None:
        """A length as in "2 m 50 cm" and "5 ft 7 in", or one number and its unit."""
        if not self.parts[index].unit:
            return None
        total, last = self.parts[index].metres, index
        while last + 1 < len(self.parts) and self._continues(last):
            last += 1
            total += self.parts[last].metres
        return self._length(index, last, total), last + 1

    def _continues(self, index: int) -> bool:
        """Whether the next number is the smaller unit's share of the same length."""
        one, other = self.parts[index : index + 2]
        if self._between(index) not in ([], ["and"]) or not other.unit:
            return False
        imperial = [part.unit in ("ft", "in", "yd") for part in (one, other)]
        if imperial[0] != imperial[1] or not one.number.is_integer():
            return False
        units = [METRES_PER_UNIT[part.unit] for part in (one, other)]
        return units[1] < units[0] > other.metres

    def _length(self, first: int, last: int, value: float) -> Number:
        """The length of these parts. Raises NumberError when something beside it belongs to it."""
        one, other = self.parts[first], self.parts[last]
        self.checked(one, other)
        if first > 0:
            self._separate(first - 1, self.parts[first - 1], (*_LINKS, "."))
        if last + 1 < len(self.parts):
            self._separate(last, self.parts[last + 1], _LINKS)
        return self._number(one, other, value)

    def _separate(self, index: int, neighbour: _Part, links: Collection[str]) -> None:
        """Raise NumberError where a number and the next one are alternatives or run together."""
        between = self._between(index)
        loose = not neighbour.unit and all(word in links for word in between)
        if loose or not between:
            one, other = self.parts[index : index + 2]
            shown = " ".join(token.text for token in self.tokens[one.first : other.last])
            raise NumberError(f"{shown!r} has more than one reading")
