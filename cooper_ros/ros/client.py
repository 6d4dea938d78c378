"""A client for robots, in the manner of nav2_simple_commander: call, wait, read a typed result.

    from cooper_ros.ros.client import CooperClient

    with CooperClient() as cooper:
        cooper.wait_until_active()
        answer = cooper.distance("mug")
        if answer.status is Status.OK:
            print(answer.value, answer.measured, answer.answered_by.name)

Every call returns within its timeout, with a status that says what happened. `reason` follows a
question while it is answered (see reason_client).
"""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import rclpy
from lifecycle_msgs.srv import GetState
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from cooper_ros.action import Reason
from cooper_ros.core.types import (
    NAN,
    ObjectReference,
    Point3,
    ScaleSource,
    SpatialAnswer,
    Status,
)
from cooper_ros.ros.environment import start_ros
from cooper_ros.ros.messages import (
    duration_to_seconds,
    from_answer,
    from_object,
    to_duration,
    to_point,
    to_time,
)
from cooper_ros.ros.qos import QuestionQoS
from cooper_ros.ros.reason_client import ReasonGoal, make_action_client
from cooper_ros.srv import AskSpatial, QueryDistance

DEFAULT_TIMEOUT_S = 15.0
MARGIN_S = 2.0
"""How much longer than the node's own limit the client waits for its reply [s]."""

MODES = {
    "auto": AskSpatial.Request.MODE_AUTO,
    "direct": AskSpatial.Request.MODE_DIRECT,
    "interleaved": AskSpatial.Request.MODE_INTERLEAVED,
}


@dataclass(frozen=True)
class MeasuredDistance:
    """Distance [m] to a surface, measured on the maps without the language model; NaN if unknown.

    `candidates`: the objects that share an ambiguous name. `position` [m] is in `frame_id`.
    `memory_age_s`: since the object was last seen, 0 = it is in this image.
    """

    status: Status
    message: str
    distance_m: float = NAN
    position: Point3 = (NAN, NAN, NAN)
    reference: ObjectReference = ObjectReference("")
    candidates: tuple[ObjectReference, ...] = ()
    scale_source: ScaleSource = ScaleSource.UNKNOWN
    frame_id: str = ""
    memory_age_s: float = 0.0


SLICE_S = 0.2


