"""As much of ROS's `launch` and `launch_ros` as our launch files use, to see what they start.

The real ones are on no package index; docs/verification.md says which runs with them were made.
"""

from __future__ import annotations

import runpy
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Started:
    """One process: `parameters` as the node would see them, files by their path."""

    executable: str
    name: str
    namespace: str
    files: list[str]
    parameters: dict[str, Any]
    remaps: dict[str, str]
    arguments: list[str]


@dataclass
class World:
    """A run of a launch file."""

    given: dict[str, str]
    values: dict[str, str] = field(default_factory=dict)
    declared: dict[str, str] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    started: list[Started] = field(default_factory=list)


def text_of(part: Any, world: World) -> str:
    """A substitution, or a list of them, as text."""
    if isinstance(part, (list, tuple)):
        return "".join(text_of(piece, world) for piece in part)
    return part.perform(world) if hasattr(part, "perform") else str(part)


class Part:
    """Any action, condition or substitution: keeps its arguments."""

    def __init__(self, *parts: Any, **named: Any) -> None:
        self.parts, self.named = parts, named

    def visit(self, world: World) -> None:
        """Do what the action does."""

    def holds(self, world: World) -> bool:
        """Whether the action's condition is met."""
        condition = self.named.get("condition")
        return condition is None or text_of(condition.parts[0], world) == "true"


class LaunchConfiguration(Part):
    def perform(self, world: World) -> str:
        world.used.add(self.parts[0])
        return world.values[self.parts[0]]


class PathJoinSubstitution(Part):
    def perform(self, world: World) -> str:
        return "/".join(text_of(part, world) for part in self.parts[0])


class FindPackageShare(Part):
    def perform(self, world: World) -> str:
        assert self.parts == ("cooper_ros",)
        return str(ROOT)


class PythonExpression(Part):
    def perform(self, world: World) -> str:
        return str(eval(text_of(self.parts[0], world), {"__builtins__": {}}))


class ParameterValue(Part):
    def value(self, world: World) -> Any:
        text, kind = text_of(self.parts[0], world), self.named["value_type"]
        return {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)


class DeclareLaunchArgument(Part):
    def visit(self, world: World) -> None:
        name = self.parts[0]
        world.declared[name] = self.named["description"]
        if name in world.given:
            world.values[name] = world.given[name]
        elif name not in world.values:
            world.values[name] = text_of(self.named["default_value"], world)


class OpaqueFunction(Part):
    def visit(self, world: World) -> None:
        for action in self.named["function"](world):
            action.visit(world)


class IncludeLaunchDescription(Part):
    def visit(self, world: World) -> None:
        for name, value in self.named["launch_arguments"]:
            world.values[name] = text_of(value, world)
        path = Path(text_of(self.parts[0].parts[0], world))
        inner = World({}, dict(world.values) | world.given, started=world.started)
        inner.values |= {n: text_of(v, world) for n, v in self.named["launch_arguments"]}
        visit(path, inner)


class Node(Part):
    def visit(self, world: World) -> None:
        if not self.holds(world):
            return
        text_of(self.named["package"], world)
        files, parameters = [], {}
        for part in self.named.get("parameters", []):
            if isinstance(part, dict):
                parameters |= {
                    key: value.value(world) if isinstance(value, ParameterValue) else value
                    for key, value in part.items()
                }
            else:
                files.append(text_of(part, world))
        world.started.append(
            Started(
                text_of(self.named["executable"], world),
                text_of(self.named.get("name", ""), world),
                text_of(self.named.get("namespace", ""), world),
                files,
                parameters,
                {a: text_of(b, world) for a, b in self.named.get("remappings", [])},
                [text_of(word, world) for word in self.named.get("arguments", [])],
            )
        )


class LaunchDescription(Part):
    def visit(self, world: World) -> None:
        for action in self.parts[0]:
            action.visit(world)


MODULES = {
    "launch": {"LaunchDescription": LaunchDescription},
    "launch.actions": {
        "DeclareLaunchArgument": DeclareLaunchArgument, "OpaqueFunction": OpaqueFunction,
        "IncludeLaunchDescription": IncludeLaunchDescription, "Shutdown": Part,
        "SetEnvironmentVariable": Part,
    },
    "launch.conditions": {"IfCondition": Part},
    "launch.launch_description_sources": {"PythonLaunchDescriptionSource": Part},
    "launch.substitutions": {
        "LaunchConfiguration": LaunchConfiguration, "PathJoinSubstitution": PathJoinSubstitution,
        "PythonExpression": PythonExpression,
    },
    "launch_ros": {},
    "launch_ros.actions": {"Node": Node},
    "launch_ros.parameter_descriptions": {"ParameterValue": ParameterValue},
    "launch_ros.substitutions": {"FindPackageShare": FindPackageShare},
}  # fmt: skip


def visit(path: Path, world: World) -> World:
    """Run a launch file in a world."""
    before = {name: sys.modules.get(name) for name in MODULES}
    for name, contents in MODULES.items():
        module = ModuleType(name)
        vars(module).update(contents)
        sys.modules[name] = module
    try:
        runpy.run_path(str(path))["generate_launch_description"]().visit(world)
    finally:
        for name, module_before in before.items():
            sys.modules.pop(name)
            if module_before is not None:
                sys.modules[name] = module_before
    return world


def launch(path: Path, **given: str) -> World:
    """As `ros2 launch path name:=value ...`."""
    return visit(path, World(given))
