"""Playing a bag as if its robot were there."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy
from rosgraph_msgs.msg import Clock

from cooper_ros.core.errors import BagError
from cooper_ros.ros.bags.definitions import message_class
from cooper_ros.ros.bags.older import Convert, converter
from cooper_ros.ros.bags.policies import to_play
from cooper_ros.ros.bags.reading import Bag
from cooper_ros.ros.messages import to_time

OLDER = "recorded with another definition of its type: converted, new fields are empty"
POLL_S = 0.05
SETTLED_S = 0.5
"""A node's readers become known one by one; it starts when none came for so long [s]."""


class Player(Node):
    """Publishes the messages of a bag at their times, as bytes.

    Those of a type that has another definition here are converted (`older`). `topics`: which ones
    (None = all of known type; the others are in `problems`). `remaps`:
    "/old:=/new", besides those of the command line. `clock_hz` > 0 publishes /clock, for nodes with
    `use_sim_time`; its time is that of the bag. `rate` is the speed, 1 = as recorded.
    """

    def __init__(
        self,
        bag: Bag,
        topics: Sequence[str] | None = None,
        *,
        rate: float = 1.0,
        clock_hz: float = 0.0,
        remaps: Sequence[str] = (),
        **arguments: Any,
    ) -> None:
        for name, value in (("rate", rate), ("clock_hz", clock_hz)):
            if not 0.0 <= value <= 1000.0 or (name == "rate" and value == 0.0):
                raise BagError(f"{name} must be above 0 and at most 1000, got {value:g}")
        for rule in remaps:
            if rule.count(":=") != 1:
                raise BagError(f"a remap is written /old:=/new, got {rule!r}")
        options = [part for rule in remaps for part in ("-r", rule)]
        if options:
            arguments["cli_args"] = ["--ros-args", *options]
        super().__init__("bag_player", **arguments)
        self._bag, self._rate, self._clock_hz = bag, rate, clock_hz
        self.problems: dict[str, str] = {}
        self.counts: dict[str, int] = {}
        self._publishers_by_topic: dict[str, Any] = {}
        self._latched: list[str] = []
        self._older: dict[str, Convert] = {}
        for topic in bag.topics:
            if topics is not None and topic.name not in topics:
                continue
            if clock_hz > 0.0 and topic.name == "/clock":
                self.problems["/clock"] = "left out: a clock is made (--clock)"
                continue
            try:
                kind = message_class(topic.type_name)
                convert = converter(topic.type_name, topic.definition)
            except BagError as error:
                self.problems[topic.name] = str(error)
                self.get_logger().warning(f"{topic.name} is not played: {error}")
                continue
            profile = to_play(topic.qos)
            self._publishers_by_topic[topic.name] = self.create_publisher(
                kind, topic.name, profile
            )
            if profile.durability == DurabilityPolicy.TRANSIENT_LOCAL:
                self._latched.append(topic.name)
            self.counts[topic.name] = 0
            if convert is not None:
                self._older[topic.name] = convert
                self.problems[topic.name] = OLDER
                self.get_logger().warning(f"{topic.name}: {OLDER}")
        if not self.counts:
            self.destroy_node()
            raise BagError(f"{bag.path} has nothing to play: no message of a chosen, known topic")
        self._clock_publisher: Any = None
        if clock_hz > 0.0:
            self._clock_publisher = self.create_publisher(Clock, "/clock", 10)

    @property
    def topics(self) -> dict[str, str]:
        """Name in the bag -> name under which it is played."""
        return {name: p.topic_name for name, p in self._publishers_by_topic.items()}

    def wait_for_readers(self, timeout_s: float, stop: threading.Event) -> bool:
        """Wait until there are readers and no more appear; False if none came in time."""
        deadline = time.monotonic() + timeout_s
        count, since = 0, time.monotonic()
        while not stop.is_set() and time.monotonic() < deadline:
            now = sum(p.get_subscription_count() for p in self._publishers_by_topic.values())
            if now != count:
                count, since = now, time.monotonic()
            elif count and time.monotonic() - since >= SETTLED_S:
                return True
            stop.wait(POLL_S)
        return bool(count)

    def play(
        self, stop: threading.Event, *, start_s: float = 0.0, stop_s: float | None = None
    ) -> bool:
        """Play once, from `start_s` to before `stop_s` of the bag [s]; False if `stop` ended it.

        Latched messages from before `start_s` (/tf_static) are sent first.
        """
        if start_s > 0.0 and self._latched:
            earlier = {m.topic: m for m in self._bag.messages(self._latched, 0.0, start_s)}
            for message in earlier.values():
                self.send(message.topic, message.data)
        began: float | None = None
        first_ns = 0
        ticks = 0
        for message in self._bag.messages(list(self.counts), start_s, stop_s):
            if began is None:
                began, first_ns = time.monotonic(), message.stamp_ns
            due_s = (message.stamp_ns - first_ns) / 1e9 / self._rate
            while self._clock_publisher is not None and ticks / self._clock_hz < due_s:
                if not _wait_until(began + ticks / self._clock_hz, stop):
                    return False
                self.tick(first_ns + round(ticks / self._clock_hz * self._rate * 1e9))
                ticks += 1
            if not _wait_until(began + due_s, stop):
                return False
            # Before the message: a node on this clock must not see an image from the future.
            self.tick(message.stamp_ns)
            self.send(message.topic, message.data)
        return not stop.is_set()

    def tick(self, stamp_ns: int) -> None:
        """Set the clock, if there is one."""
        if self._clock_publisher is not None:
            self._clock_publisher.publish(Clock(clock=to_time(stamp_ns)))

    def send(self, topic: str, data: bytes) -> None:
        """Publish the bytes of one message."""
        convert = self._older.get(topic)
        if convert is not None:
            data = convert(data)
        self._publishers_by_topic[topic].publish(data)
        self.counts[topic] += 1


def _wait_until(moment: float, stop: threading.Event) -> bool:
    left = moment - time.monotonic()
    if left > 0.0:
        stop.wait(left)
    return not stop.is_set()
