"""Phrasings, word list, chains and answer formats."""

from __future__ import annotations

import hashlib
import itertools
import math

import pytest

from cooper_ros.core import geometry
from cooper_ros.core.classes import CLASS_NAMES, PLURALS, STUFF, SYNONYMS
from cooper_ros.core.query import FAMILIES, Query
from cooper_ros.core.types import Intrinsics, Kind
from cooper_ros.reasoning import grammar
from cooper_ros.reasoning.prompts import (
    NANO_DEPTH_TURN,
    NANO_DIRECT,
    NANO_SEGMENTATION_TURN,
)


def every_question():
    """(family, objects, question) for all phrasings and all objects (pairs: neighbours only)."""
    for name, family in FAMILIES.items():
        names = [n for n in CLASS_NAMES if name != "count" or n not in STUFF]
        combos = {
            0: [()],
            1: [(n,) for n in names],
            2: list(itertools.pairwise(names)) + [(b, a) for a, b in itertools.pairwise(names)],
        }[family.object_count]
        for objects, index in itertools.product(combos, range(grammar.phrasing_count(name))):
            yield name, objects, grammar.render_question(name, objects, 0.8, index)


def test_every_family_has_three_phrasings():
    assert set(grammar.PHRASINGS) == set(FAMILIES)
    for family in FAMILIES:
        assert grammar.phrasing_count(family) >= 3
        assert len(set(grammar.PHRASINGS[family])) == grammar.phrasing_count(family)


def test_no_phrasing_belongs_to_two_families():
    seen: dict[str, str] = {}
    for family, _, text in every_question():
        assert seen.setdefault(text, family) == family


def test_word_list_is_closed_sorted_and_small():
    assert list(grammar.WORDS) == sorted(set(grammar.WORDS))
    assert len(grammar.VOCABULARY) <= 500
    assert len(set(grammar.VOCABULARY)) == len(grammar.VOCABULARY)
    words = set(grammar.WORDS)
    assert words.issuperset("0123456789.,?+-")
    assert words.issuperset(grammar.TAGS)
    assert words.issuperset((*CLASS_NAMES, *PLURALS.values(), *SYNONYMS))


def test_word_list_never_changes_silently():
    """Trained weights depend on the order of these words: a change needs a new tokenizer."""
    digest = hashlib.sha256("\n".join(grammar.VOCABULARY).encode()).hexdigest()
    assert digest[:16] == "46761a3a74832bee"


def test_everything_the_grammar_writes_is_in_the_word_list():
    chain = grammar.ChainObject("mug", 42, 7, 1.35, 0.12, -0.3)
    texts = [text for _, _, text in every_question()]
    texts += [NANO_DIRECT, NANO_DEPTH_TURN, NANO_SEGMENTATION_TURN]
    for name, family in FAMILIES.items():
        query = Query(name, ("mug", "chair")[: family.object_count], 0.8)
        texts.append(grammar.final_turn(query, 1.0, [chain]))
        texts.append(grammar.final_turn(query, math.nan, [], query.objects))
    for text in texts:
        tokens = grammar.split_words(text)
        assert set(tokens) <= set(grammar.WORDS), text
        assert grammar.join_words(tokens) == text


def test_numbers_are_split_into_digits_and_joined_again():
    tokens = grammar.split_words("<obj> mug u 42 v 07 d 1.35 x +0.12 y -0.30 </obj>")
    assert tokens[:5] == ["<obj>", "mug", "u", "4", "2"]
    assert "+" in tokens and "1" in tokens and "." in tokens
    assert grammar.join_words(["<answer>", "1", ".", "4", "2", "m", "</answer>"]) == (
        "<answer> 1.42 m </answer>"
    )
    assert grammar.join_words(["yes", ".", "3", ",", "no"]) == "yes . 3 , no"


def test_chain_text():
    text = grammar.object_chain("mug", 42, 7, 1.349, 0.118, -0.3)
    assert text == "<obj> mug u 42 v 07 d 1.35 x +0.12 y -0.30 </obj>"
    assert grammar.object_chain("mug", 3, 99) == "<obj> mug u 03 v 99 </obj>"
    assert "x +0.00" in grammar.object_chain("mug", 1, 1, 1.0, -0.001, 0.2)


