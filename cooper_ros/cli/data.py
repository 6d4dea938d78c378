"""`cooper data sim`: render training, validation or test frames of simulated rooms."""

from __future__ import annotations

import argparse

EXAMPLE = "cooper data sim --out data/train --frames 20000 --split train --processes 2"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `cooper data`."""
    from cooper_ros.sim import generate

    kinds = parser.add_subparsers(dest="source", required=True, metavar="SOURCE")
    sim = kinds.add_parser(
        "sim",
        help="frames of simulated rooms with exact depth, classes and object tables",
        description="Render frames of simulated rooms into shards. Shards that are there already "
        "are kept, so an interrupted run continues.",
        epilog=f"example:\n  {EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    generate.add_arguments(sim)


def run(args: argparse.Namespace) -> int:
    """Render; returns the exit code."""
    from cooper_ros.sim import generate

    return generate.run(args)
