"""The simulated robot camera: images for the robot, and the truth beside them for the examiner.

Publishes `image` and `camera_info` like any camera driver. The truth goes to topics of the node's
own namespace, which the perception node does not know: `~/truth/depth` (32FC1 [m]),
`~/truth/labels` (mono8 class ids) and `~/truth/objects` (JSON in a std_msgs/String, see
`truth_json`), all with the stamp of the image they belong to.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import String

from cooper_ros.ros import runner
from cooper_ros.ros.command_line import Program
from cooper_ros.ros.conversion import array_to_image, intrinsics_to_camera_info
from cooper_ros.ros.messages import to_header
from cooper_ros.ros.parameters import START, ParameterSpec, declare
from cooper_ros.ros.qos import ImagePublisherQoS, StandardTopicQoS

OPTICAL_FRAME = "camera_optical_frame"
PARAMETERS = (
    # The world is built once: `START`.
    ParameterSpec("seed", 0, "Which world and path of the camera.", START, -(2**63), 2**63 - 1),
    ParameterSpec("rate", 10.0, "Images per second [Hz].", minimum=0.1, maximum=60.0),
    ParameterSpec("width", 640, "Columns of the image [px].", START, 32, 4096),
    ParameterSpec("height", 480, "Rows of the image [px].", START, 32, 4096),
    ParameterSpec("hold", False, "Keep the first pose: every image is the same view."),
)
PROGRAM = Program(
    "cooper_sim_camera",
    __doc__,
    PARAMETERS,
    ("image", "camera_info", "~/truth/depth", "~/truth/labels", "~/truth/objects"),
    "ros2 run cooper_ros cooper_sim_camera --ros-args -p seed:=3",
)


def truth_json(stamp_ns: int, frame: Any) -> str:
    """The truth of a simulated frame: {"stamp_ns", "free_space", "objects": [{"label", ...}]}.

    `free_space` [m] as `core.geometry.free_space_ahead`. Per object, nearest first: label,
    class_id, instance, fraction of the image's pixels, whole (not cut by the image's border),
    distance [m] to the visible surface, width and height [m], position [m] in the optical frame, u
    and v [px] of the median visible pixel.
    """
    objects = []
    for item in frame.objects:
        objects.append(
            {
                "label": item.label,
                "class_id": int(item.class_id),
                "instance": int(item.instance),
                "fraction": float(item.fraction),
                "whole": bool(item.whole),
                "distance": float(item.distance),
                "width": float(item.width),
                "height": float(item.height),
                "position": [float(value) for value in item.point],
                "u": float(item.u),
                "v": float(item.v),
            }
        )
    truth = {"stamp_ns": stamp_ns, "free_space": float(frame.free_space_m), "objects": objects}
    return json.dumps(truth)


class SimCameraNode(Node):
    """Renders in a thread of its own, because a GL context belongs to the thread that made it."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__("sim_camera", **arguments)
        declare(self, PARAMETERS)
        self._image = self.create_publisher(Image, "image", ImagePublisherQoS())
        self._info = self.create_publisher(CameraInfo, "camera_info", ImagePublisherQoS())
        self._depth = self.create_publisher(Image, "~/truth/depth", ImagePublisherQoS())
        self._labels = self.create_publisher(Image, "~/truth/labels", ImagePublisherQoS())
        self._objects = self.create_publisher(String, "~/truth/objects", StandardTopicQoS())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="render", daemon=True)
        self._thread.start()

    def close(self, timeout_s: float) -> bool:
        """Stop rendering; False if the thread did not end in time."""
        self._stop.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value

    def _run(self) -> None:
        try:
            self._stream()
        except Exception as error:  # said before the thread ends; the process would look healthy
            self.get_logger().fatal(f"the simulated camera failed: {error}")
            os._exit(1)

    def _stream(self) -> None:
        # Not at the top: only this process may load the simulator, and only when it runs.
        from cooper_ros.sim.stream import SimCamera

        camera = SimCamera(
            seed=self._value("seed"), width=self._value("width"), height=self._value("height")
        )
        try:
            frame = None
            deadline = time.monotonic()
            while not self._stop.is_set():
                if frame is None or not self._value("hold"):
                    frame = camera.step()
                self._publish(frame)
                # Absolute deadlines: rendering time does not add to the period.
                deadline = max(deadline + 1.0 / self._value("rate"), time.monotonic())
                self._stop.wait(max(deadline - time.monotonic(), 0.0))
        finally:
            camera.close()

    def _publish(self, frame: Any) -> None:
        stamp_ns = self.get_clock().now().nanoseconds
        header = to_header(stamp_ns, OPTICAL_FRAME)
        # The truth goes first: whoever has the image can look up its truth.
        self._objects.publish(String(data=truth_json(stamp_ns, frame)))
        if self._depth.get_subscription_count():
            self._depth.publish(array_to_image(frame.depth, "32FC1", header))
        if self._labels.get_subscription_count():
            self._labels.publish(array_to_image(frame.labels, "mono8", header))
        self._info.publish(intrinsics_to_camera_info(frame.intrinsics, header))
        self._image.publish(array_to_image(frame.rgb, "rgb8", header))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the camera; returns the exit code."""
    return runner.run(SimCameraNode, PROGRAM, argv)


if __name__ == "__main__":
    sys.exit(main())
