"""From a frame to maps and answers, on a toy model whose turns can be scripted."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import pytest
from toy_model import ANSWER, TURNS, make_engine, write  # type: ignore[import-not-found]

from cooper_ros.core.errors import CooperError, GenerationCancelled, QuestionError
from cooper_ros.core.types import (
    AnsweredBy,
    Frame,
    Intrinsics,
    ScaleSource,
    SpatialAnswer,
    Status,
    StepType,
)
from cooper_ros.reasoning.tags import DEPTH, SEGMENTATION
from cooper_ros.runtime.cancel import CancelToken
from cooper_ros.runtime.context import Engine
from cooper_ros.runtime.events import MapReady, MapRequested, TurnText, Unmeasured
from cooper_ros.runtime.frame_context import FrameContext
from cooper_ros.runtime.pipeline import CooperPipeline
from cooper_ros.runtime.tokenizer import Tokenizer

QUESTION = "How far is the mug?"


def calls(engine: Engine, name: str) -> int:
    return engine.backend.calls.get(name, 0)  # type: ignore[attr-defined]


@pytest.fixture
def context(engine: Engine, frame: Frame) -> FrameContext:
    return CooperPipeline(engine, "toy@1").see(frame)


def scene(frame: Frame, mugs: Sequence[tuple[int, int]] = ((30, 20),)) -> tuple:
    """Depth [m] and labels of a wall with mugs (class 20) 1.5 m away."""
    depth = np.full((frame.height, frame.width), 3.0, np.float32)
    labels = np.ones((frame.height, frame.width), np.uint8)
    for column, row in mugs:
        depth[row : row + 20, column : column + 12] = 1.5
        labels[row : row + 20, column : column + 12] = 20
    return depth, labels


def test_maps_have_camera_size_and_the_frames_stamp(context: FrameContext, frame: Frame) -> None:
    depth, segmentation = context.perceive()
    assert depth.depth.shape == depth.relative.shape == depth.confidence.shape == (60, 80)
    assert segmentation.labels.shape == segmentation.instances.shape == (60, 80)
    for result in (depth, segmentation):
        assert (result.stamp_ns, result.frame_id) == (frame.stamp_ns, frame.frame_id)
    assert depth.metric and depth.scale_source is ScaleSource.MODEL_PRIOR
    assert ((depth.depth >= 0.25) & (depth.depth <= 10.0)).all()
    assert ((depth.confidence >= 0) & (depth.confidence <= 1)).all()


def test_classes_are_read_from_scores_where_the_model_gives_them(
    engine: Engine, frame: Frame
) -> None:
    """Scores decide, and the picture is painted with the winners' colours."""
    by_colour = CooperPipeline(engine, "toy@1").see(frame)
    assert engine.spec.segmentation is not None
    settings = dataclasses.replace(engine.spec.segmentation, scores=True)
    backend = engine.backend
    scored = dataclasses.replace(
        engine, spec=dataclasses.replace(engine.spec, segmentation=settings)
    )
    context = CooperPipeline(scored, "toy@1").see(frame)
    drawn = context.map(SEGMENTATION)
    assert drawn.reading is not None
    np.testing.assert_array_equal(context.labels(), by_colour.labels())
    np.testing.assert_array_equal(drawn.picture, settings.codec().encode(drawn.reading[0]))
    np.testing.assert_allclose(
        context.segmentation().score, by_colour.segmentation().score, atol=1e-6
    )

    def sofa(latent: np.ndarray) -> np.ndarray:
        image = backend.autoencoder_decoder(latent)
        scores = np.zeros((1, len(settings.names), *image.shape[2:]), np.float32)
        scores[:, 7] = 3.0
        return scores

    backend.class_scores = sofa  # type: ignore[attr-defined, method-assign]
    again = CooperPipeline(scored, "toy@1").see(frame)
    assert (again.segmentation().labels == 7).all()
    expected = math.exp(3.0) / (math.exp(3.0) + len(settings.names) - 1)
    np.testing.assert_allclose(again.segmentation().score, expected, rtol=1e-5)


def test_maps_are_generated_once_and_in_one_batch(engine: Engine, context: FrameContext) -> None:
    context.perceive()
    assert calls(engine, "gen") == 1
    context.perceive()
    context.segmentation()
    assert calls(engine, "gen") == 1
    assert calls(engine, "vision_encoder") == 1


