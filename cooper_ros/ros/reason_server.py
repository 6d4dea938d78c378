"""The action `~/reason`: a question whose answer can be watched, and cancelled, while it is made.

Every goal is accepted and gets a typed result, like every call of `~/ask`: a rejected goal could
not say why. All callbacks only leave things for the inference thread and return.
"""

from __future__ import annotations

import functools
import time
from typing import Any

from rclpy.action import ActionServer, CancelResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType

from cooper_ros.action import Reason
from cooper_ros.core.errors import GenerationCancelled
from cooper_ros.core.types import SpatialAnswer, Status, succeeded
from cooper_ros.ros.audience import Audience, nobody_listens
from cooper_ros.ros.guard import refusal
from cooper_ros.ros.intake import Intake
from cooper_ros.ros.narration import Narrator
from cooper_ros.ros.qos import QuestionQoS
from cooper_ros.ros.reason_call import Outcome, ReasonCall
from cooper_ros.ros.refusals import message_of, status_of
from cooper_ros.runtime.measured import MEASURED_MODE

TICK_S = 0.02
"""How often deadlines and places in the queue are looked at while there are goals [s]."""

DIRECT = "direct"

ERROR_CODES = 20_000
"""Start of this action's range of result codes; the status of the answer is added."""


class ReasonServer:
    """Serves the action from the start; goals are refused, with the reason, while not active.

    `intake`: checks of a request, and the way of an answer out of the node, are those of `~/ask`.
    """

    def __init__(self, node: Any, intake: Intake) -> None:
        self._node = node
        self._intake = intake
        self._calls: dict[bytes, ReasonCall] = {}
        group = ReentrantCallbackGroup()
        self._server = ActionServer(
            node,
            Reason,
            "~/reason",
            execute_callback=self._execute,
            cancel_callback=self._on_cancel,
            handle_accepted_callback=self._on_accepted,
            callback_group=group,
            goal_service_qos_profile=QuestionQoS(),
            result_service_qos_profile=QuestionQoS(),
            cancel_service_qos_profile=QuestionQoS(),
            feedback_pub_qos_profile=QuestionQoS(),
        )
        results = node.resolve_service_name("~/reason/_action/get_result")
        self._audience = Audience(lambda: node.count_clients(results))
        self._timer = node.create_timer(
            TICK_S, self._tick, callback_group=group, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        self._timer.cancel()

    @property
    def pending(self) -> int:
        """Goals without a result."""
        return len(self._calls)

    def destroy(self) -> None:
        """Let go of the action's services and topics, before the node does of its own."""
        self._server.destroy()

    # -- callbacks (executor) --------------------------------------------------------------------

    def _on_accepted(self, handle: Any) -> None:
        try:
            call = self._make_call(handle)
            self._calls[bytes(handle.goal_id.uuid)] = call
            self._timer.reset()
            if not call.done:
                self._intake.submit(call)
                self._tick()
        finally:
            handle.execute()  # whatever went wrong: it ends with a result, and its client hears

    def _make_call(self, handle: Any) -> ReasonCall:
        goal = handle.request
        narrator = Narrator(handle.publish_feedback, bool(goal.return_maps))
        mode, direct_first = self._plan(goal.mode)
        prepare = functools.partial(
            ReasonCall,
            goal.question,
            mode,
            direct_first,
            narrator,
            self._intake.timeout_s(goal),
            self._intake.wake,
        )
        try:
            self._intake.check_mode(goal.mode)
            where = self._intake.where(goal)
            self._intake.check_question(goal.question)
        except Exception as error:
            call = prepare()
            call.fail(error)
            return call
        narrator.topics = self._intake.map_topics(goal, where["camera"])
        return prepare(**where)

    def _plan(self, mode: int) -> tuple[str, bool]:
        """How the reasoned answer is made ("": not at all); whether a direct one comes first."""
        preferred = self._intake.preferred_mode()
        if preferred == MEASURED_MODE:
            return preferred, False
        if mode == Reason.Goal.MODE_DIRECT or (
            mode != Reason.Goal.MODE_INTERLEAVED and preferred == DIRECT
        ):
            return "", True
        if mode == Reason.Goal.MODE_INTERLEAVED:
            return "interleaved", False
        return preferred, True

    def _on_cancel(self, handle: Any) -> CancelResponse:
        call = self._calls.get(bytes(handle.goal_id.uuid))
        if call is None:
            return CancelResponse.REJECT  # it has ended
        error = GenerationCancelled("the goal was cancelled before its answer")
        call.stop(error)
        worker = self._node.worker
        if worker is not None and worker.withdraw(call):
            call.fail(error)
        return CancelResponse.ACCEPT

    async def _execute(self, handle: Any) -> Reason.Result:
        try:
            return await self._answer(handle)
        except Exception as error:  # rclpy would send an empty result
            note = getattr(self._node.executor, "note", message_of)
            if handle.is_active:
                handle.abort()
            return refusal(Reason.Result(), None, note(error))

    async def _answer(self, handle: Any) -> Reason.Result:
        key = bytes(handle.goal_id.uuid)
        call = self._calls[key]
        started = time.monotonic()
        try:
            outcome = await call
            result = self._result(handle.request, call, outcome)
        except Exception as error:  # a goal without a result would leave its client waiting
            self._node.get_logger().error(f"question failed: {message_of(error)}")
            answer = SpatialAnswer("", status=status_of(error), message=message_of(error))
            result = self._result(handle.request, call, Outcome(answer))
        finally:
            call.narrator.close()
            del self._calls[key]
        self._node.note_answer(time.monotonic() - started, Status(result.answer.status))
        if result.success:
            handle.succeed()
        elif handle.is_cancel_requested and result.answer.status == Status.CANCELED:
            handle.canceled()
        else:
            handle.abort()
        return result

    def _result(self, goal: Reason.Goal, call: ReasonCall, outcome: Outcome) -> Reason.Result:
        answer = outcome.answer
        if not answer.model_id:
            answer = self._node.stamped(answer)
        message = self._intake.finish(answer, goal)
        success = succeeded(answer.status, goal.allow_memory)
        result = Reason.Result(
            success=success,
            message=message.message,
            answer=message,
            reasoned=outcome.reasoned,
            error_code=0 if success else ERROR_CODES + int(answer.status),
        )
        if outcome.direct is not None:
            result.direct_answer = self._intake.to_message(outcome.direct, goal)
        return result

    def _tick(self) -> None:
        worker = self._node.worker
        places = worker.positions() if worker is not None and self._calls else {}
        left = bool(self._calls) and self._audience.has_left()
        for call in list(self._calls.values()):
            if left:
                call.stop(nobody_listens())
            if call.expire():
                if worker is not None:
                    worker.withdraw(call)
            elif id(call) in places:
                call.narrator.queued(places[id(call)])
        if not self._calls:
            self._timer.cancel()
            self._audience.rest()
