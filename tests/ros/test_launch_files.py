"""Launch files without `launch`: everything they name exists.

Where ROS's launch is not installed (it is on no package index) nothing else can be checked. The
files themselves are run under the real one by hand, see docs/verification.md; the last test fails
when a file changed since then.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

from cooper_ros.ros.parameters import PARAMETERS

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
    if executable == "cooper_node":
        return {spec.name for spec in PARAMETERS}
    return set(re.findall(r'declare_parameter\(\s*"(\w+)"', module_source(executable)))


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


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_parameters_exist(path: Path) -> None:
    for given in own_nodes(path):
        known = declared_parameters(constants(given["executable"])[0]) | {"use_sim_time"}
        for part in ast.walk(given.get("parameters", ast.List(elts=[]))):
            if isinstance(part, ast.Dict):
                names = {constants(key)[0] for key in part.keys if key}
                assert names and names <= known


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_remapped_topics_are_topics_of_the_node(path: Path) -> None:
    inputs = "".join(
        (ROOT / "cooper_ros" / "ros" / name).read_text(encoding="utf-8")
        for name in ("inputs.py", "scale_inputs.py")
    )
    for given in own_nodes(path):
        cameras = [
            name
            for part in ast.walk(given.get("parameters", ast.List(elts=[])))
            if isinstance(part, ast.Dict)
            for key, value in zip(part.keys, part.values, strict=True)
            if key is not None and constants(key) == ["cameras"]
            for name in constants(value)[0].split(", ")
        ]
        for pair in getattr(given.get("remappings"), "elts", []):
            topic = constants(pair.elts[0])[0]
            for name in cameras:
                topic = topic.removeprefix(f"{name}/")
            assert f'"{topic}"' in inputs


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
    declared = {constants(call.args[0])[0]: arguments(call) for call in
                calls(path, "DeclareLaunchArgument")}
    used = {constants(call)[0] for call in calls(path, "LaunchConfiguration")}
    assert used == set(declared)
    for name, given in declared.items():
        assert len(constants(given["description"])[0]) > 5, name


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
