"""The services of the node: `~/ask`, `~/query_distance` and `~/enable`.

Every call gets a reply: an answer, or a status and a sentence that says why not. Handlers are
coroutines; they wait for the inference thread without holding the executor.
"""

from __future__ import annotations

import time
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from std_srvs.srv import SetBool

from cooper_ros.core.errors import QuestionError
from cooper_ros.core.types import ObjectReference, SpatialAnswer, Status, succeeded
from cooper_ros.ros.audience import Audience
from cooper_ros.ros.calibrating import CalibrateService
from cooper_ros.ros.calls import PendingCall
from cooper_ros.ros.distances import ItemDistance, measure_items
from cooper_ros.ros.intake import Intake
from cooper_ros.ros.messages import to_duration, to_header, to_object, to_point
from cooper_ros.ros.perception import Perception, explain
from cooper_ros.ros.qos import QuestionQoS
from cooper_ros.ros.reframe import items_in
from cooper_ros.ros.refusals import message_of, status_of
from cooper_ros.runtime.cancel import CancelToken
from cooper_ros.srv import AskSpatial, QueryDistance

MAX_ITEMS = 256
"""Names, pixels and boxes in one request."""


class Services:
    """Creates the services once; they refuse, with the reason, while the node is not active."""

    def __init__(self, node: Any, intake: Intake) -> None:
        self._node = node
        self._intake = intake
        self._pending: set[PendingCall] = set()
        group = ReentrantCallbackGroup()  # a waiting handler must not hold up the next call
        qos = QuestionQoS()
        ask = node.create_service(
            AskSpatial, "~/ask", self._on_ask, qos_profile=qos, callback_group=group
        )
        query = node.create_service(
            QueryDistance,
            "~/query_distance",
            self._on_query,
            qos_profile=qos,
            callback_group=group,
        )
        names = (ask.service_name, query.service_name)
        self._audience = Audience(lambda: sum(map(node.count_clients, names)))
        self._calibrating = CalibrateService(node, intake)
        node.create_service(
            SetBool, "~/enable", self._on_enable, qos_profile=qos, callback_group=group
        )

    def expire(self) -> None:
        """End calls whose time is over, or whose client has gone; called by the node's timer."""
        self._intake.end_overdue(self._pending, self._audience)
        self._calibrating.expire()

    @property
    def pending(self) -> int:
        """Calls that wait for their result."""
        return len(self._pending) + self._calibrating.pending

    async def _wait(self, call: PendingCall) -> Any:
        self._intake.submit(call)
        self._pending.add(call)
        try:
            return await call
        finally:
            self._pending.discard(call)

    # -- ask -----------------------------------------------------------------------------------

    async def _on_ask(
        self, request: AskSpatial.Request, response: AskSpatial.Response
    ) -> AskSpatial.Response:
        asked = time.monotonic()
        question = request.question

        def refuse(error: BaseException) -> SpatialAnswer:
            status = status_of(error)
            if status is Status.ERROR:
                self._node.get_logger().error(f"question failed: {message_of(error)}")
            return self._node.stamped(
                SpatialAnswer(question[:200], status=status, message=message_of(error))
            )

        def work(perception: Perception, cancel: CancelToken) -> SpatialAnswer:
            return self._ask(perception, request, cancel)

        try:
            self._intake.check_mode(request.mode)
            where = self._intake.where(request)
            self._intake.check_question(question)
            timeout_s = self._intake.timeout_s(request)
            call = PendingCall(work, refuse, timeout_s, self._intake.wake, **where)
            answer = await self._wait(call)
        except Exception as error:  # a handler that raises would leave the client waiting
            answer = refuse(error)
        response.answer = self._intake.finish(answer, request)
        response.success = succeeded(answer.status, request.allow_memory)
        response.message = response.answer.message
        self._node.note_answer(time.monotonic() - asked, answer.status)
        return response

    def _ask(
        self, perception: Perception, request: AskSpatial.Request, cancel: CancelToken
    ) -> SpatialAnswer:
        mode = self._intake.mode_of(request.mode)
        answer = None
        for event in perception.context.ask(request.question, mode=mode, cancel=cancel):
            if isinstance(event, SpatialAnswer):
                answer = event
        if answer is None:
            raise RuntimeError("the pipeline ended without an answer")
        return explain(answer, perception)

    # -- query_distance ------------------------------------------------------------------------

    async def _on_query(
        self, request: QueryDistance.Request, response: QueryDistance.Response
    ) -> QueryDistance.Response:
        count = len(request.names) + len(request.pixels) + len(request.boxes)

        def work(perception: Perception, cancel: CancelToken) -> Any:
            pixels = [(point.x, point.y) for point in request.pixels]
            boxes = [(b.x_offset, b.y_offset, b.width, b.height) for b in request.boxes]
            items = measure_items(
                request.names,
                pixels,
                perception.depth,
                perception.segmentation,
                boxes,
                cancel,
                perception.frame.full_size,
                perception.context.naming,
            )
            return perception, items

        def refuse(error: BaseException) -> Any:
            unnamed = len(request.pixels) + len(request.boxes)
            names = [*request.names, *[""] * unnamed][:MAX_ITEMS]
            status, text = status_of(error), message_of(error)
            items = [ItemDistance(status, text, reference=ObjectReference(name)) for name in names]
            return None, items or [ItemDistance(status, text)]

        try:
            if not 1 <= count <= MAX_ITEMS:
                raise QuestionError(
                    f"ask for 1 to {MAX_ITEMS} names, pixels and boxes, got {count}"
                )
            where = self._intake.where(request)
            timeout_s = self._intake.timeout_s(request)
            call = PendingCall(work, refuse, timeout_s, self._intake.wake, **where)
            perception, items = await self._wait(call)
        except Exception as error:
            perception, items = refuse(error)
        if perception is None:
            return _fill(response, None, items)
        items, frame_id, problem = items_in(
            self._node.transforms, perception.frame, items, request.target_frame
        )
        return _fill(response, perception, items, frame_id, problem)

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        response.success, response.message = self._node.set_enabled(bool(request.data))
        return response


def _fill(
    response: QueryDistance.Response,
    perception: Perception | None,
    items: list[ItemDistance],
    frame_id: str = "",
    problem: str = "",
) -> QueryDistance.Response:
    if perception is not None:
        response.header = to_header(perception.frame.stamp_ns, frame_id)
        response.scale_source = int(perception.depth.scale_source)
    response.statuses = [int(item.status) for item in items]
    response.distances = [item.distance_m for item in items]
    response.low = [item.low_m for item in items]
    response.high = [item.high_m for item in items]
    response.positions = [to_point(item.position) for item in items]
    response.objects = [to_object(item.reference) for item in items]
    response.memory_ages = [to_duration(item.memory_age_s) for item in items]
    response.candidates = [to_object(c) for item in items for c in item.candidates]
    failed = [item for item in items if not succeeded(item.status, allow_memory=True)]
    unusual = [*failed, *(item for item in items if item.status is not Status.OK)]
    response.success = not failed
    response.status = int(unusual[0].status if unusual else Status.OK)
    reasons = list(dict.fromkeys(item.message for item in failed))
    if perception is not None and perception.calibration_problem and failed:
        reasons.append(perception.calibration_problem)
    if problem:
        reasons.append(problem)
    response.message = "; ".join(reasons)
    return response