class CooperClient:
    """Talks to one perception node. Safe to use from several threads, one call at a time.

    `node`: name of the perception node, with its namespace if it has one ("/robot1/cooper").
    `client`: who asks, as the node sees it: its clients take turns, and limits of questions and
    rate hold for each. By default every CooperClient is one of its own.
    Starts rclpy if nobody did, and then also ends it on `close`. It has its own executor, so it
    works beside nodes that are being spun, but not inside their callbacks.
    """

    def __init__(
        self, node: str = "cooper", *, name: str = "cooper_client", client: str = ""
    ) -> None:
        self._owns_rclpy = not rclpy.ok()
        if self._owns_rclpy:
            # Python's own handlers stay: rclpy's would close the context at once.
            start_ros(signal_handler_options=SignalHandlerOptions.NO)
        self._target = node.rstrip("/")
        self._node = Node(name)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._lock = threading.Lock()
        self._client = client or f"{name}-{uuid.uuid4().hex[:8]}"
        self._ask = self._make_client(AskSpatial, "ask")
        self._query = self._make_client(QueryDistance, "query_distance")
        self._state = self._make_client(GetState, "get_state")
        self._reason = make_action_client(self._node, f"{self._target}/reason")

    def __enter__(self) -> CooperClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of everything."""
        self._executor.shutdown(timeout_sec=1.0)
        self._reason.destroy()
        self._node.destroy_node()
        if self._owns_rclpy:
            rclpy.try_shutdown()

    def wait_until_active(self, timeout_s: float = 60.0) -> bool:
        """Wait until the node answers questions; False when it does not within the time."""
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0.0:
            reply = self._call(self._state, GetState.Request(), min(left, 5.0))
            if reply is not None and reply.current_state.label == "active":
                return True
            time.sleep(min(0.1, max(left, 0.0)))
        return False

    def ask(
        self,
        question: str,
        *,
        mode: str = "auto",
        return_trace: bool = False,
        image: Any = None,
        camera_info: Any = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        camera: str = "",
        about: SpatialAnswer | None = None,
        allow_memory: bool = False,
    ) -> SpatialAnswer:
        """Ask in plain words about the camera's newest image, or about `image` (sensor_msgs).

        `camera`: which one of several; "" = the first. `about`: an earlier answer, whose image is
        meant: more questions about one image cost only their text. `allow_memory`: what was seen
        before is answered too, with status REMEMBERED. Raises ValueError for an unknown `mode`.
        """
        request = AskSpatial.Request(
            question=question,
            mode=_mode_number(mode),
            allow_memory=allow_memory,
            return_trace=return_trace,
            timeout=to_duration(timeout_s),
            client=self._client,
        )
        _point_at(request, image, camera_info, camera, about)
        reply = self._call(self._ask, request, timeout_s)
        if reply is None:
            return SpatialAnswer(
                question, status=Status.TIMEOUT, message=self._silence(self._ask, timeout_s)
            )
        return from_answer(reply.answer)

    def reason(
        self,
        question: str,
        *,
        mode: str = "auto",
        return_trace: bool = False,
        return_maps: bool = False,
        image: Any = None,
        camera_info: Any = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        camera: str = "",
        about: SpatialAnswer | None = None,
        allow_memory: bool = False,
    ) -> ReasonGoal:
        """Ask, and follow how it is answered: iterate over the result, or `cancel` it.

        Arguments are those of `ask`; `return_maps`: also send the maps as arrays. With `mode`
        "auto" a direct answer comes first.
        """
        goal = Reason.Goal(
            question=question,
            mode=_mode_number(mode),
            allow_memory=allow_memory,
            return_trace=return_trace,
            return_maps=return_maps,
            timeout=to_duration(timeout_s),
            client=self._client,
        )
        _point_at(goal, image, camera_info, camera, about)
        no_server = ""
        if not self._reason.wait_for_server(timeout_sec=timeout_s):
            no_server = self._nobody("action", f"{self._target}/reason")
        limit_s = timeout_s + MARGIN_S
        return ReasonGoal(self._reason, self._executor, self._lock, goal, limit_s, no_server)

    def distance(self, name: str, **options: Any) -> SpatialAnswer:
        """Distance to an object: `value` [m] as the model says, `measured` [m] on its maps."""
        return self.ask(f"how far is the {name} ?", **options)

    def distance_between(self, one: str, other: str, **options: Any) -> SpatialAnswer:
        """Distance [m] between two objects."""
        return self.ask(f"how far is the {one} from the {other} ?", **options)

    def count(self, name: str, **options: Any) -> SpatialAnswer:
        """How many objects of this name (in the plural: "mugs") are visible."""
        return self.ask(f"how many {name} are there ?", **options)

    def measured_distance(
        self,
        name: str,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        *,
        camera: str = "",
        allow_memory: bool = False,
    ) -> MeasuredDistance:
        """Distance to a named object from the maps alone: quick, no language model."""
        request = QueryDistance.Request(
            names=[name], camera=camera, client=self._client, allow_memory=allow_memory
        )
        return self._measure(request, timeout_s)

    def distance_at(
        self, u: float, v: float, timeout_s: float = DEFAULT_TIMEOUT_S, *, camera: str = ""
    ) -> MeasuredDistance:
        """Distance to the surface at column `u`, row `v` [px], from the maps alone."""
        request = QueryDistance.Request(
            pixels=[to_point((u, v, 0.0))], camera=camera, client=self._client
        )
        return self._measure(request, timeout_s)

    def _measure(self, request: QueryDistance.Request, timeout_s: float) -> MeasuredDistance:
        request.timeout = to_duration(timeout_s)
        reply = self._call(self._query, request, timeout_s)
        if reply is None:
            return MeasuredDistance(Status.TIMEOUT, self._silence(self._query, timeout_s))
        if not reply.distances:  # an error inside the node
            return MeasuredDistance(Status(reply.status), reply.message)
        position = reply.positions[0]
        return MeasuredDistance(
            Status(reply.status),
            reply.message,
            float(reply.distances[0]),
            (position.x, position.y, position.z),
            from_object(reply.objects[0]),
            tuple(from_object(candidate) for candidate in reply.candidates),
            ScaleSource(reply.scale_source),
            reply.header.frame_id,
            duration_to_seconds(reply.memory_ages[0]),
        )

    def _make_client(self, service: Any, name: str) -> Any:
        # DDS sends the replies of all clients to each of them, which keep their own: of more than
        # the ten of the ROS default that come at once, the rest would be lost.
        return self._node.create_client(
            service, f"{self._target}/{name}", qos_profile=QuestionQoS()
        )

    def _call(self, client: Any, request: Any, timeout_s: float) -> Any:
        """The reply, or None when there is none in time."""
        with self._lock:
            started = time.monotonic()
            if not client.wait_for_service(timeout_sec=timeout_s):
                return None
            left = timeout_s - (time.monotonic() - started) + MARGIN_S
            future = client.call_async(request)
            deadline = time.monotonic() + left
            while not future.done() and (left := deadline - time.monotonic()) > 0.0:
                # In slices: Python hears of ctrl-C between waits only.
                self._executor.spin_until_future_complete(future, min(left, SLICE_S))
            if not future.done():
                client.remove_pending_request(future)
                return None
            return future.result()

    def _silence(self, client: Any, timeout_s: float) -> str:
        if not client.service_is_ready():
            return self._nobody("service", client.srv_name)
        return f"{client.srv_name} sent no reply within {timeout_s:g} s"

    def _nobody(self, what: str, name: str) -> str:
        return (
            f"there is no {what} {name}: is the perception node running, under "
            f"the name {self._target!r} and with the same ROS_DOMAIN_ID?"
        )


def _mode_number(mode: str) -> int:
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")
    return int(MODES[mode])


def _point_at(
    request: Any, image: Any, camera_info: Any, camera: str, about: SpatialAnswer | None
) -> None:
    """Say in a request which image is meant."""
    request.camera = camera
    if image is not None:
        request.image = image
    if camera_info is not None:
        request.camera_info = camera_info
    if about is not None:
        request.camera = about.camera or camera
        request.image_stamp = to_time(about.stamp_ns)
