"""Detections, labels and masks of one camera, joined with its images by stamp.

An image waits for its partners, not the inference thread: what belongs together goes on together.
An image whose partners do not come in time goes on without them only while no other is complete, so
that a detector that looks at every third image is no detector that is silent for two of three.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from cooper_ros.msg import LabelInfo
from cooper_ros.ros.late_topic import LateTopic
from cooper_ros.ros.messages import time_to_ns
from cooper_ros.ros.name_messages import read_label_info
from cooper_ros.ros.qos import SensorDataQoS
from cooper_ros.ros.slots import Snapshot

try:
    from vision_msgs.msg import Detection2DArray
    from vision_msgs.msg import LabelInfo as VisionLabelInfo
except ImportError:  # pragma: no cover - depends on the installation
    Detection2DArray = VisionLabelInfo = None

DETECTIONS, LABELS, LABEL_INFO, INSTANCES = "detections", "labels", "label_info", "instances"
KEPT = 16
"""Messages kept per topic, and images that wait at most."""
Announced = tuple[dict[int, str], frozenset[str]]
"""Name by number, and names without instances."""
INCOMPLETE_AFTER_S = 1.0
"""How long an image without partners is no news after a complete one [s]."""

TYPES: dict[str, dict[str, Any]] = {
    DETECTIONS: {"vision_msgs/msg/Detection2DArray": Detection2DArray},
    LABELS: {"sensor_msgs/msg/Image": Image},
    LABEL_INFO: {
        "cooper_ros/msg/LabelInfo": LabelInfo,
        "vision_msgs/msg/LabelInfo": VisionLabelInfo,
    },
    INSTANCES: {"sensor_msgs/msg/Image": Image},
}


@dataclass(frozen=True, eq=False)
class Partners:
    """The messages that belong to one image, None where there is none."""

    detections: Any = None
    labels: Any = None
    instances: Any = None
    numbers: Mapping[int, str] = field(default_factory=dict)
    missing: str = ""

    @property
    def named(self) -> bool:
        """Whether anybody named anything, be it that there is nothing."""
        return self.detections is not None or self.labels is not None


class NameTopic(LateTopic):
    """The messages of one topic of the last moments."""

    def __init__(self, node: Any, role: str, topic: str, arrived: Callable[[], None]) -> None:
        self._latched = role == LABEL_INFO
        self._arrived = arrived
        self.received = 0
        self.unstamped = 0
        self._messages: deque[tuple[int, Any]] = deque(maxlen=KEPT)
        super().__init__(node, topic, TYPES[role], self._receive, self._reader_of)

    def _reader_of(self, publisher: Any) -> QoSProfile:
        return _reader_of(publisher.qos_profile) if self._latched else SensorDataQoS(KEPT)

    def _receive(self, message: Any) -> None:
        stamp_ns = time_to_ns(message.header.stamp)
        self.received += 1
        if not stamp_ns and not self._latched:
            self.unstamped += 1
            return
        self._messages.append((stamp_ns, message))
        self._arrived()

    def newest(self) -> Any:
        """The newest message, None without."""
        return self._messages[-1][1] if self._messages else None

    def of(self, stamp_ns: int, tolerance_ns: int) -> Any:
        """The message closest to a stamp, None if none is within the tolerance."""
        near = min(list(self._messages), key=lambda m: abs(m[0] - stamp_ns), default=None)
        return near[1] if near is not None and abs(near[0] - stamp_ns) <= tolerance_ns else None

    def gap_s(self, stamp_ns: int) -> float | None:
        """Time from a stamp to the closest message [s]."""
        return min((abs(m[0] - stamp_ns) / 1e9 for m in list(self._messages)), default=None)

    def forget(self) -> None:
        """Drop what has arrived; what is latched stays valid."""
        if not self._latched:
            self._messages.clear()

    def close(self) -> None:
        """Stop listening."""
        super().close()
        self._messages.clear()


def _reader_of(offered: QoSProfile) -> QoSProfile:
    """Ask for what a publisher of names offers: a latched reader hears no volatile writer."""
    latched = offered.durability == DurabilityPolicy.TRANSIENT_LOCAL
    return QoSProfile(
        depth=1,
        reliability=ReliabilityPolicy.RELIABLE
        if offered.reliability == ReliabilityPolicy.RELIABLE
        else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


class NameInputs:
    """The topics of one camera, and its images that wait for them.

    `deliver(snapshot)` gets every image that goes on, with its `Partners` in `snapshot.names`.
    `depth_ready(stamp_ns)`: whether the depth that belongs to an image has come.
    """

    def __init__(
        self,
        node: Any,
        camera: str,
        deliver: Callable[[Snapshot], None],
        depth_ready: Callable[[int], bool] = lambda stamp_ns: True,
    ) -> None:
        prefix = f"{camera}/" if camera else ""
        self._deliver = deliver
        self._depth_ready = depth_ready
        self._lock = threading.Lock()
        self._waiting: deque[Snapshot] = deque()
        self._last_complete = -INCOMPLETE_AFTER_S
        self.wait_s, self.tolerance_s = 0.15, 0.01
        self.problems: Counter[str] = Counter()
        self.complete = self.incomplete = 0
        self._gaps: dict[str, float] = {}
        self._announced: tuple[Any, Announced] = (None, ({}, frozenset()))
        self.topics = {
            role: NameTopic(node, role, prefix + role, self.look) for role in TYPES
        }

    def hold(self, snapshot: Snapshot) -> None:
        """Take an image; it goes on when its partners are there, or its time is over."""
        with self._lock:
            if len(self._waiting) >= KEPT:
                self._waiting.popleft()
            self._waiting.append(snapshot)
        self.look()

    def look(self) -> None:
        """Send on what is complete, or has waited long enough; called often."""
        ready = []
        with self._lock:
            for snapshot in list(self._waiting):
                partners, complete = self._partners(snapshot)
                if not complete and snapshot.age_s < self.wait_s:
                    continue
                self._waiting.remove(snapshot)
                now = time.monotonic()
                if complete:
                    self.complete += 1
                    self._last_complete = now
                else:
                    self.incomplete += 1
                    self._note_gaps(snapshot)
                if complete or now - self._last_complete >= INCOMPLETE_AFTER_S:
                    snapshot.names = partners
                    ready.append(snapshot)
        for snapshot in ready:
            self._deliver(snapshot)

    def _partners(self, snapshot: Snapshot) -> tuple[Partners, bool]:
        tolerance = round(self.tolerance_s * 1e9)
        roles = [role for role in (DETECTIONS, LABELS, INSTANCES) if self.topics[role].connected]
        found = {role: self.topics[role].of(snapshot.stamp_ns, tolerance) for role in roles}
        missing = [self.topics[role].topic for role in roles if found[role] is None]
        naming = found.get(DETECTIONS) is not None or found.get(LABELS) is not None
        numbers, _ = self.announced()
        partners = Partners(**found, numbers=numbers, missing=" and ".join(missing))
        complete = naming and not missing and self._depth_ready(snapshot.stamp_ns)
        return partners, complete

    def announced(self) -> Announced:
        """What the newest label_info says; each is read once."""
        info = self.topics[LABEL_INFO].newest()
        if info is not self._announced[0]:
            self._announced = info, read_label_info(info)
        return self._announced[1]

    def _note_gaps(self, snapshot: Snapshot) -> None:
        for role, topic in self.topics.items():
            gap = topic.gap_s(snapshot.stamp_ns) if role != LABEL_INFO else None
            if gap is not None:
                self._gaps[role] = gap

    @property
    def why_missing(self) -> str:
        """Why nobody names anything, for people; "" if there is nothing to say."""
        said = [topic.problem for topic in self.topics.values() if topic.problem]
        naming = [self.topics[role] for role in (DETECTIONS, LABELS)]
        if not any(topic.connected for topic in naming) and not said:
            said.append(f"nobody publishes {naming[0].topic} or {naming[1].topic}")
        for role, topic in self.topics.items():
            if topic.connected and not topic.received and role != LABEL_INFO:
                said.append(f"nothing has arrived on {topic.topic}")
            elif topic.unstamped and topic.unstamped == topic.received:
                said.append(f"the messages on {topic.topic} have no stamp")
            elif self._gaps.get(role, 0.0) > self.tolerance_s and not self.complete:
                said.append(
                    f"the stamps on {topic.topic} are {self._gaps[role]:.2f} s off those of the "
                    f"images, more than {self.tolerance_s:g} s (parameter sync_tolerance_s)"
                )
        return "; ".join(said)

    def report(self) -> tuple[list[str], dict[str, Any]]:
        """(warnings, values) for /diagnostics."""
        with self._lock:
            values: dict[str, Any] = {
                "images with names": self.complete,
                "images without names in time": self.incomplete,
                **{f"skipped: {what}": count for what, count in sorted(self.problems.items())},
            }
        quiet = time.monotonic() - self._last_complete > INCOMPLETE_AFTER_S
        why = self.why_missing if quiet else ""
        return ([why] if why else []), values

    def poll(self) -> None:
        """Look for publishers, and for images whose time is over; called by the node's timer."""
        for topic in self.topics.values():
            topic.poll()
        self.look()

    def forget(self) -> None:
        """Drop what has arrived and what waits."""
        with self._lock:
            self._waiting.clear()
        for topic in self.topics.values():
            topic.forget()

    def close(self) -> None:
        """Stop listening."""
        with self._lock:
            self._waiting.clear()
        for topic in self.topics.values():
            topic.close()
