"""Quality of service by name, so that a topic's contract is said once.

The names say what the reader of a topic gets, after the profiles Nav2 uses.
"""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy


class StandardTopicQoS(QoSProfile):
    """Reliable, volatile, keep last: results that must not get lost on the way."""

    def __init__(self, depth: int = 10) -> None:
        super().__init__(
            depth=depth,
            history=HistoryPolicy.KEEP_LAST,
            reliability=ReliabilityPolicy.RELIABLE,
            durability=DurabilityPolicy.VOLATILE,
        )


class SensorDataQoS(QoSProfile):
    """Best effort with depth 1: for subscribing to any camera driver; the newest image wins.

    A best-effort reader connects to reliable and best-effort writers alike, a reliable reader does
    not. Depth 1, because an old image is worth nothing to a robot.
    """

    def __init__(self, depth: int = 1) -> None:
        super().__init__(
            depth=depth,
            history=HistoryPolicy.KEEP_LAST,
            reliability=ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.VOLATILE,
        )


class ImagePublisherQoS(QoSProfile):
    """Reliable, short history: for publishing images.

    A reliable writer serves both kinds of reader. Large messages over shared memory arrive in 3 to
    10 ms this way with `config/fastdds_shm.xml`; with the default segment they would be cut into
    fragments and best-effort readers would lose most of them.
    """

    def __init__(self, depth: int = 2) -> None:
        super().__init__(
            depth=depth,
            history=HistoryPolicy.KEEP_LAST,
            reliability=ReliabilityPolicy.RELIABLE,
            durability=DurabilityPolicy.VOLATILE,
        )


class LatchedPublisherQoS(QoSProfile):
    """Reliable and transient local: a late reader still gets the last message."""

    def __init__(self, depth: int = 1) -> None:
        super().__init__(
            depth=depth,
            history=HistoryPolicy.KEEP_LAST,
            reliability=ReliabilityPolicy.RELIABLE,
            durability=DurabilityPolicy.TRANSIENT_LOCAL,
        )


class LatchedSubscriptionQoS(QoSProfile):
    """The reader's half of `LatchedPublisherQoS`."""

    def __init__(self, depth: int = 1) -> None:
        super().__init__(
            depth=depth,
            history=HistoryPolicy.KEEP_LAST,
            reliability=ReliabilityPolicy.RELIABLE,
            durability=DurabilityPolicy.TRANSIENT_LOCAL,
        )


class QuestionQoS(QoSProfile):
    """Reliable with a long history: for requests and replies of questions, and their feedback.

    The ROS default keeps ten; of more requests that arrive while the executor is busy the rest
    would be dropped without a word, and their clients wait for ever.
    """

    def __init__(self, depth: int = 256) -> None:
        super().__init__(
            depth=depth,
            history=HistoryPolicy.KEEP_LAST,
            reliability=ReliabilityPolicy.RELIABLE,
            durability=DurabilityPolicy.VOLATILE,
        )
