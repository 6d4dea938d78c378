"""Publisher and monitor of the node benchmark, each a process of its own.

    python -m cooper_ros.evaluation.node_parts publisher --width 640 --height 480 --rate 4
    python -m cooper_ros.evaluation.node_parts monitor --frames 40 --topics maps
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from cooper_ros.core.types import Intrinsics
from cooper_ros.msg import DepthInfo, SegmentArray
from cooper_ros.ros.conversion import array_to_image, intrinsics_to_camera_info
from cooper_ros.ros.environment import set_defaults
from cooper_ros.ros.messages import duration_to_seconds, time_to_ns, to_header
from cooper_ros.ros.qos import ImagePublisherQoS, SensorDataQoS, StandardTopicQoS

MAPS: dict[str, Any] = {
    "depth/image": Image,
    "depth/camera_info": CameraInfo,
    "segmentation/labels": Image,
    "segmentation/segments": SegmentArray,
}
"""What a robot reads of every frame, besides depth/info."""

EVERYTHING: dict[str, Any] = {
    **MAPS,
    "depth/relative": Image,
    "depth/confidence": Image,
    "overlay": Image,
    "points": PointCloud2,
}
TOPICS = {"maps": MAPS, "all": EVERYTHING}
OWN_TIME, OWN_PROCESSOR = "convert and publish took [s]", "... of the processor [s]"
"""Keys of the node's own time on /diagnostics."""


def picture(width: int, height: int) -> np.ndarray[Any, Any]:
    """A picture with structure at every scale: uint8 [H, W, 3]."""
    rng = np.random.default_rng(0)
    rgb = np.zeros((height, width, 3), np.float32)
    for cells in (4, 16, 64):
        coarse = rng.uniform(0.0, 85.0, (cells, cells, 3)).astype(np.float32)
        rows = np.arange(height) * cells // height
        columns = np.arange(width) * cells // width
        rgb += coarse[rows][:, columns]
    return rgb.astype(np.uint8)


def publish(width: int, height: int, rate_hz: float) -> None:
    """Publish the same picture at a fixed rate; its stamp is the time just before sending."""
    node = Node("bench_publisher")
    images = node.create_publisher(Image, "image", ImagePublisherQoS())
    infos = node.create_publisher(CameraInfo, "camera_info", ImagePublisherQoS())
    message = array_to_image(picture(width, height), "rgb8")
    info = intrinsics_to_camera_info(Intrinsics.from_fov(70.0, width, height))
    deadline = time.monotonic()
    while rclpy.ok():
        stamp_ns = time.time_ns()
        message.header = info.header = to_header(stamp_ns, "bench_optical_frame")
        infos.publish(info)
        images.publish(message)
        deadline = max(deadline + 1.0 / rate_hz, time.monotonic())
        time.sleep(max(deadline - time.monotonic(), 0.0))


class Monitor(Node):
    """Notes when each topic of each stamp arrived [s after the stamp]."""

    def __init__(self, topics: dict[str, Any]) -> None:
        super().__init__("bench_monitor")
        self._wanted = set(topics) | {"depth/info", "image"}
        self._arrivals: dict[int, dict[str, float]] = {}
        self._inference: dict[int, float] = {}
        self._own: list[float] = []
        self._own_processor: list[float] = []
        self._receive_s: float | None = None
        self._listen(Image, "image", "image")
        for topic, kind in topics.items():
            self._listen(kind, f"cooper/{topic}", topic)
        self.create_subscription(
            DepthInfo, "cooper/depth/info", self._on_info, StandardTopicQoS()
        )
        self.create_subscription(
            DiagnosticArray, "/diagnostics", self._on_report, StandardTopicQoS()
        )

    def _listen(self, kind: Any, topic: str, name: str) -> None:
        qos = StandardTopicQoS() if kind is SegmentArray else SensorDataQoS(4)
        self.create_subscription(kind, topic, self._noter(name), qos)

    def _noter(self, name: str) -> Callable[[Any], None]:
        def note(message: Any) -> None:
            self._note(name, time_to_ns(message.header.stamp))
            if name == "image" and self._receive_s is None:
                self._receive_s = _cost_of_reading(message)

        return note

    def _note(self, name: str, stamp_ns: int) -> None:
        self._arrivals.setdefault(stamp_ns, {})[name] = (time.time_ns() - stamp_ns) / 1e9

    def _on_info(self, message: DepthInfo) -> None:
        stamp_ns = time_to_ns(message.header.stamp)
        self._note("depth/info", stamp_ns)
        self._inference[stamp_ns] = duration_to_seconds(message.inference_time)

    def _on_report(self, message: DiagnosticArray) -> None:
        values = {pair.key: pair.value for pair in message.status[0].values}
        if OWN_TIME in values:
            self._own.append(float(values[OWN_TIME]))
            self._own_processor.append(float(values[OWN_PROCESSOR]))

    def complete(self) -> list[int]:
        """Stamps of which everything has arrived."""
        return [s for s, found in self._arrivals.items() if set(found) >= self._wanted]

    def result(self) -> dict[str, Any]:
        """Per complete frame, in order: times in seconds."""
        frames = [
            {
                "end_to_end": max(v for k, v in self._arrivals[stamp].items() if k != "image"),
                "inference": self._inference[stamp],
                "image_hop": self._arrivals[stamp]["image"],
            }
            for stamp in sorted(self.complete())
        ]
        return {
            "frames": frames,
            "images_seen": len(self._arrivals),
            "own": self._own,
            "own_processor": self._own_processor,
            "receive": self._receive_s,
        }


def _cost_of_reading(message: Image, repeats: int = 5) -> float:
    """Processor time [s] to turn the bytes of an image from the wire into a message."""
    wire = serialize_message(message)
    times = []
    for _ in range(repeats):
        started = time.thread_time()
        deserialize_message(wire, Image)
        times.append(time.thread_time() - started)
    return float(np.median(times))


def watch(frames: int, topics: str, limit_s: float) -> None:
    """Collect until so many frames are complete, or the time is over; prints one JSON object."""
    monitor = Monitor(TOPICS[topics])
    end = time.monotonic() + limit_s
    while rclpy.ok() and time.monotonic() < end and len(monitor.complete()) < frames:
        rclpy.spin_once(monitor, timeout_sec=0.1)
    print(json.dumps(monitor.result()), flush=True)


def main() -> int:
    """Run one part; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("publisher", "monitor"))
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--rate", type=float, default=4.0)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--topics", choices=sorted(TOPICS), default="maps")
    parser.add_argument("--limit", type=float, default=120.0)
    args = parser.parse_args()
    set_defaults()
    rclpy.init()
    try:
        if args.part == "publisher":
            publish(args.width, args.height, args.rate)
        else:
            watch(args.frames, args.topics, args.limit)
    except KeyboardInterrupt:
        pass
    rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
