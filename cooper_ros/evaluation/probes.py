"""Does the model read its maps and its picture? Two interventions on the context.

- The depth map in the context is replaced by itself times 1.5: an answer that is read from the map
  follows by 1.5, one that ignores the map stays.
- The picture is replaced by a grey one: what is still right then comes from the question alone.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Sequence

import numpy as np

from cooper_ros.core.errors import QuestionError
from cooper_ros.core.types import Frame, SpatialAnswer
from cooper_ros.evaluation.decoded import decoded
from cooper_ros.runtime.frame_context import FrameContext
from cooper_ros.runtime.pipeline import CooperPipeline
from cooper_ros.sim.questions import Question

SCALE = 1.5
GREY = 128


@contextlib.contextmanager
def stopwatch(seconds: list[float]) -> Iterator[None]:
    """Append the wall time of the block."""
    started = time.perf_counter()
    yield
    seconds.append(time.perf_counter() - started)


def depth_factors(
    context: FrameContext, asked: Sequence[Question], scale: float = SCALE
) -> list[float]:
    """Decoded distance with the context's depth map times `scale`, divided by that without.

    One factor per distance question that is answered both times. Both contexts get the map through
    `use_depth`, so that they differ in nothing but the scale. The context's depth is restored
    unscaled (re-encoded).
    """
    questions = [one for one in asked if one.family == "distance" and one.value == one.value]
    if not questions:
        return []
    depth = context.depth().depth.copy()
    scaled = _values(context, questions, depth * np.float32(scale))
    plain = _values(context, questions, depth)
    pairs = zip(scaled, plain, strict=True)
    return [many / once for many, once in pairs if math.isfinite(many / once if once else math.nan)]


def _values(
    context: FrameContext, asked: Sequence[Question], depth: np.ndarray
) -> list[float]:
    context.use_depth(depth)
    return [decoded(context.answer(one.text, "maps"), one.query).value for one in asked]


def blank_frame(frame: Frame) -> Frame:
    """The same camera in front of nothing: a uniformly grey picture."""
    return Frame(np.full_like(frame.rgb, GREY), frame.intrinsics, frame.stamp_ns, frame.frame_id)


def blank_answers(
    pipeline: CooperPipeline, frame: Frame, asked: Sequence[Question], mode: str = "interleaved"
) -> list[tuple[Question, SpatialAnswer]]:
    """Answers to the same questions about a grey picture."""
    context = pipeline.see(blank_frame(frame))
    replies = []
    for one in asked:
        with contextlib.suppress(QuestionError):
            replies.append((one, context.answer(one.text, mode)))
    return replies
