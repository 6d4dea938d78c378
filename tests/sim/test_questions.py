"""Questions: right answers, balance, and words that the grammar can read back."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from cooper_ros.core.classes import CLASS_IDS
from cooper_ros.core.query import FAMILIES
from cooper_ros.reasoning.grammar import VOCABULARY, parse_chains, parse_question, split_words
from cooper_ros.sim.questions import sample_questions
from cooper_ros.sim.truth import COLUMNS


def _row(label, instance, u, distance, fraction=0.02, width=0.3, height=0.2):
    x = (u - 0.5) * distance
    z = math.sqrt(distance**2 - x**2)
    return [
        0,
        CLASS_IDS[label],
        instance,
        fraction,
        u,
        0.5,
        z,
        x,
        0.0,
        distance,
        width,
        height,
        x,
        0.0,
        z,
        u - 0.05,
        0.4,
        u + 0.05,
        0.6,
    ]


@pytest.fixture
def table():
    rows = [
        _row("mug", 1, 0.205, 1.0),
        _row("chair", 2, 0.705, 2.0, width=0.5, height=0.9),
        _row("can", 3, 0.305, 2.1),
        _row("can", 4, 0.605, 2.2),
        _row("bottle", 5, 0.405, 2.5, fraction=0.002),  # too small to be asked about
        _row("table", 6, 0.505, 3.0),
    ]
    assert len(rows[0]) == len(COLUMNS)
    return np.array(rows, np.float32)


def _many(table, families=None, rounds=200, count=6):
    rng = np.random.default_rng(0)
    return [q for _ in range(rounds) for q in sample_questions(table, 1.75, rng, count, families)]


def test_values_follow_from_the_table(table):
    distance = {"mug": 1.0, "chair": 2.0, "table": 3.0}
    points = {row: table[row, 12:15] for row in range(len(table))}
    seen = set()
    for q in _many(table):
        seen.add(q.family)
        if q.answer == "none":
            assert math.isnan(q.value) and "no " in q.chain
            continue
        names = q.query.objects
        if q.family == "distance":
            assert q.value == pytest.approx(distance[names[0]])
        elif q.family == "between":
            a, b = q.objects
            assert q.value == pytest.approx(float(np.linalg.norm(points[a] - points[b])), rel=1e-5)
        elif q.family in ("nearer", "farther"):
            pick = min if q.family == "nearer" else max
            assert q.answer == pick(names, key=distance.__getitem__) == names[int(q.value)]
        elif q.family in ("front", "behind"):
            first = distance[names[0]] < distance[names[1]]
            assert q.answer == ("yes" if first == (q.family == "front") else "no")
        elif q.family in ("left", "right"):
            first = table[q.objects[0], 4] < table[q.objects[1], 4]
            assert q.answer == ("yes" if first == (q.family == "left") else "no")
        elif q.family == "reachable":
            assert q.answer == ("yes" if distance[names[0]] <= q.query.radius_m else "no")
        elif q.family == "count":
            expected = {"mug": 1, "chair": 1, "table": 1, "can": 2}.get(names[0], 0)
            assert q.value == expected and q.answer == str(expected)
        elif q.family == "free":
            assert q.value == 1.75 and q.answer == "1.75 m" and q.chain == "d 1.75"
        elif q.family == "presence":
            assert q.answer == ("yes" if names[0] in {"mug", "chair", "can", "table"} else "no")
        else:
            assert q.value in (
                pytest.approx(0.3),
                pytest.approx(0.5),
                pytest.approx(0.2),
                pytest.approx(0.9),
            )
    assert seen == set(FAMILIES)


def test_single_object_questions_are_about_unique_clear_things(table):
    for q in _many(table, ["distance", "width", "height", "reachable", "between", "left"]):
        labels = {int(table[row, 1]) for row in q.objects}
        assert CLASS_IDS["can"] not in labels and CLASS_IDS["bottle"] not in labels


def test_texts_are_words_of_the_grammar_and_parse_back(table):
    vocabulary = set(VOCABULARY)
    for q in _many(table, rounds=60):
        assert set(split_words(f"{q.text} {q.chain} {q.answer}")) <= vocabulary
        parsed = parse_question(q.text)
        assert (parsed.family, parsed.objects) == (q.family, q.query.objects)
        if q.family == "reachable":
            assert parsed.radius_m == pytest.approx(q.query.radius_m, abs=0.005)


def test_chains_hold_what_the_table_says(table):
    for q in _many(table, ["distance", "count"], rounds=60):
        chains = parse_chains(q.chain)
        assert len(chains) == len(q.objects)
        for chain, row in zip(chains, q.objects, strict=True):
            assert chain.u == math.floor(100 * float(table[row, 4]))
            if q.family == "distance":
                assert chain.distance_m == pytest.approx(float(table[row, 9]), abs=0.015)
            else:
                assert math.isnan(chain.d_m)
        if q.family == "count":
            assert [c.u for c in chains] == sorted(c.u for c in chains)


@pytest.mark.parametrize("family", ["left", "right", "front", "behind", "reachable", "presence"])
def test_yes_and_no_are_balanced(table, family):
    answers = Counter(q.answer for q in _many(table, [family], rounds=400, count=1))
    yes = answers["yes"] / (answers["yes"] + answers["no"])
    assert 0.4 < yes < 0.6
    assert answers["none"] < 0.15 * answers.total()


def test_no_question_comes_twice_and_an_empty_frame_is_no_problem(table):
    rng = np.random.default_rng(1)
    asked = [(q.family, q.query.objects) for q in sample_questions(table, 1.0, rng, 12)]
    assert len(asked) == len(set(asked))
    empty = sample_questions(np.zeros((0, len(COLUMNS)), np.float32), 2.0, rng, 8)
    assert empty and all(q.answer in ("none", "no", "0") or q.family == "free" for q in empty)


def test_all_phrasings_are_used(table):
    texts = {q.text.replace(q.query.objects[0], "X") for q in _many(table, ["distance"])}
    assert len(texts) >= 4


def test_version_2_is_about_the_same_questions(table):
    """What is asked and what is true do not depend on how the model is to say it."""
    first, second = (
        sample_questions(table, 1.75, np.random.default_rng(5), 30, grammar=version)
        for version in (1, 2)
    )
    assert [(q.text, q.answer, q.objects) for q in first] == [
        (q.text, q.answer, q.objects) for q in second
    ]
    assert np.array_equal([q.value for q in first], [q.value for q in second], equal_nan=True)
    sized = [q for q in second if q.family in ("width", "height") and q.objects]
    assert sized
    for q in sized:
        (chain,) = parse_chains(q.chain)
        u = float(table[q.objects[0], 4])
        assert chain.edges == (int(100 * u - 5), int(100 * u + 5), 40, 60)
    assert all(o.edges is None for q in second if q not in sized for o in parse_chains(q.chain))
    assert not any(o.edges for q in first for o in parse_chains(q.chain))
