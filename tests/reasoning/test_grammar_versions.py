"""Versions of the reasoning text: the first stays as shipped, the second says what is there."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest

from cooper_ros.core.query import FAMILIES, Query
from cooper_ros.core.types import Intrinsics
from cooper_ros.reasoning import grammar
from cooper_ros.reasoning.drafts import draft
from cooper_ros.reasoning.reading import read_answer

VIEW = Intrinsics.from_fov(70.0, 320, 240)
SHIPPED = Path(__file__).parents[2] / "engines" / "cooper-nano"
EDGES = (38, 47, 10, 25)


def place(label: str, u: int, v: int, d: float, edges=None) -> grammar.ChainObject:
    """An entry whose x and y follow from u, v and d."""
    pixel = (u + 0.5) / 100 * VIEW.width - 0.5, (v + 0.5) / 100 * VIEW.height - 0.5
    item = grammar.chain_object(label, (*pixel, d), VIEW)
    return grammar.ChainObject(item.label, item.u, item.v, item.d_m, item.x_m, item.y_m, edges) \
        if edges else item


MUG, BOX, SIZED = (
    place("mug", 42, 17, 1.35), place("box", 80, 30, 2.46), place("mug", 42, 17, 1.35, EDGES)
)  # fmt: skip
WIDTH_M = 0.09 * VIEW.width / VIEW.fx * 1.35
HEIGHT_M = 0.15 * VIEW.height / VIEW.fy * 1.35
APART = math.dist((MUG.x_m, MUG.y_m, MUG.d_m), (BOX.x_m, BOX.y_m, BOX.d_m))
TURNS = {
    "distance": (MUG.distance_m, [MUG]),
    "between": (APART, [MUG, BOX]),
    "nearer": (0.0, [MUG, BOX]),
    "farther": (1.0, [MUG, BOX]),
    "left": (1.0, [MUG, BOX]),
    "right": (0.0, [MUG, BOX]),
    "front": (1.0, [MUG, BOX]),
    "behind": (0.0, [MUG, BOX]),
    "count": (2.0, [MUG, place("mug", 60, 50, 1.0)]),
    "width": (WIDTH_M, [SIZED]),
    "height": (HEIGHT_M, [SIZED]),
    "reachable": (0.0, [MUG]),
    "free": (1.84, []),
    "presence": (1.0, [MUG]),
}


def query_of(family: str) -> Query:
    return Query(family, ("mug", "box")[: FAMILIES[family].object_count], 0.8)


def turn_of(family: str, missing: tuple[str, ...] = ()) -> str:
    """A turn of version 2."""
    value, objects = TURNS[family]
    objects = [o for o in objects if o.label not in missing]
    if not FAMILIES[family].needs_depth:
        objects = [grammar.ChainObject(o.label, o.u, o.v) for o in objects]
    if missing:
        value = 0.0
    return grammar.final_turn(query_of(family), value, objects, missing, grammar=2)


def test_version_1_writes_guesses_and_numbers_as_it_did():
    """The digest was taken before version 2 came: the shipped weights speak version 1."""
    digest = hashlib.sha256()
    words = [*grammar.TAGS, "mug", "box", *"uvdxy+-.", "no", "none", "m", *"0149"]
    rng = np.random.default_rng(7)
    for family, (value, objects) in TURNS.items():
        query = query_of(family)
        plain = [grammar.ChainObject(o.label, o.u, o.v, o.d_m, o.x_m, o.y_m) for o in objects]
        turns = [
            grammar.final_turn(query, value, plain),
            grammar.final_turn(query, 0.0, plain[:1], query.objects[1:]),
            grammar.final_turn(query, 0.0, (), query.objects),
        ]
        prefixes = [
            [words[i] for i in rng.integers(0, len(words), int(rng.integers(0, 30)))]
            for _ in range(200)
        ]
        for turn in turns:
            tokens = grammar.split_words(turn)
            prefixes += [tokens[:end] for end in range(len(tokens) + 1)]
        guesses = [draft(tokens, query, VIEW) for tokens in prefixes]
        digest.update(json.dumps([turns, guesses]).encode())
    assert digest.hexdigest()[:16] == "8b7d99f040798c0e"


def test_old_words_keep_their_ids():
    vocabulary = json.loads((SHIPPED / "tokenizer.json").read_text())["model"]["vocab"]
    assert sorted(vocabulary, key=vocabulary.get) == list(grammar.vocabulary(1))
    newer = grammar.vocabulary(2)
    assert {word: i for i, word in enumerate(newer) if word in vocabulary} == vocabulary
    assert newer[len(vocabulary) :] == ("seen", "absent", "l", "r", "t", "b")
    assert len(set(newer)) == len(newer)


def test_turns_say_what_is_there_in_the_order_of_the_question():
    mug, chain = grammar.ChainObject("mug", 42, 17, 1.35, 0.12, -0.3), "mug u 42 v 17 d 1.35"
    between = Query("between", ("mug", "can"))
    assert grammar.final_turn(between, 1.0, [mug], ["can"], grammar=2) == (
        f"<think> seen <obj> {chain} x +0.12 y -0.30 </obj> absent can </think> "
        "<answer> none </answer>"
    )
    between = Query("between", ("can", "mug"))
    assert grammar.final_turn(between, 1.0, [mug], ["can"], grammar=2).startswith(
        f"<think> absent can seen <obj> {chain}"
    )
    sized = grammar.ChainObject("mug", 42, 17, 1.35, 0.12, -0.3, EDGES)
    assert grammar.final_turn(Query("width", ("mug",)), 0.12, [sized], grammar=2) == (
        f"<think> seen <obj> {chain} x +0.12 y -0.30 l 38 r 47 t 10 b 25 </obj> </think> "
        "<answer> 0.12 m </answer>"
    )
    assert grammar.final_turn(Query("presence", ("can",)), 0.0, (), ["can"], grammar=2) == (
        "<think> absent can </think> <answer> no </answer>"
    )
    assert grammar.final_turn(Query("count", ("can",)), 0.0, (), ["can"], grammar=2) == (
        "<think> absent can </think> <answer> 0 </answer>"
    )
    assert turn_of("count").startswith("<think> seen <obj> mug u 42 v 17 </obj> <obj> mug u 60 ")
    assert turn_of("free") == "<think> d 1.84 </think> <answer> 1.84 m </answer>"
    with pytest.raises(ValueError, match="grammar must be one of"):
        grammar.final_turn(between, 1.0, [mug], grammar=3)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_written_is_read_back_and_known(family):
    turn = turn_of(family)
    tokens = grammar.split_words(turn)
    assert set(tokens) <= set(grammar.vocabulary(2)) and grammar.join_words(tokens) == turn
    found = grammar.parse_chains(turn)
    assert [o.label for o in found] == [o.label for o in TURNS[family][1]]
    assert [o.edges for o in found] == [o.edges for o in TURNS[family][1]]
    assert read_answer(turn, query_of(family)).value == pytest.approx(TURNS[family][0], abs=0.006)


def test_half_an_edge_is_no_entry():
    whole = grammar.render_chain(SIZED)
    for broken in (whole.replace(" r 47", ""), whole.replace("l 38", "l"), whole + " l 38"):
        assert len(grammar.parse_chains(broken)) == int(broken.startswith(whole))


def passes(turn: list[str], query: Query) -> int:
    """How many passes a model needs that writes exactly this turn."""
    written, count = 0, 0
    while written < len(turn):
        count += 1
        for word in draft(turn[:written], query, VIEW, grammar=2):
            if written == len(turn) or turn[written] != word:
                break
            written += 1
        written += 1
    return count


@pytest.mark.parametrize("family", FAMILIES)
def test_a_settled_turn_takes_few_passes(family):
    """u, v, d and edges digit by digit, and one pass for each name that is seen."""
    turn = grammar.split_words(turn_of(family))
    each = 11 if FAMILIES[family].needs_depth else 7
    each += 8 if family in ("width", "height") else 0
    count = passes(turn, query_of(family))
    assert count <= each * max(1, len(TURNS[family][1])) + 1 < len(turn)


@pytest.mark.parametrize("family", [f for f in FAMILIES if f != "free"])
def test_what_is_absent_takes_a_pass_for_each_name(family):
    query = query_of(family)
    turn = grammar.split_words(turn_of(family, query.objects))
    assert passes(turn, query) <= len(query.objects) + 1


@pytest.mark.parametrize("family", [f for f in FAMILIES if f != "free"])
def test_whether_something_is_there_is_never_guessed(family):
    """A guess that the model is asked about may still sway what is written: none is made."""
    query = query_of(family)
    for missing in ((), query.objects[:1], query.objects[1:], query.objects):
        turn = grammar.split_words(turn_of(family, missing))
        for end in range(len(turn)):
            guess = draft(turn[:end], query, VIEW, grammar=2)
            assert not {"seen", "absent"} & set(guess), (turn[:end], guess)
            if turn[end] in ("seen", "absent"):
                assert guess == []


def test_sizes_follow_from_the_edges():
    start = grammar.split_words(turn_of("width").split("<answer>")[0]) + ["<answer>"]
    assert draft(start, query_of("width"), VIEW, grammar=2) == grammar.split_words(
        f"{WIDTH_M:.2f} m </answer>"
    )
    assert draft(start, query_of("height"), VIEW, grammar=2)[:-1] == grammar.split_words(
        f"{HEIGHT_M:.2f} m"
    )
    assert draft(start, query_of("width"), None, grammar=2) == []
    turned = " ".join(start).replace("l 3 8", "l 9 8").split()
    assert draft(turned, query_of("width"), VIEW, grammar=2) == []  # no negative length


def test_any_prefix_of_anything_is_met_with_words():
    rng = np.random.default_rng(0)
    words = [*grammar.TAGS, "mug", "box", *"uvdxylrtb+-.", "no", "seen", "absent", "m", *"0149"]
    for _ in range(3000):
        tokens = [words[i] for i in rng.integers(0, len(words), int(rng.integers(0, 30)))]
        for family in ("distance", "count", "between", "free", "width"):
            view = VIEW if rng.random() < 0.5 else None
            guess = draft(tokens, query_of(family), view, grammar=2)
            assert len(guess) < 64
            assert all(word == "".join(grammar.split_words(word)) for word in guess)
