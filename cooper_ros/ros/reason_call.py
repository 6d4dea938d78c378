"""One goal of `~/reason` in the queue of the worker: the direct answer, then the reasoned one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from cooper_ros.core.errors import GenerationCancelled
from cooper_ros.core.types import AnsweredBy, SpatialAnswer, Status
from cooper_ros.reasoning.verdict import NOT_CHECKED
from cooper_ros.ros.calls import PendingCall
from cooper_ros.ros.narration import Narrator
from cooper_ros.ros.perception import Perception, explain
from cooper_ros.ros.refusals import DeadlineError, message_of, status_of
from cooper_ros.ros.slots import Snapshot
from cooper_ros.runtime.cancel import CancelToken
from cooper_ros.runtime.events import Event, MapRequested, Unmeasured

GRACE_S = 0.03
"""How long the model has to stop by itself [s]; then the goal ends with what was told so far."""

FALL_BACK = (Status.NO_ANSWER, Status.UNPARSED, Status.TIMEOUT)
"""Ends of the reasoning for which the direct answer is the better one."""


@dataclass(frozen=True)
class Outcome:
    """How a goal ended. `direct`: the direct answer, if one was wanted and reached; `reasoned`:
    whether `answer` was thought about."""

    answer: SpatialAnswer
    direct: SpatialAnswer | None = None
    reasoned: bool = False


class ReasonCall(PendingCall):
    """Awaitable `Outcome`.

    `mode`: how the reasoned answer is made, "" for none; `direct_first`: whether the image alone
    is asked before. At least one of the two.
    """

    def __init__(
        self,
        question: str,
        mode: str,
        direct_first: bool,
        narrator: Narrator,
        timeout_s: float,
        wake: Callable[[], None],
        *,
        snapshot: Snapshot | None = None,
        camera: str = "",
        client: str = "",
        stamp_ns: int = 0,
    ) -> None:
        super().__init__(
            self._reason, self._refused, timeout_s, wake, snapshot, camera, client, stamp_ns
        )
        self.question = question
        self.narrator = narrator
        self._mode = mode
        self._direct_first = direct_first
        self._direct: Iterator[Event] | None = None
        self._stop: tuple[BaseException, float] | None = None
        self.early = self._look

    def stop(self, error: BaseException) -> None:
        """End it with this reason as soon as the model gets to it, at the latest after GRACE_S."""
        if self._stop is None:
            self._stop = (error, time.monotonic())
        self.cancel.cancel()

    def expire(self) -> bool:
        """End it when its deadline or the grace after `stop` is over; True when it has ended."""
        now = time.monotonic()
        if self._stop is None and now >= self.deadline:
            self.stop(
                DeadlineError(
                    f"no answer within {self.timeout_s:g} s: give the goal a longer timeout, or "
                    "ask less at once"
                )
            )
        if self._stop is not None and now - self._stop[1] >= GRACE_S:
            self.fail(self._stop[0])
        return self._done

    def fail(self, error: BaseException) -> None:
        """End with a refusal, or with what was reached before it was stopped."""
        if self._stop is not None and isinstance(error, GenerationCancelled):
            error = self._stop[0]
        super().fail(error)

    # -- in the worker thread --------------------------------------------------------------------

    def _look(self, frame: Any, context: Any, problem: str) -> None:
        """The image was read: answer directly, before its maps are made."""
        self.narrator.looking(frame.stamp_ns, frame.frame_id)
        if not self._direct_first or self._direct is not None:
            return
        self._direct = context.ask(self.question, "direct", self.cancel)
        for event in self._direct:
            if isinstance(event, MapRequested):
                return  # no model was taught the question: it is measured once its maps are there
            self.narrator.direct_text(event)
            if isinstance(event, Unmeasured):
                self.narrator.answered_directly(self._located(event.answer))
                return
        self.cancel.check()

    def _reason(self, perception: Perception, cancel: CancelToken) -> Outcome:
        self._look(perception.frame, perception.context, perception.calibration_problem)
        direct = self._measured_direct(perception)
        if not self._mode and direct is not None:
            return self._outcome(direct, direct)
        if self._mode == "maps":  # they are in front of the question: the model will not ask
            self.narrator.maps(perception)
        answer: SpatialAnswer | None = None
        for event in perception.context.ask(self.question, self._mode or "direct", cancel):
            if isinstance(event, SpatialAnswer):
                answer = explain(event, perception)
            else:
                self.narrator.event(event, perception)
        if answer is None:
            raise RuntimeError("the pipeline ended without an answer")
        thought = answer.answered_by is not AnsweredBy.MEASURED
        return self._outcome(answer, direct, reasoned=thought)

    def _measured_direct(self, perception: Perception) -> SpatialAnswer | None:
        """The direct answer, compared with the maps that are there now."""
        if self._direct is None:
            return None
        *_, last = (None, *self._direct)
        if not isinstance(last, SpatialAnswer) or last.status is Status.CANCELED:
            return self.narrator.direct
        answer = explain(last, perception)
        self.narrator.answered_directly(answer)
        return answer

    # -- any thread ------------------------------------------------------------------------------

    def _refused(self, error: BaseException) -> Outcome:
        """What a goal ends with that the model did not bring to its end."""
        answer = self._partial(status_of(error), message_of(error))
        return self._outcome(answer, self.narrator.direct)

    def _partial(self, status: Status, message: str) -> SpatialAnswer:
        steps = self.narrator.unfinished()
        answer = SpatialAnswer(self.question[:200], status=status, message=message, trace=steps)
        return self._located(answer)

    def _located(self, answer: SpatialAnswer) -> SpatialAnswer:
        stamp_ns, frame_id = self.narrator.image
        camera = self.camera if self.snapshot is None else ""
        return replace(answer, stamp_ns=stamp_ns, frame_id=frame_id, camera=camera)

    def _outcome(
        self, answer: SpatialAnswer, direct: SpatialAnswer | None, reasoned: bool = False
    ) -> Outcome:
        if answer.status is Status.CANCELED and self._stop is not None:
            error = self._stop[0]  # the model only knows that it was stopped
            answer = replace(answer, status=status_of(error), message=message_of(error))
        if answer.status in FALL_BACK and direct is not None and direct.status is Status.OK:
            note = f"only the direct answer was ready: {answer.message}"
            if not direct.checked:
                note += f"; {NOT_CHECKED}"
            return Outcome(replace(direct, message=note, trace=answer.trace), direct)
        over = answer.status in (Status.CANCELED, Status.TIMEOUT)
        return Outcome(answer, direct, reasoned and not over)
