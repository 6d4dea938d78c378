"""Everything about metric scale that a node owns for one camera: inputs, TF, and the keeper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cooper_ros.core.scale_state import calibrations_of
from cooper_ros.ros.evidence import EvidenceSources, ScaleSettings
from cooper_ros.ros.frames import Frames
from cooper_ros.ros.ranges import RangeInput
from cooper_ros.ros.scaling import Scaling
from cooper_ros.ros.sensor_depth import SensorDepth

SETTINGS = (
    "range_max_age_s",
    "range_sigma",
    "camera_height_m",
    "camera_pitch_deg",
    "camera_roll_deg",
    "ground_frame",
    "depth_source",
    "depth_completion",
    "scale_memory_s",
)
IMAGE_ONLY = ("sensor_msgs/msg/Image",)


class ScaleInputs:
    """Alive from activate to deactivate; the topics of a named camera are below its name."""

    def __init__(self, node: Any, frames: Frames, name: str = "") -> None:
        prefix = f"{name}/" if name else ""
        self._name = name
        self._node = node
        self._ranges = RangeInput(node, prefix + "range_points")
        self._external = RangeInput(node, prefix + "external_depth", IMAGE_ONLY)
        self._sources = EvidenceSources(frames, self._ranges, self._external)
        self.scaling = Scaling(self._sources, node.get_logger().warning)
        self.sensor = SensorDepth(self._sources, node.get_logger().warning)
        self._calibration_text = ""
        self.apply_parameters()

    def poll(self) -> None:
        """Look for publishers that were not there yet; called by the node's timer."""
        self._ranges.poll()
        if self._sources.settings.depth_source == "external":
            self._external.poll()

    def apply_parameters(self) -> None:
        """Take over the node's parameters."""
        self._sources.settings = ScaleSettings(
            **{name: self._node.parameter(name) for name in SETTINGS}
        )
        text = self._node.parameter("scale_calibration")
        if text != self._calibration_text:
            self._calibration_text = text
            states = calibrations_of(text)
            self.scaling.calibration = states.get(self._name, states.get(""))
            self.scaling.forget()

    def depth_came(self, stamp_ns: int) -> bool:
        """Whether external depth as new as an image has come, where there is any to wait for."""
        waits = self._sources.settings.depth_source == "external" and self._external.connected
        return not waits or self._external.newest_ns >= stamp_ns

    def forget(self) -> None:
        """Drop what was learned and received: its time is over."""
        self.scaling.forget()
        self._ranges.forget()
        self._external.forget()

    def close(self) -> None:
        """Stop listening."""
        self._ranges.close()
        self._external.close()


class ScaleSet(Mapping[str, ScaleInputs]):
    """The metric scale of all cameras of a node, by name; they share TF and parameters."""

    def __init__(self, node: Any, names: tuple[str, ...]) -> None:
        self.frames = Frames(node, node.parameter("use_tf"))
        self._inputs = {name: ScaleInputs(node, self.frames, name) for name in names}

    def __getitem__(self, name: str) -> ScaleInputs:
        return self._inputs[name]

    def __iter__(self) -> Any:
        return iter(self._inputs)

    def __len__(self) -> int:
        return len(self._inputs)

    def poll(self) -> None:
        """Look for publishers that were not there yet; called by the node's timer."""
        for item in self.values():
            item.poll()

    def apply_parameters(self) -> None:
        """Take over the node's parameters."""
        for item in self.values():
            item.apply_parameters()

    def close(self) -> None:
        """Stop listening."""
        for item in self.values():
            item.close()
        self.frames.close()
