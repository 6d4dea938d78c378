"""Questions about one frame share its prefix: the first pays for the image and its maps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cooper_ros.core.errors import ModelFolderError
from cooper_ros.core.paths import find_model_folder
from cooper_ros.core.types import Frame, Intrinsics
from cooper_ros.evaluation.work import CountingBackend
from cooper_ros.runtime.pipeline import CooperPipeline

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

LARGEST_SHARE = 0.20
NAMES = ("table", "chair", "sofa", "lamp", "plant", "box", "bed", "shelf", "door", "bin")


@pytest.fixture(scope="module")
def costs() -> list[tuple[int, dict[str, int]]]:
    """Tokens and graph calls of ten questions about one frame, in order, as the node asks them."""
    try:
        pipeline = CooperPipeline.open(find_model_folder(), threads=1)
    except ModelFolderError as error:
        pytest.skip(f"no model is shipped with this checkout: {error}")
    counter = CountingBackend(pipeline.engine.backend)
    pipeline.engine = replace(pipeline.engine, backend=counter)
    rgb = np.full((240, 320, 3), (190, 185, 175), np.uint8)
    rgb[120:] = (120, 90, 60)
    found = []
    context = None
    for name in NAMES:
        counter.reset()
        if context is None:
            context = pipeline.see(Frame(rgb, Intrinsics.from_fov(70.0, 320, 240)))
            context.perceive()
        context.answer(f"how far is the {name} ?", "maps")
        found.append((counter.tokens, dict(counter.calls)))
    return found


def test_the_tenth_question_costs_a_fifth_of_the_first(
    costs: list[tuple[int, dict[str, int]]],
) -> None:
    first, tenth = costs[0][0], costs[-1][0]
    assert 0 < tenth <= LARGEST_SHARE * first, [tokens for tokens, _ in costs]


def test_only_the_first_question_pays_for_pictures(
    costs: list[tuple[int, dict[str, int]]],
) -> None:
    assert costs[0][1]["vision_encoder"] == 1 and costs[0][1]["gen"] > 0
    for _, calls in costs[1:]:
        assert set(calls) == {"und"}


def test_asking_in_a_new_frame_each_time_would_cost_more(
    costs: list[tuple[int, dict[str, int]]],
) -> None:
    """What the sharing saves over ten questions."""
    assert sum(tokens for tokens, _ in costs) < 0.35 * 10 * costs[0][0]
