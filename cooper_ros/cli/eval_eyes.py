"""`cooper eval eyes`: a depth camera and a detector in simulated rooms, and no model."""

from __future__ import annotations

import argparse
import json

from cooper_ros.core.errors import CooperError


def declare(parser: argparse.ArgumentParser) -> None:
    """Arguments of `cooper eval eyes`."""
    add = parser.add_argument
    add("--seed", type=int, default=0, help="any seed gives unseen rooms (default: 0)")
    add("--frames", type=int, default=100, help="rooms, one picture each (default: 100)")
    add("--questions-per-frame", type=int, default=8, metavar="K")
    add("--processes", type=int, default=1, help="that render rooms (default: 1)")
    add("--split", choices=("test", "val"), default="test", help=argparse.SUPPRESS)
    add("--json", action="store_true", help="last line: one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the table; 0 when it ran, whatever the figures."""
    from cooper_ros.evaluation.eyes import KITS, table_of
    from cooper_ros.evaluation.eyes_run import evaluate
    from cooper_ros.evaluation.figures import plain

    for option, value in (("--frames", args.frames), ("--processes", args.processes)):
        if value < 1:
            raise CooperError(f"{option} must be 1 or more, got {value}")
    figures = evaluate(
        args.seed, args.frames, args.questions_per_frame, args.split, args.processes
    )
    for kit in KITS:
        print(table_of(kit, figures[kit]))
    if args.json:
        print(json.dumps(plain(figures)))
    return 0
