"""Checks that need ROS: its packages, the way images take, and the robot's graph right now."""

from __future__ import annotations

import importlib
import os
import shutil
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from cooper_ros.deploy.doctor import Check, Verdict, guarded
from cooper_ros.ros import shared_memory
from cooper_ros.ros.environment import LOG_VARIABLE, log_folder, log_problem

AREA = "ros"
SHM_FREE_MIB = 128
"""The profile takes 32 MiB per process; camera, node and two readers need that much."""
GRAPH_S, SETTLED_S, GRAPH_MAX_S = 3.0, 1.0, 10.0
"""The graph is watched for the first, until nothing new came for the second, at most the third."""
DIAGNOSTICS_S = 2.5
"""How long a found node is listened to, after that [s]."""
UNKNOWN_NODE = "_NODE_NAME_UNKNOWN_"
"""The name rmw gives to a node of which only a reader or writer is known so far."""
GOOD_SHARE = 0.95
IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")


def installation_checks() -> list[Check]:
    """Packages, environment and shared memory."""
    return guarded(AREA, (_packages, _environment, _log, _profile, _shared_memory, _left_behind))


def transport_checks(domain: int) -> list[Check]:
    """Images between two processes, in a domain of its own."""

    def transport() -> list[Check]:
        from cooper_ros.ros.transport_check import HEIGHT, RATE_HZ, WIDTH, measure

        result = measure(domain)
        found = (
            f"{result.received} of {result.sent} images {WIDTH}x{HEIGHT} at {RATE_HZ:g} Hz arrived"
        )
        if not result.sent:
            return [Check(AREA, "images", Verdict.FAIL, "no image arrived from another process",
                          "is a firewall or a container in the way? try "
                          "ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST")]  # fmt: skip
        if result.share < GOOD_SHARE:
            return [Check(AREA, "images", Verdict.WARN, found,
                          "start camera and node with the same FASTRTPS_DEFAULT_PROFILES_FILE="
                          "config/fastdds_shm.xml, and give /dev/shm room; a busy processor does "
                          "this too")]  # fmt: skip
        return [Check(AREA, "images", Verdict.OK, found)]

    return guarded(AREA, (transport,))


def graph_checks(node_name: str) -> list[Check]:
    """Who is there on this ROS domain: cameras, and the perception node with what it says."""

    def graph() -> list[Check]:
        import rclpy
        from rclpy.node import Node

        rclpy.init(args=[])
        node = Node("cooper_doctor")
        try:
            target = node_name if node_name.startswith("/") else f"/{node_name}"
            return _look(node, target.rstrip("/"))
        finally:
            node.destroy_node()
            rclpy.try_shutdown()

    return guarded("robot", (graph,))


def _packages() -> list[Check]:
    try:
        import rclpy
    except ImportError as error:
        return [Check(AREA, "rclpy", Verdict.FAIL, str(error),
                      "source your ROS 2, or pip install 'cooper_ros[ros]'")]  # fmt: skip
    results = [Check(AREA, "rclpy", Verdict.OK, str(Path(rclpy.__file__).parent))]
    for module, use in (
        ("sensor_msgs.msg", ""),
        ("cooper_ros.srv", ""),
        ("diagnostic_msgs.msg", "/diagnostics"),
        ("tf2_ros", "answers in other frames and camera tilt from TF"),
        ("cv_bridge", "rare image encodings"),
    ):
        try:
            importlib.import_module(module)
        except ImportError as error:
            if use:
                needed = f"only for {use}"
                results.append(Check(AREA, module, Verdict.INFO, "not installed", needed))
            else:
                results.append(
                    Check(AREA, module, Verdict.FAIL, str(error),
                          "build this package again: its messages are not compiled for this Python")
                )  # fmt: skip
        else:
            results.append(Check(AREA, module, Verdict.OK, "there"))
    return results


