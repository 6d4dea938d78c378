"""One guard around every callback: an error in one is told and counted, and the node goes on.

rclpy lets an exception of any callback (subscription, timer, service, action, parameter, future)
out of `spin`, and with it the process ends. A robot's node must not end because one message was
odd, and whoever called a service must hear something.
"""

from __future__ import annotations

import functools
import inspect
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import WeakSet

from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.logging import get_logger

from cooper_ros.core.types import Status

PACKAGE = Path(__file__).resolve().parents[1]
MAX_KNOWN = 256
"""Places remembered as told: errors must not fill the memory."""
PAUSE_S = 0.001
"""After an error: one that comes at every turn must not take a whole core [s]."""


class GuardedExecutor(SingleThreadedExecutor):
    """A SingleThreadedExecutor that survives errors of callbacks.

    `failures`: how many there were; `newest`: the last of them, "place: kind: text". Each place is
    logged once, with its traceback. A service whose handler fails replies all the same: with
    `success` false and the reason, where the reply has such fields.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.failures = 0
        self.newest = ""
        self._told: set[str] = set()
        self._safe: WeakSet[Any] = WeakSet()

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Execute one callback, as rclpy does; errors of it are noted, not raised."""
        try:
            self._make_services_safe()
            super().spin_once(timeout_sec)
        except ExternalShutdownException:
            raise
        except Exception as error:
            self.note(error)
            time.sleep(PAUSE_S)

    def note(self, error: BaseException) -> str:
        """Count an error, and log it if its place is new; returns what is said of it."""
        place = place_of(error)
        self.failures += 1
        self.newest = sendable(f"{place}: {type(error).__name__}: {error}"[:500])
        if place not in self._told and len(self._told) < MAX_KNOWN:
            self._told.add(place)
            nodes = self.get_nodes()
            logger = nodes[0].get_logger() if nodes else get_logger("cooper")
            trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
            logger.error(
                f"error in a callback, the node goes on: {self.newest}\n{sendable(trace)}"
            )
        return self.newest

    def _make_services_safe(self) -> None:
        """Services made by anybody (rclpy makes some itself), each once."""
        for node in self.get_nodes():
            for service in node.services:
                if service not in self._safe:
                    self._safe.add(service)
                    self._make_safe(service)

    def _make_safe(self, service: Any) -> None:
        handle, send, make = service.callback, service.send_response, service.srv_type.Response

        async def waits(request: Any, response: Any) -> Any:
            try:
                return await handle(request, response)
            except Exception as error:
                return refusal(make(), request, self.note(error))

        def returns(request: Any, response: Any) -> Any:
            try:
                return handle(request, response)
            except Exception as error:
                return refusal(make(), request, self.note(error))

        def send_response(response: Any, header: Any) -> None:
            try:
                send(response, header)
            except Exception as error:  # it holds what no message can hold, or is no reply at all
                send(refusal(make(), None, self.note(error)), header)

        service.callback = waits if inspect.iscoroutinefunction(handle) else returns
        service.send_response = send_response


def told(callback: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A lifecycle callback whose errors the node hears of (`transition_failed(error, place)`):
    rclpy makes of them an error state, and says nothing."""

    @functools.wraps(callback)
    def guarded(node: Any, state: Any) -> Any:
        try:
            return callback(node, state)
        except Exception as error:
            node.transition_failed(error, place_of(error))
            return TransitionCallbackReturn.ERROR

    return guarded


def place_of(error: BaseException) -> str:
    """File and line of an error: where our own code was last, or where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if PACKAGE in Path(f.filename).parents and f.filename != __file__]
    if not frames:
        return "unknown place"
    frame = (own or frames)[-1]
    return f"{'/'.join(Path(frame.filename).parts[-3:])}:{frame.lineno}"


def refusal(response: Any, request: Any, reason: str) -> Any:
    """A reply that says that the call failed, as far as its type has fields for that."""
    text = f"an error inside the node, see its log: {reason}"
    for part in (response, getattr(response, "answer", None), getattr(response, "result", None)):
        for name, value in (("message", text), ("reason", text), ("status", int(Status.ERROR))):
            if hasattr(part, name):
                setattr(part, name, value)
    if hasattr(response, "results") and hasattr(request, "parameters"):
        from rcl_interfaces.msg import SetParametersResult

        response.results = [SetParametersResult(reason=text) for _ in request.parameters]
    return response


def sendable(text: str) -> str:
    """The text without what no ROS string can hold: lone surrogates (from files and names)."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
