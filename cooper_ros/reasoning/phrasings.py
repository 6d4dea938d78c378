"""Question phrasings and the closed word list of word-level models.

Every word that a question, a thought or an answer of the nano grammar can contain is in `WORDS`.
The list is part of a trained model: append nothing without a new tokenizer version.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from cooper_ros.core.classes import CLASS_NAMES, PLURALS, SYNONYMS, plural_of
from cooper_ros.core.query import FAMILIES
from cooper_ros.core.types import NAN

# {a}, {b}: singular class names; {n}: the plural of {a}; {r}: a radius in metres, "0.80".
PHRASINGS: dict[str, tuple[str, ...]] = {
    "distance": (
        "how far is the {a} ?",
        "how far away is the {a} ?",
        "what is the distance to the {a} ?",
        "how many metres is it to the {a} ?",
    ),
    "between": (
        "how far is the {a} from the {b} ?",
        "what is the distance between the {a} and the {b} ?",
        "how far apart are the {a} and the {b} ?",
    ),
    "nearer": (
        "which is nearer , the {a} or the {b} ?",
        "which is closer , the {a} or the {b} ?",
        "what is closer to me , the {a} or the {b} ?",
    ),
    "farther": (
        "which is farther , the {a} or the {b} ?",
        "which is farther away , the {a} or the {b} ?",
        "what is further away , the {a} or the {b} ?",
    ),
    "left": (
        "is the {a} left of the {b} ?",
        "is the {a} to the left of the {b} ?",
        "is the {a} on the left side of the {b} ?",
    ),
    "right": (
        "is the {a} right of the {b} ?",
        "is the {a} to the right of the {b} ?",
        "is the {a} on the right side of the {b} ?",
    ),
    "front": (
        "is the {a} in front of the {b} ?",
        "is the {a} nearer than the {b} ?",
        "is the {a} closer than the {b} ?",
    ),
    "behind": (
        "is the {a} behind the {b} ?",
        "is the {a} farther than the {b} ?",
        "is the {a} further away than the {b} ?",
    ),
    "count": (
        "how many {n} are there ?",
        "how many {n} can you see ?",
        "what is the number of {n} ?",
    ),
    "width": (
        "how wide is the {a} ?",
        "what is the width of the {a} ?",
        "how broad is the {a} ?",
    ),
    "height": (
        "how tall is the {a} ?",
        "what is the height of the {a} ?",
        "how high is the {a} ?",
    ),
    "reachable": (
        "is the {a} within {r} m ?",
        "is the {a} less than {r} m away ?",
        "can you reach the {a} within {r} m ?",
    ),
    "free": (
        "how much free space is ahead ?",
        "how far can i go forward ?",
        "how much room is in front of me ?",
    ),
    "presence": (
        "is there a {a} ?",
        "can you see a {a} ?",
        "do you see a {a} ?",
    ),
}

TAGS: tuple[str, ...] = (
    "<think>",
    "</think>",
    "<depth-estimation>",
    "</depth-estimation>",
    "<segmentation>",
    "</segmentation>",
    "<obj>",
    "</obj>",
    "<answer>",
    "</answer>",
)

SPECIAL_TOKENS: tuple[str, ...] = (
    "<pad>",
    "<unk>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
)

PUNCTUATION: tuple[str, ...] = (".", ",", "?", "+", "-", ":")

# Thoughts, answers, mode words, and function words kept in reserve for later phrasings.
_OTHER_WORDS = """
yes no none m u v d x y w h i need depth map objects image answer direct think see look
and or not is are was it its this that these those the a an of to in on at by from with than
nearest closest farthest furthest near far close left right front behind above below under over
between beside inside outside next middle centre center top bottom corner side up down ahead
forward back here there where which what who how many much long wide tall high big small large
object thing things floor one two three four five six seven eight nine ten zero all any some
more less most least about same both each other me you we us robot camera please tell give
metre metres meter meters cm centimetre centimetres centimeter centimeters mm
red green blue yellow black white grey brown orange purple pink
can could do does have has will go move drive turn stop reach grasp pick put free space room
distance width height depth length size position number count order area
first second third last then so because if ok unknown unsure visible hidden empty
"""


def _split_template(template: str) -> list[str]:
    return [word for word in template.split() if not word.startswith("{")]


def synonym_plural(word: str) -> str:
    """Regular plural of a synonym."""
    return word + ("es" if word.endswith(("s", "x", "ch", "sh")) else "s")


def _build_words() -> tuple[str, ...]:
    words: set[str] = set(TAGS) | set(PUNCTUATION) | set("0123456789")
    for templates in PHRASINGS.values():
        for template in templates:
            words.update(_split_template(template))
    words.update(_OTHER_WORDS.split())
    words.update(CLASS_NAMES)
    words.update(PLURALS.values())
    words.update(SYNONYMS)
    words.update(synonym_plural(word) for word in SYNONYMS)
    return tuple(sorted(words))


WORDS: tuple[str, ...] = _build_words()
"""The closed, sorted word list: words, digits, punctuation and tags (no special tokens)."""

VOCABULARY: tuple[str, ...] = SPECIAL_TOKENS + WORDS
"""Token strings of the word-level tokenizer; the index is the token id. Grammar version 1."""

ADDED_WORDS: dict[int, tuple[str, ...]] = {2: ("seen", "absent", "l", "r", "t", "b")}
"""Words that a version of the grammar adds. They stand behind all older ones, so that no id moves
and a model goes on from the weights of an older version."""


def vocabulary(grammar: int = 1) -> tuple[str, ...]:
    """Token strings of a version of the grammar; the index is the token id."""
    added = (words for version, words in sorted(ADDED_WORDS.items()) if version <= grammar)
    return VOCABULARY + tuple(word for words in added for word in words)


_TOKEN = re.compile(r"<\|[a-z_]+\|>|</?[a-z-]+>|[a-z]+|[0-9]|\S")
_NO_SPACE_AFTER_SIGN = ("+", "-")


def split_words(text: str) -> list[str]:
    """Tokens of a text: lower-case words, single digits, single punctuation marks, whole tags."""
    return _TOKEN.findall(text.lower())


def join_words(tokens: Iterable[str]) -> str:
    """Text of tokens: single spaces, except inside numbers and after the sign of a number.

    Inverse of `split_words` for every text of the grammar ("x +0.12 y -0.30", "1.42 m").
    """
    items = list(tokens)
    parts: list[str] = []
    for index, token in enumerate(items):
        parts.append(token)
        if index + 1 == len(items):
            break
        following = items[index + 1]
        if token.isdigit() and following.isdigit():
            continue
        if token.isdigit() and following == "." and _digit_at(items, index + 2):
            continue
        if token == "." and following.isdigit() and _digit_at(items, index - 1):
            continue
        if token in _NO_SPACE_AFTER_SIGN and following.isdigit():
            continue
        parts.append(" ")
    return "".join(parts)


def _digit_at(items: Sequence[str], index: int) -> bool:
    return 0 <= index < len(items) and items[index].isdigit()


def phrasing_count(family: str) -> int:
    """Number of phrasings of a family."""
    return len(PHRASINGS[family])


def render_question(
    family: str, objects: Sequence[str] = (), radius_m: float = NAN, phrasing: int = 0
) -> str:
    """The question in the training alphabet, for example "how far is the mug ?".

    `objects`: as many class names as the family has slots; `radius_m` [m] is used by "reachable".
    """
    wanted = FAMILIES[family].object_count
    if len(objects) != wanted:
        raise ValueError(f"a {family!r} question has {wanted} object(s), got {list(objects)}")
    first = objects[0] if objects else ""
    second = objects[1] if len(objects) > 1 else ""
    return PHRASINGS[family][phrasing].format(
        a=first, b=second, n=plural_of(first), r=f"{radius_m:.2f}"
    )


def renderings(family: str, objects: Sequence[str], radius_m: float = NAN) -> tuple[str, ...]:
    """All phrasings of one question."""
    return tuple(
        render_question(family, objects, radius_m, index) for index in range(phrasing_count(family))
    )
