"""Launch files without `launch`: everything they name exists.

Where ROS's launch is not installed (it is on no package index) nothing else can be checked. The
files themselves are run under the real one by hand, see docs/verification.md; the last test fails
when a file changed since then.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import importlib
import re
from pathlib import Path
from typing import Any

import pytest
from stand_in_launch import Started, launch

from cooper_ros.ros.interfaces import INTERFACES, READS

ROOT = Path(__file__).resolve().parents[2]
LAUNCH_FILES = sorted((ROOT / "launch").glob("*.launch.py"))
EXECUTABLES = dict(
    re.findall(r"^\s*(cooper_\w+)=(cooper_ros[\w.]+)", (ROOT / "CMakeLists.txt").read_text(), re.M)
)


def calls(path: Path, name: str) -> list[ast.Call]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name
    ]


def arguments(call: ast.Call) -> dict[str, ast.expr]:
    return {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}


def constants(node: ast.AST) -> list[Any]:
    return [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]


def module_source(executable: str) -> str:
    """All sources of an executable's node: its module and the table of parameters."""
    module = EXECUTABLES[executable]
    return (ROOT / (module.replace(".", "/") + ".py")).read_text(encoding="utf-8")


def declared_parameters(executable: str) -> set[str]:
    if executable == "cooper_bag":
        return set()
    table = importlib.import_module(EXECUTABLES[executable]).PROGRAM.parameters
    return {spec.name for spec in table}


def test_there_are_launch_files() -> None:
    assert {path.name for path in LAUNCH_FILES} == {
        "cooper.launch.py", "driver.launch.py", "gazebo.launch.py", "replay.launch.py",
        "sim.launch.py", "two_cameras.launch.py",
    }  # fmt: skip
    assert set(EXECUTABLES) == {"cooper_bag", "cooper_node", "cooper_sim_camera", "cooper_view"}


def own_nodes(path: Path) -> list[dict[str, ast.expr]]:
    """Arguments of the Node actions that start an executable of this package."""
    nodes = [arguments(call) for call in calls(path, "Node")]
    return [given for given in nodes if constants(given["package"]) == ["cooper_ros"]]


# What they start that is not ours: the camera driver is named by arguments, the bridge is Gazebo's.
FOREIGN = {"driver.launch.py": ["driver_package"], "gazebo.launch.py": ["ros_gz_bridge"]}


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_executables_and_node_names_exist(path: Path) -> None:
    packages = [constants(arguments(call)["package"]) for call in calls(path, "Node")]
    assert packages
    foreign = [package for package in packages if package != ["cooper_ros"]]
    assert foreign == [[name] for name in FOREIGN.get(path.name, [])]
    for given in own_nodes(path):
        source = module_source(constants(given["executable"])[0])
        if "name" in given:
            assert f'super().__init__("{constants(given["name"])[0]}"' in source
        assert "def main(" in source


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_command_line_options_exist(path: Path) -> None:
    """Options of `cooper_bag` are given as arguments, not as parameters."""
    from cooper_ros.cli import bag

    parser = argparse.ArgumentParser()
    bag.add_arguments(parser)
    for given in own_nodes(path):
        if "arguments" in given:
            line = [str(word) for word in constants(given["arguments"])]
            options = [option for word in line for option in re.findall(r"--[a-z-]+", word)]
            assert constants(given["executable"]) == ["cooper_bag"] and options
            for option in options:
                value = [] if "loop" in option else ["1"]
                parser.parse_args([line[0], "folder", option, *value])


NEEDED = {"replay.launch.py": {"bag": "run7"}}
"""Arguments without which a file does not start."""


def started(path: Path, **given: str) -> list[Started]:
    return launch(path, **NEEDED.get(path.name, {}), **given).started


