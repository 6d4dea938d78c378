"""Guesses about the rest of a turn: right where it is settled, silent or harmless elsewhere."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cooper_ros.core.query import FAMILIES, Query
from cooper_ros.core.types import Intrinsics
from cooper_ros.reasoning import grammar
from cooper_ros.reasoning.drafts import draft, rest_of
from cooper_ros.reasoning.phrasings import TAGS, split_words
from cooper_ros.reasoning.prompts import NANO_DEPTH_TURN, NANO_SEGMENTATION_TURN, nano_script
from cooper_ros.reasoning.tags import DEPTH, SEGMENTATION

VIEW = Intrinsics.from_fov(70.0, 320, 240)


def place(label: str, u: int, v: int, d: float) -> grammar.ChainObject:
    """An entry whose x and y follow from u, v and d."""
    pixel = (u + 0.5) / 100 * VIEW.width - 0.5, (v + 0.5) / 100 * VIEW.height - 0.5
    return grammar.chain_object(label, (*pixel, d), VIEW)


MUG, BOX = place("mug", 42, 57, 1.35), place("box", 80, 30, 2.46)
APART = math.dist((MUG.x_m, MUG.y_m, MUG.d_m), (BOX.x_m, BOX.y_m, BOX.d_m))
SEEN = {
    "distance": (MUG.distance_m, [MUG]),
    "between": (APART, [MUG, BOX]),
    "nearer": (0.0, [MUG, BOX]),
    "farther": (1.0, [MUG, BOX]),
    "left": (1.0, [MUG, BOX]),
    "right": (0.0, [MUG, BOX]),
    "front": (1.0, [MUG, BOX]),
    "behind": (0.0, [MUG, BOX]),
    "count": (2.0, [MUG, place("mug", 60, 50, 1.0)]),
    "width": (0.12, [MUG]),
    "height": (0.1, [MUG]),
    "reachable": (0.0, [MUG]),
    "free": (1.84, []),
    "presence": (1.0, [MUG]),
}
SILENT = {"width": 3, "height": 3}  # tokens of the answer that have to be read


def query_of(family: str) -> Query:
    names = ("mug", "box")[: FAMILIES[family].object_count]
    return Query(family, names, 0.8)


def turn_of(family: str) -> list[str]:
    value, objects = SEEN[family]
    if not FAMILIES[family].needs_depth:
        objects = [grammar.ChainObject(o.label, o.u, o.v) for o in objects]
    return split_words(grammar.final_turn(query_of(family), value, objects))


def passes(turn: list[str], query: Query) -> int:
    """How many passes a model needs that writes exactly this turn."""
    written, count = 0, 0
    while written < len(turn):
        count += 1
        for word in draft(turn[:written], query, VIEW):
            if written == len(turn) or turn[written] != word:
                break
            written += 1
        written += 1  # what the model itself adds
    return count


@pytest.mark.parametrize("family", FAMILIES)
def test_a_settled_turn_takes_few_passes(family):
    turn = turn_of(family)
    each = 10 if FAMILIES[family].needs_depth else 6  # u, v and d digit by digit, then x and y
    count = passes(turn, query_of(family))
    assert count <= each * max(1, len(SEEN[family][1])) + 1 + SILENT.get(family, 0) < len(turn)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_missing_takes_two(family):
    if family == "free":
        return
    query = query_of(family)
    value = 0.0 if family in ("presence", "count") else math.nan
    turn = split_words(grammar.final_turn(query, value, (), query.objects[:1]))
    assert passes(turn, query) <= 4


def test_the_answer_follows_what_was_written_not_what_was_meant():
    text = "<think> <obj> mug u 49 v 49 d 2.00 x +0.00 y +0.00 </obj> </think> <answer>"
    assert draft(split_words(text), query_of("distance"), VIEW) == split_words("2.00 m </answer>")


def test_numbers_go_on_behind_a_surprise():
    start = split_words("<think> <obj> mug u 49 v 49 d 2.00 x + 1")
    rest = draft(start, query_of("distance"), VIEW)
    assert rest[0] == "." and "y" in rest  # the model wrote 1.: the guess keeps its place


def test_any_prefix_of_anything_is_met_with_words():
    rng = np.random.default_rng(0)
    words = [
        *TAGS,
        "mug",
        "box",
        "u",
        "v",
        "d",
        "x",
        "y",
        "+",
        "-",
        ".",
        "no",
        "none",
        "m",
        *"0149",
    ]
    for _ in range(3000):
        tokens = [words[i] for i in rng.integers(0, len(words), int(rng.integers(0, 30)))]
        for family in ("distance", "count", "between", "free", "left"):
            guess = draft(tokens, query_of(family), VIEW if rng.random() < 0.5 else None)
            assert len(guess) < 64
            assert all(word == "".join(split_words(word)) for word in guess), (tokens, guess)


def test_request_turns_are_known_word_by_word():
    script = nano_script()
    assert script.request_turn(DEPTH) == NANO_DEPTH_TURN
    assert script.request_turn(SEGMENTATION) == NANO_SEGMENTATION_TURN
    words = split_words(NANO_DEPTH_TURN)
    assert rest_of(NANO_DEPTH_TURN, words[:3]) == words[3:]
    assert rest_of(NANO_DEPTH_TURN, ["<obj>"]) == []
