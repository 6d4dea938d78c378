"""Measure the speed of a model folder on this machine, at 640x480 input.

see (image read once), depth + segmentation, and answers; median and 90th percentile. With --peers
also Depth Anything V2 Small and SegFormer-B0 (random weights), with the same engine settings.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

EXAMPLE = "cooper bench --threads 2 --peers"

ROWS = {
    "see": "image read (once per frame)",
    "maps": "depth + segmentation, after that",
    "perceive": "image to depth + segmentation",
    "answer": "first answer about a frame",
    "answer_again": "another answer about it",
    "answer_direct": "answer without maps",
    "message_in": "image message to tensors",
    "message_out": "depth and labels to messages",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `cooper bench`."""
    parser.add_argument("--model", help="model folder or name (default: the one that is shipped)")
    parser.add_argument("--threads", type=int, default=2, help="default: 2")
    parser.add_argument("--runs", type=int, default=15, help="timed frames (default: 15)")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--peers", action="store_true", help="also time two known architectures")
    parser.add_argument(
        "--beside-camera", action="store_true", help="run the simulated camera at the same time"
    )
    parser.add_argument(
        "--node", action="store_true",
        help="what the ROS node costs beside the model: three processes, 640x480 and 1920x1080",
    )  # fmt: skip
    parser.add_argument(
        "--topics", choices=("all", "maps"), default="maps", help="what the node publishes (--node)"
    )
    parser.add_argument("--rate", type=float, default=4.0, help="images per second (--node)")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds per size (--node)")
    parser.add_argument("--json", action="store_true", help="last line: one JSON object")


def run(args: argparse.Namespace) -> int:
    """Time and print."""
    if args.node:
        return _run_node(args)
    from cooper_ros.evaluation.bench import Options, bench
    from cooper_ros.evaluation.figures import plain

    options = Options(
        args.model, args.threads, args.runs, args.peers, args.beside_camera, args.backend
    )
    figures = bench(options)
    print(_table(figures))
    if args.json:
        print(json.dumps(plain(figures)))
    return 0


def _run_node(args: argparse.Namespace) -> int:
    from cooper_ros.evaluation.figures import plain
    from cooper_ros.evaluation.node_bench import NodeOptions, bench_node, table

    figures = bench_node(
        NodeOptions(
            args.runs, args.rate, args.topics, args.threads, args.model or "cooper-nano",
            args.limit,
        )  # fmt: skip
    )
    print(table(figures))
    if args.json:
        print(json.dumps(plain(figures)))
    return 0


def _table(figures: dict[str, Any]) -> str:
    from cooper_ros.evaluation.table import align, number

    head = f"{figures['model']}, {figures['backend']}, {figures['threads']} threads"
    beside = ", simulated camera beside" if figures["beside_camera"] else ""
    columns = ("median_ms", "p90_ms", "hz", "processor_ms")
    rows = [
        [text, *(number(figures[key][name], 1) for name in columns)]
        for key, text in ROWS.items()
        if key in figures
    ]
    parts = [
        f"{head}\n{figures['machine']}, {figures['width']}x{figures['height']} input{beside}",
        align(["", "median ms", "p90 ms", "per second", "processor ms"], rows),
        f"peak memory {figures['peak_memory_mb']:.0f} MB",
    ]
    for name, found in figures.get("peers", {}).items():
        times = ", ".join(f"{peer} {ms:.0f} ms" for peer, ms in found["median_ms"].items())
        parts.append(
            f"{name.replace('_', ' ')}: {times}; "
            f"together {found['ratio']:.1f} times our depth + segmentation "
            f"({found['processor_ratio']:.1f} times in processor time)"
        )
    return "\n".join(parts)
