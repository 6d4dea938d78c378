"""The layouts for RViz and Foxglove name topics, types and services that the node has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from cooper_ros.ros.interfaces import INTERFACES, PUBLISHES, SERVICE
from cooper_ros.ros.markers import ANSWER, NAMES, OBJECTS
from cooper_ros.ros.sim_camera import OPTICAL_FRAME

CONFIG = Path(__file__).resolve().parents[2] / "config"
PUBLISHED = {
    spec.name.replace("~", "/cooper", 1): spec for spec in INTERFACES if spec.kind == PUBLISHES
}
SERVICES = {spec.name.replace("~", "/cooper", 1) for spec in INTERFACES if spec.kind == SERVICE}
RVIZ = yaml.safe_load((CONFIG / "cooper.rviz").read_text(encoding="utf-8"))["Visualization Manager"]
FOXGLOVE = json.loads((CONFIG / "cooper.foxglove.json").read_text(encoding="utf-8"))
SHOWS = {
    "rviz_default_plugins/Image": "sensor_msgs/msg/Image",
    "rviz_default_plugins/PointCloud2": "sensor_msgs/msg/PointCloud2",
    "rviz_default_plugins/MarkerArray": "visualization_msgs/msg/MarkerArray",
}


@pytest.mark.parametrize("display", RVIZ["Displays"], ids=lambda display: display["Name"])
def test_rviz_shows_what_the_node_publishes(display: dict[str, Any]) -> None:
    topic = display["Topic"]
    spec = PUBLISHED[topic["Value"]]
    assert spec.type == SHOWS[display["Class"]]
    if topic["Reliability Policy"] == "Reliable":
        assert spec.qos.startswith("reliable"), "a reliable reader of a best-effort topic is mute"


def test_rviz_switches_the_namespaces_of_the_markers() -> None:
    (markers,) = [d for d in RVIZ["Displays"] if d["Class"].endswith("/MarkerArray")]
    assert set(markers["Namespaces"]) == {ANSWER, NAMES, OBJECTS}
    assert RVIZ["Global Options"]["Fixed Frame"] == OPTICAL_FRAME


def panels(node: Any) -> set[str]:
    return {node} if isinstance(node, str) else panels(node["first"]) | panels(node["second"])


def test_every_foxglove_panel_is_placed_and_configured() -> None:
    assert panels(FOXGLOVE["layout"]) == set(FOXGLOVE["configById"])


def test_foxglove_shows_what_the_node_publishes() -> None:
    configs = FOXGLOVE["configById"]
    for name, config in configs.items():
        kind = name.split("!")[0]
        if kind == "Image":
            assert PUBLISHED[config["imageMode"]["imageTopic"]].type == "sensor_msgs/msg/Image"
            calibration = config["imageMode"].get("calibrationTopic")
            assert calibration is None or PUBLISHED[calibration].type.endswith("CameraInfo")
        elif kind == "3D":
            assert set(config["topics"]) <= set(PUBLISHED) and config["followTf"] == OPTICAL_FRAME
        elif kind == "RawMessages":
            assert config["topicPath"] in PUBLISHED
        elif kind == "DiagnosticSummary":
            assert config["topicToRender"] in PUBLISHED
        else:
            assert kind == "CallService" and config["serviceName"] in SERVICES
            assert json.loads(config["requestPayload"])["question"]
