"""Real processes over real DDS: starting them, and a camera and a client to talk to them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from cooper_ros.core.types import Intrinsics
from cooper_ros.ros.conversion import array_to_image, intrinsics_to_camera_info
from cooper_ros.ros.messages import to_header
from cooper_ros.ros.qos import ImagePublisherQoS

WAIT_S = 120.0
"""Longest wait for anything: generous, because the machine may be busy with other tests."""

FRAME = "test_optical_frame"
CAMERA = Intrinsics.from_fov(70.0, 320, 240)


class Process:
    """One of our executables, with its output in a file."""

    def __init__(self, module: str, *arguments: str, log: Path, **environment: str) -> None:
        self.log_file = log
        self._out = open(log, "wb")  # noqa: SIM115 - closed in stop()
        self.popen = subprocess.Popen(
            [sys.executable, "-X", "importtime", "-m", module, *arguments],
            stdout=self._out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
        )

    @property
    def log(self) -> str:
        """What it wrote, without the list of imports."""
        lines = self.log_file.read_text(errors="replace").splitlines()
        return "\n".join(line for line in lines if not line.startswith("import time:"))

    @property
    def imported(self) -> set[str]:
        """Every module the process has imported so far, as -X importtime lists them."""
        lines = self.log_file.read_text(errors="replace").splitlines()
        return {
            line.rsplit("|", 1)[1].strip() for line in lines if line.startswith("import time:")
        }

    def alive(self) -> None:
        """Raise when it has ended."""
        assert self.popen.poll() is None, f"ended with {self.popen.returncode}:\n{self.log}"

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.popen.send_signal(signal.SIGINT)

    def stop(self) -> int:
        """Ctrl-C and wait; the exit code."""
        if self.popen.poll() is None:
            self.interrupt()
        try:
            return self.popen.wait(WAIT_S)
        finally:
            if self.popen.poll() is None:
                self.popen.kill()
            self._out.close()


class Bench:
    """A node of the test's own, spun in the background; a camera that repeats what it is told."""

    def __init__(self, name: str = "bench", period_s: float = 0.15) -> None:
        self.node = Node(name)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._images = self.node.create_publisher(Image, "image", ImagePublisherQoS())
        self._compressed = self.node.create_publisher(
            CompressedImage, "image/compressed", ImagePublisherQoS()
        )
        self._infos = self.node.create_publisher(CameraInfo, "camera_info", ImagePublisherQoS())
        self.image: Any = None
        self.info: CameraInfo | None = None
        self.frame = FRAME
        self.changed = threading.Condition()
        self.node.create_timer(period_s, self._publish)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._executor.shutdown(timeout_sec=2.0)
        self._thread.join(5.0)
        self.node.destroy_node()

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            pass

    def _publish(self) -> None:
        image, info = self.image, self.info
        stamp_ns = self.node.get_clock().now().nanoseconds
        if info is not None:
            info.header = to_header(stamp_ns, FRAME)
            self._infos.publish(info)
        if image is not None:
            image.header = to_header(stamp_ns, self.frame)
            publisher = self._compressed if isinstance(image, CompressedImage) else self._images
            publisher.publish(image)

    def do(self, action: Callable[[], Any]) -> None:
        """Have it done in the thread that spins. Action clients need that: rclpy drops a reply
        that arrives before the call that asked for it has returned."""
        self._executor.create_task(action)

    def show(
        self, image: Any = None, info: CameraInfo | None = None, frame: str = FRAME
    ) -> None:
        """Publish this from now on; None = nothing. `frame`: optical frame of the image."""
        self.image, self.info, self.frame = image, info, frame

    def listen(self, message_type: Any, topic: str, qos: Any) -> list[Any]:
        """A list that fills with the messages of a topic."""
        received: list[Any] = []

        def receive(message: Any) -> None:
            with self.changed:
                received.append(message)
                self.changed.notify_all()

        self.node.create_subscription(message_type, topic, receive, qos)
        return received

    def wait(self, condition: Callable[[], Any], *processes: Process) -> Any:
        """The first true value of `condition()`, looked at after every message."""
        deadline = time.monotonic() + WAIT_S
        with self.changed:
            while not (value := condition()):
                for process in processes:
                    process.alive()
                logs = "\n".join(process.log[-3000:] for process in processes)
                assert time.monotonic() < deadline, f"did not happen; logs:\n{logs}"
                self.changed.wait(0.2)
        return value

    def call(self, client: Any, request: Any, *processes: Process) -> Any:
        """A service call; the reply."""
        future = self.start(client, request, *processes)
        return self.finish(future, *processes)

    def start(self, client: Any, request: Any, *processes: Process) -> Any:
        """Send a request; the future wakes `wait`."""
        self.wait(client.service_is_ready, *processes)
        future = client.call_async(request)
        future.add_done_callback(lambda _: self._wake())
        return future

    def finish(self, future: Any, *processes: Process) -> Any:
        """The reply of a started call."""
        self.wait(future.done, *processes)
        return future.result()

    def _wake(self) -> None:
        with self.changed:
            self.changed.notify_all()


def picture(width: int = 320, height: int = 240) -> np.ndarray:
    """A room drawn by hand: wall, floor and a dark block, uint8 [H, W, 3]."""
    rgb = np.full((height, width, 3), (190, 185, 175), np.uint8)
    rgb[height // 2 :] = (120, 90, 60)
    rgb[height // 3 : 2 * height // 3, width // 3 : width // 2] = (40, 40, 60)
    return rgb


def room_image() -> Image:
    return array_to_image(picture(), "rgb8")


def room_info() -> CameraInfo:
    return intrinsics_to_camera_info(CAMERA)


def start_ros() -> None:
    """rclpy for the test process, with the same transport as our executables."""
    from cooper_ros.ros.environment import set_defaults

    if not rclpy.ok():
        set_defaults()
        rclpy.init()