def test_batch_of_two_maps_equals_one_by_one(tokenizer: Tokenizer, frame: Frame) -> None:
    together = CooperPipeline(make_engine(tokenizer)).see(frame)
    together.perceive()
    apart = CooperPipeline(make_engine(tokenizer)).see(frame)
    for kind in (SEGMENTATION, DEPTH):
        np.testing.assert_allclose(together.map(kind).picture, apart.map(kind).picture, atol=1e-5)


def test_without_intrinsics_depth_is_only_relative(engine: Engine, frame: Frame) -> None:
    bare = CooperPipeline(engine).see(dataclasses.replace(frame, intrinsics=None))
    depth, segmentation = bare.perceive()
    assert not depth.metric and depth.scale_source is ScaleSource.UNKNOWN
    assert np.isnan(depth.depth).all() and np.isfinite(depth.relative).all()
    assert all(math.isnan(segment.distance_m) for segment in segmentation.segments)
    answer = bare.answer(QUESTION)
    assert answer.status is Status.NOT_METRIC
    assert math.isnan(answer.value) and "intrinsics" in answer.message
    zero = Intrinsics(0.0, 0.0, 0.0, 0.0, 80, 60)
    assert (
        not CooperPipeline(engine).see(dataclasses.replace(frame, intrinsics=zero)).depth().metric
    )


def test_interleaved_answer_with_its_events(
    engine: Engine, context: FrameContext, frame: Frame
) -> None:
    write(engine, *TURNS)
    events = list(context.ask(QUESTION))
    order = [event for event in events if not isinstance(event, TurnText) or event.done]
    assert [type(event) for event in order] == [
        TurnText, MapRequested, MapReady, TurnText, MapRequested, MapReady, TurnText, Unmeasured,
        SpatialAnswer,
    ]  # fmt: skip
    made = [event.made for event in order if isinstance(event, MapReady)]
    assert [item.kind for item in made] == ["depth", "segmentation"]
    assert made[0] is context.map("depth")
    unmeasured = order[-2].answer  # type: ignore[union-attr]
    assert unmeasured.value == pytest.approx(1.42) and unmeasured.status is Status.OK
    answer = events[-1]
    assert isinstance(answer, SpatialAnswer)
    assert answer.text == "1.42 m" and answer.value == pytest.approx(1.42)
    assert (answer.stamp_ns, answer.frame_id) == (frame.stamp_ns, frame.frame_id)
    assert answer.model_id == "toy@1" and 0 < answer.confidence <= 1
    kinds = [step.type for step in answer.trace]
    assert StepType.DEPTH in kinds and StepType.SEGMENTATION in kinds and StepType.ANSWER in kinds
    texts = [event.text for event in events if isinstance(event, TurnText) and event.turn == 3]
    assert texts[0] == "<think>" and texts[-1] == ANSWER


def test_second_question_costs_only_text(engine: Engine, context: FrameContext) -> None:
    write(engine, *TURNS)
    context.answer(QUESTION)
    before = dict(engine.backend.calls)  # type: ignore[attr-defined]
    write(engine, *TURNS)
    events = list(context.ask("how far is the chair ?"))
    after = engine.backend.calls  # type: ignore[attr-defined]
    for graph in ("vision_encoder", "gen", "autoencoder_encoder", "autoencoder_decoder"):
        assert after.get(graph, 0) == before.get(graph, 0), graph
    assert all(event.cached for event in events if isinstance(event, MapReady))
    assert context.store.image_passes == 1


def test_maps_mode_starts_with_both_maps(engine: Engine, context: FrameContext) -> None:
    write(engine, ANSWER)
    events = list(context.ask(QUESTION, "maps"))
    assert not any(isinstance(event, MapRequested) for event in events)
    assert events[-1].value == pytest.approx(1.42)  # type: ignore[union-attr]


def test_direct_mode_reads_the_image_alone(engine: Engine, context: FrameContext) -> None:
    write(engine, "<answer> 2.00 m </answer>")
    answer = context.answer(QUESTION, "direct")
    assert answer.value == pytest.approx(2.0)
    assert [step.type for step in answer.trace] == [StepType.ANSWER]


