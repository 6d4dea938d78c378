"""Many clients at once, cancelled goals, and the Python client, on one node over real DDS."""

from __future__ import annotations

import json
import runpy
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from action_msgs.msg import GoalStatus
from harness import Bench, Process, room_image, room_info
from rcl_interfaces.srv import SetParameters
from reasoning import ABORTED, CANCELED, PATIENT_S, SUCCEEDED, Feedback, Goal, Reasoner

from cooper_ros.core.types import SpatialAnswer, Status, StepType
from cooper_ros.evaluation import asking
from cooper_ros.msg import DepthInfo
from cooper_ros.msg import SpatialAnswer as Answer
from cooper_ros.ros.client import CooperClient
from cooper_ros.ros.parameters import BY_NAME
from cooper_ros.ros.qos import StandardTopicQoS
from cooper_ros.ros.reason_client import ReasonState

CLIENTS = 8
NAMES = ("table", "chair", "sofa", "box", "lamp", "plant", "bed", "shelf")


@pytest.fixture(scope="module")
def reasoner(bench: Bench, node: Process) -> Iterator[Reasoner]:
    infos = bench.listen(DepthInfo, "cooper/depth/info", StandardTopicQoS())
    bench.show(room_image(), room_info())
    bench.wait(lambda: infos, node)
    yield Reasoner(bench, node)
    bench.show()


@pytest.fixture(scope="module")
def cooper(reasoner: Reasoner) -> Iterator[CooperClient]:
    with CooperClient(name="asker") as made:
        assert made.wait_until_active()
        yield made


def question(number: int) -> str:
    return f"is there a {NAMES[number % len(NAMES)]} ?"


def start(reasoner: Reasoner, number: int, client: str) -> Any:
    mode = Goal.MODE_DIRECT
    return reasoner.start(question(number), PATIENT_S, mode=mode, client=client)


def test_eight_clients_at_once_get_their_own_answer_or_busy(reasoner: Reasoner) -> None:
    """Each asks something else, four questions each: four times as many as may wait."""
    alone = {n: start(reasoner, n, "reference").result()[1].answer for n in range(CLIENTS)}
    assert all(answer.status != Answer.STATUS_BAD_QUESTION for answer in alone.values())
    goals = [(n, start(reasoner, n, f"client {n}")) for _ in range(4) for n in range(CLIENTS)]
    answered: Counter[int] = Counter()
    for number, goal in goals:
        _, result = goal.result()
        answer = result.answer
        assert answer.question == question(number)
        if answer.status == Answer.STATUS_BUSY:
            assert "queue_size" in answer.message and not result.success
        else:
            assert (answer.status, answer.text) == (alone[number].status, alone[number].text)
            answered[number] += 1
    assert set(answered) == set(range(CLIENTS)), "somebody never had a turn"
    assert max(answered.values()) - min(answered.values()) <= 2, answered


def test_a_client_that_floods_the_node_does_not_starve_another(reasoner: Reasoner) -> None:
    """The flood refills its lane as long as the other one asks."""
    flood: list[Any] = []
    for _ in range(5):
        flood += [start(reasoner, 0, "flood") for _ in range(12)]
        status, result = start(reasoner, 1, "modest").result()
        assert result.answer.status != Answer.STATUS_BUSY, result.message
    statuses = Counter(goal.result()[1].answer.status for goal in flood)
    assert statuses[Answer.STATUS_BUSY] > 0, "that was no flood"


def test_a_waiting_goal_knows_its_place_and_can_be_cancelled(reasoner: Reasoner) -> None:
    """Cancelling is a race with the answer; of several tries one is won."""
    for _ in range(20):
        goals = [start(reasoner, n, "one") for n in range(6)]
        goals[-1].cancel()
        results = [goal.result() for goal in goals]
        assert all(status in (SUCCEEDED, ABORTED) for status, _ in results[:-1])
        status, result = results[-1]
        if status == CANCELED:
            assert result.answer.status == Answer.STATUS_CANCELED
            assert "cancelled" in result.message
            places = [m.queue_position for g in goals for m in g.feedback
                      if m.state == Feedback.STATE_QUEUED]  # fmt: skip
            assert places and max(places) < 6
            return
    raise AssertionError("never cancelled")


def test_a_running_goal_can_be_cancelled_and_says_what_it_reached(reasoner: Reasoner) -> None:
    for _ in range(20):
        goal = reasoner.start(
            "how far is the table ?", PATIENT_S, mode=Goal.MODE_AUTO, return_trace=True
        )
        goal.wait(lambda told, goal=goal: any(m.turn > 0 for m in told) or goal.is_over)
        goal.cancel()
        status, result = goal.result()
        assert status in (SUCCEEDED, CANCELED, ABORTED)
        if status == CANCELED:
            assert result.answer.status == Answer.STATUS_CANCELED and not result.reasoned
            assert result.answer.header.stamp.sec > 0, "of which image"
            assert result.direct_answer.status != Answer.STATUS_UNKNOWN
            count = len(goal.feedback)
            assert reasoner.start("is there a table ?").result()[0] != GoalStatus.STATUS_UNKNOWN
            assert len(goal.feedback) == count, "nothing is told after the end"
            return
    raise AssertionError("never cancelled")


