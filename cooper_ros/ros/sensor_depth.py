"""Depth without a model: that of another sensor, as it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from cooper_ros.core.images import resize_depth
from cooper_ros.core.types import ScaleReport
from cooper_ros.ros.evidence import Evidence, EvidenceSources, ProblemLog, sensor_report
from cooper_ros.ros.slots import Snapshot


class SensorDepth:
    """Gives each frame the external depth that belongs to it; holes stay unknown."""

    def __init__(self, sources: EvidenceSources, warn: Callable[[str], None]) -> None:
        self._sources = sources
        self._problems = ProblemLog(warn, "external depth")

    def apply(self, context: Any, snapshot: Snapshot, cancel: Any = None) -> None:
        """Put the depth of this frame, or say why there is none."""
        found, frame = Evidence(), context.frame
        _, context.gravity = self._sources.ground(frame, found)
        external = self._sources.external(frame, snapshot, found)
        known = external is not None and bool(np.isfinite(external[0]).any())
        if external is not None and not known:
            found.problems.append(f"{external[1]}: no pixel has a depth")
        self._problems.note(found)
        intrinsics = context.depth().intrinsics
        if external is None or not known or intrinsics is None:
            context.note_scale(ScaleReport(message="; ".join(found.problems)))
            return
        sensor, topic, age = external
        metres = sensor
        if sensor.shape != (frame.height, frame.width):
            metres = resize_depth(sensor, frame.width, frame.height)
        report = sensor_report(topic, age, self._sources.settings.range_sigma, found)
        context.put_depth(
            replace(
                context.depth(),
                depth=metres,
                metric=True,
                scale_source=report.source,
                scale=report,
            )
        )
