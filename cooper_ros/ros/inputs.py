"""The camera: subscriptions, the newest calibration, and saying so when nothing arrives."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import QoSCompatibility, qos_check_compatible, qos_policy_name_from_kind
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from cooper_ros.ros.camera_infos import is_rectified
from cooper_ros.ros.frames import bare
from cooper_ros.ros.messages import time_to_ns
from cooper_ros.ros.qos import SensorDataQoS
from cooper_ros.ros.rates import Rate
from cooper_ros.ros.slots import Snapshot

DISCOVERY_S = 3.0
"""How long the graph may take to list a publisher that an event told of already [s]."""

MAX_FRAME_IDS = 16
"""Calibrations kept: a stream of ever new frame ids must not fill the memory."""


class CameraInput:
    """Subscribes to one camera and leaves every image in `on_frame`.

    `on_calibration(name)` is called when a camera_info differs from the one before. The topics of a
    camera with a name are `<name>/image` and `<name>/camera_info`.
    """

    def __init__(
        self,
        node: Node,
        transport: str,
        on_frame: Callable[[Snapshot], None],
        on_calibration: Callable[[str], None],
        name: str = "",
        rectified: str = "auto",
    ) -> None:
        self._node = node
        self.name = name
        self.rate = Rate()
        self._on_frame = on_frame
        self._on_calibration = on_calibration
        self._infos: dict[str, CameraInfo] = {}
        self._started = time.monotonic()
        self._last_image: float | None = None
        self._warned = False
        self._qos_problems: dict[str, str] = {}
        self._qos_time = 0.0
        compressed = transport == "compressed"
        self._image_type: Any = CompressedImage if compressed else Image
        self._subscriptions = [
            self._subscribe(self._image_type, self._image_topic(compressed)),
            self._subscribe(CameraInfo, self._below("camera_info")),
        ]
        self._rectified = is_rectified(rectified, self.topics[0])

    def _below(self, topic: str) -> str:
        return f"{self.name}/{topic}" if self.name else topic

    def _image_topic(self, compressed: bool) -> str:
        """`image`, or what lies beside it as JPEG: like image_transport, follow the remap of
        `image`; a remap of `image/compressed` itself counts as well."""
        base = self._below("image")
        beside = "image/compressed".removeprefix("image")
        return self._node.resolve_topic_name(base) + beside if compressed else base

    def _subscribe(self, message_type: Any, topic: str) -> Any:
        callback: Any = self._receive_image
        if message_type is CameraInfo:
            callback = self._receive_info
        resolved = self._node.resolve_topic_name(topic)
        events = SubscriptionEventCallbacks(
            incompatible_qos=lambda event: self._report_qos(resolved, event)
        )
        return self._node.create_subscription(
            message_type,
            topic,
            callback,
            SensorDataQoS(),
            event_callbacks=events,
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )

    @property
    def topics(self) -> tuple[str, str]:
        """Full names of the image topic and the camera_info topic."""
        return self._subscriptions[0].topic_name, self._subscriptions[1].topic_name

    def close(self) -> None:
        """Stop listening."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []

    def info_for(self, frame_id: str, any_frame: bool = False) -> CameraInfo | None:
        """The newest camera_info of this optical frame; one without a frame id fits any, and with
        `any_frame` the newest of all."""
        frame_id = bare(frame_id)
        found = self._infos.get(frame_id) or self._infos.get("")
        if found is None and (any_frame or frame_id == "") and self._infos:
            found = next(reversed(self._infos.values()))
        return found

    def info_problem(self, frame_id: str) -> str:
        """Why there is no calibration for a frame, for people."""
        if not self._infos:
            return f"no camera_info has arrived on {self.topics[1]}"
        return (
            f"camera_info on {self.topics[1]} is for frame {', '.join(map(repr, self._infos))}, "
            f"the image is in frame {frame_id!r}: correct one of the two drivers, or set the "
            "parameter camera_info_any_frame"
        )

    def _receive_image(self, message: Any) -> None:
        self._last_image = time.monotonic()
        self._warned = False
        self.rate.tick()
        stamp_ns = time_to_ns(message.header.stamp)
        self._on_frame(
            Snapshot(message, camera=self.name, stamp_ns=stamp_ns, rectified=self._rectified)
        )

    def _receive_info(self, message: CameraInfo) -> None:
        frame_id = bare(message.header.frame_id)
        before = self._infos.pop(frame_id, None)
        self._infos[frame_id] = message
        if len(self._infos) > MAX_FRAME_IDS:
            del self._infos[next(iter(self._infos))]
        if before is None or not _same_calibration(before, message):
            self._on_calibration(self.name)

    def _report_qos(self, topic: str, event: Any) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind)
        found = self._mute_writers(topic) or self._writers(topic)
        writers = ", ".join(sorted(found)) or "unknown"
        self._qos_time = time.monotonic()
        self._qos_problems[topic] = (
            f"{topic}: publisher ({writers}) offers an incompatible {policy}; no message of it "
            "will arrive until publisher and node agree"
        )
        self._node.get_logger().error(self._qos_problems[topic])

    @property
    def qos_problem(self) -> str:
        """Publishers that cannot be heard because of their QoS, while there are any; for people."""
        if time.monotonic() - self._qos_time > DISCOVERY_S:
            for topic in [t for t in self._qos_problems if not self._mute_writers(t)]:
                del self._qos_problems[topic]
        return "; ".join(self._qos_problems.values())

    def _mute_writers(self, topic: str) -> set[str]:
        """Publishers of a topic whose quality of service does not fit our subscription."""
        profiles = {sub.topic_name: sub.qos_profile for sub in self._subscriptions}
        own = profiles.get(topic, SensorDataQoS())
        return {
            _full_name(info)
            for info in self._node.get_publishers_info_by_topic(topic)
            if qos_check_compatible(info.qos_profile, own)[0] == QoSCompatibility.ERROR
        }

    def _writers(self, topic: str) -> set[str]:
        return {_full_name(info) for info in self._node.get_publishers_info_by_topic(topic)}

    def silence(self, limit_s: float) -> str:
        """Why no image came for `limit_s` seconds, for people; "" if one did. Logged once."""
        since = time.monotonic() - (self._last_image or self._started)
        if limit_s <= 0.0 or since < limit_s:
            return ""
        topic = self.topics[0]
        writers = self._writers(topic)
        problem = f"no image on {topic} for {since:.0f} s: "
        wanted = f"sensor_msgs/msg/{self._image_type.__name__}"
        if writers:
            found = self._node.get_publishers_info_by_topic(topic)
            types = sorted({info.topic_type for info in found})
            problem += f"published by {', '.join(sorted(writers))}, but nothing arrives"
            if wanted not in types:
                problem += (
                    f": it sends {', '.join(types)}, the node reads {wanted} "
                    "(parameter image_transport)"
                )
        else:
            # Remapped is `image`, and what the compressed form is called follows from it.
            others = [
                name.removesuffix("/compressed")
                for name, types in self._node.get_topic_names_and_types()
                if wanted in types and not name.startswith(self._node.get_fully_qualified_name())
                and self._node.count_publishers(name)
            ]
            problem += "nobody publishes it; " + (
                f"remap `{self._below('image')}` to one of {', '.join(sorted(others))}"
                if others
                else f"there is no {wanted} topic at all, is the camera running?"
            )
        if not self._warned:
            self._warned = True
            self._node.get_logger().warning(problem)
        return problem


def _full_name(info: Any) -> str:
    """Name of the node behind an endpoint, with its namespace."""
    return f"{info.node_namespace.rstrip('/')}/{info.node_name}"


def _same_calibration(one: CameraInfo, other: CameraInfo) -> bool:
    return all(
        list(getattr(one, name)) == list(getattr(other, name)) for name in ("k", "d", "p")
    ) and all(
        getattr(one, name) == getattr(other, name)
        for name in ("width", "height", "binning_x", "binning_y", "roi", "distortion_model")
    )
