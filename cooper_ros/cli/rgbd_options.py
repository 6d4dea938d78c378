"""Options of the commands that read sets of RGB-D pictures."""

from __future__ import annotations

import argparse
from pathlib import Path

from cooper_ros.core.errors import CooperError


def declare_sets(parser: argparse.ArgumentParser) -> None:
    """The sets and their cameras."""
    parser.add_argument(
        "folders",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="sets: color_NAME.jpg with depth_NAME.png and intrinsics.json, or NYU Depth v2",
    )
    parser.add_argument(
        "--intrinsics", metavar="fx,fy,cx,cy", help="of sets without intrinsics.json [px]"
    )


def declare_trial(parser: argparse.ArgumentParser, draws: int, draws_help: str) -> None:
    """How much of the sets is looked at, and with which model."""
    add = parser.add_argument
    add("--draws", type=int, default=draws, metavar="K", help=draws_help)
    add("--frames", type=int, metavar="N", help="at most N pictures of each set")
    add("--model", help="model folder or name (default: the one that is shipped)")
    add("--backend", default="auto", help="inference engine (default: auto)")


def check_trial(args: argparse.Namespace) -> None:
    """Raise CooperError for counts below 1."""
    for option, value in (("--draws", args.draws), ("--frames", args.frames)):
        if value is not None and value < 1:
            raise CooperError(f"{option} must be 1 or more, got {value}")
