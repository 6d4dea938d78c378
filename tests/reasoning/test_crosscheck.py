"""The final answer: value from text only, the measurement beside it."""

from __future__ import annotations

import math

import pytest

from cooper_ros.core.measure import Measurement
from cooper_ros.core.query import Query
from cooper_ros.core.types import Kind, ObjectReference, Status, StepType
from cooper_ros.reasoning.crosscheck import build_answer as read
from cooper_ros.reasoning.crosscheck import failed_answer
from cooper_ros.reasoning.loop import InterleavedLoop
from cooper_ros.reasoning.prompts import nano_script
from cooper_ros.reasoning.verdict import agrees, judge

QUERY = Query("distance", ("mug",), text="how far is the mug ?")
MUG = ObjectReference("mug", 20, 1, (1, 2, 3, 4), (0.1, 0.2, 1.3), 1.4)


def build_answer(question, query, loop, measurement=None):
    """Read and judged, as `FrameContext.ask` does."""
    return judge(read(question, query, loop, measurement), query, measurement)


def finished(turn: str | None):
    """The result of a loop whose only turn was this (None: cancelled before)."""
    loop = InterleavedLoop(nano_script(max_turns=1), "q")
    if turn is None:
        return loop.stop()
    loop.text_done(turn, 5, 0.1)
    return loop.result


def measured(value, status=Status.OK, objects=(MUG,), message=""):
    return Measurement(value, "m", objects, status, message, Kind.DISTANCE)


@pytest.mark.parametrize(
    ("kind", "value", "truth", "expected"),
    [
        (Kind.DISTANCE, 2.4, 2.0, True),
        (Kind.DISTANCE, 2.41, 2.0, False),
        (Kind.DISTANCE, 1.6, 2.0, True),
        (Kind.DISTANCE, 0.29, 0.2, True),  # 0.10 m counts where 20 % is less
        (Kind.SIZE, 0.31, 0.2, False),
        (Kind.COUNT, 3, 3, True),
        (Kind.COUNT, 3, 4, False),
        (Kind.BOOLEAN, 1, 0, False),
        (Kind.CHOICE, 1, 1, True),
        (Kind.DISTANCE, math.nan, 2.0, False),
        (Kind.DISTANCE, 2.0, math.nan, False),
        (Kind.COUNT, math.nan, math.nan, False),
    ],
)
def test_agreement(kind, value, truth, expected):
    assert agrees(kind, value, truth) is expected


def test_value_is_read_and_measurement_stands_beside_it():
    answer = build_answer("q", QUERY, finished("<answer> 1.42 m </answer>"), measured(1.4))
    assert (answer.status, answer.value, answer.unit) == (Status.OK, 1.42, "m")
    assert (answer.measured, answer.agree, answer.kind) == (1.4, True, Kind.DISTANCE)
    assert answer.objects == (MUG,) and answer.text == "1.42 m"
    assert [step.type for step in answer.trace] == [StepType.ANSWER]


@pytest.mark.parametrize("turn", ["<answer> 142 </answer>", "<answer> </answer>",
                                  "<answer> 1 . 4 m </answer>"])
def test_measured_value_is_no_fallback(turn):
    answer = build_answer("q", QUERY, finished(turn), measured(1.4))
    assert answer.status is Status.UNPARSED and math.isnan(answer.value)
    assert answer.measured == 1.4 and not answer.agree and answer.message


def test_loop_without_answer_and_cancelled_loop():
    for turn, status in (("<think> hm </think>", Status.NO_ANSWER), (None, Status.CANCELED)):
        answer = build_answer("q", QUERY, finished(turn), measured(1.4))
        assert answer.status is status and math.isnan(answer.value) and answer.message
        assert answer.measured == 1.4


def test_disagreement_is_flagged_not_hidden():
    answer = build_answer("q", QUERY, finished("<answer> 3.00 m </answer>"), measured(1.4))
    assert (answer.status, answer.value, answer.agree) == (Status.DISAGREES, 3.0, False)
    assert "3.00 m" in answer.message and "1.40 m" in answer.message


def test_ambiguous_names_the_candidates():
    both = measured(math.nan, Status.AMBIGUOUS, (MUG, MUG), "2 objects named 'mug'")
    answer = build_answer("q", QUERY, finished("<answer> 1.42 m </answer>"), both)
    assert answer.status is Status.AMBIGUOUS and len(answer.objects) == 2
    assert "2 objects" in answer.message and not answer.agree


def test_model_sees_none():
    nothing = measured(math.nan, Status.NOT_VISIBLE, (), "no mug in view")
    answer = build_answer("q", QUERY, finished("<answer> none </answer>"), nothing)
    assert answer.status is Status.NOT_VISIBLE and math.isnan(answer.value)
    answer = build_answer("q", QUERY, finished("<answer> none </answer>"), measured(1.4))
    assert answer.status is Status.NOT_VISIBLE and "1.40 m" in answer.message


def test_maps_that_show_nothing_are_reported():
    nothing = measured(math.nan, Status.NOT_VISIBLE, (), "no mug in view")
    turn = "<think> <obj> mug u 42 v 17 d 1.20 x +0.50 y +0.00 </obj> </think> " \
           "<answer> 1.30 m </answer>"
    answer = build_answer("q", QUERY, finished(turn), nothing)
    assert answer.status is Status.NOT_VISIBLE and math.isnan(answer.value) and not answer.agree
    assert answer.message == "no mug in view" and answer.text == "1.30 m"
    assert answer.objects == (), "the model's own chain places it, but it is not there"
    answer = build_answer("q", QUERY, finished(turn))  # without maps there is only the chain
    (item,) = answer.objects
    assert (item.label, item.source) == ("mug", "model")
    assert item.distance_m == pytest.approx(1.3)


def test_without_scale_metres_are_refused():
    refused = measured(math.nan, Status.NOT_METRIC, (), "no valid camera intrinsics")
    answer = build_answer("q", QUERY, finished("<answer> 1.42 m </answer>"), refused)
    assert answer.status is Status.NOT_METRIC and math.isnan(answer.value)
    assert "intrinsics" in answer.message
    reach = Query("reachable", ("mug",), 0.8)
    answer = build_answer("q", reach, finished("<answer> yes </answer>"), refused)
    assert answer.status is Status.NOT_METRIC and math.isnan(answer.value)
    order = Query("nearer", ("mug", "chair"))
    answer = build_answer("q", order, finished("<answer> mug </answer>"), refused)
    assert (answer.status, answer.value, answer.choice_index) == (Status.OK, 0.0, 0)


def test_free_form_question():
    answer = build_answer("q", None, finished("<answer> It is \\boxed{1.7 m} </answer>"))
    assert (answer.kind, answer.value, answer.unit) == (Kind.DISTANCE, 1.7, "m")
    assert math.isnan(answer.measured) and not answer.agree


def test_failures_before_the_model():
    answer = failed_answer("how far", Status.BAD_QUESTION, "what?")
    assert answer.status is Status.BAD_QUESTION and answer.message == "what?"
    assert math.isnan(answer.value) and answer.choice_index == -1
    assert failed_answer("q", Status.NO_IMAGE, "no image yet", QUERY).kind is Kind.DISTANCE
