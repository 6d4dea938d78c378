"""Data to train and score on: rendered rooms (sim), or the frames of a bag (bag)."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

BAG_EXAMPLE = "cooper data bag run7 --out data/run7 --depth /camera/depth/image_raw"
EXAMPLE = "cooper data sim --out data/train --frames 20000 --split train --processes 2"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `cooper data`."""
    from cooper_ros.sim import generate

    kinds = parser.add_subparsers(dest="source", required=True, metavar="SOURCE")
    sim = kinds.add_parser(
        "sim",
        help="frames of simulated rooms with exact depth, classes and object tables",
        description="Render frames of simulated rooms into shards. Shards that hold what is asked "
        "for are kept, whatever they are called, so an interrupted run continues; damaged ones, "
        "and those with other frames, are made again.",
        epilog=f"example:\n  {EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    generate.add_arguments(sim)
    bag = kinds.add_parser(
        "bag",
        help="a bag's camera and registered depth as a folder of RGB-D pictures",
        description="Write color_NNNNN.png and depth_NNNNN.png [mm] of every bag, with "
        "intrinsics.json: what `cooper eval rgbd` reads. Several bags go to a folder each.",
        epilog=f"example:\n  {BAG_EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    bag.add_argument("bags", nargs="+", type=Path, help="bag folders, .mcap or .db3 files")
    bag.add_argument("--out", type=Path, required=True, help="folder to write")
    bag.add_argument("--image", default="", metavar="TOPIC", help="which camera")
    bag.add_argument("--camera-info", default="", metavar="TOPIC", help="its calibration")
    bag.add_argument("--depth", default="", metavar="TOPIC", help="depth registered to the camera")
    bag.add_argument("--every", type=int, default=1, metavar="N", help="each n-th image")
    bag.add_argument(
        "--tolerance", type=float, default=0.02, metavar="S", help="farthest in time [s]"
    )
    bag.add_argument("--json", action="store_true", help="last line: one JSON object")


def run(args: argparse.Namespace) -> int:
    """Make the data; returns the exit code."""
    if args.source == "bag":
        return _bags(args)
    from cooper_ros.sim import generate

    return int(generate.run(args))


def _bags(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from cooper_ros.ros.bags.frames_out import find_depth, write_rgbd
    from cooper_ros.ros.bags.reading import Bag

    reports = []
    for path in args.bags:
        out = args.out / path.stem if len(args.bags) > 1 else args.out
        with Bag(path) as bag, tqdm(unit="frame", file=sys.stderr, disable=None) as bar:
            image, info = bag.camera(args.image, args.camera_info)
            depth = find_depth(bag, args.depth, image)
            written, k = write_rgbd(
                bag, out, image, info, depth, every=args.every, tolerance_s=args.tolerance,
                progress=bar.update,
            )  # fmt: skip
        reports.append({"bag": str(path), "out": str(out), **vars(written)})
        print(
            f"{out}: {written.frames} frames, {written.without_depth} images without depth in "
            f"time, {written.unusable} unusable"
        )
        if written.first_problem:
            print(f"cooper data bag: {written.first_problem}", file=sys.stderr)
        if k is not None and written.frames:
            print(f"  cooper eval rgbd {out}")
    if args.json:
        print(json.dumps({"bags": reports}))
    return 0 if all(report["frames"] for report in reports) else 1
