"""What each part of the model is worth: the same pictures and questions with one thing changed.

All variants run on the same weights, the same rooms and the same questions, with both maps in the
context from the start (mode `maps`). Other trained models can stand beside them (`others`), for
parts that only training can leave out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cooper_ros.core.errors import CooperError
from cooper_ros.core.types import Frame, Intrinsics
from cooper_ros.evaluation.questions import questions_of_frame
from cooper_ros.evaluation.scenes import TestFrame, read_scene
from cooper_ros.evaluation.sim import Options, Task
from cooper_ros.evaluation.trial import SceneResult, answer, class_names, score_maps
from cooper_ros.evaluation.workers import run_all
from cooper_ros.reasoning.tags import DEPTH, SEGMENTATION
from cooper_ros.runtime.backend import Float, Int
from cooper_ros.runtime.context import Engine
from cooper_ros.runtime.frame_context import FrameContext
from cooper_ros.runtime.pipeline import CooperPipeline
from cooper_ros.runtime.rays import NOMINAL_FOV_DEG, nominal_intrinsics
from cooper_ros.sim.questions import Question

RAYS = ("true", "zero", "nominal")


@dataclass(frozen=True)
class Variant:
    """One row of the table: what differs from the first one.

    `steps`: Euler steps of the maps; `rays`: camera rays as they are, all zero, or those of a
    60 degree camera for every camera; `depth`, `segmentation`: the model's `own` map or the `true`
    one in the context of questions; `direct`: no maps in the context; `model`: another folder.
    """

    name: str
    title: str
    steps: int = 1
    rays: str = "true"
    depth: str = "own"
    segmentation: str = "own"
    direct: bool = False
    model: str | None = None

    @property
    def own_maps(self) -> bool:
        """Whether the maps it makes may differ from those of the first variant."""
        return self.steps != 1 or self.rays != "true" or self.model is not None


REFERENCE = Variant("reference", "one step, true rays, own maps in the context")
VARIANTS = (
    REFERENCE,
    Variant("steps_2", "two steps", steps=2),
    Variant("steps_4", "four steps", steps=4),
    Variant("rays_zero", "camera rays set to zero", rays="zero"),
    Variant(
        "rays_nominal",
        f"every camera taken for one of {NOMINAL_FOV_DEG:.0f} degrees",
        rays="nominal",
    ),
    Variant("true_maps", "true maps in the context", depth="true", segmentation="true"),
    Variant("true_depth", "true depth, own segmentation in the context", depth="true"),
    Variant("true_classes", "own depth, true segmentation in the context", segmentation="true"),
    Variant("no_maps", "no maps in the context", direct=True),
)


def with_others(
    others: Sequence[tuple[str, str]], rows: Sequence[str] | None = None
) -> tuple[Variant, ...]:
    """The reference, the named `rows` (None: all variants), and one row per other model: (title,
    folder). Raises CooperError for an unknown row or a title that is there twice."""
    wanted = [name for name in rows or () if name not in ("", "none", REFERENCE.name)]
    known = [variant.name for variant in VARIANTS]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise CooperError(f"--rows: there is no row {unknown[0]!r}; known: {', '.join(known)}")
    chosen = tuple(v for v in VARIANTS if rows is None or v is REFERENCE or v.name in wanted)
    found = chosen + tuple(Variant(title, title, model=folder) for title, folder in others)
    names = [variant.name for variant in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise CooperError(f"--other {twice[0]}: there is another row with this name")
    return found


class _ZeroRays:
    """A backend whose vision encoder is told nothing about the camera."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def vision_encoder(self, image: Float, position_ids: Int, rays: Float | None = None) -> Float:
        """As the backend's, with rays of zero."""
        zero = None if rays is None else np.zeros_like(rays)
        return self._backend.vision_encoder(image, position_ids, zero)


