"""A topic that is subscribed to when somebody publishes it, with the type that is published."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from rclpy.qos import QoSProfile

POLL_S = 0.5


class LateTopic:
    """Subscribes once a publisher of a known type is found.

    Args:
        types: message class by type name, the preferred one first; None for a type whose package
            (vision_msgs) is not installed.
        receive: gets every message.
        qos: profile for a publisher, as `get_publishers_info_by_topic` describes it.
    """

    def __init__(
        self,
        node: Any,
        topic: str,
        types: Mapping[str, Any],
        receive: Callable[[Any], None],
        qos: Callable[[Any], QoSProfile],
    ) -> None:
        self._node, self._types, self._on_message, self._qos = node, types, receive, qos
        self.topic = node.resolve_topic_name(topic)
        self.problem = ""
        self._subscription: Any = None
        self._next_poll = 0.0
        self.poll()

    @property
    def connected(self) -> bool:
        """Whether a publisher of a known type was found."""
        return self._subscription is not None

    def poll(self) -> None:
        """Look for a publisher until there is one; called from the node's timer."""
        if self._subscription is not None or time.monotonic() < self._next_poll:
            return
        self._next_poll = time.monotonic() + POLL_S
        infos = self._node.get_publishers_info_by_topic(self.topic)
        known = [name for name, kind in self._types.items() if kind is not None]
        usable = [info for name in known for info in infos if info.topic_type == name]
        if usable:
            self.problem = ""
            self._subscription = self._node.create_subscription(
                self._types[usable[0].topic_type], self.topic, self._on_message,
                self._qos(usable[0]),
            )  # fmt: skip
        elif infos:
            self.problem = self._wrong_type(sorted({info.topic_type for info in infos}))

    def _wrong_type(self, found: list[str]) -> str:
        missing = [name for name in found if name in self._types]
        if missing:
            return f"{self.topic} is of type {missing[0]}, but vision_msgs is not installed here"
        return (
            f"{self.topic} is of type {', '.join(found)}; the node reads {' or '.join(self._types)}"
        )

    def close(self) -> None:
        """Stop listening."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None
