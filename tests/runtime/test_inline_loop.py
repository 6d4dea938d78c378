"""The official placement on the toy model: maps behind the turn that asked for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from toy_model import make_engine, write  # type: ignore[import-not-found]

from cooper_ros.core.types import Frame, ScaleReport, ScaleSource
from cooper_ros.reasoning import prompts
from cooper_ros.reasoning.loop import ImageSegment, TextSegment
from cooper_ros.runtime.context import Engine
from cooper_ros.runtime.pipeline import CooperPipeline
from cooper_ros.runtime.tokenizer import Tokenizer

INLINE: dict[str, Any] = {
    "map_placement": "inline",
    "map_context": "vision",
    "context_latents": True,
    "chain_resize": True,
    "interleaved": {"num_timesteps": 4, "shift": 3.0, "text_scale": 4.0, "image_scale": 2.0},
    "perception": {"num_timesteps": 3, "shift": 3.0, "text_scale": 3.0, "image_scale": 1.5},
    "prompts": {
        "depth": prompts.NANO_DEPTH,
        "segmentation": prompts.NANO_SEGMENTATION,
        "system": "think",
        "reflection": "look",
    },
}


@pytest.fixture
def engine(tokenizer: Tokenizer) -> Engine:
    return make_engine(tokenizer, **INLINE)


def test_every_requested_map_is_generated_anew(engine: Engine, frame: Frame) -> None:
    context = CooperPipeline(engine).see(frame)
    write(engine, prompts.NANO_DEPTH_TURN, prompts.NANO_DEPTH_TURN, "<answer> 1.00 m </answer>")
    answer = context.answer("how far is the mug ?")
    assert answer.text == "1.00 m"
    # per map: step 1 and 2 of 3 are guided (t = 1, 0.857, 0.6 > 0.4: all three, 3 forwards each);
    # measuring makes the two perception maps (t = 1, 0.75: 3 forwards each); the input image is one
    # clean pass per context that begins otherwise.
    loop, perception = 2 * 9, 2 * 3
    clean = engine.backend.calls["gen"] - loop - perception  # type: ignore[attr-defined]
    assert clean == context.store.image_passes == 2


def test_system_text_and_image_are_read_once_for_all_questions(
    engine: Engine, frame: Frame
) -> None:
    context = CooperPipeline(engine).see(frame)
    for _ in range(2):
        write(engine, "<answer> yes </answer>")
        context.answer("is there a mug ?")
    name = (TextSegment("think"), ImageSegment())
    assert context.store._find(name) is not None
    assert context.store.image_passes == 2  # once behind the system text, once alone for the maps


def test_seed_decides_the_noise(engine: Engine, frame: Frame) -> None:
    first = CooperPipeline(engine, seed=1).see(frame).depth().relative
    again = CooperPipeline(engine, seed=1).see(frame).depth().relative
    other = CooperPipeline(engine, seed=2).see(frame).depth().relative
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


LENS = (-0.25, 0.05, 0.0, 0.0, 0.0)
FITTED = ScaleReport(ScaleSource.ANCHORED, "scale", 2.0, 1.1, 0.0)


def test_a_drawn_map_passes_lens_and_scale_as_the_frame_s_own_does(
    engine: Engine, frame: Frame
) -> None:
    """What the action's feedback shows of a map that was drawn in the middle of a thought."""
    assert frame.intrinsics is not None
    bent = replace(frame, intrinsics=replace(frame.intrinsics, distortion=LENS))
    context = CooperPipeline(engine).see(bent)
    own = context.depth()
    context.put_depth(
        replace(
            own,
            depth=FITTED.metres(context.nominal_depth()).astype(np.float32),
            scale_source=FITTED.source,
            scale=FITTED,
        )
    )
    drawn = context.drawn_depth(context.map("depth"))
    np.testing.assert_allclose(drawn.depth, context.depth().depth, rtol=1e-4)
    np.testing.assert_allclose(drawn.relative, own.relative, rtol=1e-5)
    assert drawn.scale_source is ScaleSource.ANCHORED and drawn.intrinsics == bent.intrinsics
    segments = context.drawn_segmentation(context.map("segmentation"), context.depth())
    assert segments is not None
    np.testing.assert_array_equal(segments.labels, context.segmentation().labels)
    assert context.drawn_rgb(context.map("depth")).shape == bent.rgb.shape
    straight = CooperPipeline(engine).see(frame)
    flat = straight.drawn_depth(straight.map("depth"))
    np.testing.assert_array_equal(flat.depth, straight.depth().depth)
    assert not np.allclose(flat.relative, drawn.relative, atol=1e-3, equal_nan=True)
