"""Training questions: the version of their text, and how often things are there."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch (training extra) is not installed")

from cooper_ros.core.classes import CLASS_IDS  # noqa: E402
from cooper_ros.core.query import FAMILIES  # noqa: E402
from cooper_ros.reasoning.grammar import parse_question, split_words, vocabulary  # noqa: E402
from cooper_ros.sim.questions import THINGS  # noqa: E402
from cooper_ros.sim.truth import COLUMNS  # noqa: E402
from cooper_ros.training.questions import ABSENT_ODDS, question_source  # noqa: E402


def view(rng: np.random.Generator) -> np.ndarray:
    """Rows of a view in which tables are common and cans are rare, as in rooms."""
    there = [n for n in THINGS if rng.random() < ABSENT_ODDS[n] / (1 + ABSENT_ODDS[n])]
    rows = np.zeros((len(there), len(COLUMNS)), np.float32)
    at = {name: index for index, name in enumerate(COLUMNS)}
    rows[:, at["class_id"]] = [CLASS_IDS[name] for name in there]
    rows[:, at["fraction"]] = 0.05
    for name in ("u", "v", "z", "distance", "width", "height"):
        rows[:, at[name]] = rng.uniform(0.3, 0.9, len(there))
    return rows


def asked(grammar: int, views: int, count: int = 5) -> list:
    rng = np.random.default_rng(0)
    source = question_source(grammar)
    return [q for _ in range(views) for q in source(view(rng), 1.5, rng, count)]


@pytest.fixture
def presence_alone(monkeypatch):
    """The source draws questions about presence alone: what is measured, twelve times as fast."""
    import cooper_ros.sim.questions as questions

    monkeypatch.setattr(questions, "WEIGHTS", {n: float(n == "presence") for n in FAMILIES})


def test_every_name_is_there_as_often_as_not(presence_alone):
    """Where a name alone tells, a model learns the names and does not look."""
    there: Counter[str] = Counter()
    gone: Counter[str] = Counter()
    for q in asked(2, 3000, count=1):
        (name,) = parse_question(q.text).objects
        (there if q.value else gone)[name] += 1
    share = gone.total() / (there.total() + gone.total())
    assert share == pytest.approx(0.5, abs=0.03)
    shares = {n: gone[n] / (there[n] + gone[n]) for n in THINGS}
    assert all(0.25 < s < 0.75 for s in shares.values()), shares


def test_version_2_says_what_is_there():
    words = set(vocabulary(2))
    for q in asked(2, 40):
        tokens = split_words(q.turn)
        names = len(parse_question(q.text).objects)
        assert set(tokens) <= words and "no" not in tokens[: tokens.index("</think>")]
        assert tokens.count("seen") + tokens.count("absent") == names
        if not FAMILIES[q.family].needs_depth:
            assert "d" not in tokens


def test_version_1_is_drawn_as_before():
    from cooper_ros.sim.questions import sample_questions
    from cooper_ros.training.questions import NONE_SHARE

    rows = view(np.random.default_rng(1))
    drawn = sample_questions(rows, 1.5, np.random.default_rng(2), 6, none_share=NONE_SHARE)
    source = question_source()(rows, 1.5, np.random.default_rng(2), 6)
    assert [q.text for q in source] == [q.text for q in drawn]
    assert not any({"seen", "absent"} & set(split_words(q.turn)) for q in source)
