"""Compare this implementation with reference arrays of the official one, entry by entry.

FOLDER holds a small checkpoint in the official layout, cases.npz and cases.json. Every entry must
be claimed by a check; an unclaimed one counts as a miss. With --folder the same cases run through
an exported model folder, without torch. Exit code 1 on any miss.
"""

from __future__ import annotations

import argparse
import json

EXAMPLE = "cooper conformance ../shared/golden/cooper_tiny"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `cooper conformance`."""
    parser.add_argument("set", metavar="FOLDER", help="conformance set with its checkpoint")
    parser.add_argument(
        "--folder",
        metavar="EXPORTED",
        help="model folder exported from that checkpoint: check the runtime instead of torch",
    )
    parser.add_argument("--backend", default="auto", help="engine for --folder (default: auto)")
    parser.add_argument(
        "--write-lock",
        metavar="FILE",
        help="if all passes, also write the lock set of our own model (weights from a seed) here",
    )
    parser.add_argument("--json", action="store_true", help="last line: one JSON object")


def run(args: argparse.Namespace) -> int:
    """Run the checks and print a table; 1 on any miss."""
    from cooper_ros.evaluation.conformance_run import run_exported, run_torch

    if args.folder:
        result = run_exported(args.set, args.folder, args.backend)
    else:
        result = run_torch(args.set)
    print(result.table())
    if args.write_lock and result.passed:
        from cooper_ros.evaluation.conformance_lock import write_lock

        size = write_lock(args.write_lock)
        print(f"wrote {args.write_lock}, {size} bytes")
    if args.json:
        print(json.dumps(result.to_dict()))
    return 0 if result.passed else 1
