"""A camera process for the soak: sends pictures of a file in turn, at a steady rate, until it ends.

python camera.py FRAMES.npz RATE_HZ

Prints `first STAMP_NS` with the stamp of its first image. The soak ends it with ctrl-C or kills it.
"""

from __future__ import annotations

import signal
import sys
import threading
import time

import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, Image

from cooper_ros.core.types import Intrinsics
from cooper_ros.ros.conversion import intrinsics_to_camera_info, to_bytes
from cooper_ros.ros.environment import set_defaults
from cooper_ros.ros.messages import to_header
from cooper_ros.ros.qos import ImagePublisherQoS

FRAME = "camera_optical_frame"


def main() -> int:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    frames = np.load(sys.argv[1], allow_pickle=False)
    period = 1.0 / float(sys.argv[2])
    pictures, focal = frames["rgb"], float(frames["focal"])
    height, width = pictures.shape[1:3]
    info = intrinsics_to_camera_info(
        Intrinsics(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height)
    )
    set_defaults()
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = Node("soak_camera")
    images = node.create_publisher(Image, "image", ImagePublisherQoS())
    infos = node.create_publisher(CameraInfo, "camera_info", ImagePublisherQoS())
    message = Image(height=height, width=width, encoding="rgb8", step=3 * width)
    due, count = time.monotonic(), 0
    while not stop.is_set():
        stamp_ns = node.get_clock().now().nanoseconds
        info.header = message.header = to_header(stamp_ns, FRAME)
        message.data = to_bytes(pictures[count % len(pictures)])
        infos.publish(info)
        images.publish(message)
        if count == 0:
            print(f"first {stamp_ns}", flush=True)
        count += 1
        due = max(due + period, time.monotonic())
        stop.wait(max(due - time.monotonic(), 0.0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    node.destroy_node()
    rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
