"""Writes config/sros2_policy.xml from the node's table of topics, services and actions.

usage: python tools/render_policy.py
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from cooper_ros.ros.interfaces import ACTION, INTERFACES, PUBLISHES, READS, SERVICE  # noqa: E402

TARGET = ROOT / "config" / "sros2_policy.xml"
HEAD = """\
<?xml version="1.0" encoding="UTF-8"?>
<!-- SROS 2 policy of the node `cooper`, and of a client of it. NOT TESTED: no SROS 2 was at hand.
     See docs/security.md. Made by tools/render_policy.py; a test compares it with the node. -->
<policy version="0.2.0">
  <enclaves>
"""
PARAMETERS = ("describe_parameters", "get_parameter_types", "get_parameters", "list_parameters",
              "set_parameters", "set_parameters_atomically")  # fmt: skip
LIFECYCLE = ("change_state", "get_state", "get_available_states", "get_available_transitions",
             "get_transition_graph")  # fmt: skip


def names(kind: str) -> list[str]:
    """Names of one kind, without the leading slash."""
    found = (spec.name for spec in INTERFACES if spec.kind == kind)
    return [name.replace("~/", "cooper/").lstrip("/") for name in found]


def block(group: str, permission: str, items: Sequence[str]) -> str:
    """One group of permissions; nothing for an empty one."""
    if not items:
        return ""
    lines = "".join(f"            <{group}>{name}</{group}>\n" for name in items)
    return f'          <{group}s {permission}="ALLOW">\n{lines}          </{group}s>\n'


def enclave(node: str, blocks: str) -> str:
    """One node's enclave."""
    return (
        f'    <enclave path="/{node}">\n      <profiles>\n'
        f'        <profile ns="/" node="{node}">\n{blocks}        </profile>\n'
        "      </profiles>\n    </enclave>\n"
    )


def render() -> str:
    """The whole file."""
    own = ["rosout", "parameter_events"]
    node = (
        block("topic", "publish", [*names(PUBLISHES), *own, "cooper/transition_event"])
        + block("topic", "subscribe", [*names(READS), "clock", "parameter_events"])
        + block(
            "service", "reply", [*names(SERVICE), *(f"cooper/{n}" for n in PARAMETERS + LIFECYCLE)]
        )
        + block("action", "execute", names(ACTION))
    )
    client = (
        block("topic", "publish", own)
        + block("topic", "subscribe", [*names(PUBLISHES), "parameter_events"])
        + block("service", "request", [*names(SERVICE), "cooper/get_state"])
        + block("action", "call", names(ACTION))
    )
    return HEAD + enclave("cooper", node) + enclave("cooper_client", client) + (
        "  </enclaves>\n</policy>\n"
    )


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
