"""An error in a callback is told once and counted; the node goes on, and callers get a reply."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any
from unittest.mock import Mock

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from action_msgs.msg import GoalStatus  # noqa: E402
from rcl_interfaces.msg import Parameter as ParameterMessage  # noqa: E402
from rcl_interfaces.msg import ParameterType, ParameterValue  # noqa: E402
from rcl_interfaces.srv import SetParameters  # noqa: E402
from rclpy.node import Node  # noqa: E402
from std_msgs.msg import String  # noqa: E402
from std_srvs.srv import SetBool, Trigger  # noqa: E402

from cooper_ros.action import Reason  # noqa: E402
from cooper_ros.core.errors import QuestionError  # noqa: E402
from cooper_ros.core.types import Status  # noqa: E402
from cooper_ros.ros.camera_names import choose_camera  # noqa: E402
from cooper_ros.ros.guard import GuardedExecutor, place_of, refusal, sendable  # noqa: E402
from cooper_ros.ros.reason_client import make_action_client  # noqa: E402
from cooper_ros.ros.reason_server import ReasonServer  # noqa: E402
from cooper_ros.ros.view.node import ViewNode  # noqa: E402
from cooper_ros.srv import AskSpatial, QueryDistance  # noqa: E402

SURROGATE = "name \udcff of a file"
TURNS = 2000


class Fragile:
    """A node on a guarded executor, turned by hand; `said` is what it logged as an error."""

    def __init__(self) -> None:
        self.node = Node("fragile")
        self.executor = GuardedExecutor()
        self.executor.add_node(self.node)

    def turn(self, until: Callable[[], Any]) -> None:
        for _ in range(TURNS):
            if until():
                return
            self.executor.spin_once(timeout_sec=0.05)
        raise AssertionError(f"did not happen; {self.executor.newest}")

    def call(self, kind: Any, name: str, request: Any = None) -> Any:
        client = self.node.create_client(kind, name)
        self.turn(client.service_is_ready)
        future = client.call_async(request or kind.Request())
        self.turn(future.done)
        self.node.destroy_client(client)
        return future.result()


@pytest.fixture
def fragile(ros: None) -> Iterator[Fragile]:
    made = Fragile()
    yield made
    made.executor.shutdown(timeout_sec=1.0)
    made.node.destroy_node()


def broken(*_: Any) -> Any:
    raise ValueError("broken on purpose")


async def broken_later(*_: Any) -> Any:
    raise LookupError("broken later")


def test_a_timer_and_a_subscription(fragile: Fragile, capfd: pytest.CaptureFixture[str]) -> None:
    heard: list[Any] = []
    node, executor = fragile.node, fragile.executor
    timer = node.create_timer(0.001, broken)
    fragile.turn(lambda: executor.failures >= 5)
    node.destroy_timer(timer)
    said = capfd.readouterr().err
    assert said.count("error in a callback, the node goes on") == 1, said
    assert "broken on purpose" in said and "test_ros_guard.py" in said
    before = executor.failures
    node.create_subscription(String, "odd", lambda m: (heard.append(m), broken()), 10)
    publisher = node.create_publisher(String, "odd", 10)
    fragile.turn(publisher.get_subscription_count)
    for _ in range(3):
        publisher.publish(String(data="x"))
    fragile.turn(lambda: len(heard) == 3)
    assert executor.failures == before + 3


@pytest.mark.parametrize("handler", [broken, broken_later], ids=["function", "coroutine"])
def test_a_service_replies_all_the_same(fragile: Fragile, handler: Any) -> None:
    fragile.node.create_service(Trigger, "fails", handler)
    reply = fragile.call(Trigger, "fails")
    assert not reply.success and "broken" in reply.message and "see its log" in reply.message
    assert fragile.executor.failures == 1


@pytest.mark.parametrize(
    "reply",
    [None, "no reply", Trigger.Response(success=True, message=SURROGATE)],
    ids=["none", "text", "surrogate"],
)
def test_what_is_no_reply_becomes_one(fragile: Fragile, reply: Any) -> None:
    fragile.node.create_service(Trigger, "odd", lambda *_: reply)
    assert not fragile.call(Trigger, "odd").success
    fragile.node.create_service(SetBool, "good", lambda _, response: response)
    assert fragile.call(SetBool, "good").message == ""


def test_parameters(fragile: Fragile) -> None:
    fragile.node.declare_parameter("speed", 1.0)
    fragile.node.add_on_set_parameters_callback(broken)
    value = ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=2.0)
    request = SetParameters.Request(parameters=[ParameterMessage(name="speed", value=value)] * 2)
    results = fragile.call(SetParameters, "fragile/set_parameters", request).results
    assert [r.successful for r in results] == [False, False]
    assert "broken on purpose" in results[0].reason


def test_an_action_ends_with_a_result(fragile: Fragile) -> None:
    """Neither accepting a goal nor answering it may leave the client waiting."""
    node: Any = fragile.node
    node.worker = None
    intake = Mock()
    intake.preferred_mode.side_effect = broken  # while the goal is accepted
    server = ReasonServer(node, intake)
    client = make_action_client(node, "fragile/reason")
    fragile.turn(client.server_is_ready)
    accepted = client.send_goal_async(Reason.Goal(question="how far ?"))
    fragile.turn(accepted.done)
    ended = accepted.result().get_result_async()
    fragile.turn(ended.done)
    reply = ended.result()
    assert reply.status == GoalStatus.STATUS_ABORTED and not reply.result.success
    assert "an error inside the node" in reply.result.message
    assert reply.result.answer.status == int(Status.ERROR)
    client.destroy()
    server.destroy()


def test_tasks_and_futures_of_others(fragile: Fragile) -> None:
    """What `cooper view` leaves to its executor."""
    fragile.executor.create_task(broken)
    fragile.executor.create_task(broken_later)
    fragile.turn(lambda: fragile.executor.failures == 2)


def test_replies_name_the_reason_where_they_can() -> None:
    for response in (AskSpatial.Response(), QueryDistance.Response()):
        refusal(response, None, "here.py:1: ValueError: x")
        assert not response.success and "here.py:1" in response.message
    answer = refusal(AskSpatial.Response(), None, "x").answer
    assert answer.status == int(Status.ERROR) and answer.message
    assert refusal(QueryDistance.Response(), None, "x").status == int(Status.ERROR)


def test_text_of_files_can_be_sent() -> None:
    assert sendable(SURROGATE) == "name \\udcff of a file"
    sendable(SURROGATE).encode()
    assert sendable("Küche") == "Küche"


def test_the_place_is_where_our_code_was() -> None:
    try:
        choose_camera("left", ("front",))
    except QuestionError as error:
        assert place_of(error).startswith("cooper_ros/ros/camera_names.py:")
    assert place_of(ValueError("never raised")) == "unknown place"


def test_a_page_that_closes_ends_nothing(ros: None) -> None:
    """A future that was cancelled before its work began: the executor's thread went down with it,
    and the page was dead for everybody."""
    from rclpy.parameter import Parameter

    view = ViewNode(parameter_overrides=[Parameter("node", value="nobody")])
    try:
        release = threading.Event()
        held: Future[Any] = view.in_ros(lambda: release.wait(60.0))
        done: list[int] = []
        gone = [view.in_ros(lambda: done.append(1)) for _ in range(49)]
        assert all(future.cancel() for future in gone)
        release.set()
        assert held.result(60.0)
        assert view.in_ros(lambda: "alive").result(60.0) == "alive"
        assert not done
    finally:
        view.close()


def test_topics_of_a_page_that_closes_at_once_are_let_go(ros: None) -> None:
    from cooper_ros.ros.view.session import Session

    closed = threading.Event()
    made: Future[Any] = Future()

    class Watch:
        def close(self) -> None:
            closed.set()

    class Node:
        target = "/cooper"

        def image_topic(self, camera: str) -> None:
            return None

        def in_ros(self, work: Callable[[], Any]) -> Future[Any]:
            if not made.done():
                return made
            done: Future[Any] = Future()
            done.set_result(work())
            return done

    async def run() -> None:
        session = Session(Node(), None, None)  # type: ignore[arg-type]
        following = asyncio.ensure_future(session._follow())
        while session._source == ():
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        made.set_running_or_notify_cancel()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        made.set_result(Watch())

    asyncio.run(run())
    assert closed.wait(10.0)
