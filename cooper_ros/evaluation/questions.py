"""The questions put to a test picture: drawn from its truth, the same ones on every machine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cooper_ros.core.classes import CLASS_IDS
from cooper_ros.evaluation.scenes import TestFrame
from cooper_ros.sim.questions import Question, sample_questions
from cooper_ros.sim.truth import COLUMNS


def questions_of_frame(
    item: TestFrame, count: int, families: Sequence[str] | None = None
) -> list[Question]:
    """Up to `count` questions about one picture; a pure function of its scene and index.

    Objects too small for the object table are no objects to the generator, though a sharp eye may
    see them. Questions on which that matters are left out: a class of which the picture shows more
    instances than the table lists.
    """
    rng = np.random.default_rng([item.scene, item.index, *b"questions"])
    more = count + count // 2 + 1
    drawn = sample_questions(item.objects, item.free_space_m, rng, more, families)
    return [question for question in drawn if _clear_cut(item, question)][:count]


def _clear_cut(item: TestFrame, question: Question) -> bool:
    if question.family == "presence" and question.value == 1.0:
        return True
    listed = item.objects[:, COLUMNS.index("class_id")].astype(int)
    for name in question.query.objects:
        class_id = CLASS_IDS[name]
        shown = np.unique(item.instances[item.classes == class_id])
        if len(shown) != int((listed == class_id).sum()):
            return False
    return True
