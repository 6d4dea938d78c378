"""Range points and depth images of other sensors: subscribed, kept, found again by time."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from sensor_msgs.msg import Image, PointCloud2

from cooper_ros.ros.messages import time_to_ns
from cooper_ros.ros.qos import SensorDataQoS

KEPT = 8
POLL_S = 0.5
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


class RangeInput:
    """Keeps the newest messages of one topic, whose type is that of its first publisher.

    A robot has a lidar or a depth camera: both may be remapped to the same name.
    """

    def __init__(self, node: Any, topic: str, types: tuple[str, ...] = tuple(TYPES)) -> None:
        self._node = node
        self._types = types
        self.topic = node.resolve_topic_name(topic)
        self._readings: deque[Reading] = deque(maxlen=KEPT)
        self._lock = threading.Lock()
        self._subscription: Any = None
        self._next_poll = 0.0
        self.problem = ""
        self.poll()

    @property
    def connected(self) -> bool:
        """Whether a publisher of a known type was found."""
        return self._subscription is not None

    def poll(self) -> None:
        """Look for a publisher until there is one; called from the node's timer."""
        if self._subscription is not None or time.monotonic() < self._next_poll:
            return
        self._next_poll = time.monotonic() + POLL_S
        found = {info.topic_type for info in self._node.get_publishers_info_by_topic(self.topic)}
        usable = [name for name in self._types if name in found]
        if usable:
            self.problem = ""
            self._subscription = self._node.create_subscription(
                TYPES[usable[0]], self.topic, self._receive, SensorDataQoS()
            )
        elif found:
            self.problem = (
                f"{self.topic} is of type {', '.join(sorted(found))}; the node reads "
                f"{' or '.join(self._types)}"
            )

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
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None
        self._readings.clear()
