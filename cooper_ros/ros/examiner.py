"""Listens to a node and to a simulated camera, and keeps what belongs to the same image together.

For the demo and for tests: this is the only place where perception and truth meet.
"""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import String

from cooper_ros.ros.conversion import image_to_array
from cooper_ros.ros.messages import time_to_ns
from cooper_ros.ros.qos import SensorDataQoS, StandardTopicQoS

KEPT_PICTURES, KEPT_TRUTHS = 12, 600
"""Frames of which the arrays, and of which the true objects are remembered."""

ARRAYS = {
    "image": "image",
    "depth": "cooper/depth/image",
    "labels": "cooper/segmentation/labels",
    "overlay": "cooper/overlay",
    "true_depth": "sim_camera/truth/depth",
    "true_labels": "sim_camera/truth/labels",
}
"""Name -> topic of the images that are kept."""

SEEN = ("image", "depth", "labels", "overlay")


@dataclass
class Observed:
    """What was received with one stamp: arrays by the names of `ARRAYS`, and the truth as in
    `sim_camera.truth_json`."""

    stamp_ns: int
    arrays: dict[str, Any] = field(default_factory=dict)
    truth: dict[str, Any] | None = None

    def has(self, *names: str) -> bool:
        """Whether all these arrays and the truth have arrived."""
        return self.truth is not None and all(name in self.arrays for name in names)


class Examiner:
    """Collects in a background thread; `wait_for` waits for something to become true.

    `names`: which images to receive; the truth always.
    """

    def __init__(self, names: tuple[str, ...] = SEEN) -> None:
        self._node = Node("cooper_examiner")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._changed = threading.Condition()
        self._frames: OrderedDict[int, Observed] = OrderedDict()
        self.depth_times: list[float] = []
        for name in names:
            self._node.create_subscription(
                Image, ARRAYS[name], self._receiver(name), SensorDataQoS(depth=2)
            )
        self._node.create_subscription(
            String, "sim_camera/truth/objects", self._receive_truth, StandardTopicQoS()
        )
        self._thread = threading.Thread(target=self._spin, name="examiner", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._executor.shutdown(timeout_sec=1.0)
        self._thread.join(2.0)
        self._node.destroy_node()

    def frame(self, stamp_ns: int) -> Observed | None:
        """What is known of the image with this stamp."""
        with self._changed:
            return self._frames.get(stamp_ns)

    def newest(self, *names: str) -> Observed | None:
        """The newest image of which all these arrays and the truth have arrived."""
        with self._changed:
            for observed in reversed(self._frames.values()):
                if observed.has(*names):
                    return observed
        return None

    def wait_for(
        self, condition: Callable[[], Any], timeout_s: float, alive: Callable[[], None]
    ) -> Any:
        """The first true value of `condition()`, looked at whenever something arrives; None in the
        end. `alive()` may raise to end the wait."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not (value := condition()):
                left = deadline - time.monotonic()
                if left <= 0.0:
                    return None
                alive()
                self._changed.wait(min(left, 0.5))  # now and then, to see whether all are alive
        return value

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            pass

    def _receiver(self, name: str) -> Callable[[Image], None]:
        def receive(message: Image) -> None:
            stamp_ns = time_to_ns(message.header.stamp)
            with self._changed:
                self._entry(stamp_ns).arrays[name] = image_to_array(message)
                if name == "depth":
                    self.depth_times.append(time.monotonic())
                self._changed.notify_all()

        return receive

    def _receive_truth(self, message: String) -> None:
        truth = json.loads(message.data)
        with self._changed:
            self._entry(int(truth["stamp_ns"])).truth = truth
            self._changed.notify_all()

    def _entry(self, stamp_ns: int) -> Observed:
        if stamp_ns not in self._frames:
            self._frames[stamp_ns] = Observed(stamp_ns)
            while len(self._frames) > KEPT_TRUTHS:
                self._frames.popitem(last=False)
            for old in list(self._frames.values())[-KEPT_PICTURES - 1 : -KEPT_PICTURES]:
                # Replaced, not emptied: somebody may hold it.
                self._frames[old.stamp_ns] = Observed(old.stamp_ns, {}, old.truth)
        return self._frames[stamp_ns]
