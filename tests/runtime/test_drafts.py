"""Drafted text changes the speed of an answer and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from toy_model import write  # type: ignore[import-not-found]

from cooper_ros.core.errors import ModelFolderError
from cooper_ros.core.paths import find_model_folder
from cooper_ros.core.types import Frame, Intrinsics
from cooper_ros.evaluation.work import CountingBackend
from cooper_ros.runtime import asking
from cooper_ros.runtime.backend import MAX_DRAFT
from cooper_ros.runtime.context import Context, Engine
from cooper_ros.runtime.generation import Decoding, generate_text, stream_text
from cooper_ros.runtime.pipeline import CooperPipeline

QUESTION = "how far is the mug ?"
TOKENS = 24


@pytest.fixture
def context(engine: Engine) -> Context:
    made = Context(engine)
    made.add_text(QUESTION)
    return made


def passes(engine: Engine) -> int:
    return int(engine.backend.calls.get("und", 0))  # type: ignore[attr-defined]


def oracle(ids: Sequence[int], length: int):
    """A drafter that is always right, `length` tokens at a time."""
    return lambda written: ids[len(written) : len(written) + length]


def test_a_perfect_draft_takes_one_pass(engine: Engine, context: Context) -> None:
    plain = generate_text(context, TOKENS)
    before = passes(engine)
    drafted = generate_text(context, TOKENS, drafter=oracle(plain.ids, TOKENS))
    assert drafted.ids == plain.ids and passes(engine) - before == 1
    assert drafted.confidence == pytest.approx(plain.confidence, rel=1e-4)


@pytest.mark.parametrize("seed", range(6))
def test_wrong_drafts_change_nothing(engine: Engine, context: Context, seed: int) -> None:
    plain = generate_text(context, TOKENS)
    rng = np.random.default_rng(seed)

    def drafter(written: Sequence[int]) -> list[int]:
        """Right at first, then anything."""
        right = list(plain.ids[len(written) :][: int(rng.integers(0, 5))])
        return right + rng.integers(0, 40, int(rng.integers(0, 6))).tolist()

    keys = context.cache.keys.copy()
    drafted = generate_text(context, TOKENS, drafter=drafter)
    assert drafted.ids == plain.ids
    assert drafted.confidence == pytest.approx(plain.confidence, rel=1e-4)
    np.testing.assert_array_equal(context.cache.keys, keys)


def test_every_token_is_streamed(engine: Engine, context: Context) -> None:
    plain = [t.ids for t in stream_text(context, TOKENS)]
    drafter = oracle(plain[-1], 7)
    assert [t.ids for t in stream_text(context, TOKENS, drafter=drafter)] == plain


def test_endless_drafts_are_cut(engine: Engine, context: Context) -> None:
    plain = generate_text(context, TOKENS)
    assert generate_text(context, TOKENS, drafter=lambda _: [1] * 10 * MAX_DRAFT).ids == plain.ids


def test_sampling_asks_for_no_drafts(engine: Engine, context: Context) -> None:
    def drafter(_: Sequence[int]) -> list[int]:
        raise AssertionError("asked for a draft")

    generate_text(context, 4, Decoding(temperature=1.0, seed=0), drafter=drafter)


def test_the_end_of_a_turn_is_drafted_too(engine: Engine, frame: Frame) -> None:
    from cooper_ros.reasoning.prompts import NANO_DEPTH_TURN, NANO_SEGMENTATION_TURN

    last = "<think> <obj> mug u 42 v 17 d 1.35 x +0.12 y -0.30 </obj> </think> "
    write(engine, NANO_DEPTH_TURN, NANO_SEGMENTATION_TURN, last + "<answer> 1.39 m </answer>")
    found = CooperPipeline(engine).see(frame)
    before = passes(engine)
    answer = found.answer(QUESTION)
    assert answer.text == "1.39 m"
    # one pass for each request turn; digits one by one, the rest in their company; and the prefix
    assert passes(engine) - before < 30


FAMILIES = (
    "how far is the table ?",
    "how many chairs are there ?",
    "how wide is the sofa ?",
    "is there a lamp ?",
    "is the plant left of the box ?",
    "which is nearer , the bed or the shelf ?",
    "how far apart are the door and the bin ?",
    "is the table in front of the chair ?",
    "how much free space is ahead ?",
    "can i reach the box within 0.80 m ?",
)


@pytest.fixture(scope="module")
def nano() -> Iterator[CooperPipeline]:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    try:
        pipeline = CooperPipeline.open(find_model_folder(), threads=1)
    except ModelFolderError as error:
        pytest.skip(f"no model is shipped with this checkout: {error}")
    pipeline.engine = replace(pipeline.engine, backend=CountingBackend(pipeline.engine.backend))
    yield pipeline


def test_cooper_nano_says_the_same_in_half_the_passes(nano, monkeypatch) -> None:
    rgb = np.full((240, 320, 3), (190, 185, 175), np.uint8)
    rgb[120:] = (120, 90, 60)
    rgb[90:150, 100:180] = (60, 60, 70)
    counter = nano.engine.backend
    told: dict[bool, list[tuple[str, str]]] = {}
    cost: dict[bool, int] = {}
    drafting = asking._Run._drafter
    for drafts in (False, True):
        monkeypatch.setattr(asking._Run, "_drafter", drafting if drafts else lambda _: None)
        context = nano.see(Frame(rgb, Intrinsics.from_fov(70.0, 320, 240)))
        context.perceive()
        counter.reset()
        answers = [context.answer(q, mode) for q in FAMILIES for mode in ("maps", "direct")]
        told[drafts] = [(a.text, " ".join(step.text for step in a.trace)) for a in answers]
        cost[drafts] = counter.calls["und"]
    assert told[True] == told[False]
    assert cost[True] < 0.55 * cost[False]