def the_node(path: Path, **given: str) -> Started:
    (found,) = [process for process in started(path, **given) if process.name == "cooper"]
    return found


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_parameters_exist(path: Path) -> None:
    every = {"view": "true", "sim": "true", "model": "m", "image_transport": "compressed",
             "depth_source": "external", "use_sim_time": "true"}  # fmt: skip
    for process in started(path, **every):
        if process.executable in EXECUTABLES:
            known = declared_parameters(process.executable) | {"use_sim_time"}
            assert set(process.parameters) <= known


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_remapped_topics_are_topics_of_the_node(path: Path) -> None:
    """Every input can be remapped, and nothing else is. What detectors publish has no launch
    argument: there it is a remap of the node or a file of parameters."""
    node = the_node(path)
    cameras = [f"{name}/" for name in node.parameters.get("cameras", "").split(", ") if name]
    inputs = {spec.name for spec in INTERFACES if spec.kind == READS} - {"image/compressed"}
    inputs -= {"detections", "labels", "label_info", "instances"}
    assert set(node.remaps) == {camera + name for camera in cameras or [""] for name in inputs}


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_what_is_not_given_is_left_to_the_file_and_what_is_given_wins(path: Path) -> None:
    fixed = {"use_sim_time": True} if path.name.startswith(("replay", "gazebo")) else {}
    fixed |= {"cameras": "front, rear"} if path.name.startswith("two") else {}
    node = the_node(path, params_file="/robot.yaml")
    assert (node.files, node.parameters) == (["/robot.yaml"], fixed)
    given = {"model": "other", "depth_source": "external", "image_transport": "compressed"}
    node = the_node(path, **given)
    assert node.files == [f"{ROOT}/config/cooper.yaml"]
    assert node.parameters == fixed | given


def test_arguments_for_the_inputs_reach_the_node() -> None:
    for path in LAUNCH_FILES:
        for topic in ("range_points", "external_depth"):
            prefix = "front_" if path.name.startswith("two") else ""
            node = the_node(path, **{prefix + topic: "/lidar"})
            assert node.remaps[prefix.replace("_", "/") + topic] == "/lidar", path.name
    cooper = ROOT / "launch" / "cooper.launch.py"
    assert the_node(cooper, use_sim_time="false").parameters == {"use_sim_time": False}
    page = started(cooper, view="true", port="81")[1]
    assert page.parameters == {"port": 81, "use_sim_time": False}


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_named_files_exist(path: Path) -> None:
    named = [
        "/".join(value for value in constants(call) if value != "cooper_ros")
        for call in calls(path, "PathJoinSubstitution")
    ]
    config = [name for name in named if name.endswith((".yaml", ".xml"))]
    for name in config:
        assert (ROOT / "config" / name).is_file()
    for name in named:
        if name.endswith(".launch.py"):
            assert (ROOT / name).is_file()
    for call in calls(path, "DeclareLaunchArgument"):
        default = constants(arguments(call).get("default_value", ast.List(elts=[])))
        for value in default:
            if str(value).endswith(".yaml"):
                assert (ROOT / "config" / value).is_file()
    if path.name == "cooper.launch.py":
        assert sorted(config) == ["cooper.yaml", "fastdds_shm.xml"]


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_used_arguments_are_declared_and_explained(path: Path) -> None:
    world = launch(path, **NEEDED.get(path.name, {}), view="true", sim="true")
    assert world.used == set(world.declared)  # one that is not declared raises
    for name, description in world.declared.items():
        assert len(description) > 5, name


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_arguments_given_to_an_included_file_are_its_own(path: Path) -> None:
    included = ROOT / "launch" / "cooper.launch.py"
    declared = {constants(call.args[0])[0] for call in calls(included, "DeclareLaunchArgument")}
    for call in calls(path, "IncludeLaunchDescription"):
        given = arguments(call)["launch_arguments"]
        names = {
            constants(key)[0]
            for part in ast.walk(given)
            if isinstance(part, ast.Dict)
            for key in part.keys
            if key is not None
        }
        assert names and names <= declared


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_it_was_run_as_it_is_now(path: Path) -> None:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    record = (ROOT / "docs" / "verification.md").read_text(encoding="utf-8")
    assert digest in record, (
        f"{path.name} changed since it was run under the real launch; run it again and record "
        f"{digest} in docs/verification.md"
    )
