"""Progress bars of `cooper eval`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any


def progress(items: Iterable[Any], what: str, total: int, quiet: bool) -> list[Any]:
    """All items, with a bar while they are made."""
    from tqdm import tqdm

    return list(tqdm(items, what, total, unit="scene", disable=quiet))


def pictures(options: Any, folder: Path, quiet: bool) -> list[Any]:
    """The scenes of an evaluation; renders the missing ones."""
    from cooper_ros.evaluation.sim import tasks

    return progress(tasks(options, folder), "pictures", options.scenes, quiet)


def evaluate(options: Any, folder: Path, quiet: bool) -> list[Any]:
    """Render what is missing, then run the model, each with its progress bar."""
    from cooper_ros.evaluation.sim import results
    from cooper_ros.runtime.pipeline import CooperPipeline

    # a wrong name is said before minutes of work
    CooperPipeline.open(options.model, options.backend)
    chosen = pictures(options, folder, quiet)
    return progress(results(options, chosen), "model", len(chosen), quiet)