def test_chains_are_read_back():
    items = (
        grammar.ChainObject("mug", 42, 7, 1.35, 0.12, -0.3),
        grammar.ChainObject("chair", 0, 99, 9.99, -3.0, 0.0),
    )
    text = "<think> " + " ".join(map(grammar.render_chain, items)) + " </think>"
    assert grammar.parse_chains(text) == items
    (place,) = grammar.parse_chains("<obj> mug u 42 v 07 </obj>")
    assert math.isnan(place.d_m) and math.isnan(place.distance_m)
    broken = "<obj> mug u 42 v d 1.35 </obj> <obj> mug u 42 v 17 d 1.3"
    assert grammar.parse_chains(broken) == ()


def test_chain_of_an_anchor_holds_the_distance():
    camera = Intrinsics.from_fov(90.0, 96, 72)
    anchor = (80.0, 60.0, 2.0)
    item = grammar.chain_object("mug", anchor, camera)
    assert (item.u, item.v) == (83, 83)
    assert item.distance_m == pytest.approx(math.dist(geometry.back_project(camera, *anchor),
                                                      (0, 0, 0)))
    assert math.isnan(grammar.chain_object("mug", anchor, camera, with_depth=False).d_m)


def test_percent_stays_between_0_and_99():
    assert [grammar.percent(u, 96) for u in (0, 47, 95, 96, -1)] == [0, 48, 98, 99, 0]


@pytest.mark.parametrize(
    ("family", "value", "expected"),
    [
        ("distance", 1.424, "1.42 m"),
        ("width", -0.001, "0.00 m"),
        ("count", 3.0, "3"),
        ("left", 1.0, "yes"),
        ("presence", 0.0, "no"),
        ("nearer", 1.0, "chair"),
        ("distance", math.nan, "none"),
    ],
)
def test_answer_formats(family, value, expected):
    count = FAMILIES[family].object_count
    assert grammar.format_value(Query(family, ("mug", "chair")[:count]), value) == expected


def test_final_turns():
    mug = grammar.ChainObject("mug", 42, 17, 1.35, 0.12, -0.3)
    chain = grammar.render_chain(mug)
    distance = Query("distance", ("mug",))
    assert grammar.final_turn(distance, 1.42, [mug]) == (
        f"<think> {chain} </think> <answer> 1.42 m </answer>"
    )
    assert grammar.final_turn(distance, math.nan, [], ["mug"]) == (
        "<think> no mug </think> <answer> none </answer>"
    )
    between = Query("between", ("mug", "bed"))
    assert grammar.final_turn(between, 1.0, [mug], ["bed"]) == (
        f"<think> {chain} no bed </think> <answer> none </answer>"
    )
    assert grammar.final_turn(Query("presence", ("bed",)), 0.0, [], ["bed"]) == (
        "<think> no bed </think> <answer> no </answer>"
    )
    assert grammar.final_turn(Query("count", ("bed",)), 0.0, [], ["bed"]) == (
        "<think> no bed </think> <answer> 0 </answer>"
    )
    assert grammar.final_turn(Query("free"), 1.35) == (
        "<think> d 1.35 </think> <answer> 1.35 m </answer>"
    )


def test_kinds_and_units_of_families():
    metres = {name for name, family in FAMILIES.items() if family.unit == "m"}
    assert metres == {"distance", "between", "width", "height", "free"}
    assert FAMILIES["nearer"].kind is Kind.CHOICE
    with pytest.raises(ValueError, match="2 object"):
        grammar.render_question("between", ["mug"])


def test_questions_come_back_from_the_parser():
    for family, objects, text in every_question():
        for variant in (text, text.upper().replace(" ?", "")):
            query = grammar.parse_question(variant)
            assert (query.family, query.objects, query.text) == (family, objects, text), variant
            if family == "reachable":
                assert query.radius_m == pytest.approx(0.8)
            else:
                assert math.isnan(query.radius_m)
