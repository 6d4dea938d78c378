"""`cooper eval completion`: what a few sensor points make of a model's depth."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from cooper_ros.core.errors import CooperError


def declare(parser: argparse.ArgumentParser) -> None:
    """Arguments of `cooper eval completion`."""
    add = parser.add_argument
    add(
        "folders",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="sets: color_NAME.jpg with depth_NAME.png and intrinsics.json, or NYU Depth v2",
    )
    add("--intrinsics", metavar="fx,fy,cx,cy", help="of sets without intrinsics.json [px]")
    add("--draws", type=int, default=1, metavar="K", help="sets of anchors per picture")
    add("--frames", type=int, metavar="N", help="at most N pictures of each set")
    add("--model", help="model folder or name (default: the one that is shipped)")
    add("--backend", default="auto", help="inference engine (default: auto)")
    add("--json", action="store_true", help="last line: one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the table; 0 when it ran, whatever the figures."""
    from cooper_ros.evaluation.completion import completion_table, evaluate_folders
    from cooper_ros.evaluation.figures import plain
    from cooper_ros.evaluation.rgbd_sets import parse_intrinsics

    for option, value in (("--draws", args.draws), ("--frames", args.frames)):
        if value is not None and value < 1:
            raise CooperError(f"{option} must be 1 or more, got {value}")
    given = parse_intrinsics(args.intrinsics) if args.intrinsics else None
    figures = evaluate_folders(
        args.folders,
        given,
        draws=args.draws,
        most=args.frames,
        model=args.model,
        backend=args.backend,
    )
    print(completion_table(figures))
    if args.json:
        print(json.dumps(plain(figures)))
    return 0