def test_direct_answers_have_their_own_limit(tokenizer: Tokenizer, frame: Frame) -> None:
    loop = {"max_turns": 3, "max_turn_tokens": 64, "max_answer_tokens": 4}
    engine = make_engine(tokenizer, loop=loop)
    context = CooperPipeline(engine).see(frame)
    write(engine, "<answer> 2.00 m </answer>")
    assert context.answer(QUESTION, "direct").status is Status.NO_ANSWER


def test_the_maps_in_the_context_reach_the_decoder(
    engine: Engine, context: FrameContext, frame: Frame
) -> None:
    """Another depth map, another next-token distribution."""
    from cooper_ros.reasoning.loop import ImageSegment, MapSegment, TextSegment

    name = (ImageSegment(), MapSegment(DEPTH), TextSegment("how far is the mug ?"))
    depth, _ = scene(frame)
    logits = []
    for scale in (1.0, 1.5):
        context.use_depth(depth * scale)
        start = engine.spec.tokens.text_start
        logits.append(context.store.for_question().context(name).fork().add_ids([start]))
    assert not np.allclose(logits[0], logits[1], atol=1e-4)
    np.testing.assert_allclose(context.depth().depth.max(), 4.5, rtol=0.02)


def test_value_comes_from_text_and_measured_from_maps(
    engine: Engine, context: FrameContext, frame: Frame
) -> None:
    depth, labels = scene(frame)
    context.use_depth(depth)
    context.use_segmentation(labels)
    write(engine, "<answer> 5.00 m </answer>")
    answer = context.answer(QUESTION, "maps")
    assert answer.status is Status.DISAGREES and "5.00 m" in answer.message
    assert answer.value == pytest.approx(5.0)
    assert answer.measured == pytest.approx(1.55, rel=0.05)
    assert not answer.agree
    write(engine, "<answer> 1.60 m </answer>")
    assert context.answer(QUESTION, "maps").agree


def test_two_of_a_name_are_ambiguous_with_candidates(
    engine: Engine, context: FrameContext, frame: Frame
) -> None:
    depth, labels = scene(frame, ((10, 20), (55, 20)))
    context.use_depth(depth)
    context.use_segmentation(labels)
    write(engine, "<answer> 1.60 m </answer>")
    answer = context.answer(QUESTION, "maps")
    assert answer.status is Status.AMBIGUOUS
    assert [item.label for item in answer.objects] == ["mug", "mug"]


def test_unreadable_text_is_unparsed_and_no_measurement_steps_in(
    engine: Engine, context: FrameContext, frame: Frame
) -> None:
    depth, labels = scene(frame)
    context.use_depth(depth)
    context.use_segmentation(labels)
    write(engine, "<answer> far m </answer>")
    answer = context.answer(QUESTION, "maps")
    assert answer.status is Status.UNPARSED
    assert math.isnan(answer.value) and math.isfinite(answer.measured)


def test_object_not_seen(engine: Engine, context: FrameContext, frame: Frame) -> None:
    context.use_segmentation(scene(frame, ())[1])
    write(engine, "<think> no mug </think> <answer> none </answer>")
    assert context.answer(QUESTION, "direct").status is Status.NOT_VISIBLE


def test_turn_limit_ends_without_answer(engine: Engine, context: FrameContext) -> None:
    write(engine, "<think> see </think>", "<think> see </think>", "<think> see </think>")
    answer = context.answer(QUESTION)
    assert answer.status is Status.NO_ANSWER
    assert math.isnan(answer.value)


@pytest.mark.parametrize("question", ["", "  ", "how far is the zorg?", "mug " * 80])
def test_bad_questions_are_refused_before_any_work(
    engine: Engine, context: FrameContext, question: str
) -> None:
    before = dict(engine.backend.calls)  # type: ignore[attr-defined]
    with pytest.raises(QuestionError) as caught:
        context.ask(question)
    assert engine.backend.calls == before  # type: ignore[attr-defined]
    assert str(caught.value)


def test_unknown_word_names_the_known_ones(context: FrameContext) -> None:
    with pytest.raises(QuestionError, match="zorg") as caught:
        context.ask("how far is the zorg?")
    assert "mug" in caught.value.known_words


