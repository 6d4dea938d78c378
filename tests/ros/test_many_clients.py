"""Every one of many clients gets its reply, although each of them is sent the replies of all."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402

from cooper_ros.ros.client import CooperClient  # noqa: E402
from cooper_ros.ros.qos import QuestionQoS  # noqa: E402
from cooper_ros.ros.view.node import ViewNode  # noqa: E402
from cooper_ros.srv import AskSpatial, QueryDistance  # noqa: E402

CLIENTS = 50
TURNS = 400


class Crowd:
    """Stands in for the node: replies at once, and counts."""

    def __init__(self) -> None:
        self.node = Node("crowd")
        self.served = 0
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        for kind, name in ((AskSpatial, "ask"), (QueryDistance, "query_distance")):
            self.node.create_service(kind, f"~/{name}", self._serve, qos_profile=QuestionQoS())

    def _serve(self, request: Any, response: Any) -> Any:
        self.served += 1
        response.message = getattr(request, "question", "measured")
        return response

    def serve(self, count: int) -> None:
        """Until so many requests have their replies."""
        for _ in range(TURNS):
            if self.served >= count:
                return
            self._executor.spin_once(timeout_sec=0.1)
        raise AssertionError(f"{self.served} of {count} requests arrived")

    def close(self) -> None:
        self._executor.shutdown(timeout_sec=1.0)
        self.node.destroy_node()


@pytest.fixture
def crowd(ros: None) -> Iterator[Crowd]:
    made = Crowd()
    yield made
    made.close()


def test_many_clients(crowd: Crowd) -> None:
    clients = [CooperClient("crowd", name=f"client{n}") for n in range(CLIENTS)]
    try:
        for client in clients:
            assert client._ask.wait_for_service(timeout_sec=60.0)
        futures = [
            client._ask.call_async(AskSpatial.Request(question=f"question {n}"))
            for n, client in enumerate(clients)
        ]
        crowd.serve(CLIENTS)  # nobody has looked for a reply so far
        for client, future in zip(clients, futures, strict=True):
            client._executor.spin_until_future_complete(future, timeout_sec=2.0)
        got = [future.result().message if future.done() else None for future in futures]
        assert got == [f"question {n}" for n in range(CLIENTS)]
    finally:
        for client in clients:
            client.close()


def test_a_busy_page_loses_nothing(crowd: Crowd) -> None:
    view = ViewNode(parameter_overrides=[Parameter("node", value="/crowd")])
    try:
        assert view._query.wait_for_service(timeout_sec=60.0)
        release = threading.Event()
        held = view.in_ros(lambda: release.wait(60.0))
        futures = [view.measure(1.0, float(n), "", 5.0) for n in range(CLIENTS)]
        crowd.serve(CLIENTS)
        release.set()
        assert held.result(60.0)
        over = threading.Event()
        futures[-1].add_done_callback(lambda _: over.set())
        if not futures[-1].done():
            assert over.wait(60.0)
        assert [future.done() for future in futures] == [True] * CLIENTS
    finally:
        view.close()
