"""What a goal of `~/reason` tells while it is answered: the model's events as feedback messages.

The narrator also keeps what was reached so far: it is the partial result of a goal that is
cancelled or runs out of time while the model is in the middle of something.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from sensor_msgs.msg import Image
from std_msgs.msg import Header

from cooper_ros.action import Reason
from cooper_ros.core.types import ReasoningStep, SpatialAnswer, StepType
from cooper_ros.reasoning.tags import DEPTH, MAP_ORDER, find_answer, find_thought, strip_tags
from cooper_ros.ros.conversion import array_to_image
from cooper_ros.ros.messages import to_answer, to_duration, to_header, to_step
from cooper_ros.ros.perception import Perception
from cooper_ros.runtime.events import Event, MapReady, MapRequested, TurnText, Unmeasured

Feedback = Reason.Feedback
TEXT_PERIOD_S = 0.03
"""Text is sent at most this often [s]: a message per token would cost more than the token."""


class Narrator:
    """Tells one goal's progress through `send` (any thread).

    `return_maps`: whether maps are wanted as images in the feedback.
    """

    def __init__(self, send: Callable[[Any], None], return_maps: bool = False) -> None:
        self._send = send
        self._return_maps = return_maps
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._state = Feedback.STATE_UNKNOWN
        self._header = Header()
        self._turn, self._text, self._sent = 0, "", 0
        self._text_sent_at = 0.0
        self._position: int | None = None
        self._over = False
        self.steps: list[ReasoningStep] = []
        self.direct: SpatialAnswer | None = None
        self.image: tuple[int, str] = (0, "")
        """Stamp [ns] and frame id of the image, once it is chosen."""
        self.topics: dict[StepType, str] = {}
        """Where the maps of this image are published."""

    # -- before the model is busy with it --------------------------------------------------------

    def queued(self, position: int) -> None:
        """It waits, with so many questions before it; told when that changes."""
        with self._lock:
            if position == self._position or self._state > Feedback.STATE_QUEUED:
                return
            self._position = position
            self._state = Feedback.STATE_QUEUED
            self._tell(queue_position=position)

    def looking(self, stamp_ns: int, frame_id: str) -> None:
        """Its turn has come, and this is the image."""
        with self._lock:
            if self._state >= Feedback.STATE_LOOKING:
                return
            self._header = to_header(stamp_ns, frame_id)
            self.image = (stamp_ns, frame_id)
            self._enter(Feedback.STATE_LOOKING)

    # -- while it is answered --------------------------------------------------------------------

    def answered_directly(self, answer: SpatialAnswer) -> None:
        """The direct answer is there; it may be told again once it was compared with the maps."""
        with self._lock:
            self.direct = answer
            message = to_answer(answer, topics=self.topics)
            self._tell(direct_answer=message)

    def direct_text(self, event: Event) -> None:
        """An event of the direct answer: its text is that of turn 0."""
        with self._lock:
            if isinstance(event, TurnText):
                self._enter(Feedback.STATE_ANSWERING)
                self._write(0, event)

    def maps(self, perception: Perception) -> None:
        """The maps that the question starts with."""
        with self._lock:
            self._enter(Feedback.STATE_DRAWING)
            for kind in MAP_ORDER:
                if kind == DEPTH or perception.segmentation is not None:
                    made = perception.context.map(kind)
                    self._map_is_ready(MapReady(1, kind, True, 0.0, made), perception)

    def event(self, event: Event, perception: Perception) -> None:
        """An event of the reasoning."""
        with self._lock:
            if isinstance(event, TurnText):
                self._enter(Feedback.STATE_THINKING)
                self._write(event.turn, event)
                if event.done:
                    self._turn_is_over(event.text)
            elif isinstance(event, MapRequested):
                self._enter(Feedback.STATE_DRAWING)
            elif isinstance(event, MapReady):
                self._map_is_ready(event, perception)
            elif isinstance(event, Unmeasured):
                self._enter(Feedback.STATE_MEASURING)

    def close(self) -> None:
        """The goal is over: nothing more is told, whatever the model still does."""
        with self._lock:
            self._over = True

    def unfinished(self) -> tuple[ReasoningStep, ...]:
        """The steps so far, with what was written of the present one."""
        with self._lock:
            text = strip_tags(self._text) if self._turn else ""
            partial = (ReasoningStep(StepType.THINK, text),) if text else ()
            return (*self.steps, *partial)

    # -- with the lock held ----------------------------------------------------------------------

    def _enter(self, state: int) -> None:
        if state != self._state:
            self._state = state
            self._tell()

    def _write(self, turn: int, event: TurnText) -> None:
        if turn != self._turn:
            self._turn, self._sent = turn, 0
        self._text = event.text
        text = event.settled
        now = time.monotonic()
        if len(text) > self._sent and (event.done or now - self._text_sent_at >= TEXT_PERIOD_S):
            self._text_sent_at = now
            delta, offset = text[self._sent :], self._sent
            self._sent = len(text)
            self._tell(turn=turn, text_delta=delta, text_offset=offset)

    def _turn_is_over(self, text: str) -> None:
        answer = find_answer(text)
        thought = strip_tags(find_thought(text) if answer is not None else text)
        steps = [ReasoningStep(StepType.THINK, thought)] if thought else []
        if answer is not None:
            steps.append(ReasoningStep(StepType.ANSWER, answer))
        self._text = ""
        self._add(steps)

    def _map_is_ready(self, event: MapReady, perception: Perception) -> None:
        kind = StepType.DEPTH if event.kind == DEPTH else StepType.SEGMENTATION
        image = _map_image(event, perception) if self._return_maps else Image()
        self._add([ReasoningStep(kind, seconds=event.seconds)], image)

    def _add(self, steps: list[ReasoningStep], image: Image | None = None) -> None:
        self.steps += steps
        messages = [to_step(step, self.topics, self.image[0]) for step in steps]
        self._tell(new_steps=messages, map=image if image is not None else Image())

    def _tell(self, **fields: Any) -> None:
        if self._over:
            return
        elapsed = to_duration(time.monotonic() - self._started)
        self._send(Feedback(state=self._state, elapsed=elapsed, header=self._header, **fields))


def _map_image(event: MapReady, perception: Perception) -> Image:
    """The map of an event at the size of the camera image."""
    context, frame = perception.context, perception.frame
    shared = context.spec.map_placement == "prefix"  # then it is the frame's own, made before
    if event.kind == DEPTH:
        depth = perception.depth if shared else context.drawn_depth(event.made)
        header = to_header(depth.stamp_ns, depth.frame_id)
        return array_to_image(depth.depth if depth.metric else depth.relative, "32FC1", header)
    segmentation = perception.segmentation
    if not shared:
        segmentation = context.drawn_segmentation(event.made, perception.depth)
    header = to_header(frame.stamp_ns, frame.frame_id)
    if segmentation is None:  # a model without classes draws colours
        return array_to_image(context.drawn_rgb(event.made), "rgb8", header)
    return array_to_image(segmentation.labels, "mono8", header)
