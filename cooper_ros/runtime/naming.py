"""Which names a question may use, and who answers it: the model, or the maps alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cooper_ros.reasoning.vocabulary import SYNONYMS, Synonyms

AUTO, MODEL, MEASURED = "auto", "model", "measured"
"""Values of `answers`: the model where it knows the names, it alone, or the maps alone."""

NOT_BY_MODEL = (
    "the model was not taught this question: it would be measured on the maps, but the parameter "
    "answers is model"
)


@dataclass(frozen=True)
class Naming:
    """`names`: those of detections and labels so far, besides the model's; `synonyms`: further
    words for them. `open`: names may still come, so that an unknown word is judged with its image.
    `missing`: why nobody named anything in this image, "" if somebody did, or need not.
    """

    answers: str = AUTO
    names: tuple[str, ...] = ()
    synonyms: Synonyms = SYNONYMS
    open: bool = False
    missing: str = ""


def names_for(asked: Any) -> tuple[str, ...]:
    """The names that questions may use: of the model's classes, then the others.

    `asked`: a pipeline or a frame's context.
    """
    settings = asked.spec.segmentation
    own = tuple(settings.names) if settings is not None else ()
    return (*own, *(name for name in asked.naming.names if name and name not in own))
