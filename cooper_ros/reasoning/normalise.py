"""Bringing a typed question into the training alphabet of word-level models."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from cooper_ros.core.classes import PLURALS, SYNONYMS
from cooper_ros.core.errors import QuestionError
from cooper_ros.reasoning.lengths import NumberError, find_lengths, prepare
from cooper_ros.reasoning.phrasings import synonym_plural

MAX_CHARACTERS = 200
MAX_WORDS = 40

_CONTRACTIONS = (
    (re.compile(r"\b(what|where|which|how|there|it|that|who)'s\b"), r"\1 is"),
    (re.compile(r"\b(is|are|was|does|do|can|could)n't\b"), r"\1 not"),
    (re.compile(r"\bi'd\b"), "i would"),
    (re.compile(r"'s\b"), ""),
)
_PICTURE = "image|picture|photo|photograph|room|scene|view|frame"
# Phrases that name one thing with two words; "can" is also a verb and "in" also an inch.
_PHRASES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\b(?:trash|garbage|rubbish|waste)[ -](?:can|bin|basket)(s?)\b", r"bin\1"),
        (r"\b(?:soda|beer|tin|cola)[ -]can(s?)\b", r"can\1"),
        (r"\b(?:tv|television)[ -](?:screen|set)(s?)\b", r"tv\1"),
        (r"\bbook[ -]?shelf\b", "shelf"),
        (r"\bbook[ -]?shelves\b", "shelves"),
        (r"\b(?:dining|coffee|kitchen) table(s?)\b", r"table\1"),
        (r"\b(?:coffee|tea) (?:mug|cup)(s?)\b", r"mug\1"),
        (r"\b(?:water|wine|beer) bottle(s?)\b", r"bottle\1"),
        (r"\b(?:floor|table|desk|standing) lamp(s?)\b", r"lamp\1"),
        (r"\bpersons\b", "people"),
        (r"^\W*(?:hello|hi|hey|ok|okay)\b(?:,?\s*(?:there|robot|cooper)\b)?[\s,.!:]*", ""),
        (r"^\W*(?:robot|cooper)\b\s*[,.!:]+\s*(?=\w+ )", ""),
        (r",\s*(?:robot|cooper)\b(?=\W*$)", ""),
        (r"\b(?:can|could) (?:the|this) robot (?=(?:go|drive|move|see|reach)\b)", "can i "),
        (rf"\b(?:in|on) (?:the|this|that) (?:{_PICTURE})(?=\s*[?.!]*\s*$)", "in view"),
    )
)
_DROPPED = re.compile(r"[\"'`\u2018\u2019\u201c\u201d()\[\]{}*~\u00bf]|(?<=[a-z])-(?=[a-z])")
_LONGEST_M = 1e4
_TOKEN = re.compile(r"[0-9]+(?:\.[0-9]+)?|[^\W\d_]+|\S")
_ENDS = frozenset(".!?;\u2026")
_WORDLESS = frozenset(("So", "Sk", "Cf", "Cc", "Co", "Cn", "Cs", "Mn", "Me"))
"""Categories of characters that carry no word: emoji, accents left alone, control characters."""

SYNONYM_WORDS: dict[str, str] = {
    **SYNONYMS,
    **{synonym_plural(word): PLURALS[name] for word, name in SYNONYMS.items()},
}
"""Synonym or plural synonym -> class name or its plural."""


def check_length(text: str) -> None:
    """Raise QuestionError for a question that is empty or over 200 characters or 40 words."""
    if not text or not text.strip():
        raise QuestionError("the question is empty: ask for example 'how far is the mug?'")
    if len(text) > MAX_CHARACTERS:
        raise QuestionError(
            f"the question has {len(text)} characters, at most {MAX_CHARACTERS} are understood"
        )
    words = len(text.split())
    if words > MAX_WORDS:
        raise QuestionError(f"the question has {words} words, at most {MAX_WORDS} are understood")


def question_words(text: str, mark: Callable[[str], str] | None = None) -> list[str]:
    """The words of a question in lower case, with synonyms replaced and lengths in metres.

    `mark` puts marks in place of names that only the frame knows, see `Vocabulary.marked`.

    "." stands between sentences; a character that is no part of a word is a word of its own.
    Raises QuestionError when the text is empty, too long, or holds a number that cannot be read.
    """
    check_length(text)
    plain = "".join(map(_plain, text))
    lowered = prepare(plain if mark is None else mark(plain.lower()))
    for pattern, replacement in _CONTRACTIONS + _PHRASES:
        lowered = pattern.sub(replacement, lowered)
    lowered = _DROPPED.sub(" ", _lengths_in_metres(lowered))
    words: list[str] = []
    for token in _TOKEN.findall(lowered):
        word = {"&": "and", ":": ",", "\u2013": ",", "\u2014": ","}.get(token, token)
        word = "." if word in _ENDS else SYNONYM_WORDS.get(word, word)
        if len(word) == 1 and unicodedata.category(word) in _WORDLESS:
            continue
        if word not in (",", ".") or (words and words[-1] not in (",", ".")):
            words.append(word)
    while words and words[-1] in (",", "."):
        words.pop()
    if not words:
        raise QuestionError("the question has no words: ask for example 'how far is the mug?'")
    return words


def normalise_question(text: str) -> str:
    """The question in lower case, words and punctuation apart, synonyms replaced, metres.

    "What's the distance to the CUP?" -> "what is the distance to the mug ?";
    "within 80cm" -> "within 0.80 m". The result ends with " ?". Unknown words are kept (the
    parser names them). Raises QuestionError as `question_words`.
    """
    return " ".join([*question_words(text), "?"])


def _plain(letter: str) -> str:
    """The letter without a font of its own; "\u00b2" and "\u00bd" stay, they are no digits."""
    special = letter.isnumeric() and not letter.isdecimal()
    return letter if special else unicodedata.normalize("NFKC", letter)


def _lengths_in_metres(text: str) -> str:
    try:
        lengths = find_lengths(text)
    except NumberError as error:
        raise QuestionError(f"{error}: give one length, as in '0.80 m'") from error
    for length in reversed(lengths):
        shown = text[length.start : length.end]
        if length.low == length.low:
            raise QuestionError(f"{shown!r} is a range: give one length, as in '0.80 m'")
        # what is asked is what is shown: a length that two decimals would change is refused
        metres = f"{length.value:.2f}"
        changed = abs(float(metres) - length.value) > 0.05 * length.value
        if not 0.0 < length.value <= _LONGEST_M or changed:
            raise QuestionError(f"{shown!r} is no length from 0.01 m to {_LONGEST_M:g} m")
        text = f"{text[: length.start]} {metres} m {text[length.end :]}"
    return text
