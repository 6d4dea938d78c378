"""What does nothing on a command line is named; `--help` of every executable prints help."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from harness import WAIT_S, Process  # noqa: E402
from rclpy.node import Node  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image  # noqa: E402

from cooper_ros.ros import node as perception  # noqa: E402
from cooper_ros.ros import sim_camera  # noqa: E402
from cooper_ros.ros.command_line import help_text, wants_help, without_effect  # noqa: E402
from cooper_ros.ros.inputs import CameraInput  # noqa: E402
from cooper_ros.ros.parameters import PARAMETERS, declare  # noqa: E402
from cooper_ros.ros.view import node as view  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
EXECUTABLES = dict(
    re.findall(r"^\s*(cooper_\w+)=(cooper_ros[\w.]+)", (ROOT / "CMakeLists.txt").read_text(), re.M)
)


@pytest.fixture(scope="module")
def cooper(ros: None) -> Iterator[Node]:
    made = Node("cooper", namespace="/robot1")
    declare(made)
    yield made
    made.destroy_node()


def said(node: Any, *words: str, given: tuple[str, ...] = ()) -> list[str]:
    return without_effect(perception.PROGRAM, ["cooper_node", *words], node, given)


@pytest.mark.parametrize(
    "words",
    [
        (), ("--ros-args", "-p", "model:=x"), ("--ros-args", "-r", "image:=/cam/image"),
        ("--ros-args", "-r", "/robot1/image:=/cam/image", "-r", "~/ask:=/ask", "-r", "__ns:=/a"),
        ("--ros-args", "-r", "cooper:image:=/x", "-r", "/tf:=tf", "-r", "image/compressed:=/x"),
        ("--ros-args", "-p", "cooper:model:=x", "-p", "/**:model:=x", "--log-level", "info", "--"),
    ],
)  # fmt: skip
def test_what_has_an_effect_is_not_named(cooper: Node, words: tuple[str, ...]) -> None:
    given = ("model", "use_sim_time", "qos_overrides./image.subscription.depth")
    assert said(cooper, *words, given=given) == []


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("-p", "model:=x"), ["'-p model:=x'", "behind --ros-args"]),
        (("model:=x",), ["'model:=x'", "behind --ros-args"]),
        (("-r", "image:=/cam"), ["'-r image:=/cam'"]),
        (("--params-file", "a.yaml"), ["'--params-file a.yaml'"]),
        (("--ros-args", "-p", "model:=x", "--", "loud"), ["'loud' has no effect", "--help"]),
        (("--ros-args", "-p", "camera:model:=x"), ["'-p camera:model:=x'", "'camera'", "'cooper'"]),
        (("--ros-args", "-r", "imge:=/cam"), ["'-r imge:=/cam'", "did you mean 'image'?"]),
        (("--ros-args", "-r", "/image:=/cam"), ["'-r /image:=/cam'"]),  # below /robot1 here
        (("--ros-args", "-r", "~/aks:=/ask"), ["did you mean '~/ask'?"]),
    ],
)
def test_what_has_none_is_named(cooper: Node, words: tuple[str, ...], named: list[str]) -> None:
    (sentence,) = said(cooper, *words)
    for part in named:
        assert part in sentence
    assert "has no effect" in sentence


def test_parameters_that_there_are_not(cooper: Node) -> None:
    one, other = said(cooper, given=("modell", "mode", "brightness"))
    assert "'modell' has no effect" in one and "did you mean 'model'?" in one
    assert "'brightness'" in other and "did you mean" not in other


def test_names_below_cameras(ros: None) -> None:
    made = Node("cooper")
    made.camera_names = ("front", "rear")  # type: ignore[attr-defined]
    good = ("--ros-args", "-r", "front/image:=/a", "-r", "~/rear/depth/image:=/b")
    assert said(made, *good) == []
    (sentence,) = said(made, "--ros-args", "-r", "frnt/image:=/a")
    assert "'front/image'" in sentence
    made.destroy_node()


@pytest.mark.parametrize(
    ("key", "reaches"),
    [
        ("/**", True), ("cooper", False), ("/robot1/cooper", True), ("/*/cooper", True),
        ("/**/cooper", True), ("/robot1/*", True), ("/robot2/cooper", False), ("/*", False),
        ("/robot1/coopr", False),
    ],
)  # fmt: skip
def test_keys_of_parameter_files(cooper: Node, tmp_path: Path, key: str, reaches: bool) -> None:
    path = tmp_path / "robot.yaml"
    path.write_text(f"{key}:\n  ros__parameters:\n    model: x\n")
    found = said(cooper, "--ros-args", "--params-file", str(path))
    assert found == [] if reaches else "/robot1/cooper" in found[0] and str(path) in found[0]


def test_keys_may_be_nested_and_a_file_may_be_for_others_too(cooper: Node, tmp_path: Path) -> None:
    path = tmp_path / "robot.yaml"
    path.write_text(
        "robot1:\n  cooper:\n    ros__parameters: {model: x}\n"
        "/camera:\n  ros__parameters: {rate: 1.0}\n"
    )
    assert said(cooper, "--ros-args", "--params-file", str(path)) == []
    path.write_text("/camera:\n  ros__parameters: {rate: 1.0}\n")
    (sentence,) = said(cooper, "--ros-args", "--params-file", str(path))
    assert "it is for /camera" in sentence and "`/**:`" in sentence


def test_help_tells_every_parameter() -> None:
    assert wants_help(["cooper_node", "--help"]) and wants_help(["cooper_node", "-h"])
    assert not wants_help(["cooper_node", "--ros-args", "-p", "x:=--help"])
    text = help_text(perception.PROGRAM)
    for spec in PARAMETERS:
        assert f"  {spec.name}  ({spec.type_name}, default" in text
    assert "external_depth" in text and "-r image:=/camera/image_raw" in text
    assert "seed" in help_text(sim_camera.PROGRAM) and "port" in help_text(view.PROGRAM)


@pytest.mark.parametrize("executable", EXECUTABLES)
def test_help_starts_nothing(executable: str, tmp_path: Path) -> None:
    """Where ROS could not even be initialised."""
    ran = subprocess.run(
        [sys.executable, "-m", EXECUTABLES[executable], "--help"],
        capture_output=True, text=True, timeout=WAIT_S, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "ROS_LOG_DIR": "/dev/null/no",
             "ROS_DOMAIN_ID": "99999"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("usage: ") and executable in ran.stdout and not ran.stderr


def test_the_node_says_it(ros: None, tmp_path: Path) -> None:
    """The whole way, and that it runs all the same."""
    process = Process(
        "cooper_ros.ros.node", "-p", "model:=nano",
        *("--ros-args", "-p", "autostart:=false", "-p", "camera_hight_m:=1.0"),
        log=tmp_path / "node.log",
    )  # fmt: skip
    while "camera_height_m" not in process.log:
        process.alive()
        time.sleep(0.05)
    assert process.stop() == 0
    assert "'-p model:=nano' has no effect" in process.log


@pytest.mark.parametrize("name", ["", "front"])
def test_the_compressed_topic_follows_the_remap_of_the_image(ros: None, name: str) -> None:
    base = f"{name}/image" if name else "image"
    for remaps, kind, topic in (
        ([], CompressedImage, f"/{base}/compressed"),
        (["-r", f"{base}:=/cam/raw"], CompressedImage, "/cam/raw/compressed"),
        (["-r", f"{base}/compressed:=/own"], CompressedImage, "/own"),
        (["-r", f"{base}:=/cam/raw"], Image, "/cam/raw"),
    ):
        node = Node("reader", cli_args=["--ros-args", *remaps] if remaps else None)
        transport = "compressed" if kind is CompressedImage else "raw"
        made = CameraInput(node, transport, lambda _: None, lambda _: None, name)
        assert made.topics[0] == topic
        node.destroy_node()
