"""The siege: every attack on the node in random order, ten minutes of it in `make test-long`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from siege import strike, tracebacks  # noqa: E402

SIEGE = Path(__file__).with_name("siege.py")


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_node_stands_a_siege(tmp_path: Path, minutes: float) -> None:
    out = tmp_path / "siege.json"
    done = subprocess.run(
        [sys.executable, str(SIEGE), f"--minutes={min(minutes, 10.0)}", f"--out={out}"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert out.is_file(), done.stderr[-4000:]
    result: dict[str, Any] = json.loads(out.read_text())
    print(json.dumps(result, indent=1))
    assert result["faults"] == [], "\n".join(result["faults"])
    assert done.returncode == 0
    from attacks import ATTACKS

    assert set(result["attacks"]) == {attack.__name__ for attack in ATTACKS}


def test_errors_of_the_node_are_found_in_its_log() -> None:
    told = "[ERROR] error in a callback, the node goes on: rclpy/lifecycle/node.py:326: RCLError"
    own = told.replace("rclpy/lifecycle/node.py", "cooper_ros/ros/services.py")
    assert tracebacks(f"fine\n{told}\nTraceback (most recent call last):\n  ...\nRCLError") == []
    for before in (own, ""):
        (found,) = tracebacks(f"fine\n{before}\nTraceback (most recent call last):\n  here")
        assert "here" in found


class Node:
    """A node that survives, or not."""

    def __init__(self, alive: bool = True, well: bool = True) -> None:
        self.is_alive, self.well = alive, well
        self.node = SimpleNamespace(alive=self.alive)
        self.recoveries = 0

    def alive(self) -> None:
        assert self.is_alive, "ended with -7"

    def recover(self) -> None:
        self.recoveries += 1
        assert self.well or self.recoveries > 1, "no answer"


def harmless(stage: Any) -> None:
    """Does nothing."""


def harmful(stage: Any) -> None:
    """Sees what must not be."""
    raise AssertionError("three replies were lost")


def test_a_fault_is_kept_and_the_siege_goes_on() -> None:
    record: dict[str, Any] = {"attacks": {}, "faults": []}
    strike(Node(), harmless, record)
    assert record["faults"] == [] and record["attacks"]["harmless"]["times"] == 1
    strike(Node(), harmful, record)
    strike(Node(well=False), harmless, record)
    said = [fault.splitlines()[0] for fault in record["faults"]]
    assert said == ["harmful: three replies were lost", "harmless: no answer"]
    assert record["attacks"]["harmless"]["times"] == 2
    with pytest.raises(AssertionError, match="ended with -7"):
        strike(Node(alive=False), harmful, record)
