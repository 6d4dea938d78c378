"""A node in a namespace, under another name, with remapped topics, on simulated time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from builtin_interfaces.msg import Duration
from diagnostic_msgs.msg import DiagnosticArray
from harness import WAIT_S, Bench, Process, room_image, room_info
from rclpy.action import get_action_server_names_and_types_by_node
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock

from cooper_ros.msg import DepthInfo, SpatialAnswer
from cooper_ros.ros.client import CooperClient
from cooper_ros.ros.interfaces import ACTION, INTERFACES, PUBLISHES, READS, SERVICE
from cooper_ros.ros.messages import duration_to_seconds, to_header, to_time
from cooper_ros.ros.qos import ImagePublisherQoS, StandardTopicQoS
from cooper_ros.srv import AskSpatial

NAME, NAMESPACE = "eyes", "/robot1"
FULL = f"{NAMESPACE}/{NAME}"
REMAPPED = {"image": "/front/image_raw", "camera_info": "/front/camera_info"}
INFRASTRUCTURE = {"/rosout", "/parameter_events", "/clock", f"{FULL}/transition_event"}
"""Topics of every ROS node."""
LIFECYCLE_AND_PARAMETERS = (
    "change_state", "get_state", "get_available_states", "get_available_transitions",
    "get_transition_graph", "describe_parameters", "get_parameters", "get_parameter_types",
    "list_parameters", "set_parameters", "set_parameters_atomically", "get_type_description",
)  # fmt: skip
BY_THE_MODEL = (
    SpatialAnswer.STATUS_OK, SpatialAnswer.STATUS_NO_ANSWER, SpatialAnswer.STATUS_UNPARSED,
    SpatialAnswer.STATUS_NOT_VISIBLE, SpatialAnswer.STATUS_AMBIGUOUS,
    SpatialAnswer.STATUS_DISAGREES,
)  # fmt: skip
"""The question reached the model; what it says about a hand-drawn room is its own matter."""
SIM_START_NS = 1_000 * 1_000_000_000


class SimulatedWorld:
    """A clock that goes on when told, and a camera that stamps its images with it."""

    def __init__(self, bench: Bench) -> None:
        self.now_ns = SIM_START_NS
        node = bench.node
        self._clock = node.create_publisher(Clock, "/clock", QoSProfile(depth=10))
        self._images = node.create_publisher(
            type(room_image()), REMAPPED["image"], ImagePublisherQoS()
        )
        self._infos = node.create_publisher(
            type(room_info()), REMAPPED["camera_info"], ImagePublisherQoS()
        )
        self._image, self._info = room_image(), room_info()
        self.paused = False
        node.create_timer(0.05, self._tick)

    def _tick(self) -> None:
        if not self.paused:
            self.now_ns += 50_000_000
        self._clock.publish(Clock(clock=to_time(self.now_ns)))
        self._image.header = self._info.header = to_header(self.now_ns, "front_optical_frame")
        self._infos.publish(self._info)
        self._images.publish(self._image)


@pytest.fixture(scope="module")
def world(bench: Bench) -> SimulatedWorld:
    return SimulatedWorld(bench)


@pytest.fixture(scope="module")
def eyes(ros: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    process = Process(
        "cooper_ros.ros.node",
        "--ros-args",
        *("-r", f"__ns:={NAMESPACE}", "-r", f"__node:={NAME}", "-p", "use_sim_time:=true"),
        *(word for item in REMAPPED.items() for word in ("-r", ":=".join(item))),
        log=tmp_path_factory.mktemp("eyes") / "node.log",
        LC_ALL="C",
    )
    yield process
    assert process.stop() == 0, process.log


def test_wrong_ros_arguments_are_explained(ros: None, tmp_path: Path) -> None:
    """`-rimage:=...` without the space ended with a traceback."""
    process = Process(
        "cooper_ros.ros.node", "--ros-args", "-rimage:=/front/image_raw", log=tmp_path / "n.log"
    )
    assert process.popen.wait(WAIT_S) == 2
    assert "cannot start" in process.log and "-rimage" in process.log
    assert "Traceback" not in process.log
    process.stop()


def resolved(name: str) -> str:
    """A name of the table as this node has it."""
    if name in REMAPPED:
        return REMAPPED[name]
    if name.startswith("~/"):
        return f"{FULL}/{name[2:]}"
    return name if name.startswith("/") else f"{NAMESPACE}/{name}"


@pytest.mark.parametrize("kind", [READS, PUBLISHES, SERVICE, ACTION])
def test_the_table_of_interfaces_is_what_the_node_has(
    bench: Bench, eyes: Process, world: SimulatedWorld, kind: str
) -> None:
    node = bench.node
    find = {
        READS: node.get_subscriber_names_and_types_by_node,
        PUBLISHES: node.get_publisher_names_and_types_by_node,
        SERVICE: node.get_service_names_and_types_by_node,
        ACTION: lambda *who: get_action_server_names_and_types_by_node(node, *who),
    }[kind]
    rows = {resolved(s.name): s for s in INTERFACES if s.kind == kind}
    ignored = {f"{FULL}/{name}" for name in LIFECYCLE_AND_PARAMETERS} | INFRASTRUCTURE

    def present() -> dict[str, list[str]]:
        if NAME not in node.get_node_names():
            return {}
        names = dict(find(NAME, NAMESPACE))
        return {n: t for n, t in names.items() if n not in ignored and "/_action/" not in n}

    # Always there: what needs no setting. (Activation makes the inputs.)
    bench.wait(
        lambda: {n for n, s in rows.items() if not s.condition} <= set(present()), eyes
    )
    for name, types in present().items():
        assert name in rows, f"{name} is missing in cooper_ros/ros/interfaces.py"
        assert types == [rows[name].type]


def test_it_sees_and_stamps_in_simulated_time(
    bench: Bench, eyes: Process, world: SimulatedWorld
) -> None:
    infos = bench.listen(DepthInfo, f"{FULL}/depth/info", StandardTopicQoS())
    bench.wait(lambda: infos, eyes)
    stamp = infos[0].header.stamp
    assert 1000 <= stamp.sec < 100_000  # simulated, not of this century
    assert infos[0].header.frame_id == "front_optical_frame"


def ask(bench: Bench, eyes: Process, text: str, seconds: int) -> SpatialAnswer:
    client = bench.node.create_client(AskSpatial, f"{FULL}/ask")
    request = AskSpatial.Request(question=text, timeout=Duration(sec=seconds))
    return bench.call(client, request, eyes).answer


def test_the_age_of_an_image_is_in_simulated_time(
    bench: Bench, eyes: Process, world: SimulatedWorld
) -> None:
    answer = ask(bench, eyes, "is there a chair ?", 60)
    assert answer.status in BY_THE_MODEL, answer.message
    assert duration_to_seconds(answer.image_age) < 60.0
    assert answer.header.stamp.sec >= 1000


def test_when_the_simulation_is_reset_nothing_is_known_of_the_time_before(
    bench: Bench, eyes: Process, world: SimulatedWorld
) -> None:
    client = bench.node.create_client(AskSpatial, f"{FULL}/ask")

    def about(stamp: Any) -> SpatialAnswer:
        request = AskSpatial.Request(question="is there a chair ?", timeout=Duration(sec=60))
        request.image_stamp = stamp
        return bench.call(client, request, eyes).answer

    before = ask(bench, eyes, "is there a chair ?", 60)
    assert about(before.header.stamp).status in BY_THE_MODEL
    world.now_ns -= 500 * 10**9
    infos = bench.listen(DepthInfo, f"{FULL}/depth/info", StandardTopicQoS())
    early = before.header.stamp.sec - 400
    bench.wait(lambda: any(info.header.stamp.sec < early for info in infos), eyes)
    assert about(before.header.stamp).status == SpatialAnswer.STATUS_STALE
    assert ask(bench, eyes, "is there a chair ?", 60).status in BY_THE_MODEL
    assert "time ran back by" in eyes.log


def test_deadlines_pass_while_simulated_time_stands_still(
    bench: Bench, eyes: Process, world: SimulatedWorld
) -> None:
    """A paused simulation must not leave clients waiting."""
    world.paused = True
    try:
        answer = ask(bench, eyes, "how far is the chair ?", 1)
        assert answer.status != SpatialAnswer.STATUS_UNKNOWN
        reports = bench.listen(DiagnosticArray, "/diagnostics", StandardTopicQoS())
        bench.wait(lambda: len(reports) >= 2, eyes)  # the steady timer still runs
    finally:
        world.paused = False


def test_the_client_finds_a_node_in_a_namespace(
    bench: Bench, eyes: Process, world: SimulatedWorld
) -> None:
    with CooperClient(FULL, name="namespaced_client") as client:
        assert client.wait_until_active(60.0)
        answer = client.ask("is there a chair ?", timeout_s=60.0)
    assert answer.status in BY_THE_MODEL, answer.message


def test_nothing_is_left_at_the_global_names(
    bench: Bench, eyes: Process, world: SimulatedWorld
) -> None:
    """A second robot on the same network must not meet the first."""
    # Of this node alone: nodes of other tests stay in the graph for a while after their end.
    node = bench.node
    offered = ("get_publisher_names_and_types_by_node", "get_service_names_and_types_by_node")
    read = ("get_subscriber_names_and_types_by_node", "get_client_names_and_types_by_node")
    bench.wait(lambda: f"{FULL}/ask" in offers(node, offered), eyes)
    names = offers(node, offered + read)
    assert f"{FULL}/depth/info" in names and REMAPPED["image"] in names, "all of it is known"
    assert not {name for name in names if name.startswith("/cooper")}, names
    local = {name for name in names if not name.startswith(f"{FULL}/")}
    assert local <= INFRASTRUCTURE | {"/diagnostics"} | {
        resolved(signature.name) for signature in INTERFACES
    }, local


def offers(node: Any, kinds: tuple[str, ...]) -> set[str]:
    """Names that the node under test has, of these kinds."""
    return {name for kind in kinds for name, _ in getattr(node, kind)(NAME, NAMESPACE)}


def test_diagnostics_carry_the_full_name(
    bench: Bench, eyes: Process, world: SimulatedWorld
) -> Any:
    reports = bench.listen(DiagnosticArray, "/diagnostics", StandardTopicQoS())
    bench.wait(lambda: reports, eyes)
    assert any(s.name.startswith(FULL.lstrip("/")) for r in reports for s in r.status)
