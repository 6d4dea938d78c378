"""Bytes on the wire that are no message: of another distribution's type, cut, or made up."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from harness import Bench, Process, room_image, room_info
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, Image

from cooper_ros.msg import DepthInfo
from cooper_ros.ros.qos import ImagePublisherQoS, StandardTopicQoS

COUNT = 150


def mutants(random: np.random.Generator, message: Any) -> list[bytes]:
    """Serialized messages with lengths and bytes changed; the first is nothing at all."""
    good = serialize_message(message)
    found = [b"", b"\x00\x01\x00\x00", good[:5], good[: len(good) // 2]]
    while len(found) < COUNT:
        data = bytearray(good)
        for _ in range(int(random.integers(1, 4))):
            at = int(random.integers(0, min(len(data) - 4, 120)))  # header, sizes, names
            data[at : at + 4] = random.bytes(4) if random.random() < 0.5 else b"\xff\xff\xff\x7f"
        cut = int(random.integers(4, len(data))) if random.random() < 0.3 else len(data)
        found.append(bytes(data[:cut]))
    return found


def test_damaged_messages_do_not_end_the_node(bench: Bench, node: Process) -> None:
    infos = bench.listen(DepthInfo, "cooper/depth/info", StandardTopicQoS())
    bench.show(room_image(), room_info())
    bench.wait(lambda: infos, node)
    bench.show()
    random = np.random.default_rng(0)
    for message_type, topic, message in (
        (Image, "image", room_image()),
        (CameraInfo, "camera_info", room_info()),
    ):
        publisher = bench.node.create_publisher(message_type, topic, ImagePublisherQoS())
        bench.wait(lambda p=publisher: p.get_subscription_count() > 0, node)
        for data in mutants(random, message):
            publisher.publish(data)
            time.sleep(0.02)  # a pace, not a wait: the reader keeps only the newest message
            node.alive()
        bench.node.destroy_publisher(publisher)
    # However slowly it reads: at least one of those that hold no image has been refused by now.
    publisher = bench.node.create_publisher(Image, "image", ImagePublisherQoS())
    cut = room_image()
    cut.data = cut.data[: len(cut.data) // 2]

    def refused() -> bool:
        publisher.publish(cut)
        return "image not used" in node.log

    bench.wait(refused, node)
    bench.node.destroy_publisher(publisher)
    # It still sees good images, with the good calibration.
    bench.show(room_image(), room_info())
    start = len(infos)
    bench.wait(lambda: any(info.metric for info in infos[start:]), node)
    bench.show()
    assert "Traceback" not in node.log
