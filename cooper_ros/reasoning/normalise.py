"""Bringing a typed question into the training alphabet of word-level models."""

from __future__ import annotations

import re
import unicodedata

from cooper_ros.core.classes import PLURALS, SYNONYMS
from cooper_ros.core.errors import QuestionError
from cooper_ros.reasoning.phrasings import synonym_plural
from cooper_ros.reasoning.units import METRES_PER_UNIT, NUMBER_WORDS

MAX_CHARACTERS = 200
MAX_WORDS = 40

_CONTRACTIONS = (
    (re.compile(r"\b(what|where|which|how|there|it|that|who)'s\b"), r"\1 is"),
    (re.compile(r"\b(is|are|was|does|do)n't\b"), r"\1 not"),
    (re.compile(r"'s\b"), ""),
)
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
        (r"\bpersons\b", "people"),
        (r"^\W*(?:hello|hi|hey|ok)\b(?:,? robot\b)?\s*,?", ""),
        (r"\bcan (?:the|this) robot (?=(?:go|drive|move|see|reach)\b)", "can i "),
        (r"\b(?:in|on) (?:the|this|that) (?:image|picture|photo|photograph|room|scene|view|frame)"
         r"(?=\s*[?.!]?\s*$)", ""),
    )
)
_NUMBER_UNIT = re.compile(
    r"(?<![\w.])(\d+(?:[.,]\d+)?|a|one|two|three|four|five|six|seven|eight|nine|ten)\s*("
    + "|".join(sorted(METRES_PER_UNIT, key=len, reverse=True))
    + r")\b(?!\s+front)"
)
_TOKEN = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+|[,?]")

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


def _number_and_unit(match: re.Match[str]) -> str:
    number, unit = match.group(1), match.group(2)
    if number == "a":
        value = 1.0 if METRES_PER_UNIT[unit] and len(unit) > 2 else None
    elif number in NUMBER_WORDS:
        value = float(NUMBER_WORDS[number])
    else:
        value = float(number.replace(",", "."))
    if value is None:
        return match.group(0)
    return f" {value * METRES_PER_UNIT[unit]:.2f} m "


def normalise_question(text: str) -> str:
    """The question in lower case, words and punctuation apart, synonyms replaced, metres.

    "What's the distance to the CUP?" -> "what is the distance to the mug ?";
    "within 80cm" -> "within 0.80 m". The result ends with " ?". Unknown words are kept (the
    parser names them). Raises QuestionError when the text is empty or too long.
    """
    check_length(text)
    lowered = unicodedata.normalize("NFKC", text).lower().replace("\u2019", "'")
    for pattern, replacement in _CONTRACTIONS + _PHRASES:
        lowered = pattern.sub(replacement, lowered)
    lowered = _NUMBER_UNIT.sub(_number_and_unit, lowered)
    tokens = [SYNONYM_WORDS.get(token, token) for token in _TOKEN.findall(lowered)]
    while tokens and tokens[-1] in ",?":
        tokens.pop()
    if not tokens:
        raise QuestionError("the question has no words: ask for example 'how far is the mug?'")
    return " ".join([token for token in tokens if token != "?"] + ["?"])
