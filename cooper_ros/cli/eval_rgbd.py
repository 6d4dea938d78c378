"""`cooper eval rgbd`: depth on sets of real RGB-D pictures."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from cooper_ros.cli.rgbd_options import check_trial, declare_sets, declare_trial


def declare(parser: argparse.ArgumentParser) -> None:
    """Arguments of `cooper eval rgbd`."""
    declare_sets(parser)
    add = parser.add_argument
    add(
        "--depth-scale",
        type=float,
        default=0.001,
        help="metres per unit of depth, where intrinsics.json does not say it (default: 0.001)",
    )
    declare_trial(parser, 3, "sets of points per picture (default: 3)")
    add("--report", type=Path, metavar="PATH", help="folder or FILE.html: report with pictures")
    add("--json", action="store_true", help="last line: one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the table; 0 when it ran, whatever the figures."""
    from dataclasses import replace

    from cooper_ros.evaluation.figures import plain
    from cooper_ros.evaluation.rgbd import evaluate_folders, rgbd_table
    from cooper_ros.evaluation.rgbd_sets import parse_intrinsics

    check_trial(args)
    given = None
    if args.intrinsics:
        given = replace(parse_intrinsics(args.intrinsics), unit_m=args.depth_scale)
    figures = evaluate_folders(
        args.folders,
        given,
        draws=args.draws,
        most=args.frames,
        model=args.model,
        backend=args.backend,
    )
    print(rgbd_table(figures))
    if args.report:
        from cooper_ros.evaluation.report_real import write_rgbd_report

        written = write_rgbd_report(
            args.report, figures, args.folders, given, args.model, args.backend
        )
        print(f"report: {written}")
    if args.json:
        print(json.dumps(plain(figures)))
    return 0