def _environment() -> list[Check]:
    names = ("ROS_DISTRO", "ROS_DOMAIN_ID", "RMW_IMPLEMENTATION", "ROS_AUTOMATIC_DISCOVERY_RANGE",
             "ROS_LOCALHOST_ONLY")  # fmt: skip
    given = {name: os.environ[name] for name in names if os.environ.get(name)}
    found = ", ".join(f"{name}={value}" for name, value in given.items()) or "defaults"
    results = [Check(AREA, "environment", Verdict.INFO, found)]
    if "ROS_LOCALHOST_ONLY" in given:
        results.append(
            Check(AREA, "ROS_LOCALHOST_ONLY", Verdict.WARN, "set, but out of date in Jazzy",
                  "use ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST")
        )  # fmt: skip
    middleware = given.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")
    if not middleware.startswith("rmw_fastrtps"):
        results.append(
            Check(AREA, "middleware", Verdict.INFO, middleware,
                  "only Fast DDS is tested; its image profile has no effect here")
        )  # fmt: skip
    domain = given.get("ROS_DOMAIN_ID", "0")
    if not domain.isdigit() or int(domain) > 101:
        results.append(
            Check(AREA, "ROS_DOMAIN_ID", Verdict.WARN, domain,
                  "use 0 to 101: others meet ports that Linux gives away")
        )  # fmt: skip
    return results


def _profile() -> list[Check]:
    variable, what = "FASTRTPS_DEFAULT_PROFILES_FILE", "Fast DDS profile"
    path = os.environ.get(variable, "")
    if not path:
        advice = "our executables set it for themselves; set it for the camera too"
        return [Check(AREA, what, Verdict.INFO, f"{variable} is not set", advice)]
    if not Path(path).is_file():
        advice = f"correct {variable}: Fast DDS falls back to small segments in silence"
        return [Check(AREA, what, Verdict.FAIL, f"{path} does not exist", advice)]
    try:
        sizes = [
            int(element.text or 0)
            for element in ElementTree.parse(path).iter()
            if element.tag.endswith("segment_size")
        ]
    except (ElementTree.ParseError, ValueError) as error:
        advice = "it is ignored as a whole: repair it"
        return [Check(AREA, what, Verdict.FAIL, f"{path}: {error}", advice)]
    largest = max(sizes, default=0) // 2**20
    found = f"{path}: segments of {largest} MiB"
    if largest < 8:
        advice = "a 1080p image needs 8 MiB and more: see config/fastdds_shm.xml"
        return [Check(AREA, what, Verdict.WARN, found, advice)]
    return [Check(AREA, what, Verdict.OK, found)]


def _log() -> list[Check]:
    problem = log_problem()
    if not problem:
        return [Check(AREA, "log", Verdict.OK, str(log_folder()))]
    found, _, advice = problem.partition("; ")
    if os.environ.get(LOG_VARIABLE):  # what the user has set is not changed
        return [Check(AREA, "log", Verdict.FAIL, found, advice)]
    return [Check(AREA, "log", Verdict.WARN, found, f"{advice}; ours take a temporary one")]


def _shared_memory() -> list[Check]:
    if problem := shared_memory.problem():
        found, _, advice = problem.partition("; ")
        return [Check(AREA, "shared memory", Verdict.WARN, found, advice)]
    usage = shutil.disk_usage(shared_memory.FOLDER)
    free, total = usage.free // 2**20, usage.total // 2**20
    found = f"{shared_memory.FOLDER}: {free} of {total} MiB free"
    if free < SHM_FREE_MIB:
        advice = "images will be lost; in Docker give --shm-size=512m or --ipc=host"
        return [Check(AREA, "shared memory", Verdict.WARN, found, advice)]
    return [Check(AREA, "shared memory", Verdict.OK, found)]


def _left_behind() -> list[Check]:
    files = shared_memory.left_behind()
    if not files:
        return []
    found = (
        f"{len(files)} files of killed nodes in {shared_memory.FOLDER}, "
        f"{shared_memory.size_mib(files):.0f} MiB: {files[0].name} ..."
    )
    return [Check(AREA, "left behind", Verdict.WARN, found, "`cooper doctor --clean` removes them")]


