"""What a page of one camera looks at: the newest message of each topic, turned into pictures.

Topics are only read while a page is open: a reader makes a lazy node work.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from sensor_msgs.msg import CompressedImage, Image

from cooper_ros.msg import SegmentArray
from cooper_ros.ros.qos import SensorDataQoS, StandardTopicQoS
from cooper_ros.ros.view.answers import number
from cooper_ros.ros.view.pictures import DepthRange, Picture, camera_picture, coloured_depth

PANELS = ("camera", "depth", "segmentation")
MAX_OBJECTS = 12


class Watch:
    """Newest pictures of one camera. Made, fed and closed in the executor's thread; read anywhere.

    `image`: the camera's topic and its type; `base`: where the node publishes this camera's maps
    ("/cooper" or "/cooper/front"). `on_change` is called for every message (executor's thread).
    """

    def __init__(
        self, node: Any, image: tuple[str, str] | None, base: str, on_change: Callable[[], None]
    ) -> None:
        self._node = node
        self._on_change = on_change
        self._lock = threading.Lock()
        self._newest: dict[str, tuple[int, str, Any]] = {}
        self._made: dict[str, tuple[int, Picture | str]] = {}
        self._count = 0
        self._ranges = {"m": DepthRange(), "": DepthRange()}
        self.objects: list[dict[str, Any]] = []
        self._subscriptions: list[Any] = []
        if image is not None:
            kind = CompressedImage if image[1].endswith("/CompressedImage") else Image
            self._read(kind, image[0], "camera", "rgb")
        self._read(Image, f"{base}/depth/image", "depth", "m")
        self._read(Image, f"{base}/depth/relative", "depth", "")
        self._read(Image, f"{base}/overlay", "segmentation", "rgb")
        self._subscriptions.append(
            node.create_subscription(
                SegmentArray, f"{base}/segmentation/segments", self._on_segments,
                StandardTopicQoS(depth=1),
            )  # fmt: skip
        )

    def close(self) -> None:
        """Stop reading (executor's thread)."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []

    def _read(self, kind: Any, topic: str, panel: str, meaning: str) -> None:
        def receive(message: Any) -> None:
            with self._lock:
                newest = self._newest.get(panel)
                if newest and newest[1] == "m" and meaning == "":
                    if newest[2].header.stamp == message.header.stamp:
                        return  # metres of the same image are there already
                self._count += 1
                self._newest[panel] = (self._count, meaning, message)
            self._on_change()

        self._subscriptions.append(
            self._node.create_subscription(kind, topic, receive, SensorDataQoS())
        )

    def _on_segments(self, message: Any) -> None:
        self.objects = [
            {
                "label": s.label,
                "distance": number(s.distance),
                "spread": number(s.distance_stddev),
                "score": number(s.score),
                "box": [s.box.x_offset, s.box.y_offset, s.box.width, s.box.height],
            }
            for s in message.segments
            if s.instance
        ][:MAX_OBJECTS]
        self._on_change()

    def version(self, panel: str) -> int:
        """Number of the newest message of a panel, 0 = none yet."""
        newest = self._newest.get(panel)
        return newest[0] if newest else 0

    def picture(self, panel: str) -> Picture | str | None:
        """The newest picture (any thread; made once for all pages), or why there is none.

        None before the first message.
        """
        with self._lock:
            newest, made = self._newest.get(panel), self._made.get(panel)
        if newest is None:
            return None
        number, meaning, message = newest
        if made and made[0] == number:
            return made[1]
        picture: Picture | str
        try:
            if meaning == "rgb":
                picture = camera_picture(message)
            else:
                picture = coloured_depth(message, self._ranges[meaning], meaning)
        except ValueError as error:  # an encoding that cannot be shown; said in its place
            picture = str(error)
        with self._lock:
            self._made[panel] = (number, picture)
        return picture
