"""`cooper eval completion`: what a few sensor points make of a model's depth."""

from __future__ import annotations

import argparse
import json

from cooper_ros.cli.rgbd_options import check_trial, declare_sets, declare_trial


def declare(parser: argparse.ArgumentParser) -> None:
    """Arguments of `cooper eval completion`."""
    declare_sets(parser)
    declare_trial(parser, 1, "sets of anchors per picture")
    parser.add_argument("--json", action="store_true", help="last line: one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the table; 0 when it ran, whatever the figures."""
    from cooper_ros.evaluation.completion import completion_table, evaluate_folders
    from cooper_ros.evaluation.figures import plain
    from cooper_ros.evaluation.rgbd_sets import parse_intrinsics

    check_trial(args)
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
