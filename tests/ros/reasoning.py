"""A client of the action for tests: what a goal told, in order, and how it ended."""

from __future__ import annotations

from typing import Any

from action_msgs.msg import GoalStatus
from harness import Bench, Process

from cooper_ros.action import Reason
from cooper_ros.ros.messages import to_duration
from cooper_ros.ros.reason_client import make_action_client

SUCCEEDED = GoalStatus.STATUS_SUCCEEDED
CANCELED = GoalStatus.STATUS_CANCELED
ABORTED = GoalStatus.STATUS_ABORTED
PATIENT_S = 100.0
"""A deadline that a loaded machine does not miss [s]."""

Goal, Feedback = Reason.Goal, Reason.Feedback


class Running:
    """One goal under way."""

    def __init__(self, reasoner: Reasoner, goal: Any) -> None:
        self._bench = reasoner.bench
        self._reasoner = reasoner
        self.feedback: list[Any] = []
        self._accepted: Any = None
        self._result: Any = None

        def send() -> None:
            self._accepted = reasoner.client.send_goal_async(goal, self._hear)
            self._accepted.add_done_callback(self._ask_result)

        self._bench.do(send)

    def _hear(self, message: Any) -> None:
        with self._bench.changed:
            self.feedback.append(message.feedback)
            self._bench.changed.notify_all()

    def _ask_result(self, future: Any) -> None:
        self._result = future.result().get_result_async()
        self._result.add_done_callback(lambda _: self._bench._wake())
        self._bench._wake()

    def wait(self, condition: Any) -> Any:
        """The first true value of `condition(feedback so far)`."""
        processes = self._reasoner.processes
        return self._bench.wait(lambda: condition(list(self.feedback)), *processes)

    def cancel(self) -> None:
        """Ask for its end."""
        self.wait(lambda _: self._accepted is not None and self._accepted.done())
        self._bench.do(self._accepted.result().cancel_goal_async)

    def result(self) -> tuple[int, Any]:
        """Terminal state and result."""
        self._bench.wait(lambda: self.is_over, *self._reasoner.processes)
        reply = self._result.result()
        return reply.status, reply.result

    @property
    def is_over(self) -> bool:
        """Whether the result is here."""
        return self._result is not None and self._result.done()

    @property
    def states(self) -> list[int]:
        """The states it went through, each named once per visit."""
        states = [message.state for message in self.feedback]
        return [s for n, s in enumerate(states) if n == 0 or states[n - 1] != s]

    def text(self, turn: int) -> str:
        """What was streamed of a turn; offsets must fit."""
        written = ""
        for message in self.feedback:
            if message.turn == turn and message.text_delta:
                assert message.text_offset == len(written)
                written += message.text_delta
        return written


class Reasoner:
    """Sends goals to one node."""

    def __init__(self, bench: Bench, *processes: Process, name: str = "cooper") -> None:
        self.bench, self.processes = bench, processes
        self.client = make_action_client(bench.node, f"{name}/reason")
        bench.wait(self.client.server_is_ready, *processes)

    def start(self, question: str, timeout_s: float = PATIENT_S, **fields: Any) -> Running:
        """Send a goal."""
        timeout = to_duration(timeout_s)
        return Running(self, Goal(question=question, timeout=timeout, **fields))