def _look(node: Any, target: str) -> list[Check]:
    from diagnostic_msgs.msg import DiagnosticArray
    from rclpy.executors import SingleThreadedExecutor

    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    said: dict[str, tuple[int, str]] = {}

    def hear(message: Any) -> None:
        for status in message.status:
            if status.name.startswith(f"{target.lstrip('/')}: "):
                said[status.name] = (int.from_bytes(status.level, "big"), status.message)

    node.create_subscription(DiagnosticArray, "/diagnostics", hear, 10)
    space, _, name = target.rpartition("/")
    _settle(node, executor, target)
    present = (name, space or "/") in node.get_node_names_and_namespaces()
    end = time.monotonic() + DIAGNOSTICS_S
    while present and not said and time.monotonic() < end:
        executor.spin_once(timeout_sec=0.1)
    results = _cameras(node, target)
    if not present:
        results.append(
            Check("robot", target, Verdict.INFO, "not running in this ROS domain",
                  "start it, or set the same ROS_DOMAIN_ID; another name: --node")
        )  # fmt: skip
    elif not said:
        results.append(Check("robot", target, Verdict.WARN, "there, but says nothing",
                             "it hangs, or diagnostic_msgs is missing on its side"))  # fmt: skip
    for part, (level, text) in sorted(said.items()):
        verdict = (Verdict.OK, Verdict.WARN, Verdict.FAIL)[min(level, 2)]
        results.append(Check("robot", part, verdict, text))
    executor.shutdown(timeout_sec=1.0)
    return results


def _settle(node: Any, executor: Any, target: str) -> None:
    """Spin until discovery brings nothing new: processes become known one by one, on a busy
    machine a camera long after the node. That there is none is said after the whole time only."""
    began = changed = time.monotonic()
    known: Any = None
    while (now := time.monotonic()) - began < GRAPH_MAX_S:
        executor.spin_once(timeout_sec=0.1)
        seen = _graph(node)
        if seen != known or any(UNKNOWN_NODE in part for part in seen):
            known, changed = seen, now
        settled = now - began >= GRAPH_S and now - changed >= SETTLED_S
        if settled and _image_writers(node, target):
            break


def _graph(node: Any) -> set[tuple[str, str]]:
    """Nodes by name and namespace; topics by name and node that writes or reads them."""
    found = set(node.get_node_names_and_namespaces())
    for topic, _ in node.get_topic_names_and_types():
        for ends in (node.get_publishers_info_by_topic, node.get_subscriptions_info_by_topic):
            found |= {(topic, end.node_name) for end in ends(topic)}
    return found


def _image_writers(node: Any, target: str) -> dict[str, list[Any]]:
    """Publishers of every image topic that is not the looked-at node's own."""
    found = {
        name: list(node.get_publishers_info_by_topic(name))
        for name, types in node.get_topic_names_and_types()
        if types[0] in IMAGE_TYPES and not name.startswith(f"{target}/")
    }
    return {name: writers for name, writers in found.items() if writers}


def _cameras(node: Any, target: str) -> list[Check]:
    """Image topics that are published, with whoever does it and whether a calibration is beside."""
    topics = dict(node.get_topic_names_and_types())
    results = []
    for name, writers in sorted(_image_writers(node, target).items()):
        who = ", ".join(sorted({f"{w.node_namespace.rstrip('/')}/{w.node_name}" for w in writers}))
        qos = ", ".join(sorted({w.qos_profile.reliability.name.lower() for w in writers}))
        info = f"{name.removesuffix('/compressed').rpartition('/')[0]}/camera_info"
        beside = info in topics and bool(node.get_publishers_info_by_topic(info))
        depth = "depth" in name or "label" in name
        results.append(
            Check(
                "robot", name, Verdict.OK if beside or depth else Verdict.WARN,
                f"{topics[name][0]} from {who} ({qos})",
                "" if beside or depth else f"nobody publishes {info}: without it no metres",
            )
        )  # fmt: skip
    if not results:
        results.append(Check("robot", "cameras", Verdict.INFO, "no image topic in this ROS domain"))
    return results
