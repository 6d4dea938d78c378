"""Questions of a training frame, from its object table (the same generator that evaluation
uses)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cooper_ros.reasoning.chains import answer, think

from .writing import QuestionSource

NONE_SHARE = 0.2
"""Share of training questions about absent things: at the simulator's 8 % the model never says
"none", because the word after "<think>" is an object in nine of ten turns."""

ABSENT_ODDS = {
    "door": 0.63, "window": 0.45, "table": 2.31, "chair": 0.79, "sofa": 0.28, "bed": 0.25,
    "cabinet": 0.64, "shelf": 0.48, "lamp": 0.18, "plant": 0.23, "tv": 0.15, "picture": 0.29,
    "person": 0.32, "robot": 0.17, "bin": 0.15, "box": 0.32, "ball": 0.12, "mug": 0.15,
    "bottle": 0.25, "bowl": 0.17, "book": 0.23, "vase": 0.18, "laptop": 0.14, "can": 0.15,
}  # fmt: skip
"""How often a name is asked for where it is not in view, from version 2 of the grammar on: share of
5400 training views that show the thing clearly, over the share that do not show it at all. With
equal odds the name alone tells whether it is there in 70 % of the questions, and that is all that
the model learns; with these every name is there as often as not."""


@dataclass(frozen=True)
class TrainingQuestion:
    """A question and the turn that answers it."""

    family: str
    text: str
    turn: str
    value: float


def question_source(grammar: int = 1) -> QuestionSource:
    """The simulator's question generator behind the interface of stage 2; `grammar`: version of the
    reasoning text (`ModelSpec.grammar`)."""
    from cooper_ros.sim.questions import sample_questions

    odds = ABSENT_ODDS if grammar > 1 else None

    def source(
        rows: np.ndarray, free_space: float, rng: np.random.Generator, count: int
    ) -> Sequence[TrainingQuestion]:
        return [
            TrainingQuestion(q.family, q.text, f"{think(q.chain)} {answer(q.answer)}", q.value)
            for q in sample_questions(rows, free_space, rng, count, None, NONE_SHARE, odds, grammar)
        ]

    return source
