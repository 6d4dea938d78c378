"""One goal with a model under the test's control: two answers, deadlines, partial results."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from cooper_ros.action import Reason
from cooper_ros.core.errors import GenerationCancelled
from cooper_ros.core.types import AnsweredBy, SpatialAnswer, Status, StepType
from cooper_ros.ros.narration import Narrator
from cooper_ros.ros.reason_call import GRACE_S, Outcome, ReasonCall
from cooper_ros.ros.reason_client import ReasonState
from cooper_ros.runtime.cancel import CancelToken
from cooper_ros.runtime.events import MapRequested, TurnText, Unmeasured

WAIT_S = 20.0
THOUGHT = "<think> i see a table"
DIRECT = SpatialAnswer("q", status=Status.OK, text="0.60 m", value=0.6)
REASONED = SpatialAnswer("q", status=Status.OK, text="0.40 m", value=0.4)


class Model:
    """A context whose reasoning stops in the middle until it may go on.

    `obeys`: whether it looks at its cancel token there.
    """

    def __init__(self, end: SpatialAnswer = REASONED, obeys: bool = True) -> None:
        self.thinking, self.may_go = threading.Event(), threading.Event()
        self.end, self.obeys = end, obeys
        self.asked: list[str] = []

    def ask(self, question: str, mode: str, cancel: CancelToken) -> Iterator[Any]:
        self.asked.append(mode)
        if mode == "direct":
            yield TurnText(1, "<answer> 0.60 m </answer>", done=True)
            yield Unmeasured(DIRECT)
            yield DIRECT if not cancel.cancelled else SpatialAnswer("q", status=Status.CANCELED)
            return
        yield TurnText(1, THOUGHT)
        self.thinking.set()
        while not self.may_go.wait(0.002):
            if self.obeys and cancel.cancelled:
                yield SpatialAnswer("q", status=Status.CANCELED, message="stopped")
                return
        yield TurnText(1, THOUGHT + " </think> <answer> 0.40 m </answer>", done=True)
        yield Unmeasured(self.end)
        yield self.end

    def perception(self) -> Any:
        return SimpleNamespace(
            frame=SimpleNamespace(stamp_ns=7, frame_id="camera"),
            context=self,
            calibration_problem="",
            picture_problem="",
            depth=SimpleNamespace(metric=True),
            snapshot=SimpleNamespace(from_camera=False, camera=""),
        )


class Goal:
    """A goal, run in a thread as the worker does."""

    def __init__(
        self, model: Model, mode: str = "interleaved", direct: bool = True, timeout_s: float = 100.0
    ) -> None:
        self.told: list[Any] = []
        self.woken = threading.Event()
        self.call = ReasonCall(
            "q", mode, direct, Narrator(self.told.append), timeout_s, self.woken.set
        )
        self.thread = threading.Thread(target=self._run, args=(model.perception(),), daemon=True)
        self.thread.start()

    def _run(self, perception: Any) -> None:
        try:
            self.call.run(perception)
        except Exception as error:
            self.call.fail(error)

    def expire_until_over(self) -> Outcome:
        """What the server's timer does."""
        until = time.monotonic() + WAIT_S
        while not self.call.expire():
            assert time.monotonic() < until
            self.woken.wait(0.005)
        return self.outcome()

    def outcome(self) -> Outcome:
        assert self.woken.wait(WAIT_S)
        waiting = self.call.__await__()
        with pytest.raises(StopIteration) as end:
            next(waiting)
        found = end.value.value
        assert isinstance(found, Outcome)
        return found


@pytest.fixture
def run() -> Iterator[Callable[..., Goal]]:
    models: list[Model] = []

    def start(model: Model, *arguments: Any, **options: Any) -> Goal:
        models.append(model)
        return Goal(model, *arguments, **options)

    yield start
    for model in models:
        model.may_go.set()


def test_states_of_the_client_are_those_of_the_action() -> None:
    constants = {
        name.removeprefix("STATE_"): getattr(Reason.Feedback, name)
        for name in dir(type(Reason.Feedback))
        if name.startswith("STATE_")
    }
    assert constants == {state.name: state.value for state in ReasonState}


def test_direct_first_then_reasoned(run: Callable[..., Goal]) -> None:
    model = Model()
    goal = run(model)
    assert model.thinking.wait(WAIT_S)
    assert [m.direct_answer.text for m in goal.told if m.direct_answer.status][0] == "0.60 m"
    assert not goal.call.done
    model.may_go.set()
    outcome = goal.outcome()
    assert outcome.answer.text == "0.40 m" and outcome.reasoned
    assert outcome.direct is not None and outcome.direct.text == "0.60 m"
    assert model.asked == ["direct", "interleaved"]
    assert [m.header.stamp.nanosec for m in goal.told if m.state >= 2] == [7] * len(
        [m for m in goal.told if m.state >= 2]
    )


