"""The way of every question into the node and of every answer out of it, by service or action."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from cooper_ros.core.errors import QuestionError
from cooper_ros.core.types import NAN, SpatialAnswer, Status, StepType
from cooper_ros.msg import SpatialAnswer as AnswerMessage
from cooper_ros.ros.audience import Audience, nobody_listens
from cooper_ros.ros.calls import PendingCall
from cooper_ros.ros.camera_names import choose_camera
from cooper_ros.ros.fair_queue import RateLimit
from cooper_ros.ros.messages import duration_to_seconds, time_to_ns, to_answer
from cooper_ros.ros.reframe import answer_in
from cooper_ros.ros.refusals import NotActiveError
from cooper_ros.ros.slots import Snapshot
from cooper_ros.runtime.asking import understand, understood
from cooper_ros.runtime.measured import MEASURED_MODE, NEEDS_MODEL
from cooper_ros.srv import AskSpatial

MODES = {
    AskSpatial.Request.MODE_AUTO: "auto",
    AskSpatial.Request.MODE_DIRECT: "direct",
    AskSpatial.Request.MODE_INTERLEAVED: "interleaved",
}
MAX_CLIENT_NAME = 64
"""Characters of a client's name that count."""


class Intake:
    """Checks requests and hands them to the worker; `node` is the CooperNode."""

    def __init__(self, node: Any) -> None:
        self._node = node
        self._rates = RateLimit()

    def check_question(self, question: str) -> None:
        """Raise QuestionError for what is wrong with it whatever the image shows."""
        limit = int(self._node.parameter("max_question_length"))
        known = self._node.known_words()
        listed = f"; the objects known are: {', '.join(known)}" if known else ""
        if not question.strip():
            raise QuestionError(f"the question is empty{listed}", known)
        if len(question) > limit:
            raise QuestionError(
                f"the question has {len(question)} characters, more than {limit} "
                f"(parameter max_question_length){listed}",
                known,
            )
        if self._node.pipeline is not None:
            # Before it waits for an image or for others: what is wrong with it is known now.
            try:
                understand(self._node.pipeline, question)
            except QuestionError as error:
                # names may come with the image that it is answered on
                if not (self._node.pipeline.naming.open and error.unknown_words):
                    raise

    def where(self, request: Any) -> dict[str, Any]:
        """Which image a request is about and who asks, as arguments of `PendingCall`.

        Raises QuestionError for an unknown camera, BusyError for a client that asks too often.
        """
        client = request.client[:MAX_CLIENT_NAME]
        self._rates.check(client, float(self._node.parameter("client_rate_hz")))
        camera = choose_camera(request.camera, self._node.camera_names)
        snapshot = None
        if _own_image(request):
            info = request.camera_info
            info = info if info.width or any(info.k) else None
            snapshot = Snapshot(
                request.image,
                info,
                from_camera=False,
                camera=camera,
                rectified=self._node.parameter("rectified") == "true",
            )
        return {
            "snapshot": snapshot,
            "camera": camera,
            "client": client,
            "stamp_ns": time_to_ns(request.image_stamp),
        }

    def check_mode(self, mode: int) -> None:
        """Raise QuestionError for a number that is none of MODE_*, or one that needs a model."""
        if mode not in MODES:
            listed = ", ".join(f"{number} ({name})" for number, name in MODES.items())
            raise QuestionError(f"there is no mode {mode}; known are {listed}")
        pipeline = self._node.pipeline
        if mode != AskSpatial.Request.MODE_AUTO and pipeline and not pipeline.has_model:
            raise QuestionError(NEEDS_MODEL)

    def mode_of(self, mode: int) -> str:
        """How a request with this MODE_* is answered, as `FrameContext.ask` names it."""
        asked = MODES.get(mode, "auto")
        return self.preferred_mode() if asked == "auto" else asked

    def preferred_mode(self) -> str:
        """How a question with MODE_AUTO is reasoned about: `interleaved`, `maps` or `direct`."""
        pipeline = self._node.pipeline
        if pipeline is not None and not pipeline.has_model:
            return MEASURED_MODE
        preferred = str(self._node.parameter("mode"))
        if preferred != "auto":
            return preferred
        prefix = pipeline is not None and pipeline.spec.map_placement == "prefix"
        return "maps" if prefix else "interleaved"

    def timeout_s(self, request: Any) -> float:
        """How long a request may take [s]."""
        asked = duration_to_seconds(request.timeout)
        return asked if asked > 0.0 else float(self._node.parameter("answer_timeout_s"))

    def submit(self, call: PendingCall) -> None:
        """Queue a call; it fails with the reason where that cannot be."""
        worker = self._node.worker
        try:
            if worker is None:
                raise NotActiveError(self._node.why_not_active())
            worker.submit(call)
        except Exception as error:
            call.fail(error)

    def end_overdue(self, calls: Collection[PendingCall], audience: Audience) -> None:
        """End calls whose time is over, or all when no client is left to hear of them."""
        if not calls:
            audience.rest()
            return
        worker, left = self._node.worker, audience.has_left()
        for call in list(calls):
            if left:
                call.abandon(nobody_listens())
            if call.expire() and worker is not None:
                worker.withdraw(call)  # its place in the queue is somebody else's now

    def wake(self) -> None:
        """Have the executor look at waiting handlers again (any thread)."""
        executor = self._node.executor
        if executor is not None:
            executor.wake()

    def map_topics(self, request: Any, camera: str) -> dict[StepType, str]:
        """Where the maps of a reasoning trace can be seen; nowhere for an image of its own."""
        outputs = self._node.outputs
        return outputs.map_topics(camera) if outputs and not _own_image(request) else {}

    def to_message(self, answer: SpatialAnswer, request: Any) -> AnswerMessage:
        """The answer to a request for the wire, with the age of its image. A refusal too says
        which camera was asked."""
        if not answer.camera and not _own_image(request) and request.camera:
            answer = replace(answer, camera=request.camera)
        pipeline, refused = self._node.pipeline, answer.status is Status.BAD_QUESTION
        if pipeline is not None and not (answer.question_understood or refused):
            # it was in order, but had no image, no time or no turn
            understood_as = understood(pipeline, answer.question)
            answer = replace(answer, question_understood=understood_as)
        target = getattr(request, "target_frame", "")
        answer = answer_in(self._node.transforms, answer, target)
        now_ns = self._node.get_clock().now().nanoseconds
        return to_answer(
            answer,
            return_trace=bool(request.return_trace),
            topics=self.map_topics(request, answer.camera),
            image_age_s=(now_ns - answer.stamp_ns) / 1e9 if answer.stamp_ns else NAN,
        )

    def finish(self, answer: SpatialAnswer, request: Any) -> AnswerMessage:
        """The same, also published on ~/answer."""
        message = self.to_message(answer, request)
        if self._node.outputs:
            self._node.outputs.publish_answer(message)
        return message


def _own_image(request: Any) -> bool:
    """Whether a request brings its image along."""
    return hasattr(request, "image") and bool(request.image.width)
