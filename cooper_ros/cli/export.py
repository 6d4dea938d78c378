"""Turn a checkpoint into a model folder for robots.

Reads the official layout (llm_config.json, ema.safetensors, ae.safetensors, ...) or a checkpoint
of `cooper train`, and writes ONNX graphs that share the weights, the tokenizer, a manifest with
hashes and a self-test. Every graph is compared with torch before the folder is put in place, and
its GPU form with float32.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

EXAMPLE = "cooper export runs/nano/stage2 --out engines/cooper-nano"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("checkpoint", type=Path, help="checkpoint folder")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write or replace")
    parser.add_argument("--name", default="", help="name of the model (default: folder name)")
    parser.add_argument(
        "--dtype",
        default="auto",
        choices=["auto", "float16", "float32", "bfloat16"],
        help="type of the stored weights; auto keeps the checkpoint's (default)",
    )
    parser.add_argument(
        "--tokenizer", type=Path, help="tokenizer.json to use instead of the checkpoint's own"
    )
    parser.add_argument(
        "--pictures",
        type=Path,
        metavar="DIR",
        help="measure what GPU forms must hold on these pictures instead of drawn ones",
    )
    parser.add_argument("--licence", default="", help="licence of the weights, for the manifest")
    parser.add_argument(
        "--spec",
        type=Path,
        help="JSON file with fields of the manifest's model section to override, e.g. prompts",
    )
    parser.add_argument(
        "--link",
        choices=["auto", "always", "never"],
        default="auto",
        help="use the checkpoint's weight files by hard link (auto: from 1 GiB)",
    )
    parser.add_argument(
        "--no-check",
        action="store_true",
        help="skip the comparison with torch and the self-test (for models larger than memory)",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")


def run(args: argparse.Namespace) -> int:
    """Export; prints the folder's summary."""
    from cooper_ros.cli.images import read_pictures
    from cooper_ros.export.exporter import ExportOptions, export_checkpoint

    options = ExportOptions(
        name=args.name,
        dtype=args.dtype,
        licence=args.licence,
        spec=json.loads(args.spec.read_text(encoding="utf-8")) if args.spec else {},
        link={"auto": None, "always": True, "never": False}[args.link],
        check=not args.no_check,
        frames=read_pictures(args.pictures) if args.pictures else None,
        tokenizer=args.tokenizer,
    )
    bar = _quiet if args.quiet else _Bar()
    folder = export_checkpoint(args.checkpoint, args.out, options, bar)
    size = sum(entry.size for entry in folder.files.values()) / 2**20
    print(f"{folder.path}: model '{folder.name}', {len(folder.files)} files, {size:.1f} MiB")
    for name, entry in folder.manifest["graphs"].items():
        parity = entry.get("parity")
        text = f"relative error {parity['relative_error']:.1e}" if parity else "not compared"
        print(f"  {name:20s} {text:25s} {_gpu_form(entry)}")
    return 0


def _gpu_form(entry: Mapping[str, Any]) -> str:
    check = entry.get("gpu_check")
    text = f"GPU: {entry['gpu_dtype']}"
    if check is None:
        return f"{text}, not measured"
    divided = f", stream / {check['divided_by']:g}" if check["divided_by"] > 1.0 else ""
    return f"{text}{divided}, error {check['relative_error']:.1e}, largest {check['peak']:.2g}"


def _quiet(_what: str, _done: int, _total: int) -> None:
    """Report nothing."""


class _Bar:
    """A progress line on stderr; rewritten in place on a terminal, else one line per step."""

    WIDTH = 24

    def __call__(self, what: str, done: int, total: int) -> None:
        filled = self.WIDTH * done // max(total, 1)
        line = f"[{'#' * filled:{self.WIDTH}}] {done}/{total} {what}"
        if sys.stderr.isatty():
            end = "\n" if done == total else ""
            print(f"\r{line:60s}", end=end, file=sys.stderr, flush=True)
        elif what != "weights" or done == total:
            print(line, file=sys.stderr, flush=True)
