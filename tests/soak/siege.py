"""Siege: every attack of attacks.py in random order, for minutes; the node must go on answering.

python tests/soak/siege.py --minutes 10 --seed 1 [--attack many_boxes] [--out siege.json]

First each attack once; then at random until the time is over. After each one the node must be
alive, turn new images into maps, and answer. Exit code 1 when it did not, when its log shows a
traceback, when it does not stop with exit code 0, or when its memory at the end is 2 % or more
above that after the first round.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]

MOST_GROWTH = 2.0
"""Percent."""


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="0 = one round only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--attack", action="append", help="only these")
    parser.add_argument("--out", default="", help="JSON file for the result")
    return parser.parse_args(argv)


def isolate() -> None:
    """A DDS domain of its own, on this machine only, unless the caller chose one."""
    os.environ.setdefault("ROS_DOMAIN_ID", str(90 + os.getpid() % 11))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def strike(stage: Any, attack: Any, record: dict[str, Any]) -> None:
    """One attack, and whether the node is well after it."""
    started = time.monotonic()
    try:
        attack(stage)
        stage.recover()
    except AssertionError as error:
        record["faults"].append(f"{attack.__name__}: {str(error)[:3000]}")
        stage.node.alive()  # without a node there is no siege
        stage.recover()
    took = time.monotonic() - started
    entry = record["attacks"].setdefault(attack.__name__, {"times": 0, "longest_s": 0.0})
    entry["times"] += 1
    entry["longest_s"] = round(max(entry["longest_s"], took), 1)
    print(f"{attack.__name__}: {took:.1f} s", file=sys.stderr, flush=True)


def siege(args: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Run it; the result."""
    from attacks import ATTACKS
    from siege_stage import Stage

    chosen = [a for a in ATTACKS if not args.attack or a.__name__ in args.attack]
    record: dict[str, Any] = {"seed": args.seed, "attacks": {}, "faults": [], "memory_mib": {}}
    stage = Stage(work, args.seed)
    try:
        stage.recover()
        record["memory_mib"]["start"] = stage.memory_mib()
        for attack in stage.random.sample(chosen, len(chosen)):
            strike(stage, attack, record)
        base = record["memory_mib"]["after one round"] = stage.memory_mib()
        end = time.monotonic() + 60.0 * args.minutes
        while time.monotonic() < end:
            strike(stage, stage.random.choice(chosen), record)
        last = record["memory_mib"]["end"] = stage.memory_mib()
        growth = record["growth_percent"] = round(100.0 * (last / base - 1.0), 2)
        if growth >= MOST_GROWTH:
            record["faults"].append(f"memory grew by {growth} % from {base} to {last} MiB")
    except AssertionError as error:
        record["faults"].append(f"the siege ended: {str(error)[:3000]}")
    finally:
        record["node_exit"] = stage.close()
    if record["node_exit"]:
        record["faults"].append(f"the node's exit code was {record['node_exit']}")
    record["faults"] += tracebacks(stage.node.log)
    return record


def tracebacks(log: str) -> list[str]:
    """Errors in a node's log that are its own. rclpy's own state machine raises for a transition
    that does not exist; the node tells it and goes on."""
    found = []
    lines = log.splitlines()
    for number, line in enumerate(lines):
        before = lines[number - 1] if number else ""
        if line.startswith("Traceback") and "rclpy/lifecycle/node.py" not in before:
            found.append("traceback in the node's log:\n" + "\n".join(lines[number - 1 :][:40]))
    return found


def main(argv: list[str] | None = None) -> int:
    args = arguments(argv)
    isolate()
    with tempfile.TemporaryDirectory(prefix="cooper_siege_") as work:
        record = siege(args, Path(work))
    text = json.dumps(record, indent=1)
    if args.out:
        Path(args.out).write_text(text + "\n", encoding="utf-8")
    print(text)
    return int(bool(record["faults"]))


if __name__ == "__main__":
    sys.exit(main())
