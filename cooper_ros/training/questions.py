"""Questions of a training frame, from its object table (the same generator that evaluation
uses)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cooper_ros.reasoning.chains import answer, think

from .stage2 import QuestionSource

NONE_SHARE = 0.2
"""Share of training questions about absent things: at the simulator's 8 % the model never says
"none", because the word after "<think>" is an object in nine of ten turns."""


@dataclass(frozen=True)
class TrainingQuestion:
    """A question and the turn that answers it."""

    family: str
    text: str
    turn: str
    value: float


def question_source() -> QuestionSource:
    """The simulator's question generator behind the interface of stage 2."""
    from cooper_ros.sim.questions import sample_questions

    def source(
        rows: np.ndarray, free_space: float, rng: np.random.Generator, count: int
    ) -> Sequence[TrainingQuestion]:
        return [
            TrainingQuestion(q.family, q.text, f"{think(q.chain)} {answer(q.answer)}", q.value)
            for q in sample_questions(rows, free_space, rng, count, none_share=NONE_SHARE)
        ]

    return source
