"""One test scene through the shipped pipeline: what is needed for every figure, and no pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core import geometry
from cooper_ros.core.errors import QuestionError
from cooper_ros.core.types import DepthMap, Segmentation, SpatialAnswer
from cooper_ros.evaluation import confidence as confidence_metrics
from cooper_ros.evaluation import depth as depth_metrics
from cooper_ros.evaluation import probes, scores
from cooper_ros.evaluation.answers import Robot, Scored
from cooper_ros.evaluation.baselines import Baselines
from cooper_ros.evaluation.confidence import ConfidenceSample
from cooper_ros.evaluation.decoded import decoded
from cooper_ros.evaluation.questions import questions_of_frame
from cooper_ros.evaluation.scenes import TestFrame
from cooper_ros.evaluation.scores import ScoredObject
from cooper_ros.evaluation.segmentation import boundary_f, confusion_matrix
from cooper_ros.reasoning.tags import DEPTH, SEGMENTATION
from cooper_ros.runtime.calibration import Calibration
from cooper_ros.runtime.frame_context import FrameContext
from cooper_ros.runtime.pipeline import CooperPipeline
from cooper_ros.sim.questions import Question

UNKNOWN_CLASS = 255


@dataclass(frozen=True)
class Plan:
    """What to do with every scene. `direct`: ask again without maps; `families`: those asked
    about, all by default; `sample_confidence`, `sample_scores`: keep what the confidence of depth,
    and the least scores of objects, are fitted on."""

    questions_per_frame: int = 4
    mode: str = "interleaved"
    direct: bool = True
    families: tuple[str, ...] | None = None
    sample_confidence: bool = False
    sample_scores: bool = False


@dataclass
class SceneResult:
    """Figures of one scene; see the fields' users in `figures`.

    `depth`: per frame, per reading, per metric. `confusion` int64 [C, C+1]. `objects`: per visible
    object (true range [m], range read from the map under its true mask [m]). `reliability`: see
    `confidence.reliability_sums`.
    """

    scene: int
    depth: list[dict[str, dict[str, float]]] = field(default_factory=list)
    mean_depth: list[dict[str, float]] = field(default_factory=list)
    bins: NDArray[np.float64] | None = None
    confidence: list[tuple[float, float]] = field(default_factory=list)
    reliability: NDArray[np.float64] | None = None
    confidence_samples: list[ConfidenceSample] = field(default_factory=list)
    scored_objects: list[ScoredObject] = field(default_factory=list)
    confusion: NDArray[np.int64] | None = None
    boundary_f: list[float] = field(default_factory=list)
    objects: list[tuple[float, float]] = field(default_factory=list)
    mean_depth_objects: list[tuple[float, float]] = field(default_factory=list)
    answers: list[Scored] = field(default_factory=list)
    question_only: list[Scored] = field(default_factory=list)
    direct: list[Scored] = field(default_factory=list)
    depth_factors: list[float] = field(default_factory=list)
    blank: list[Scored] = field(default_factory=list)
    map_seconds: list[float] = field(default_factory=list)


def run_scene(
    pipeline: CooperPipeline,
    frames: Sequence[TestFrame],
    plan: Plan,
    baselines: Baselines | None,
    *,
    probe: bool = False,
) -> SceneResult:
    """Run one scene's frames as a robot would: see, both maps, questions."""
    result = SceneResult(frames[0].scene)
    for item in frames:
        with probes.stopwatch(result.map_seconds):
            context = pipeline.see(item.frame)
            depth, segmentation = context.perceive()
        score_maps(result, item, depth, segmentation)
        if plan.sample_confidence:
            result.confidence_samples.append(confidence_sample(context, item, depth))
        if plan.sample_scores:
            result.scored_objects += scores.objects_of(
                item.scene, segmentation, item.classes, class_names()
            )
        asked = questions_of_frame(item, plan.questions_per_frame, plan.families)
        result.answers += [answer(context, item.scene, one, plan.mode) for one in asked]
        if plan.direct:
            result.direct += [answer(context, item.scene, one, "direct") for one in asked]
        if baselines is not None:
            score_baselines(result, item, asked, baselines)
        if probe:
            result.depth_factors += probes.depth_factors(context, asked)
            result.blank += [
                score(item.scene, one, reply)
                for one, reply in probes.blank_answers(pipeline, item.frame, asked, plan.mode)
            ]
    return result


