"""Parsing a question into a `Query`: family, objects, and what it says about them.

Rules on words, not a model: they serve the measurement beside the model's answer, and refuse what
a small model was never taught. Every word counts: a question has one of the forms of `forms` as a
whole, or it is refused with the words that have no place in it. Free-form models may be asked
anything; there a QuestionError only means that nothing can be measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from cooper_ros.core.classes import CLASS_NAMES, PLURALS, STUFF, plural_of
from cooper_ros.core.errors import QuestionError
from cooper_ros.core.query import COUNT, FAMILIES, FARTHEST, NEAREST, PRESENCE, Query
from cooper_ros.core.types import NAN
from cooper_ros.reasoning.canonical import canonical_question
from cooper_ros.reasoning.forms import (
    MENTION,
    PICK_MARKS,
    RADIUS,
    UNIT_WORDS,
    Match,
    form_words,
    match_form,
)
from cooper_ros.reasoning.normalise import SYNONYM_WORDS, question_words
from cooper_ros.reasoning.phrasings import PHRASINGS, render_question, renderings
from cooper_ros.reasoning.units import UNIT_SYMBOLS
from cooper_ros.reasoning.vocabulary import SYNONYMS, Synonyms, extra_names, vocabulary_of

# Words that are understood in some question besides class names and the words of the forms: they
# are named as left over, not as unknown.
_GRAMMAR_WORDS = frozenset(
    """
    a an the is are was be it its this that there here any some me my you your i we us our
    how far away distant distance range apart between from to of and or than which what who one
    near nearer nearest close closer closest farthest farther further furthest left right side
    in on at front behind back before many much number count amount metres meters metre meter m
    wide width broad tall height high within less reach reachable grasp get not free space room
    clear ahead forward go drive move walk obstacle way can could do does did see find have visible
    present please tell give say hello hi hey ok robot camera exist exists view now current
    currently object thing up down no . ,
    """.split()
)
_MODAL_FOLLOWERS = frozenset({"you", "i", "we", "it", "be", "one", "reach", "see", "get"})
_ARTICLES = frozenset({"a", "an", "the", "any", "some", "of", "my", "your", "our", "this", "that"})
# Words that relate one object to another in a way that no family expresses.
_RELATIONS = frozenset({"in", "on", "at", "before", "near"})
_LONG = 24  # of a longer question only the ends are tried as what is left over


@dataclass(frozen=True, slots=True)
class _Item:
    """A word of the question, an object with its "nearest", or a radius.

    `mark`: what stands for it in a form; `text`: its words; `name`: class of an object.
    """

    mark: str
    text: str
    name: str = ""


@lru_cache(maxsize=8)
def _singulars(names: tuple[str, ...]) -> dict[str, tuple[str, bool]]:
    """Word -> (class name, is plural)."""
    table: dict[str, tuple[str, bool]] = {}
    for name in names:
        table[plural_of(name)] = (name, True)
    for name in names:
        table[name] = (name, False)
    return table


def _is_modal(tokens: Sequence[str], index: int) -> bool:
    """Whether the "can" at `index` is the verb, not the tin."""
    following = tokens[index + 1] if index + 1 < len(tokens) else ""
    previous = tokens[index - 1] if index else ""
    return following in _MODAL_FOLLOWERS or (not previous and following in _ARTICLES)


def _items(words: Sequence[str], table: dict[str, tuple[str, bool]]) -> list[_Item]:
    items: list[_Item] = []
    for index, word in enumerate(words):
        if word in table and not (word == "can" and _is_modal(words, index)):
            name, plural = table[word]
            if word not in (name, plural_of(name)):  # the mark of a name, see `vocabulary`
                word = plural_of(name) if plural else name
            if items and items[-1].mark in PICK_MARKS:
                pick = items.pop()
                items.append(_Item(PICK_MARKS[pick.mark], f"{pick.text} {word}", name))
            else:
                items.append(_Item(MENTION, word, name))
        elif word == "m" and items and items[-1].mark[0].isdecimal():
            items.append(_Item(RADIUS, f"{items.pop().text} m"))
        else:
            items.append(_Item(word, word))
    return items


def _known(names: Sequence[str]) -> str:
    return ", ".join(names)


def _reject_unknown(
    items: Sequence[_Item], names: Sequence[str], table: Mapping[str, object]
) -> None:
    unknown: list[str] = []
    for index, item in enumerate(items):
        word = item.mark
        if item.name or word == RADIUS or word in unknown:
            continue
        # names that are words of other questions as well stay words where they are no class
        other_name = word in CLASS_NAMES or word in PLURALS.values()
        modal = word == "can" and _is_modal([i.mark for i in items], index)
        if modal or (word in ("robot", "floor") and word not in table):
            continue
        if other_name or not (word in _GRAMMAR_WORDS or word in form_words()):
            unknown.append(word)
    if unknown:
        listed = ", ".join(repr(word) for word in unknown)
        raise QuestionError(
            f"unknown word{'s' if len(unknown) > 1 else ''} {listed}; "
            f"the objects known are: {_known(names)}",
            names,
            unknown,
        )


def _examples() -> str:
    return "; ".join(
        f"'{render_question(name, ('mug', 'chair')[: family.object_count], 0.8)}'"
        for name, family in FAMILIES.items()
    )


def parse_question(
    text: str, names: Sequence[str] = CLASS_NAMES, synonyms: Synonyms = SYNONYMS
) -> Query:
    """Parse a question about objects in `names`: classes of the model, and any others that are
    there now, as `clean_name` gives them. `synonyms`: further words for those.

    Accepts upper case, missing punctuation, synonyms, plurals, articles and other units. The
    query's `text` is the question as the model was taught it: the normalised words where they are
    one of the phrasings, otherwise the family's first phrasing; "" for what no model was taught.

    Raises QuestionError: empty, over 200 characters or 40 words, a number that cannot be read,
    unknown words (listed together with the known names), objects that do not fit the family, or
    words that have no place in any known question (named).
    """
    names = tuple(filter(None, names))
    extra = extra_names(names)
    table, vocabulary = _singulars(tuple(name for name in names if name not in extra)), None
    if extra:
        vocabulary = vocabulary_of(names, synonyms)
        table = {**table, **vocabulary.table}
    items = _items(question_words(text, vocabulary.marked if vocabulary else None), table)
    _reject_unknown(items, names, table)
    query = _read(items)
    if query is None:
        raise _refusal(items, names)
    _check_objects(query, names)
    return query


def _read(items: Sequence[_Item]) -> Query | None:
    """The query of these words, None if they are no question as a whole."""
    match = match_form([item.mark for item in items])
    if match is None:
        return None
    units = {UNIT_SYMBOLS[item.mark] for item in items if item.mark in UNIT_WORDS}
    if len(units) > 1 or (units and FAMILIES[match.family].unit != "m"):
        return None
    return _query(match, items[match.first : match.last], "".join(units - {"m"}))


def _query(match: Match, core: Sequence[_Item], asked_unit: str) -> Query:
    objects = tuple(item.name for item in core if item.name)
    marks = {PICK_MARKS[NEAREST]: NEAREST, PICK_MARKS[FARTHEST]: FARTHEST}
    picks = tuple(marks.get(item.mark, "") for item in core if item.name)
    radius = next((float(item.text.split()[0]) for item in core if item.mark == RADIUS), NAN)
    query = Query(
        match.family,
        objects,
        radius,
        picks=picks if any(picks) else (),
        side=match.side,
        asked_unit=asked_unit,
    )
    if not query.taught:
        return query
    said = " ".join([*(item.text for item in core), "?"])
    rendered = renderings(query.family, objects, radius)
    return replace(query, text=said if said in rendered else rendered[0])


def _refusal(items: Sequence[_Item], names: Sequence[str]) -> QuestionError:
    """The reason why these words are no question: those of them that have no place in one."""
    left, nearest = _left_over(items)
    first = left[0].mark if left else ""
    shown = " ".join(item.text for item in left).strip(" .,")
    reason = "the question is not understood"
    if first in _RELATIONS and nearest is not None:
        reason = f"the relation {first!r} is not understood"
    if not shown and left:
        reason += ": it is more than one sentence"
    elif shown and nearest is not None:
        reason += f": {shown!r} is left over after '{canonical_question(nearest)}'"
        wanted = len(nearest.objects)
        found = [item.name for item in items if item.name]
        if any(item.name for item in left):
            reason += (
                f" (a {nearest.family!r} question needs {wanted} different object(s), "
                f"found: {', '.join(found)})"
            )
    elif shown:
        reason += f": {shown!r} has no place in it"
    return QuestionError(f"{reason}; known questions are: {_examples()}", names)


def _left_over(items: Sequence[_Item]) -> tuple[Sequence[_Item], Query | None]:
    """The fewest neighbouring words without which the rest is a question, and that question, later
    ones before the first; else the words that the most similar phrasing does not have."""
    count = len(items)
    spans = [(first, size) for size in range(1, count) for first in range(count - size, 0, -1)]
    if count > _LONG:
        spans = [(first, size) for first, size in spans if first + size == count]
    for first, size in [*spans, *((0, size) for size in range(1, count))]:
        query = _read([*items[:first], *items[first + size :]])
        if query is not None:
            return items[first : first + size], query
    return _unlike(items), None


def _unlike(items: Sequence[_Item]) -> Sequence[_Item]:
    """The words that the most similar taught phrasing does not have."""
    best: tuple[float, Sequence[_Item]] = (0.0, items)
    for family, words in _taught_words():
        objects = FAMILIES[family].object_count
        rest, score = [], 0.0
        for item in items:
            objects -= bool(item.name)
            known = objects >= 0 if item.name else item.mark in words
            if known:
                score += 1.0
            if known and item.mark != RADIUS:  # a number is always named
                continue
            rest.append(item)
        score /= len(items) + len(words)
        if score > best[0] and rest:
            best = (score, rest)
    return best[1]


@lru_cache(maxsize=1)
def _taught_words() -> tuple[tuple[str, frozenset[str]], ...]:
    """(family, its words and marks) of every taught phrasing."""
    bare = dict.fromkeys("abn", "")
    return tuple(
        (family, frozenset(text.replace("{r} m", RADIUS).format(**bare).split()))
        for family, texts in PHRASINGS.items()
        for text in texts
    )


def _check_objects(query: Query, names: Sequence[str]) -> None:
    things = list(zip(query.objects, query.picks or ("",) * len(query.objects), strict=True))
    same = len(query.objects) == 2 and query.objects[0] == query.objects[1]
    if same and not (all(query.picks) and things[0] != things[1]):
        raise QuestionError(
            f"a {query.family!r} question needs 2 different object(s), "
            f"found: {', '.join(query.objects)}; the objects known are: {_known(names)}",
            names,
        )
    counted = query.family == COUNT or (query.family == PRESENCE and not query.taught)
    for index, (name, pick) in enumerate(things):
        if name in STUFF and (pick or (counted and index == 0)):
            raise QuestionError(f"{name!r} has no instances that could be counted", names)


def known_question_words(names: Sequence[str] = CLASS_NAMES) -> tuple[str, ...]:
    """Nouns that a question may use: class names, plurals and synonyms, sorted."""
    table = _singulars(tuple(names))
    synonyms = [word for word, name in SYNONYM_WORDS.items() if name in table]
    return tuple(sorted({*table, *synonyms}))
