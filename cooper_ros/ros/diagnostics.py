"""What the node reports on /diagnostics once a second.

`diagnostic_msgs` is optional: without it the node works and this topic is missing.
"""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections import deque
from typing import Any

from cooper_ros.ros.perception import Perception
from cooper_ros.ros.worker import Counters

try:
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
except ImportError:  # pragma: no cover - depends on the installation
    DiagnosticArray = None

OK, WARN, ERROR = 0, 1, 2
WINDOW_S = 10.0
PERIOD_S = 1.0


class Rate:
    """Events per second over the last `WINDOW_S` seconds."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def tick(self) -> None:
        """Count one event."""
        now = time.monotonic()
        self._times.append(now)
        self._forget(now)

    def _forget(self, now: float) -> None:
        while self._times and now - self._times[0] > WINDOW_S:
            self._times.popleft()

    @property
    def hz(self) -> float:
        """Mean rate [Hz]; 0 when fewer than two events are known."""
        times = list(self._times)
        now = time.monotonic()
        times = [moment for moment in times if now - moment <= WINDOW_S]
        if len(times) < 2 or times[-1] <= times[0]:
            return 0.0
        return (len(times) - 1) / (times[-1] - times[0])


class Monitor:
    """Keeps what the node has seen and done, and publishes it.

    `problem`: why there is no model; `frame_problem`: why the newest image could not be used.
    """

    def __init__(self, node: Any) -> None:
        self._node = node
        self._rate = Rate()
        self._next = time.monotonic() + PERIOD_S
        self.counters = Counters()
        self.problem = ""
        self.frame_problem = ""
        self.self_test = "not run"
        self.perception: Perception | None = None
        self.answer_s = math.nan
        self._publisher = None
        if DiagnosticArray is None:
            node.get_logger().info("diagnostic_msgs is not installed: no /diagnostics")
            return
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)

    def saw(self, perception: Perception) -> None:
        """Note a perceived frame (inference thread)."""
        self._rate.tick()
        self.perception = perception
        self.frame_problem = ""

    def failed(self, text: str) -> None:
        """Note that an image could not be used; logged when the reason changes, not per image."""
        if text != self.frame_problem:
            self._node.get_logger().error(f"image not used: {text}")
        self.frame_problem = text

    def tick(self) -> None:
        """Publish once per period; called often."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + PERIOD_S
        level, message, values = self.report()
        if self._publisher is None:
            return
        status = DiagnosticStatus(
            level=bytes([level]),
            name=f"{self._node.get_fully_qualified_name().lstrip('/')}: perception",
            message=message,
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
        )
        array = DiagnosticArray(status=[status])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)

    def report(self) -> tuple[int, str, dict[str, Any]]:
        """Level, sentence and values of the present state."""
        node, perception = self._node, self.perception
        camera, worker = node.camera, node.worker
        silence = camera.silence(node.parameter("no_image_warning_s")) if camera else ""
        errors = [self.problem, camera.qos_problem if camera else "", self.frame_problem]
        warnings = [silence]
        if not self.problem and worker is None:
            warnings.append(node.why_not_active())
        values: dict[str, Any] = {
            "model": node.pipeline.model_id if node.pipeline else "none",
            "backend": node.pipeline.backend_name if node.pipeline else "none",
            "self-test": self.self_test,
            "perception rate [Hz]": f"{self._rate.hz:.1f}",
            "newest answer took [s]": f"{self.answer_s:.2f}",
            "questions waiting": worker.waiting if worker else 0,
            "memory [MiB]": resident_mib(),
        }
        if perception is not None:
            values["perception took [s]"] = f"{perception.seconds:.3f}"
            values["scale source"] = perception.depth.scale_source.name
            if perception.calibration_problem:
                warnings.append(f"relative depth only: {perception.calibration_problem}")
        for item in dataclasses.fields(self.counters):
            values[item.name.replace("_", " ")] = getattr(self.counters, item.name)
        errors, warnings = [e for e in errors if e], [w for w in warnings if w]
        level = ERROR if errors else WARN if warnings else OK
        return level, "; ".join(errors + warnings) or "perceiving", values


def resident_mib() -> int:
    """Resident memory of this process [MiB]."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 2**20
