"""`cooper eval photos`: classes on real photos against their labels."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def declare(parser: argparse.ArgumentParser) -> None:
    """Arguments of `cooper eval photos`."""
    add = parser.add_argument
    add(
        "folder",
        type=Path,
        metavar="DIR",
        help="index.jsonl (id, split), photos/ID.jpg, labels/ID.png (class ids; 254 = none of "
        "those that labels name, 255 = unknown)",
    )
    add("--split", default="val", help="photos of the index (default: val)")
    add("--model", help="model folder or name (default: the one that is shipped)")
    add("--backend", default="auto", help="inference engine (default: auto)")
    add("--report", type=Path, metavar="PATH", help="folder or FILE.html: report with pictures")
    add("--json", action="store_true", help="last line: one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the tables; 0 when it ran, whatever the figures."""
    from cooper_ros.evaluation.figures import plain
    from cooper_ros.evaluation.photos import evaluate_folder, photo_text

    figures = evaluate_folder(args.folder, args.split, model=args.model, backend=args.backend)
    print(photo_text(figures))
    if args.report:
        from cooper_ros.evaluation.report_real import write_photo_report

        written = write_photo_report(
            args.report, figures, args.folder, args.model, args.backend
        )
        print(f"report: {written}")
    if args.json:
        print(json.dumps(plain(figures)))
    return 0
