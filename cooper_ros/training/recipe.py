"""Several stages behind each other in one process, from a file.

A recipe is JSON: ``{"stages": [{"stage": "autoencoder", "minutes": 1.0}, ...]}``; every other key
of a stage is one of `TrainOptions`. A stage starts from the model of the stage before it and runs
in a folder of its name. On a GPU the frames stay decoded in its memory from stage to stage. The
same command goes on where it ended.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from cooper_ros.core.errors import CooperError

from .options import TrainOptions
from .run import train

ORDER = ("autoencoder", "see", "amg", "sft")
BUDGETS = ("minutes", "steps", "frames")


def read_recipe(path: str | Path, common: TrainOptions) -> list[TrainOptions]:
    """The stages of a recipe; what one does not say is as in `common`.

    Raises CooperError naming what is wrong with the file.
    """
    try:
        stages = json.loads(Path(path).read_text(encoding="utf-8"))["stages"]
        found = [_stage(given, common) for given in stages]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CooperError(f"{path} is no recipe: {error}") from error
    if not found:
        raise CooperError(f"{path} names no stage")
    for before, now in zip(found, found[1:], strict=False):
        now.start = now.start if now.start != common.start else f"{before.out}/model"
    return found


def _stage(given: dict[str, Any], common: TrainOptions) -> TrainOptions:
    known = {f.name for f in fields(TrainOptions)}
    unknown = sorted(set(given) - known)
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no option of a stage")
    name = given["stage"]
    if name not in ORDER:
        raise ValueError(f"{name!r} is none of {', '.join(ORDER)}")
    if sum(given.get(budget, 0) > 0 for budget in BUDGETS) != 1:
        raise ValueError(f"{name}: give one of {', '.join(BUDGETS)}")
    nothing: dict[str, Any] = dict.fromkeys(BUDGETS, 0)
    out = str(Path(common.out) / name)
    return replace(common, **{**nothing, "out": out, **given})


def run_recipe(
    path: str | Path, common: TrainOptions, done: Callable[[TrainOptions], None] | None = None
) -> None:
    """Train all stages; `done` is called behind each."""
    for options in read_recipe(path, common):
        train(options)
        if done is not None:
            done(options)
