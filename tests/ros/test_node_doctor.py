"""What `cooper doctor` says about a ROS installation and a running robot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import pytest
from harness import WAIT_S, Bench, Process, room_image, room_info

from cooper_ros.deploy.doctor import Check, Verdict
from cooper_ros.ros import doctor
from cooper_ros.ros.transport_check import IMAGES, Transport, measure


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def test_this_installation_is_in_order() -> None:
    found = by_name(doctor.installation_checks())
    for name in ("rclpy", "sensor_msgs.msg", "cooper_ros.srv"):
        assert found[name].verdict is Verdict.OK


def test_profiles_are_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, root: Path
) -> None:
    files = {
        str(tmp_path / "none.xml"): Verdict.FAIL,
        str(root / "config" / "fastdds_shm.xml"): Verdict.OK,
    }
    for name, text, verdict in (
        ("broken.xml", "<dds", Verdict.FAIL),
        ("text.xml", "<a><segment_size>much</segment_size></a>", Verdict.FAIL),
        ("small.xml", "<a><segment_size>524288</segment_size></a>", Verdict.WARN),
    ):
        (tmp_path / name).write_text(text)
        files[str(tmp_path / name)] = verdict
    for file, verdict in files.items():
        monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", file)
        assert by_name(doctor.installation_checks())["Fast DDS profile"].verdict is verdict, file


def test_the_environment_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_LOCALHOST_ONLY", "1")
    monkeypatch.setenv("ROS_DOMAIN_ID", "230")
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_cyclonedds_cpp")
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage(2**26, 0, 2**26))
    found = by_name(doctor.installation_checks())
    assert found["ROS_LOCALHOST_ONLY"].verdict is Verdict.WARN
    assert found["ROS_DOMAIN_ID"].verdict is Verdict.WARN
    assert "only Fast DDS is tested" in found["middleware"].advice
    assert "--shm-size" in found["shared memory"].advice


def test_lost_images_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    import cooper_ros.ros.transport_check as transport

    for sent, received, verdict in (
        (40, 40, Verdict.OK), (40, 12, Verdict.WARN), (0, 0, Verdict.FAIL),
    ):  # fmt: skip
        result = Transport(sent, received)
        monkeypatch.setattr(transport, "measure", lambda _, result=result: result)
        assert doctor.transport_checks(1)[0].verdict is verdict


def test_images_are_counted_between_processes(ros: None) -> None:
    result = measure(int(os.environ["ROS_DOMAIN_ID"]))
    assert 0 < result.received <= result.sent and result.sent > IMAGES


@pytest.mark.parametrize(
    ("arrives_s", "named_s", "ends_s"),
    [
        (0.5, 0.5, 3.0), (2.9, 2.9, 3.9), (2.9, 3.5, 4.5),
        (2.9, 99.0, 10.0), (5.0, 5.0, 6.0), (99.0, 99.0, 10.0),
    ],  # fmt: skip
)
def test_a_camera_that_is_discovered_late_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, arrives_s: float, named_s: float, ends_s: float
) -> None:
    """On a busy machine the node was found, and the look over, before the camera was known."""
    now = 0.0

    class Graph:
        def get_node_names_and_namespaces(self) -> list[tuple[str, str]]:
            return [("cooper", "/")] + [("camera", "/")] * (now >= named_s)

        def get_topic_names_and_types(self) -> list[tuple[str, list[str]]]:
            return [("/image", ["sensor_msgs/msg/Image"])] * (now >= arrives_s)

        def get_publishers_info_by_topic(self, topic: str) -> list[SimpleNamespace]:
            known = now >= named_s
            seen = now >= arrives_s
            return [SimpleNamespace(node_name="camera" if known else doctor.UNKNOWN_NODE)] * seen

        def get_subscriptions_info_by_topic(self, topic: str) -> list[SimpleNamespace]:
            return []

    def spin_once(timeout_sec: float) -> None:
        nonlocal now
        now += timeout_sec

    monkeypatch.setattr(doctor, "time", SimpleNamespace(monotonic=lambda: now))
    doctor._settle(Graph(), SimpleNamespace(spin_once=spin_once), "/cooper")
    assert ends_s - 0.05 < now < ends_s + 0.35


def test_a_running_robot_is_seen(node: Process, bench: Bench, tmp_path: Path) -> None:
    command = [
        sys.executable, "-c", "import sys; from cooper_ros.cli import main; sys.exit(main())",
        "doctor", "--quick", "--json",
    ]  # fmt: skip
    reports = []
    for info in (None, room_info()):
        bench.show(room_image(), info)
        bench.wait(lambda: bench.node.count_subscribers("/image"), node)
        done = subprocess.run(command, capture_output=True, text=True, timeout=2 * WAIT_S)
        report = json.loads(done.stdout.splitlines()[-1])
        assert done.returncode == int(report["failed"] > 0)
        reports.append({check["name"]: check for check in report["checks"]})
    assert reports[1]["/image"]["verdict"] == "ok" and "/bench" in reports[1]["/image"]["found"]
    assert any(check["area"] == "robot" and "perception" in name and check["found"]
               for name, check in reports[1].items())  # fmt: skip
    assert "/cooper" not in reports[1], "the node is there and talks: no line about silence"
