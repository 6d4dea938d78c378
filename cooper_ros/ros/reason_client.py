"""Following one question from Python: the client's side of `~/reason`.

    with cooper.reason("how far is the mug ?") as goal:
        for progress in goal:
            print(progress.state.name, progress.text, end="")
            if progress.direct is not None:
                print("at first sight:", progress.direct.text)
        result = goal.result()
    print(result.answer.text, result.answer.measured)

Leaving the `with` block cancels a goal that is not over.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.action import ActionClient

from cooper_ros.action import Reason
from cooper_ros.core.types import ReasoningStep, SpatialAnswer, Status
from cooper_ros.ros.conversion import image_to_array
from cooper_ros.ros.messages import duration_to_seconds, from_answer, from_step, time_to_ns
from cooper_ros.ros.qos import QuestionQoS

CANCEL_WAIT_S = 2.0
"""How long leaving the `with` block waits for the result of a cancelled goal [s]."""


def make_action_client(node: Any, name: str) -> ActionClient:
    """A client of `~/reason` that loses no feedback and no reply when many come at once."""
    qos = QuestionQoS()
    return ActionClient(
        node,
        Reason,
        name,
        goal_service_qos_profile=qos,
        result_service_qos_profile=qos,
        cancel_service_qos_profile=qos,
        feedback_sub_qos_profile=qos,
    )


class ReasonState(IntEnum):
    """How far a goal is (STATE_ constants of Reason.action)."""

    UNKNOWN = 0
    QUEUED = 1
    LOOKING = 2
    ANSWERING = 3
    THINKING = 4
    DRAWING = 5
    MEASURING = 6


@dataclass(frozen=True, eq=False)
class Progress:
    """One feedback message.

    `text` is what was written since the one before in round `turn` (0: the direct answer). `map`
    [H, W]: depth float32 [m] (relative in [0, 1] if not metric) or class ids uint8, of the kind of
    `steps[0]`; None = none. `direct`: the direct answer, when it is new. Times are in seconds;
    `stamp_ns` is that of the image, 0 while none is chosen.
    """

    state: ReasonState
    queue_position: int
    elapsed_s: float
    stamp_ns: int
    frame_id: str
    turn: int
    text: str
    steps: tuple[ReasoningStep, ...] = ()
    map: NDArray[Any] | None = None
    direct: SpatialAnswer | None = None


@dataclass(frozen=True)
class ReasonResult:
    """How a goal ended. `direct`: the direct answer, if there was one; `reasoned`: whether
    `answer` was thought about."""

    answer: SpatialAnswer
    direct: SpatialAnswer | None = None
    reasoned: bool = False


class ReasonGoal:
    """A goal under way: iterate over its progress, `cancel` it, ask for its `result`.

    Made by `CooperClient.reason`. The executor is spun, under the client's lock, by whoever waits.
    """

    def __init__(
        self,
        client: ActionClient,
        executor: Any,
        lock: threading.Lock,
        goal: Reason.Goal,
        limit_s: float,
        no_server: str,
    ) -> None:
        """`limit_s`: longest wait for anything [s]; `no_server`: why there is none, "" if there
        is one."""
        self._executor = executor
        self._lock = lock
        self._question = goal.question
        self._limit_s = limit_s
        self._deadline = time.monotonic() + limit_s
        self._heard: deque[Progress] = deque()
        self._handle: Any = None
        self._cancelled = False
        self._result: ReasonResult | None = None
        if no_server:
            self._end(Status.TIMEOUT, no_server)
            return
        with lock:  # nobody spins: rclpy forgets a reply that is quicker than its own book-keeping
            client.send_goal_async(goal, self._hear).add_done_callback(self._accepted)

    def __enter__(self) -> ReasonGoal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._result is None:
            self.cancel()
            self._deadline = min(self._deadline, time.monotonic() + CANCEL_WAIT_S)
            self.result()

    def __iter__(self) -> Iterator[Progress]:
        """What is told until the goal is over."""
        while True:
            self._wait(lambda: self._heard or self._result is not None)
            if not self._heard:
                return
            yield self._heard.popleft()

    @property
    def done(self) -> bool:
        """Whether the result is here."""
        return self._result is not None

    def cancel(self) -> None:
        """Have it end with what was reached; `result` has that then. No effect on one that is over.
        """
        self._cancelled = True
        with self._lock:
            if self._handle is not None and self._result is None:
                self._handle.cancel_goal_async()

    def result(self) -> ReasonResult:
        """Wait for the end. Always returns: a goal that is never answered ends with TIMEOUT."""
        self._wait(lambda: self._result is not None)
        assert self._result is not None
        return self._result

    def _wait(self, condition: Any) -> None:
        while not condition():
            left = self._deadline - time.monotonic()
            if left <= 0.0:
                self._end(Status.TIMEOUT, f"the node sent no result within {self._limit_s:g} s")
                return
            with self._lock:
                if not condition():
                    self._executor.spin_once(timeout_sec=min(left, 0.1))

    def _end(self, status: Status, message: str) -> None:
        answer = SpatialAnswer(self._question, status=status, message=message)
        self._result = ReasonResult(answer)

    # -- called by the executor ------------------------------------------------------------------

    def _accepted(self, future: Any) -> None:
        self._handle = future.result()
        self._handle.get_result_async().add_done_callback(self._finished)
        if self._cancelled:
            self._handle.cancel_goal_async()

    def _finished(self, future: Any) -> None:
        message = future.result().result
        self._result = ReasonResult(
            from_answer(message.answer), _known(message.direct_answer), bool(message.reasoned)
        )

    def _hear(self, message: Any) -> None:
        self._heard.append(_progress(message.feedback))


def _progress(message: Reason.Feedback) -> Progress:
    return Progress(
        ReasonState(message.state),
        int(message.queue_position),
        duration_to_seconds(message.elapsed),
        time_to_ns(message.header.stamp),
        message.header.frame_id,
        int(message.turn),
        message.text_delta,
        tuple(from_step(step) for step in message.new_steps),
        np.array(image_to_array(message.map)) if message.map.width else None,
        _known(message.direct_answer),
    )


def _known(message: Any) -> SpatialAnswer | None:
    answer = from_answer(message)
    return None if answer.status is Status.UNKNOWN else answer