def test_cancel_while_a_turn_is_written(engine: Engine, context: FrameContext) -> None:
    write(engine, *TURNS)
    token = CancelToken()
    events = []
    for event in context.ask(QUESTION, cancel=token):
        events.append(event)
        if isinstance(event, MapReady):
            token.cancel()
    answer = events[-1]
    assert isinstance(answer, SpatialAnswer) and answer.status is Status.CANCELED
    assert sum(isinstance(event, MapReady) for event in events) == 1
    write(engine, *TURNS)
    assert context.answer(QUESTION).value == pytest.approx(1.42)


def test_a_cancelled_turn_keeps_what_was_written(engine: Engine, context: FrameContext) -> None:
    write(engine, "<think> i need depth now")
    token = CancelToken()
    events = []
    for event in context.ask(QUESTION, cancel=token):
        events.append(event)
        if isinstance(event, TurnText) and event.text.endswith("need"):
            token.cancel()
    answer = events[-1]
    assert isinstance(answer, SpatialAnswer) and answer.status is Status.CANCELED
    assert [(step.type, step.text) for step in answer.trace] == [(StepType.THINK, "i need")]
    assert answer.trace[0].token_count == 3


def test_settled_text_never_changes(engine: Engine, context: FrameContext) -> None:
    """Decoding joins digits and points as they come; a stream must not print them too early."""
    write(engine, *TURNS)
    texts: dict[int, list[TurnText]] = {}
    for event in context.ask(QUESTION):
        if isinstance(event, TurnText):
            texts.setdefault(event.turn, []).append(event)
    changed = 0
    for events in texts.values():
        final = events[-1].text
        assert events[-1].settled == final
        for event in events:
            assert final.startswith(event.settled)
            changed += not final.startswith(event.text)
        assert len(events[-2].settled) > len(final) // 3, "something must be settled early"
    assert changed > 0, "this test would not see the fault"


def test_the_direct_answer_is_there_before_the_maps(
    engine: Engine, context: FrameContext
) -> None:
    write(engine, "<answer> 2.00 m </answer>")
    events = context.ask(QUESTION, "direct")
    found = next(event for event in events if isinstance(event, Unmeasured))
    assert found.answer.value == 2.0 and np.isnan(found.answer.measured)
    assert not context.has_map("depth")
    assert not found.answer.checked and found.answer.message == "not checked against maps"
    assert isinstance(next(events), SpatialAnswer) and context.has_map("depth")


def test_a_direct_answer_is_checked_by_maps_that_are_there(
    engine: Engine, context: FrameContext, frame: Frame
) -> None:
    context.use_depth(scene(frame)[0])
    context.use_segmentation(scene(frame, mugs=())[1])
    write(engine, "<answer> 2.00 m </answer>")
    events = context.ask(QUESTION, "direct")
    told = next(event for event in events if isinstance(event, Unmeasured)).answer
    assert told.status is Status.NOT_VISIBLE and math.isnan(told.value) and told.text == "2.00 m"


def test_the_text_of_an_answer_holds_no_tags(
    engine: Engine, context: FrameContext, frame: Frame
) -> None:
    depth, labels = scene(frame)
    context.use_depth(depth)
    context.use_segmentation(labels)
    measured = context.answer(QUESTION, "maps").measured
    for wrote in ("<obj> {} </obj>", "<think> {}", "{} </obj>"):
        write(engine, f"<answer> {wrote.format(f'{measured:.2f} m')} </answer>")
        answer = context.answer(QUESTION, "maps")
        assert (answer.status, answer.text) == (Status.OK, f"{measured:.2f} m"), wrote


def test_cancelled_map_can_be_made_later(context: FrameContext) -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(GenerationCancelled):
        context.depth(token)
    assert context.depth().metric


def test_frames_do_not_mix(engine: Engine, frame: Frame) -> None:
    pipeline = CooperPipeline(engine)
    other = dataclasses.replace(frame, rgb=255 - frame.rgb, stamp_ns=7)
    first, second = pipeline.see(frame), pipeline.see(other)
    a, b = second.depth(), first.depth()
    assert (a.stamp_ns, b.stamp_ns) == (7, frame.stamp_ns)
    np.testing.assert_array_equal(b.depth, pipeline.see(frame).depth().depth)
    assert not np.array_equal(a.depth, b.depth)


def test_unknown_mode(context: FrameContext) -> None:
    with pytest.raises(ValueError, match="interleaved"):
        context.ask(QUESTION, "fast")


