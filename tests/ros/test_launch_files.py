"""Launch files without `launch`: everything they name exists.

Where ROS's launch is not installed (it is on no package index) nothing else can be checked. The
files themselves are run under the real one by hand, see docs/verification.md; the last test fails
when a file changed since then.
"""

from __future__ import annotations

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
    assert {path.name for path in LAUNCH_FILES} == {"cooper.launch.py", "sim.launch.py"}
    assert set(EXECUTABLES) == {"cooper_bag", "cooper_node", "cooper_sim_camera", "cooper_view"}


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_executables_and_node_names_exist(path: Path) -> None:
    nodes = calls(path, "Node")
    assert nodes
    for call in nodes:
        given = {key: constants(value) for key, value in arguments(call).items()}
        assert given["package"] == ["cooper_ros"]
        source = module_source(given["executable"][0])
        assert f'super().__init__("{given["name"][0]}"' in source
        assert "def main(" in source


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_parameters_exist(path: Path) -> None:
    for call in calls(path, "Node"):
        given = arguments(call)
        known = declared_parameters(constants(given["executable"])[0])
        for part in ast.walk(given["parameters"]):
            if isinstance(part, ast.Dict):
                names = {constants(key)[0] for key in part.keys if key}
                assert names and names <= known


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_remapped_topics_are_topics_of_the_node(path: Path) -> None:
    inputs = (ROOT / "cooper_ros" / "ros" / "inputs.py").read_text(encoding="utf-8")
    for call in calls(path, "Node"):
        remappings = arguments(call).get("remappings")
        for pair in getattr(remappings, "elts", []):
            assert f'"{constants(pair.elts[0])[0]}"' in inputs


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
def test_it_was_run_as_it_is_now(path: Path) -> None:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    record = (ROOT / "docs" / "verification.md").read_text(encoding="utf-8")
    assert digest in record, (
        f"{path.name} changed since it was run under the real launch; run it again and record "
        f"{digest} in docs/verification.md"
    )
