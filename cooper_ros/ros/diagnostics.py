"""What the node reports on /diagnostics once a second.

`diagnostic_msgs` is optional: without it the node works and this topic is missing. The first status
is the node's; with several cameras one for each follows.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from cooper_ros.ros.guard import sendable
from cooper_ros.ros.memory import memory_problem, resident_mib
from cooper_ros.ros.perception import Perception, slimmed
from cooper_ros.ros.rates import Rate, Taken
from cooper_ros.ros.worker import Counters

try:
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
except ImportError:  # pragma: no cover - depends on the installation
    DiagnosticArray = None

OK, WARN, ERROR = 0, 1, 2
PERIOD_S = 1.0
CLOCK_TOLERANCE_S = 10.0
"""Difference between stamps and the node's clock that is worth a warning [s]."""

Report = tuple[int, str, dict[str, Any]]


@dataclass
class CameraState:
    """What became of one camera's images. Times in seconds, NaN before the first.

    `latency_s`: from the arrival of an image to the publication of its maps; `age_s`: from its
    stamp to the same moment, by the node's clock; `own`: converting and publishing, the node's
    own work. `problem`: why the newest could not be used.
    """

    rate: Rate = field(default_factory=Rate)
    problem: str = ""
    perception: Perception | None = None
    latency_s: float = math.nan
    age_s: float = math.nan
    own: Taken = Taken()


class Monitor:
    """Keeps what the node has seen and done, and publishes it.

    `problem`: why there is no model.
    """

    def __init__(self, node: Any) -> None:
        self._node = node
        self._next = time.monotonic() + PERIOD_S
        self._states: dict[str, CameraState] = {}
        self.counters = Counters()
        self.problem = ""
        self.self_test = "not run"
        self.answer_s = math.nan
        self._publisher = None
        if DiagnosticArray is None:
            node.get_logger().info("diagnostic_msgs is not installed: no /diagnostics")
            return
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)

    def saw(self, perception: Perception, publishing: Taken) -> None:
        """Note a frame whose maps are out (inference thread)."""
        snapshot = perception.snapshot
        state = self._state(snapshot.camera)
        now_ns = self._node.get_clock().now().nanoseconds
        state.rate.tick()
        state.perception = slimmed(perception)
        state.problem = ""
        state.latency_s = snapshot.age_s
        state.own = perception.converting + publishing
        state.age_s = (now_ns - perception.frame.stamp_ns) / 1e9

    def failed(self, text: str, camera: str = "") -> None:
        """Note that an image could not be used; logged when the reason changes, not per image."""
        state = self._state(camera)
        if text != state.problem:
            which = f" of camera {camera}" if camera else ""
            self._node.get_logger().error(f"image{which} not used: {text}")
        state.problem = text

    def forget(self) -> None:
        """Let go of the images, when the node is no longer active."""
        self._states = {}

    def tick(self) -> None:
        """Publish once per period; called often."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + PERIOD_S
        reports = self.reports()
        if self._publisher is None:
            return
        name = self._node.get_fully_qualified_name().lstrip("/")
        array = DiagnosticArray(
            status=[
                DiagnosticStatus(
                    level=bytes([level]),
                    name=f"{name}: {part}",
                    message=sendable(message),
                    hardware_id=self._node.pipeline.backend_name if self._node.pipeline else "",
                    values=[KeyValue(key=key, value=sendable(str(v))) for key, v in values.items()],
                )
                for part, (level, message, values) in reports.items()
            ]
        )
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)

    def reports(self) -> dict[str, Report]:
        """Level, sentence and values, of the node (`perception`) and of every named camera."""
        node = self._node
        cameras = {name: self._camera_report(name) for name in (node.cameras or ())}
        values: dict[str, Any] = {
            "model": node.pipeline.model_id if node.pipeline else "none",
            "backend": node.pipeline.backend_name if node.pipeline else "none",
            "self-test": self.self_test,
            "newest answer took [s]": f"{self.answer_s:.2f}",
            "questions waiting": node.worker.waiting if node.worker else 0,
            "memory [MiB]": resident_mib(),
        }
        for item in dataclasses.fields(self.counters):
            values[item.name.replace("_", " ")] = getattr(self.counters, item.name)
        if failures := getattr(node.executor, "failures", 0):
            values["errors in callbacks"] = failures
            values["newest error in a callback"] = node.executor.newest
        errors = [self.problem] if self.problem else []
        warnings = [node.why_not_active()] if not self.problem and node.worker is None else []
        if over := memory_problem(node.parameter("max_memory_mib")):
            warnings.append(over)
        named = {f"camera {name}": report for name, report in cameras.items() if name}
        for name, (level, message, camera_values) in cameras.items():
            if level:
                told = f"{name}: {message}" if name else message
                (errors if level == ERROR else warnings).append(told)
            if not name:
                values.update(camera_values)
        return {"perception": _report(errors, warnings, values), **named}

    def _camera_report(self, name: str) -> Report:
        camera, state = self._node.cameras[name], self._state(name)
        errors = [camera.qos_problem, state.problem]
        warnings = [camera.silence(self._node.parameter("no_image_warning_s"))]
        values = {
            "image rate [Hz]": f"{camera.rate.hz:.1f}",
            "perception rate [Hz]": f"{state.rate.hz:.1f}",
        }
        if self._node.names and name in self._node.names:
            said, counted = self._node.names[name].report()
            warnings += said
            values.update(counted)
        perception = state.perception
        if perception is not None:
            values["perception took [s]"] = f"{perception.seconds:.3f}"
            values["convert and publish took [s]"] = f"{state.own.wall_s:.4f}"
            values["... of the processor [s]"] = f"{state.own.processor_s:.4f}"
            values["latency, image to maps [s]"] = f"{state.latency_s:.3f}"
            values["image age when published [s]"] = f"{state.age_s:.3f}"
            values["scale source"] = perception.depth.scale_source.name
            if perception.frame.grey_range is not None:
                low, high = perception.frame.grey_range
                values["grey values from black to white"] = f"{low:g} to {high:g}"
            warnings.append(perception.picture_problem)
            if perception.calibration_problem:
                warnings.append(f"relative depth only: {perception.calibration_problem}")
            warnings.append(_clock_problem(state.age_s, camera.topics[0]))
        return _report(errors, warnings, values)

    def _state(self, camera: str) -> CameraState:
        return self._states.setdefault(camera, CameraState())


def _report(errors: Iterable[str], warnings: Iterable[str], values: dict[str, Any]) -> Report:
    errors, warnings = [e for e in errors if e], [w for w in warnings if w]
    level = ERROR if errors else WARN if warnings else OK
    return level, "; ".join(errors + warnings) or "perceiving", values


def _clock_problem(age_s: float, topic: str) -> str:
    """Transforms cannot be looked up for stamps that belong to another clock."""
    if not abs(age_s) > CLOCK_TOLERANCE_S:
        return ""
    side = "behind" if age_s > 0.0 else "ahead of"
    return (
        f"the stamps of {topic} are {abs(age_s):.0f} s {side} the node's clock: set use_sim_time "
        "for a bag or a simulator, or synchronise the clocks"
    )
