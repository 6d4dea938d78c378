"""Parsing a question into a `Query`: family, objects, radius.

Rules on words, not a model: they serve the measurement beside the model's answer, and refuse what
a small model was never taught. Free-form models may be asked anything; there a QuestionError only
means that nothing can be measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from cooper_ros.core.classes import CLASS_NAMES, PLURALS, STUFF
from cooper_ros.core.errors import QuestionError
from cooper_ros.core.query import FAMILIES, Query
from cooper_ros.core.types import NAN
from cooper_ros.reasoning.normalise import SYNONYM_WORDS, normalise_question
from cooper_ros.reasoning.phrasings import render_question, renderings

# Words that a question may contain besides class names. What is not here, and no name, is unknown.
_GRAMMAR_WORDS = frozenset(
    """
    a an the is are was be it its this that there here any some me my you your i we us our
    how far away distant distance range apart between from to of and or than which what who one
    near nearer nearest close closer closest farther farthest further furthest left right side
    in on at front behind back before many much number count amount metres meters metre meter m
    wide width broad tall height high within less reach reachable grasp get not free space room
    clear ahead forward go drive move walk obstacle way can could do does did see find have visible
    present please tell give say hello hi hey ok robot camera exist exists view now current
    currently object thing up down
    """.split()
)
_NEAR = frozenset({"near", "nearer", "nearest", "close", "closer", "closest"})
_FAR = frozenset({"farther", "farthest", "further", "furthest"})
_MODAL_FOLLOWERS = frozenset({"you", "i", "we", "it", "be", "one", "reach", "see", "get"})
_ARTICLES = frozenset({"a", "an", "the", "any", "some", "of", "my", "your", "our", "this", "that"})
_FILLER = _ARTICLES | {"and", "or", ",", "than", "from", "to", "is", "away", "it"}
# Words that relate one object to another in a way that no family expresses.
_RELATIONS = frozenset({"in", "on", "at", "before"})


@lru_cache(maxsize=8)
def _singulars(names: tuple[str, ...]) -> dict[str, tuple[str, bool]]:
    """Word -> (class name, is plural)."""
    table: dict[str, tuple[str, bool]] = {}
    for name in names:
        table[PLURALS.get(name, name + "s")] = (name, True)
    for name in names:
        table[name] = (name, False)
    return table


def _is_modal(tokens: Sequence[str], index: int) -> bool:
    """Whether the "can" at `index` is the verb, not the tin."""
    following = tokens[index + 1] if index + 1 < len(tokens) else ""
    previous = tokens[index - 1] if index else ""
    return following in _MODAL_FOLLOWERS or (not previous and following in _ARTICLES)


def _mentions(
    tokens: Sequence[str], table: dict[str, tuple[str, bool]]
) -> list[tuple[int, str]]:
    """(token index, class name) of every object named, in order."""
    found = []
    for index, token in enumerate(tokens):
        if token not in table or (token == "can" and _is_modal(tokens, index)):
            continue
        found.append((index, table[token][0]))
    return found


def _known(names: Sequence[str]) -> str:
    return ", ".join(names)


def _reject_unknown(
    tokens: Sequence[str], names: Sequence[str], table: Mapping[str, object]
) -> None:
    unknown = []
    for index, token in enumerate(tokens):
        if token in table or token in (",", "?") or token in unknown:
            continue
        if token == "can" and _is_modal(tokens, index):
            continue
        if token in CLASS_NAMES or token in PLURALS.values():
            if token not in ("robot", "can", "floor"):
                unknown.append(token)
            continue
        is_number = token[0].isdigit()
        if token in _GRAMMAR_WORDS and token != "can":
            continue
        if is_number and index + 1 < len(tokens) and tokens[index + 1] == "m":
            continue
        unknown.append(token)
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


def _family(tokens: Sequence[str], objects: Sequence[str], radius: float) -> str | None:
    """Family by key words; None when nothing fits."""
    words = set(tokens)
    pairs = set(zip(tokens, tokens[1:], strict=False))
    first = tokens[0]
    choice = first in ("which", "what", "who") or "or" in words
    if ("how", "many") in pairs and not words & {"metres", "meters", "m", "metre", "meter"}:
        return "count"
    if ("number", "of") in pairs or ("amount", "of") in pairs or first == "count":
        return "count"
    if radius == radius:
        return "reachable" if not words & (_NEAR | _FAR) else None
    if words & {"wide", "width", "broad"}:
        return "width"
    if words & {"tall", "height", "high"}:
        return "height"
    if len(objects) == 2:
        return _pair_family(words, choice)
    if len(objects) == 1:
        if ("in", "front") in pairs or words & {"left", "right", "behind"}:
            return None
        if words & {"far", "away", "distance", "distant", "range", "near", "close"}:
            return "distance"
        if words & {"metres", "meters", "m"} and "many" in words:
            return "distance"
        if words & {"there", "see", "visible", "find", "any", "present", "have", "exist", "exists"}:
            return "presence"
        return None
    if not objects and (
        words & {"free", "space", "room", "clear", "obstacle"}
        or (words & {"far", "much", "go"} and words & {"ahead", "forward", "drive", "move"})
    ):
        return "free"
    return None


def _pair_family(words: set[str], choice: bool) -> str | None:
    if words & {"left", "right"}:
        return None if choice else ("left" if "left" in words else "right")
    if choice and words & _NEAR:
        return "nearer"
    if choice and words & _FAR:
        return "farther"
    if "front" in words or ("than" in words and words & _NEAR):
        return None if choice and "what" not in words else "front"
    if "behind" in words or ("than" in words and words & _FAR):
        return None if choice and "what" not in words else "behind"
    if words & {"far", "distance", "apart", "between", "away", "range"}:
        return "between"
    return None


def _unsupported_relation(tokens: Sequence[str], mentions: Sequence[tuple[int, str]]) -> str | None:
    """A preposition between two objects that the family does not mean, e.g. "on the table"."""
    if len(mentions) < 2:
        return None
    between = list(tokens[mentions[0][0] + 1 : mentions[1][0]])
    text = " ".join(between)
    for phrase in ("in front of", "on the left side of", "on the right side of", "on the left of",
                   "on the right of", "at the left of", "at the right of"):
        text = text.replace(phrase, "")
    for word in text.split():
        if word in _RELATIONS:
            return word
    return None


def parse_question(text: str, names: Sequence[str] = CLASS_NAMES) -> Query:
    """Parse a question about objects in `names` (class names of the model, id order).

    Accepts upper case, missing punctuation, synonyms, plurals, articles and other units. The
    query's `text` is the question as the model was taught it: the normalised words where they are
    one of the phrasings, otherwise the family's first phrasing.

    Raises QuestionError: empty, over 200 characters or 40 words, unknown words (listed together
    with the known names), objects that do not fit the family, or a question of no known family.
    """
    normalised = normalise_question(text)
    tokens = normalised.split()[:-1]
    table = _singulars(tuple(names))
    _reject_unknown(tokens, names, table)
    mentions = _mentions(tokens, table)
    objects = tuple(dict.fromkeys(name for _, name in mentions))
    radius = _radius(tokens)
    family = _family(tokens, objects, radius)
    relation = _unsupported_relation(tokens, mentions)
    if family is None or relation is not None or "not" in tokens:
        what = f"the relation {relation!r} is not" if relation else "the question is not"
        raise QuestionError(
            f"{what} understood; known questions are: {_examples()}", names
        )
    _check_objects(family, objects, mentions, names)
    rendered = renderings(family, objects, radius)
    return Query(family, objects, radius, normalised if normalised in rendered else rendered[0])


def _radius(tokens: Sequence[str]) -> float:
    for token, following in zip(tokens, tokens[1:], strict=False):
        if token[0].isdigit() and following == "m":
            return float(token)
    return NAN


def _check_objects(
    family: str, objects: Sequence[str], mentions: Sequence[tuple[int, str]], names: Sequence[str]
) -> None:
    wanted = FAMILIES[family].object_count
    repeated = len(mentions) > len(objects)
    if len(objects) != wanted or repeated:
        found = ", ".join(name for _, name in mentions) or "none"
        raise QuestionError(
            f"a {family!r} question needs {wanted} different object(s), found: {found}; "
            f"the objects known are: {_known(names)}",
            names,
        )
    if family == "count" and objects[0] in STUFF:
        raise QuestionError(f"{objects[0]!r} has no instances that could be counted", names)


def known_question_words(names: Sequence[str] = CLASS_NAMES) -> tuple[str, ...]:
    """Nouns that a question may use: class names, plurals and synonyms, sorted."""
    table = _singulars(tuple(names))
    synonyms = [word for word, name in SYNONYM_WORDS.items() if name in table]
    return tuple(sorted({*table, *synonyms}))
