"""`cooper eval sim`: the shipped pipeline on unseen simulated rooms, with baselines beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cooper_ros.core.errors import CooperError
from cooper_ros.evaluation.baselines import FILE as BASELINES_FILE
from cooper_ros.evaluation.baselines import Baselines
from cooper_ros.evaluation.scenes import (
    SIZE,
    SPLIT,
    Job,
    cache_directory,
    iterate_scenes,
    read_scene,
)
from cooper_ros.evaluation.trial import Plan, SceneResult, run_scene
from cooper_ros.evaluation.workers import run_all
from cooper_ros.runtime.min_score import FROM_MANIFEST
from cooper_ros.runtime.pipeline import CooperPipeline


@dataclass(frozen=True)
class Options:
    """What to evaluate. `probed`: scenes of the run that also run the probes; `families`: those
    asked about, all by default; `min_score` as in `CooperPipeline`; `processes` render and run the
    model at the same time, one thread each when there are several."""

    model: str | None = None
    seed: int = 0
    scenes: int = 200
    views: int = 1
    questions_per_frame: int = 4
    mode: str = "interleaved"
    direct: bool = True
    probed: int = 60
    processes: int = 1
    backend: str = "auto"
    size: tuple[int, int] = SIZE
    split: str = SPLIT
    families: tuple[str, ...] | None = None
    sample_confidence: bool = False
    sample_scores: bool = False
    min_score: float = FROM_MANIFEST

    @property
    def plan(self) -> Plan:
        """The part that concerns one scene."""
        return Plan(
            self.questions_per_frame,
            self.mode,
            self.direct,
            self.families,
            self.sample_confidence,
            self.sample_scores,
        )


@dataclass(frozen=True)
class Task:
    """One rendered scene, and whether to run the probes on it."""

    job: Job
    probe: bool


class _Worker:
    """One process with the model loaded."""

    def __init__(self, options: Options) -> None:
        threads = 1 if options.processes > 1 else None
        self.pipeline = CooperPipeline.open(options.model, options.backend, threads)
        self.pipeline.min_score = options.min_score
        self.baselines = Baselines.load() if BASELINES_FILE.is_file() else None
        self.options = options

    def __call__(self, task: Task) -> SceneResult:
        frames = read_scene(task.job.path, task.job.scene)
        return run_scene(
            self.pipeline, frames, self.options.plan, self.baselines, probe=task.probe
        )


def pictures_folder() -> Path:
    """Where the test pictures are kept. Raises CooperError when the simulator is not installed."""
    try:
        return cache_directory()
    except ModuleNotFoundError as error:
        raise _no_simulator(error) from error


def tasks(options: Options, folder: Path) -> Iterator[Task]:
    """The scenes to run, in order; renders the pictures that are not in `folder` yet.

    Raises CooperError when the simulator is not installed.
    """
    jobs = iterate_scenes(
        folder,
        options.seed,
        options.scenes,
        options.views,
        size=options.size,
        split=options.split,
        processes=options.processes,
    )
    try:
        for rank, job in enumerate(jobs):
            yield Task(job, rank < options.probed)
    except ModuleNotFoundError as error:
        raise _no_simulator(error) from error


def results(options: Options, chosen: Sequence[Task]) -> Iterator[SceneResult]:
    """Run the model on scenes; yields each one's result, in order.

    Raises ModelFolderError when there is no such model.
    """
    yield from run_all(_Worker, (options,), chosen, options.processes)


def _no_simulator(error: ModuleNotFoundError) -> CooperError:
    # an error that crossed from a worker process has lost its name
    missing = error.name or "mujoco"
    return CooperError(
        f"test scenes need the Python package {missing!r}: pip install 'cooper_ros[sim]'"
    )


def options_of(frames: int | None, scene_count: int | None, **other: Any) -> Options:
    """Options from a number of pictures and of rooms: one picture per room where it can be chosen.

    Raises CooperError when a number is not positive.
    """
    for name, value in (("frames", frames), ("scenes", scene_count)):
        if value is not None and value < 1:
            raise CooperError(f"--{name} must be 1 or more, got {value}")
    rooms = scene_count or frames or Options.scenes
    views = max(1, math.ceil((frames or rooms) / rooms))
    return Options(scenes=rooms, views=views, **other)


def describe(options: Options, found: Sequence[SceneResult], folder: Path) -> dict[str, Any]:
    """What was evaluated: model, split, seed, counts, and the world (name of its `folder`)."""
    from cooper_ros.core.paths import find_model_folder

    return {
        "model": find_model_folder(options.model).name,
        "split": options.split,
        "seed": options.seed,
        "scenes": len(found),
        "frames": sum(len(result.depth) for result in found),
        "asked": sum(len(result.answers) for result in found),
        "mode": options.mode,
        "width": options.size[0],
        "height": options.size[1],
        "world": folder.name,
    }