def score_maps(
    result: SceneResult, item: TestFrame, depth: DepthMap, segmentation: Segmentation
) -> None:
    """Add the figures of one frame's maps, at the frame's resolution."""
    truth = item.depth
    result.depth.append(depth_metrics.aligned_errors(depth.depth, depth.relative, truth))
    sums = depth_metrics.bin_sums(depth.depth, truth)
    result.bins = sums if result.bins is None else result.bins + sums
    result.confidence.append(depth_metrics.confident_half(depth.depth, truth, depth.confidence))
    kept = confidence_metrics.frame_sums(depth.confidence, depth.depth, truth)
    result.reliability = kept if result.reliability is None else result.reliability + kept
    labels = in_truth_ids(segmentation.labels, segmentation.names)
    confusion = confusion_matrix(labels, item.classes, len(class_names()))
    result.confusion = confusion if result.confusion is None else result.confusion + confusion
    result.boundary_f.append(boundary_f(labels, item.classes))
    result.objects += object_ranges(depth.depth, item)


def confidence_sample(context: FrameContext, item: TestFrame, depth: DepthMap) -> ConfidenceSample:
    """What the confidence of one frame's depth is fitted on."""
    drawn, classes = (context.map(kind) for kind in (DEPTH, SEGMENTATION))
    return confidence_metrics.sample(
        context.spec,
        item.scene,
        drawn.picture,
        classes.picture,
        depth.depth,
        item.depth,
        classes.reading,
    )


def object_ranges(depth: NDArray[np.float32], item: TestFrame) -> list[tuple[float, float]]:
    """(true, read) range [m] of every visible object under its true mask."""
    from cooper_ros.sim.truth import COLUMNS

    intrinsics = item.frame.intrinsics
    assert intrinsics is not None
    ranges = geometry.ranges(depth, intrinsics)
    pairs = []
    for row in item.objects:
        index = np.flatnonzero(item.instances == int(row[COLUMNS.index("instance")]))
        read = geometry.object_distance(depth, index, intrinsics, ranges=ranges)
        pairs.append((float(row[COLUMNS.index("distance")]), read))
    return pairs


def answer(context: FrameContext, scene: int, asked: Question, mode: str) -> Scored:
    """Ask one question; a question that the model refuses to read counts as not answered."""
    try:
        reply = context.answer(asked.text, mode)
    except QuestionError:
        return Scored(
            scene, asked.family, asked.text, asked.query.objects, asked.value, status="BAD_QUESTION"
        )
    # intervals were calibrated with maps in the context
    calibration = None if mode == "direct" else getattr(context, "calibration", None)
    return score(scene, asked, reply, calibration)


def score(
    scene: int, asked: Question, reply: SpatialAnswer, calibration: Calibration | None = None
) -> Scored:
    """A reply beside its truth: what the text says, and what a robot gets. `calibration`: of the
    text's intervals, None where it has none."""
    robot = Robot(reply.status.name, reply.value, reply.checked)
    reply = decoded(reply, asked.query, calibration)
    return Scored(
        scene,
        asked.family,
        asked.text,
        asked.query.objects,
        asked.value,
        reply.value,
        reply.status.name,
        reply.text,
        reply.measured,
        reply.agree,
        reply.low,
        reply.high,
        reply.seconds,
        robot,
    )


def score_baselines(
    result: SceneResult, item: TestFrame, asked: Sequence[Question], baselines: Baselines
) -> None:
    """Add the mean depth map's figures and the answers from the questions alone."""
    mean = baselines.depth(item.frame.width, item.frame.height)
    result.mean_depth.append(depth_metrics.depth_errors(mean, item.depth))
    result.mean_depth_objects += object_ranges(mean, item)
    for one in asked:
        value = baselines.value(one.query)
        status = "OK" if math.isfinite(value) else "UNPARSED"
        result.question_only.append(
            Scored(item.scene, one.family, one.text, one.query.objects, one.value, value, status)
        )


def class_names() -> tuple[str, ...]:
    """Classes of the simulated world."""
    from cooper_ros.core.classes import CLASS_NAMES

    return CLASS_NAMES


def in_truth_ids(labels: NDArray[np.uint8], names: Sequence[str]) -> NDArray[np.uint8]:
    """A model's labels by the ids of the simulated world; names it does not have become 255."""
    known = class_names()
    if tuple(names) == known:
        return labels
    table = np.full(256, UNKNOWN_CLASS, np.uint8)
    for index, name in enumerate(names):
        if name in known:
            table[index] = known.index(name)
    return table[labels]