@pytest.mark.parametrize("obeys", [True, False])
def test_a_cancelled_goal_ends_with_what_it_reached(run: Callable[..., Goal], obeys: bool) -> None:
    """Also when the model is inside of something long: then after the grace."""
    model = Model(obeys=obeys)
    goal = run(model, direct=False)
    assert model.thinking.wait(WAIT_S)
    stopped = time.monotonic()
    goal.call.stop(GenerationCancelled("the goal was cancelled"))
    outcome = goal.expire_until_over()
    assert obeys or time.monotonic() - stopped >= GRACE_S
    assert outcome.answer.status is Status.CANCELED and not outcome.reasoned
    assert outcome.answer.message == "the goal was cancelled"
    if not obeys:
        assert (outcome.answer.stamp_ns, outcome.answer.frame_id) == (7, "camera")
        assert [(s.type, s.text) for s in outcome.answer.trace] == [
            (StepType.THINK, "i see a table")
        ]
        assert goal.thread.is_alive(), "the model was still busy"


@pytest.mark.parametrize("obeys", [True, False])
def test_at_the_deadline_the_direct_answer_counts(run: Callable[..., Goal], obeys: bool) -> None:
    model = Model(obeys=obeys)
    goal = run(model)
    assert model.thinking.wait(WAIT_S)
    goal.call.deadline = time.monotonic()
    outcome = goal.expire_until_over()
    assert outcome.answer.status is Status.OK and outcome.answer.text == "0.60 m"
    assert not outcome.reasoned and "no answer within 100 s" in outcome.answer.message


def test_at_the_deadline_without_a_direct_answer_there_is_a_timeout(
    run: Callable[..., Goal],
) -> None:
    model = Model()
    goal = run(model, direct=False)
    assert model.thinking.wait(WAIT_S)
    goal.call.deadline = time.monotonic()
    outcome = goal.expire_until_over()
    assert outcome.answer.status is Status.TIMEOUT and "longer timeout" in outcome.answer.message
    assert outcome.direct is None


def test_reasoning_without_an_end_falls_back_to_the_direct_answer(
    run: Callable[..., Goal],
) -> None:
    lost = SpatialAnswer("q", status=Status.NO_ANSWER, message="the model ended its turns")
    model = Model(end=lost)
    model.may_go.set()
    outcome = run(model).outcome()
    assert outcome.answer.text == "0.60 m" and outcome.answer.status is Status.OK
    assert "the model ended its turns" in outcome.answer.message and not outcome.reasoned


def test_only_direct(run: Callable[..., Goal]) -> None:
    model = Model()
    outcome = run(model, "").outcome()
    assert outcome.answer is outcome.direct and outcome.answer.text == "0.60 m"
    assert model.asked == ["direct"]


def test_nothing_is_told_after_the_end(run: Callable[..., Goal]) -> None:
    model = Model(obeys=False)
    goal = run(model)
    assert model.thinking.wait(WAIT_S)
    goal.call.narrator.close()
    count = len(goal.told)
    model.may_go.set()
    goal.thread.join(WAIT_S)
    assert not goal.thread.is_alive() and len(goal.told) == count


def test_long_text_is_sent_in_pieces_that_fit_together() -> None:
    told: list[Any] = []
    narrator = Narrator(told.append)
    text = ""
    for number in range(2000):
        text += f"word{number} "
        narrator.event(TurnText(1, text), None)  # type: ignore[arg-type]
    narrator.event(TurnText(1, text, done=True), None)  # type: ignore[arg-type]
    pieces = [(m.text_offset, m.text_delta) for m in told if m.text_delta]
    assert "".join(piece for _, piece in pieces) == text
    assert len(pieces) < 1000, "a message per word would cost more than the word"
    offset = 0
    for start, piece in pieces:
        assert start == offset
        offset += len(piece)


class Maps(Model):
    """A context that answers by its maps alone, which are there once the frame was perceived."""

    perceived = False

    def ask(self, question: str, mode: str, cancel: CancelToken) -> Iterator[Any]:
        self.asked.append(mode)
        yield MapRequested(1, "depth")
        assert self.perceived, "measured before the scale of the frame was known"
        yield replace(DIRECT, answered_by=AnsweredBy.MEASURED)

    def perception(self) -> Any:
        self.perceived = True
        return super().perception()


@pytest.mark.parametrize(("mode", "asked"), [("", ["direct"]), ("maps", ["direct", "maps"])])
def test_what_is_measured_waits_for_the_maps(mode: str, asked: list[str]) -> None:
    """No model was taught the question: nothing is answered at first sight, in any mode."""
    model, woken = Maps(), threading.Event()
    call = ReasonCall("q", mode, True, Narrator(lambda feedback: None), 100.0, woken.set)
    assert call.early is not None
    call.early(SimpleNamespace(stamp_ns=7, frame_id="camera"), model, "")
    assert not call.done and model.asked == ["direct"]
    assert call.narrator.direct is None
    call.narrator.maps = lambda perception: None  # type: ignore[method-assign]
    outcome = call._reason(model.perception(), CancelToken())
    assert model.asked == asked
    assert outcome.answer.value == 0.6 and not outcome.reasoned
