"""One node process for many tests, and a bench to talk to it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

if importlib.util.find_spec("rclpy") is None:  # pragma: no cover - depends on the installation
    collect_ignore_glob = ["test_node*.py", "test_sim*.py", "test_bag*.py", "test_view*.py"]


@pytest.fixture(scope="session")
def ros() -> Iterator[None]:
    """rclpy in the test process."""
    import rclpy
    from harness import start_ros

    start_ros()
    yield
    rclpy.try_shutdown()


@pytest.fixture(scope="module")
def bench(ros: None) -> Iterator:
    """A camera and a client."""
    from harness import Bench

    made = Bench()
    yield made
    made.close()


@pytest.fixture(scope="module")
def node(ros: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    """The perception node with the committed model, as its own process."""
    from harness import Process

    process = Process(
        "cooper_ros.ros.node", log=tmp_path_factory.mktemp("node") / "node.log", LC_ALL="C"
    )
    yield process
    assert process.stop() == 0, process.log
