"""The node `cooper_view`: serves a web page that shows what the perception node does.

    ros2 run cooper_ros cooper_view --ros-args -p port:=8080

Reads topics only while a page is open. Listens on this machine only unless `host` says otherwise;
then a page must show the token that is in the printed address.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node

from cooper_ros.action import Reason
from cooper_ros.core import stopping
from cooper_ros.ros import runner
from cooper_ros.ros.command_line import Program
from cooper_ros.ros.guard import GuardedExecutor
from cooper_ros.ros.messages import to_duration, to_point
from cooper_ros.ros.parameters import START, ParameterSpec, declare
from cooper_ros.ros.qos import QuestionQoS, StandardTopicQoS
from cooper_ros.ros.reason_client import make_action_client
from cooper_ros.ros.view.watching import Watch
from cooper_ros.srv import QueryDistance

PARAMETERS = (
    ParameterSpec("node", "cooper", "Name of the perception node, with its namespace.", START),
    ParameterSpec(
        "image", "", "Topic of the camera's image; empty = the one that the node reads."
    ),
    ParameterSpec("host", "127.0.0.1", "Address to listen on; 0.0.0.0 = the whole network.", START),
    ParameterSpec(
        "allow_host",
        "",
        "More names, with commas between, under which the page may be opened; this machine's own "
        "addresses and its host name always may.",
        START,
    ),
    ParameterSpec(
        "token",
        "",
        "What a page must show; empty = one is made where `host` is not this machine alone, "
        "`none` = nothing.",
        START,
    ),
    ParameterSpec("port", 8080, "Port to listen on; 0 = any free one.", START, 0, 65535),
)
PROGRAM = Program(
    "cooper_view",
    __doc__,
    PARAMETERS,
    example="ros2 run cooper_ros cooper_view --ros-args -p port:=8080",
)
IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")


class Asked:
    """A question under way; `reply` becomes the action's result, or None if it was not taken."""

    def __init__(self) -> None:
        self.reply: Future[Any] = Future()
        self._handle: Any = None
        self._cancelled = False

    def send(self, client: Any, goal: Any, on_feedback: Callable[[Any], None]) -> None:
        """Send the goal (executor's thread)."""
        future = client.send_goal_async(
            goal, feedback_callback=lambda message: on_feedback(message.feedback)
        )
        future.add_done_callback(self._accepted)

    def _accepted(self, future: Any) -> None:
        self._handle = future.result()
        if self._handle is None or not self._handle.accepted:
            self.reply.set_result(None)
            return
        if self._cancelled:
            self._handle.cancel_goal_async()
        self._handle.get_result_async().add_done_callback(
            lambda result: self.reply.set_result(result.result().result)
        )

    def cancel(self) -> None:
        """Nobody waits for it any more (executor's thread)."""
        self._cancelled = True
        if self._handle is not None and not self.reply.done():
            self._handle.cancel_goal_async()


