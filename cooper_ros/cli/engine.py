"""Verify GPU graphs of a model folder; build, list and check its TensorRT engines; make int8 forms.

Engines are built and their graphs verified on the CPU; none was ever executed on a device.

Engines go to the user's cache, addressed by content: a changed model, builder or target is built
anew, anything else is found again. Named architectures need no GPU (TensorRT-RTX builds on the
CPU); `--target device` builds for the GPU of this machine. `verify` runs the GPU graphs on the CPU
against float32. `int8` writes a model folder whose CPU graphs multiply in 8 bits.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import asdict
from pathlib import Path

from cooper_ros.cli.images import MAX_PICTURES, read_pictures

EXAMPLE = "cooper engine build engines/cooper-nano --target sm86"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions and their arguments."""
    from cooper_ros.deploy.targets import TARGETS

    targets = "; ".join(f"{t.name}: {t.description}" for t in TARGETS.values())
    actions = parser.add_subparsers(dest="action", required=True)
    for name, text in (
        ("build", "build the engines of a model folder"),
        ("check", "say which engines of a model folder are built and undamaged"),
    ):
        action = actions.add_parser(name, help=text, description=text)
        action.add_argument("folder", nargs="?", help="model folder or model name (default: nano)")
        action.add_argument("--target", choices=list(TARGETS), default="device", help=targets)
        action.add_argument("--json", action="store_true", help="last line: one JSON object")
    verify = actions.add_parser("verify", help="run the GPU graphs on the CPU against float32")
    verify.add_argument("folder", nargs="?", help="model folder or model name (default: nano)")
    verify.add_argument(
        "--pictures", type=Path, metavar="DIR",
        help=f"look at the pictures of this folder (at most {MAX_PICTURES}) instead of drawn ones",
    )  # fmt: skip
    verify.add_argument("--json", action="store_true", help="last line: one JSON object")
    int8 = actions.add_parser("int8", help="write an int8 form of a model folder for CPUs")
    int8.add_argument("folder", nargs="?", help="model folder or model name (default: nano)")
    int8.add_argument("--out", type=Path, required=True, help="model folder to write")
    listing = actions.add_parser("list", help="all engines in the cache", description="all engines")
    listing.add_argument("--json", action="store_true", help="last line: one JSON object")


def run(args: argparse.Namespace) -> int:
    """Run an action; 1 if an engine is missing, damaged or cannot be built, or a graph computes
    what it should not."""
    actions = {
        "build": _build, "check": _check, "list": _list, "int8": _int8, "verify": _verify,
    }  # fmt: skip
    return actions[args.action](args)


def _build(args: argparse.Namespace) -> int:
    from cooper_ros.core.paths import find_model_folder
    from cooper_ros.deploy.engines import build_engines, engine_directory
    from cooper_ros.deploy.targets import NEVER_EXECUTED
    from cooper_ros.runtime.folder import ModelFolder

    folder = ModelFolder.open(find_model_folder(args.folder))
    records = build_engines(folder, args.target, progress=_report)
    for record in records:
        print(
            f"{record.graph:20s} {record.target:6s} {record.bytes / 2**20:7.1f} MiB "
            f"{record.seconds:6.1f} s  {record.key}"
        )
    print(f"engines are in {engine_directory()}; {NEVER_EXECUTED}")
    if args.json:
        print(json.dumps({"engines": [asdict(record) for record in records]}))
    return 0


def _check(args: argparse.Namespace) -> int:
    from cooper_ros.core.paths import find_model_folder
    from cooper_ros.deploy.engines import find_engine
    from cooper_ros.deploy.targets import builder_version, find_builder, find_target
    from cooper_ros.runtime.folder import ModelFolder

    folder = ModelFolder.open(find_model_folder(args.folder))
    target = find_target(args.target)
    module = find_builder(target)
    builder = f"{module} {builder_version(module)}"
    found = {g: find_engine(folder, g, target, builder) for g in folder.graphs}
    for graph, record in found.items():
        print(f"{graph:20s} {'built' if record else 'not built (or damaged)'}")
    if args.json:
        print(json.dumps({graph: record is not None for graph, record in found.items()}))
    return 0 if all(found.values()) else 1


def _verify(args: argparse.Namespace) -> int:
    from cooper_ros.core.paths import find_model_folder
    from cooper_ros.deploy.verify import verify_folder
    from cooper_ros.runtime.folder import ModelFolder

    folder = ModelFolder.open(find_model_folder(args.folder))
    frames = read_pictures(args.pictures) if args.pictures else None
    reports = verify_folder(folder, frames, progress=_report)
    print(f"{'graph':20s} {'precision':9s} {'error':>8s} {'allowed':>8s} {'peak':>8s} headroom")
    for report in reports:
        print(
            f"{report.graph:20s} {report.precision:9s} {report.error:8.1e} {report.allowed:8.1e} "
            f"{report.peak:8.2g} {min(report.headroom, 1e9):8.2g}"
            + (f"  not finite: {report.non_finite:.0%}" if report.non_finite else "")
        )
    for report in reports:
        if report.problem:
            print(f"graph '{report.graph}': {report.problem}", file=sys.stderr)
    if args.json:
        graphs = {r.graph: {n: _number(v) for n, v in asdict(r).items()} for r in reports}
        print(json.dumps({"model": folder.name, "graphs": graphs}))
    return 1 if any(report.problem for report in reports) else 0


def _number(value: object) -> object:
    """Infinity and NaN are no JSON."""
    return value if not isinstance(value, float) or math.isfinite(value) else None


def _int8(args: argparse.Namespace) -> int:
    from cooper_ros.core.paths import find_model_folder
    from cooper_ros.deploy.int8 import quantise
    from cooper_ros.runtime.folder import ModelFolder

    source = ModelFolder.open(find_model_folder(args.folder))
    made = quantise(source, args.out, progress=_report)
    for graph in made.graphs:
        before, after = (f.graph_file(graph).stat().st_size / 2**20 for f in (source, made))
        print(f"{graph:20s} {before:6.2f} -> {after:6.2f} MiB")
    print(
        f"{made.path}: model {made.name!r}. Its intervals are to be fitted: cooper eval calibrate; "
        f"what it costs: cooper eval ablation --other int8={made.path}"
    )
    return 0


def _list(args: argparse.Namespace) -> int:
    from cooper_ros.deploy.engines import damage, engine_directory, list_engines

    records = list_engines()
    damaged = {record.key: damage(record) for record in records}
    for record in records:
        print(
            f"{record.model:16s} {record.graph:20s} {record.target:6s} "
            f"{record.bytes / 2**20:7.1f} MiB  {record.builder}  {damaged[record.key] or 'ok'}"
        )
    if not records:
        print(f"no engines in {engine_directory()}")
    if args.json:
        print(json.dumps({"engines": [{**asdict(r), "damage": damaged[r.key]} for r in records]}))
    return 1 if any(damaged.values()) else 0


def _report(what: str, done: int, total: int) -> None:
    if done < total:
        print(f"[{done + 1}/{total}] {what}", file=sys.stderr, flush=True)