def test_the_client_follows_a_question(cooper: CooperClient) -> None:
    with cooper.reason("how far is the table ?", return_maps=True, timeout_s=PATIENT_S) as goal:
        told = list(goal)
        result = goal.result()
    assert goal.done and isinstance(result.answer, SpatialAnswer)
    assert result.direct is not None and result.answer.question == "how far is the table ?"
    first = next(progress.direct for progress in told if progress.direct is not None)
    assert first.text == result.direct.text
    assert {progress.stamp_ns for progress in told} - {0} == {result.answer.stamp_ns}
    assert {ReasonState.LOOKING, ReasonState.ANSWERING, ReasonState.THINKING} <= {
        progress.state for progress in told
    }
    drawn = {p.steps[0].type: p.map for p in told if p.map is not None}
    assert set(drawn) <= {StepType.DEPTH, StepType.SEGMENTATION} and StepType.DEPTH in drawn
    depth = drawn[StepType.DEPTH]
    assert depth is not None and depth.shape == (240, 320) and depth.dtype == np.float32


def test_the_client_cancels_what_it_leaves(cooper: CooperClient) -> None:
    with cooper.reason("how far is the table ?", timeout_s=PATIENT_S) as goal:
        next(iter(goal))
    assert goal.done
    assert goal.result().answer.status in (Status.CANCELED, Status.OK)


def test_the_client_asks_more_about_an_image(cooper: CooperClient) -> None:
    first = cooper.ask("is there a table ?")
    cooper.ask("is there a chair ?")
    again = cooper.ask("is there a table ?", about=first)
    assert again.stamp_ns == first.stamp_ns > 0
    assert (again.text, again.confidence) == (first.text, first.confidence)


@pytest.fixture
def setting(bench: Bench, node: Process) -> Iterator[Callable[[str, Any], None]]:
    """Sets a parameter of the node; puts the default back in the end."""
    client = bench.node.create_client(SetParameters, "cooper/set_parameters")
    changed = []

    def change(name: str, value: Any) -> None:
        changed.append(name)
        parameter = rclpy.Parameter(name, value=value).to_parameter_msg()
        reply = bench.call(client, SetParameters.Request(parameters=[parameter]), node)
        assert reply.results[0].successful, reply.results[0].reason

    yield change
    for name in list(changed):
        change(name, BY_NAME[name].default)


def test_limits_of_a_client_are_parameters(
    reasoner: Reasoner, setting: Callable[[str, Any], None]
) -> None:
    setting("client_rate_hz", 0.01)
    start(reasoner, 0, "eager").result()
    status, result = start(reasoner, 0, "eager").result()
    assert status == ABORTED and result.answer.status == Answer.STATUS_BUSY
    assert "client 'eager'" in result.message and "client_rate_hz" in result.message
    assert start(reasoner, 0, "another").result()[1].answer.status != Answer.STATUS_BUSY
    setting("client_rate_hz", 0.0)
    setting("client_queue_size", 1)
    results = [goal.result()[1] for goal in [start(reasoner, 0, "eager") for _ in range(8)]]
    busy = [r.message for r in results if r.answer.status == Answer.STATUS_BUSY]
    assert busy and all("client_queue_size" in message for message in busy)


def test_how_many_images_are_kept_is_a_parameter(
    cooper: CooperClient, setting: Callable[[str, Any], None]
) -> None:
    setting("kept_frames", 0)
    first = cooper.ask("is there a table ?")
    while cooper.ask("is there a chair ?").stamp_ns == first.stamp_ns:
        pass
    answer = cooper.ask("is there a table ?", about=first)
    assert answer.status is Status.STALE and "kept_frames" in answer.message


def test_the_benchmark_reports(
    cooper: CooperClient, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asking.main(["--runs", "2", "--clients", "3", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert 0 < figures["direct_ms"] < figures["reasoned_ms"] and figures["tenth_ms"] > 0
    assert sum(figures["statuses"].values()) == 6 and figures["answered_most"] <= 2
    assert figures["cancelled"] == 0 or figures["cancel_worst_ms"] >= figures["cancel_ms"] > 0


def test_a_goal_without_a_node_ends_with_the_reason(ros: None) -> None:
    with CooperClient("nobody", name="lonely") as lonely:
        with lonely.reason("is there a table ?", timeout_s=0.5) as goal:
            assert list(goal) == []
        answer = goal.result().answer
        assert answer.status is Status.TIMEOUT and "nobody/reason" in answer.message


def test_the_example_streams(
    cooper: CooperClient,
    root: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.argv", ["reason_stream.py"])
    try:
        runpy.run_path(str(root / "examples" / "reason_stream.py"))
    except SystemExit as end:  # the model may not know: then the example says its status
        assert ":" in str(end)
    assert "at first sight" in capsys.readouterr().out
