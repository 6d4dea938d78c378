"""A query in canonical words, so that whoever asked can see what was understood."""

from __future__ import annotations

import math

from cooper_ros.core.classes import plural_of
from cooper_ros.core.query import COUNT, FAMILIES, Query
from cooper_ros.core.types import Kind
from cooper_ros.reasoning.chains import format_value
from cooper_ros.reasoning.phrasings import render_question
from cooper_ros.reasoning.units import UNIT_NAMES, UNIT_SYMBOLS, format_length


def canonical_question(query: Query) -> str:
    """The question in canonical words, for example "how far is the nearest chair in feet ?".

    `parse_question` reads it back as the same query.
    """
    names = _names(query)
    if query.restricted:
        what = f"is there a {names[0]}"
        if query.family == COUNT:
            what = f"how many {plural_of(names[0])} are"
        return f"{what} {_place(query, names[1:])} ?"
    if len(names) < FAMILIES[query.family].object_count:
        return f"is the {names[0]} on the {query.family} ?"
    text = render_question(query.family, names, query.radius_m)
    if query.asked_unit:
        text = f"{text.removesuffix(' ?')} in {UNIT_NAMES[query.asked_unit]} ?"
    return text


def unit_of(understood: str) -> str:
    """Symbol of the unit that a canonical question asks for: "ft" of "... in feet ?", else "m"."""
    words = understood.split()
    return UNIT_SYMBOLS.get(words[-2], "m") if words[-3:-2] == ["in"] else "m"


def answer_text(query: Query, value: float) -> str:
    """The text of an answer: as models write it, lengths in the unit that was asked for."""
    if query.asked_unit and math.isfinite(value):
        return format_length(value, query.asked_unit)
    if query.kind is Kind.CHOICE and math.isfinite(value):
        return _names(query)[int(value)]
    return format_value(query, value)


def _names(query: Query) -> list[str]:
    picks = query.picks or ("",) * len(query.objects)
    return [f"{pick} {name}".strip() for pick, name in zip(picks, query.objects, strict=True)]


def _place(query: Query, reference: list[str]) -> str:
    places = []
    if query.radius_m == query.radius_m:
        places.append(f"within {query.radius_m:.2f} m")
    if query.side:
        beside = f"{query.side} of the {reference[0]}" if reference else f"on the {query.side}"
        places.append(beside)
    return " ".join(places)
