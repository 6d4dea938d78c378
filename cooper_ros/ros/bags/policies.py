"""Quality of service in a bag (rosbags' words) and in rclpy's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)

DEPTH = 50
"""Messages that may wait in a reader or writer of a bag: a slow disk must not lose any."""

NEVER = QosTime(sec=9223372036, nsec=854775807)


def to_record(offered: Sequence[QoSProfile]) -> QoSProfile:
    """A reader that connects to all these writers and asks for as much as they all offer."""
    reliable = bool(offered) and all(
        profile.reliability == ReliabilityPolicy.RELIABLE for profile in offered
    )
    latched = bool(offered) and all(
        profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for profile in offered
    )
    return _profile(reliable, latched)


def to_play(recorded: Sequence[Qos]) -> QoSProfile:
    """A writer for every reader: reliable serves both kinds; latched where the recorded one was."""
    latched = any(qos.durability == QosDurability.TRANSIENT_LOCAL for qos in recorded)
    return _profile(reliable=True, latched=latched)


def to_bag(profile: Any) -> Qos:
    """What a writer offered, as it is stored."""
    reliable = profile.reliability == ReliabilityPolicy.RELIABLE
    latched = profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    return Qos(
        # DDS does not announce history and depth: one message per writer when latched.
        history=QosHistory.KEEP_LAST,
        depth=1 if latched else 10,
        reliability=QosReliability.RELIABLE if reliable else QosReliability.BEST_EFFORT,
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=NEVER,
        lifespan=NEVER,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=NEVER,
        avoid_ros_namespace_conventions=False,
    )


def _profile(reliable: bool, latched: bool) -> QoSProfile:
    return QoSProfile(
        depth=DEPTH,
        history=HistoryPolicy.KEEP_LAST,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=(
            DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE
        ),
    )
