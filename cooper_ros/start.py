"""Starts a program of this package, or says in one line which Python package it lacks.

`ros2 run` and launch files come here through the executables that `colcon build` installs: rosdep
does not know every package that the node needs, and a traceback from inside an import does not say
what to type.

    python3 -m cooper_ros.start cooper_ros.ros.node --ros-args -p model:=cooper-nano
"""

from __future__ import annotations

import importlib
import os
import sys

PROGRAMS = {
    "cooper": "cooper_ros.cli",
    "cooper_bag": "cooper_ros.cli.bag",
    "cooper_node": "cooper_ros.ros.node",
    "cooper_sim_camera": "cooper_ros.ros.sim_camera",
    "cooper_view": "cooper_ros.ros.view.node",
}
"""Executables and their modules; CMakeLists.txt and pyproject.toml list the same."""

BEYOND_ROSDEP = ("safetensors", "tokenizers", "tqdm", "onnxruntime")
"""What a robot needs and its distribution may lack; docs/install.md has the same line."""

ROS = ("rclpy", "sensor_msgs", "std_msgs", "geometry_msgs", "builtin_interfaces", "std_srvs")


def advice(module: str) -> str:
    """What to do where a module of others cannot be imported."""
    name = module.split(".")[0]
    if name in ROS:
        return "source your ROS 2 (. /opt/ros/jazzy/setup.sh), or pip install 'cooper_ros[ros]'"
    if name in BEYOND_ROSDEP:
        return f"pip install {' '.join(BEYOND_ROSDEP)}"
    return "docs/install.md says which extra brings it"


def missing_package(error: ModuleNotFoundError) -> str:
    """The package of others that an import lacked, "" where the fault is ours."""
    name = error.name or ""
    return "" if name.split(".")[0] == "cooper_ros" else name


def run(module: str) -> int:
    """Import a program and run its `main`; 1 where a package of others is missing."""
    try:
        return int(importlib.import_module(module).main() or 0)
    except ModuleNotFoundError as error:
        missing = missing_package(error)
        if not missing or "COOPER_DEBUG" in os.environ:
            raise
        program = next((p for p, m in PROGRAMS.items() if m == module), module)
        print(
            f"{program}: the Python package {missing!r} is not installed: {advice(missing)}",
            file=sys.stderr,
        )
        return 1


def main() -> int:
    """Run the program whose module is the first argument, with the others."""
    module = sys.argv.pop(1)
    return run(module)


def cooper_bag() -> int:
    """Console script."""
    return run(PROGRAMS["cooper_bag"])


def cooper_node() -> int:
    """Console script."""
    return run(PROGRAMS["cooper_node"])


def cooper_sim_camera() -> int:
    """Console script."""
    return run(PROGRAMS["cooper_sim_camera"])


def cooper_view() -> int:
    """Console script."""
    return run(PROGRAMS["cooper_view"])


if __name__ == "__main__":
    sys.exit(main())