class ViewNode(Node):
    """Everything that the page needs from ROS; spun in a thread of its own."""

    MODES = {
        "auto": Reason.Goal.MODE_AUTO,
        "direct": Reason.Goal.MODE_DIRECT,
        "interleaved": Reason.Goal.MODE_INTERLEAVED,
    }

    def __init__(self, **arguments: Any) -> None:
        super().__init__("cooper_view", **arguments)
        declare(self, PARAMETERS)
        self.target = self._full_name(self.value("node"))
        self.problems: dict[str, tuple[int, str]] = {}
        self.values: dict[str, str] = {}
        self._reason = make_action_client(self, f"{self.target}/reason")
        self._query = self.create_client(
            QueryDistance, f"{self.target}/query_distance", qos_profile=QuestionQoS()
        )
        self.create_subscription(
            DiagnosticArray, "/diagnostics", self._on_diagnostics, StandardTopicQoS()
        )
        self._heard = time.monotonic()
        self._executor = GuardedExecutor()
        self._executor.add_node(self)
        self._thread = threading.Thread(target=self._spin, name="view_ros", daemon=True)
        self._thread.start()

    def value(self, name: str) -> Any:
        """Present value of a parameter."""
        return self.get_parameter(name).value

    def close(self) -> None:
        """Stop reading."""
        self._executor.shutdown(timeout_sec=1.0)
        self._thread.join(2.0)
        self.destroy_node()

    def _full_name(self, name: str) -> str:
        if name.startswith("/"):
            return name.rstrip("/")
        return f"{self.get_namespace().rstrip('/')}/{name}"

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            pass

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        own = f"{self.target.lstrip('/')}: "
        for status in message.status:
            if status.name.startswith(own):
                part = status.name[len(own) :]
                self.problems[part] = (int.from_bytes(status.level, "big"), status.message)
                self.values |= {item.key: item.value for item in status.values}
                self._heard = time.monotonic()

    # -- any thread ------------------------------------------------------------------------------

    def in_ros(self, work: Callable[[], Any]) -> Future[Any]:
        """Do something in the executor's thread; not at all if the future is cancelled before."""
        done: Future[Any] = Future()

        def run() -> None:
            if not done.set_running_or_notify_cancel():
                return  # the page has gone meanwhile
            try:
                done.set_result(work())
            except Exception as error:
                done.set_exception(error)

        self._executor.create_task(run)
        self._executor.wake()
        return done

    def cameras(self) -> list[str]:
        """Names of the node's cameras, [""] when it has one without a name, [] without a node."""
        space, _, name = self.target.rpartition("/")
        try:
            topics = self.get_publisher_names_and_types_by_node(name, space or "/")
        except Exception:  # rclpy: no such node
            return []
        ends = [t.removesuffix("/overlay") for t, _ in topics if t.endswith("/overlay")]
        return sorted(end.removeprefix(self.target).strip("/") for end in ends)

    def image_topic(self, camera: str) -> tuple[str, str] | None:
        """Name and type of the image topic that the node reads for a camera."""
        space, _, name = self.target.rpartition("/")
        try:
            topics = self.get_subscriber_names_and_types_by_node(name, space or "/")
        except Exception:  # rclpy: no such node
            topics = []
        images = [(t, types[0]) for t, types in topics if types and types[0] in IMAGE_TYPES]
        wanted = self.value("image")
        if wanted:
            full = self.resolve_topic_name(wanted)
            return next((item for item in images if item[0] == full), (full, IMAGE_TYPES[0]))
        if camera:
            images = [item for item in images if f"/{camera}/" in item[0]]
        # A registered depth image may be read too, as anchors of the metric scale.
        colour = [i for i in images if "depth" not in i[0] and "range" not in i[0]]
        return next(iter(colour or images), None)

    def watch(self, camera: str, on_change: Callable[[], None]) -> Watch:
        """Start reading the topics of a camera (executor's thread)."""
        base = f"{self.target}/{camera}" if camera else self.target
        return Watch(self, self.image_topic(camera), base, on_change)

    @property
    def is_there(self) -> bool:
        """Whether the perception node can be asked."""
        return bool(self._reason.server_is_ready())

    def status(self) -> dict[str, Any]:
        """What the page says about the node: level 0 fine, 1 warning, 2 error, and a sentence."""
        quiet_s = time.monotonic() - self._heard
        if not self.problems and not self.is_there:
            text = (
                f"there is no node {self.target}: is it running, under this name and with the "
                "same ROS_DOMAIN_ID?"
            )
            return {"level": 2, "text": text, "values": {}}
        if not self.is_there:
            return {"level": 2, "text": f"{self.target} has gone", "values": self.values}
        if not self.problems:
            return {"level": 0, "text": f"{self.target} is there", "values": {}}
        level, text = max(self.problems.values())
        if quiet_s > 5.0:
            level, text = 1, f"{self.target} has said nothing for {quiet_s:.0f} s"
        return {"level": level, "text": text, "values": self.values}

    def age_s(self, stamp_ns: int) -> float:
        """Seconds since a stamp, by this node's clock."""
        return (self.get_clock().now().nanoseconds - stamp_ns) / 1e9

    def ask(
        self,
        question: str,
        mode: str,
        camera: str,
        timeout_s: float,
        on_feedback: Callable[[Any], None],
    ) -> Asked:
        """Ask through the action: `on_feedback` hears how far it is (executor's thread)."""
        goal = Reason.Goal(
            question=question,
            mode=self.MODES[mode],
            camera=camera,
            return_trace=True,
            timeout=to_duration(timeout_s),
            client=self.get_fully_qualified_name(),
        )
        asked = Asked()
        # Sent in the executor's thread: a reply must not overtake the note that one is awaited.
        self.in_ros(lambda: asked.send(self._reason, goal, on_feedback))
        return asked

    def measure(self, u: float, v: float, camera: str, timeout_s: float) -> Any:
        """Ask for the distance at a pixel; a future."""
        request = QueryDistance.Request(
            pixels=[to_point((u, v, 0.0))], camera=camera, timeout=to_duration(timeout_s)
        )
        return self._query.call_async(request)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the node; returns the exit code."""
    try:
        from cooper_ros.ros.view.server import serve
    except ModuleNotFoundError as error:
        needs = "apt install python3-aiohttp, or pip install 'cooper_ros[view]'"
        print(f"cooper view: the package {error.name!r} is missing: {needs}", file=sys.stderr)
        return 1
    if (code := runner.start(PROGRAM, argv)) is not None:
        return code
    node = None
    try:
        node = ViewNode()
        runner.name_what_does_nothing(PROGRAM, argv, node)
        return asyncio.run(serve(node))
    except runner.NOT_TAKEN as error:
        return runner.refuse(error)
    finally:
        for number in stopping.SIGNALS:  # launch sends one after the other
            signal.signal(number, signal.SIG_IGN)
        if node is not None:
            node.close()
        rclpy.try_shutdown()


if __name__ == "__main__":
    sys.exit(main())
