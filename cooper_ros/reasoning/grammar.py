"""The text grammar of nano: the single door to phrasings, word list, chains and parsing."""

from __future__ import annotations

from cooper_ros.core.query import FAMILIES, MAX_COUNT, Family, Query
from cooper_ros.reasoning.chains import (
    ChainObject,
    answer,
    chain_object,
    final_turn,
    format_metres,
    format_value,
    free_chain,
    missing_chain,
    object_chain,
    parse_chains,
    percent,
    render_chain,
    think,
)
from cooper_ros.reasoning.normalise import MAX_CHARACTERS, MAX_WORDS, normalise_question
from cooper_ros.reasoning.phrasings import (
    PHRASINGS,
    SPECIAL_TOKENS,
    TAGS,
    VOCABULARY,
    WORDS,
    join_words,
    phrasing_count,
    render_question,
    renderings,
    split_words,
)
from cooper_ros.reasoning.questions import known_question_words, parse_question

__all__ = [
    "FAMILIES",
    "MAX_CHARACTERS",
    "MAX_COUNT",
    "MAX_WORDS",
    "PHRASINGS",
    "SPECIAL_TOKENS",
    "TAGS",
    "VOCABULARY",
    "WORDS",
    "ChainObject",
    "Family",
    "Query",
    "answer",
    "chain_object",
    "final_turn",
    "format_metres",
    "format_value",
    "free_chain",
    "join_words",
    "known_question_words",
    "missing_chain",
    "normalise_question",
    "object_chain",
    "parse_chains",
    "parse_question",
    "percent",
    "phrasing_count",
    "render_chain",
    "render_question",
    "renderings",
    "split_words",
    "think",
]
