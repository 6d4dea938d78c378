"""Do camera images get from one process to another, best effort, as camera drivers send them?

    python -m cooper_ros.ros.transport_check      # the sending half, started by `measure`
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image

TOPIC = "/cooper_doctor/image"
WIDTH, HEIGHT, RATE_HZ = 640, 480, 30.0
IMAGES = 45
"""Images that are waited for, counted from the first that arrived."""
PATIENCE_S = 20.0


@dataclass(frozen=True)
class Transport:
    """Images sent between the first and the last that arrived, and those that did arrive."""

    sent: int
    received: int

    @property
    def share(self) -> float:
        """Part of the images that arrived, 0 to 1."""
        return self.received / self.sent if self.sent else 0.0


def best_effort(depth: int) -> QoSProfile:
    """As camera drivers publish."""
    return QoSProfile(
        depth=depth, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.BEST_EFFORT
    )


def measure(domain: int) -> Transport:
    """Start the sending half in a ROS domain of its own and count what arrives from it."""
    context = Context()
    rclpy.init(context=context, args=[], domain_id=domain)
    numbers: list[int] = []
    node = Node("cooper_doctor_reader", context=context)

    def receive(message: Any) -> None:
        numbers.append(int(message.header.frame_id))

    node.create_subscription(Image, TOPIC, receive, best_effort(5))
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    sender = subprocess.Popen(
        [sys.executable, "-m", "cooper_ros.ros.transport_check"],
        env={**os.environ, "ROS_DOMAIN_ID": str(domain)},
        stdin=subprocess.PIPE,
    )
    try:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and sender.poll() is None:
            executor.spin_once(timeout_sec=0.1)
            if numbers and numbers[-1] - numbers[0] >= IMAGES:
                break
    finally:
        sender.terminate()
        sender.wait()
        executor.shutdown(timeout_sec=1.0)
        node.destroy_node()
        rclpy.shutdown(context=context)
    sent = numbers[-1] - numbers[0] + 1 if numbers else 0
    return Transport(sent, len(numbers))


def send() -> None:
    """Publish numbered images until the parent ends this process, or is gone."""
    import numpy as np

    from cooper_ros.ros.conversion import array_to_image

    # Without rclpy's signal handlers: the parent just ends this process.
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = Node("cooper_doctor_sender")
    publisher: Any = node.create_publisher(Image, TOPIC, best_effort(5))
    image = array_to_image(np.full((HEIGHT, WIDTH, 3), 90, np.uint8), "rgb8")
    started = time.monotonic()
    for number in range(round((PATIENCE_S + 10.0) * RATE_HZ)):
        image.header.frame_id = str(number)
        publisher.publish(image)
        time.sleep(max(started + (number + 1) / RATE_HZ - time.monotonic(), 0.0))
        if os.getppid() == 1:
            break


if __name__ == "__main__":
    send()