def pipeline_of(variant: Variant, pipeline: CooperPipeline) -> CooperPipeline:
    """The pipeline on the same loaded weights that a variant runs on."""
    engine = pipeline.engine
    perception = dataclasses.replace(engine.spec.perception, num_timesteps=variant.steps + 1)
    spec = dataclasses.replace(engine.spec, perception=perception)
    backend: Any = _ZeroRays(engine.backend) if variant.rays == "zero" else engine.backend
    changed = CooperPipeline(Engine(backend, spec, engine.tokenizer), pipeline.model_id)
    changed.calibration = pipeline.calibration
    return changed


def seen_as(variant: Variant, frame: Frame) -> Frame:
    """The frame as a variant is shown it."""
    if variant.rays != "nominal":
        return frame
    wrong: Intrinsics = nominal_intrinsics(frame.width, frame.height)
    return Frame(frame.rgb, wrong, frame.stamp_ns, frame.frame_id)


def use_truth(context: FrameContext, item: TestFrame, variant: Variant) -> None:
    """Put the true maps that a variant wants into the context of questions.

    Raises CooperError for a model that lacks a class of the simulated world.
    """
    if variant.depth == "true":
        context.use_depth(item.depth)
    if variant.segmentation == "true":
        settings = context.spec.segmentation
        names = settings.names if settings else ()
        missing = [name for name in class_names() if name not in names]
        if missing:
            raise CooperError(f"the model has no class {missing[0]!r}: true maps cannot be drawn")
        table = np.array([names.index(name) for name in class_names()], np.uint8)
        context.use_segmentation(table[item.classes])


def run_frame(
    item: TestFrame,
    asked: Sequence[Question],
    variants: Sequence[Variant],
    pipelines: dict[str, CooperPipeline],
    results: dict[str, SceneResult],
) -> None:
    """Add one frame to the results of all variants. Variants that draw the same maps share them."""
    contexts: dict[tuple[int, str, str | None], FrameContext] = {}
    for variant in variants:
        key = (variant.steps, variant.rays, variant.model)
        if key not in contexts:
            contexts[key] = pipelines[variant.name].see(seen_as(variant, item.frame))
        context, result = contexts[key], results[variant.name]
        if variant.own_maps or variant is variants[0]:
            score_maps(result, item, *context.perceive())
        own = {kind: context.map(kind) for kind in (DEPTH, SEGMENTATION)}
        use_truth(context, item, variant)
        mode = "direct" if variant.direct else "maps"
        result.answers += [answer(context, item.scene, one, mode) for one in asked]
        for made in own.values():
            context.put_map(made)


class _Worker:
    """One process with the weights loaded."""

    def __init__(self, options: Options, variants: Sequence[Variant]) -> None:
        threads = 1 if options.processes > 1 else None
        loaded: dict[str | None, CooperPipeline] = {}
        for variant in variants:
            if variant.model not in loaded:
                model = variant.model or options.model
                loaded[variant.model] = CooperPipeline.open(model, options.backend, threads)
        self.pipelines = {v.name: pipeline_of(v, loaded[v.model]) for v in variants}
        self.options, self.variants = options, variants

    def __call__(self, task: Task) -> dict[str, SceneResult]:
        frames = read_scene(task.job.path, task.job.scene)
        results = {variant.name: SceneResult(task.job.scene) for variant in self.variants}
        for item in frames:
            asked = questions_of_frame(item, self.options.questions_per_frame)
            run_frame(item, asked, self.variants, self.pipelines, results)
        return results


def ablate(
    options: Options, chosen: Sequence[Task], variants: Sequence[Variant] = VARIANTS
) -> Iterator[dict[str, SceneResult]]:
    """Every scene's results by variant name, in order; the first variant is the reference."""
    yield from run_all(_Worker, (options, tuple(variants)), chosen, options.processes)


def check_models(options: Options, variants: Sequence[Variant]) -> None:
    """Raise ModelFolderError for a model that is not there, before minutes of work."""
    from cooper_ros.core.paths import find_model_folder

    for model in dict.fromkeys(v.model or options.model for v in variants):
        find_model_folder(Path(model) if model else None)
