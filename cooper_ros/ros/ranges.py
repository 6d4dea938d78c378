"""Range points and depth images of other sensors: subscribed, kept, found again by time."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from sensor_msgs.msg import Image, PointCloud2

from cooper_ros.ros.late_topic import LateTopic
from cooper_ros.ros.messages import time_to_ns
from cooper_ros.ros.qos import SensorDataQoS

KEPT = 8
TYPES = {"sensor_msgs/msg/PointCloud2": PointCloud2, "sensor_msgs/msg/Image": Image}


@dataclass(eq=False)
class Reading:
    """One message of a range sensor; `received` is time.monotonic() [s]."""

    message: Any
    received: float = field(default_factory=time.monotonic)

    @property
    def stamp_ns(self) -> int:
        """Acquisition time, 0 if the driver gave none."""
        return time_to_ns(self.message.header.stamp)


def age_s(reading: Reading, stamp_ns: int, received: float) -> float:
    """Time between a reading and an image [s]; by arrival where one of them has no stamp."""
    if reading.stamp_ns and stamp_ns:
        return abs(reading.stamp_ns - stamp_ns) / 1e9
    return abs(reading.received - received)


class RangeInput(LateTopic):
    """Keeps the newest messages of one topic, whose type is that of its first publisher.

    A robot has a lidar or a depth camera: both may be remapped to the same name.
    """

    def __init__(self, node: Any, topic: str, types: tuple[str, ...] = tuple(TYPES)) -> None:
        self._readings: deque[Reading] = deque(maxlen=KEPT)
        self._lock = threading.Lock()
        kinds = {name: TYPES[name] for name in types}
        super().__init__(node, topic, kinds, self._receive, lambda _: SensorDataQoS())

    def _receive(self, message: Any) -> None:
        with self._lock:
            self._readings.append(Reading(message))

    @property
    def newest_ns(self) -> int:
        """Stamp of the newest reading, 0 without."""
        with self._lock:
            return max((reading.stamp_ns for reading in self._readings), default=0)

    def nearest(self, stamp_ns: int, received: float) -> Reading | None:
        """The reading closest in time to an image; None if none has arrived."""
        with self._lock:
            readings = list(self._readings)
        return min(readings, key=lambda r: age_s(r, stamp_ns, received), default=None)

    def forget(self) -> None:
        """Drop what has arrived so far."""
        with self._lock:
            self._readings.clear()

    def close(self) -> None:
        """Stop listening."""
        super().close()
        self._readings.clear()