def test_model_without_palette_says_so(tokenizer: Tokenizer, frame: Frame) -> None:
    context = CooperPipeline(make_engine(tokenizer, segmentation=None)).see(frame)
    with pytest.raises(CooperError, match="palette"):
        context.segmentation()
    assert context.map(SEGMENTATION).rgb().dtype == np.uint8


def test_a_distorted_image_is_seen_straight_and_answered_at_its_own_pixels(
    engine: Engine, frame: Frame
) -> None:
    pipeline = CooperPipeline(engine)
    width, height = frame.width, frame.height
    lens = Intrinsics(
        0.7 * width, 0.7 * width, width / 2, height / 2, width, height, (-0.25, 0.05, 0.0, 0.0, 0.0)
    )
    context = pipeline.see(dataclasses.replace(frame, intrinsics=lens))
    depth, segmentation = context.perceive()
    assert depth.metric and depth.intrinsics == lens
    assert depth.depth.shape == segmentation.labels.shape == (height, width)
    assert np.isfinite(depth.depth).mean() > 0.9
    straight = pipeline.see(
        dataclasses.replace(frame, intrinsics=dataclasses.replace(lens, distortion=()))
    ).depth()
    assert not np.allclose(straight.relative, depth.relative, atol=1e-3, equal_nan=True)
    nominal = context.nominal_depth()
    context.put_depth(dataclasses.replace(depth, depth=2.0 * nominal))
    again = context.segmentation()
    distances = [s.distance_m for s in segmentation.segments if s.pixel_count > 50]
    assert max(s.distance_m for s in again.segments) > 1.5 * max(distances)
    context.show_depth()  # what questions see of it


@pytest.mark.parametrize("mode", ["interleaved", "maps", "direct"])
def test_what_no_model_was_taught_is_measured(
    engine: Engine, context: FrameContext, frame: Frame, mode: str
) -> None:
    """Counting within a radius: answered by the maps alone, in the words of a template."""
    depth, labels = scene(frame, mugs=((10, 20), (50, 20)))
    depth[20:40, 50:62] = 2.5
    context.use_depth(depth)
    context.use_segmentation(labels)
    before = calls(engine, "und")
    events = list(context.ask("how many mugs are within 2 m?", mode))
    answer = events[-1]
    assert isinstance(answer, SpatialAnswer)
    assert (answer.status, answer.value, answer.text) == (Status.OK, 1.0, "1")
    assert answer.answered_by is AnsweredBy.MEASURED and answer.checked and not answer.agree
    assert answer.question_understood == "how many mugs are within 2.00 m ?"
    assert math.isnan(answer.confidence) and not answer.trace
    assert calls(engine, "und") == before and not any(isinstance(e, TurnText) for e in events)
    nearest = context.answer("how far is the nearest mug in cm?", mode)
    assert nearest.status is Status.OK and nearest.text == f"{100 * nearest.value:.0f} cm"
    assert (nearest.low, nearest.high) == (nearest.measured_low, nearest.measured_high) or (
        math.isnan(nearest.measured_low)
    )
    absent = context.answer("how far is the nearest chair?", mode)
    assert absent.status is Status.NOT_VISIBLE and math.isnan(absent.value) and not absent.checked


def test_measured_answers_can_be_cancelled(context: FrameContext) -> None:
    cancel = CancelToken()
    cancel.cancel()
    answer = context.answer("how many mugs are within 2 m?", "interleaved", cancel)
    assert answer.status is Status.CANCELED and answer.message


def test_the_text_is_in_the_unit_asked_for(
    engine: Engine, context: FrameContext, frame: Frame
) -> None:
    depth, labels = scene(frame)
    context.use_depth(depth)
    context.use_segmentation(labels)
    measured = context.answer("how far is the nearest mug?").value
    write(engine, f"<answer> {measured:.2f} m </answer>")
    answer = context.answer("how far is the mug in feet?", "maps")
    assert answer.status is Status.OK and answer.value == pytest.approx(measured, abs=0.01)
    assert answer.text == f"{round(measured, 2) / 0.3048:.2f} ft" and answer.unit == "m"
    assert answer.question_understood == "how far is the mug in feet ?"
    write(engine, "<answer> 9.00 m </answer>")  # of no OK answer the words are changed
    wrong = context.answer("how far is the mug in feet?", "maps")
    assert (wrong.status, wrong.text) == (Status.DISAGREES, "9.00 m")
