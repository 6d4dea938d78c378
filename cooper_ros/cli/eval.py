"""Score a model: on unseen simulated rooms (sim), or on real pictures (rgbd, photos).

sim        renders test rooms (kept in the user's cache), runs the shipped pipeline on them and
           prints depth, segmentation and answer figures beside two baselines that do not look
rgbd       depth on sets of real RGB-D pictures: as it is, aligned, and with 4 to 256 sensor points
photos     classes on real photos against their labels
completion what 4 to 256 sensor points make of the model's depth, on folders of such pictures
eyes       what a depth camera and a detector answer in simulated rooms, without a model
baselines  fits those baselines on training shards (written into the package)
calibrate  fits intervals of lengths and the confidence of depth on validation rooms, and measures
           both (written into the model's manifest)
calibrate-real  fits intervals, confidence and least scores for real pictures, and by what the model
           knows them, each set judged by a fit without it (written into the model's manifest)
ablation   steps, camera rays, own or true maps in the context, no maps: one table
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from cooper_ros.cli import (
    eval_ablation,
    eval_calibrate,
    eval_completion,
    eval_eyes,
    eval_photos,
    eval_real,
    eval_rgbd,
)

EXAMPLE = "cooper eval sim --seed 1 --frames 200 --json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `cooper eval`."""
    kinds = parser.add_subparsers(dest="what", required=True, metavar="KIND")
    _sim_arguments(kinds.add_parser("sim", help="unseen simulated rooms"))
    eval_rgbd.declare(kinds.add_parser("rgbd", help="sets of real RGB-D pictures"))
    eval_photos.declare(kinds.add_parser("photos", help="classes on real photos with labels"))
    eval_completion.declare(
        kinds.add_parser("completion", help="a few sensor points beside the model's depth")
    )
    eval_eyes.declare(
        kinds.add_parser("eyes", help="a depth camera and a detector, without a model")
    )
    baselines = kinds.add_parser("baselines", help="fit the baselines on training shards")
    baselines.add_argument("--data", type=Path, required=True, help="folder of training shards")
    eval_calibrate.declare(
        kinds.add_parser("calibrate", help="fit a model's intervals and confidence")
    )
    eval_real.declare(
        kinds.add_parser("calibrate-real", help="fit what holds on real pictures")
    )
    baselines.add_argument("--out", type=Path, help="file to write (default: in the package)")
    eval_ablation.declare(kinds.add_parser("ablation", help="what each part is worth"))


def _sim_arguments(parser: argparse.ArgumentParser) -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    add = parser.add_argument
    add("--model", help="model folder or name (default: the one that is shipped)")
    add("--seed", type=int, default=0, help="any seed gives unseen rooms (default: 0)")
    add("--frames", type=int, help="number of pictures (default: one per scene)")
    add("--scenes", type=int, help="number of rooms (default: 200, or --frames)")
    add("--questions-per-frame", type=int, default=4, metavar="K")
    add(
        "--mode",
        choices=("interleaved", "maps", "direct"),
        default="interleaved",
        help="interleaved: the model asks for maps and sees them; direct: image alone",
    )
    add("--processes", type=int, default=min(2, cores), help="default: %(default)s")
    add("--backend", default="auto", help="inference engine (default: auto)")
    add("--quick", action="store_true", help="no repetition without maps, no probes")
    add("--json", action="store_true", help="last line: one JSON object")
    add("--report", type=Path, metavar="PATH", help="folder or FILE.html: report with pictures")
    add("--log", type=Path, metavar="FILE", help="log.jsonl of the training, for the report")
    add("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Evaluate; 0 when it ran, whatever the figures."""
    kinds = {
        "sim": _run_sim,
        "rgbd": eval_rgbd.run,
        "photos": eval_photos.run,
        "completion": eval_completion.run,
        "eyes": eval_eyes.run,
        "baselines": _run_baselines,
        "calibrate": eval_calibrate.run,
        "calibrate-real": eval_real.run,
        "ablation": eval_ablation.run,
    }
    return kinds[args.what](args)


def _run_sim(args: argparse.Namespace) -> int:
    from cooper_ros.cli.eval_progress import evaluate
    from cooper_ros.evaluation import table
    from cooper_ros.evaluation.figures import plain, summarise
    from cooper_ros.evaluation.sim import describe, options_of, pictures_folder

    options = options_of(
        args.frames,
        args.scenes,
        model=args.model,
        seed=args.seed,
        questions_per_frame=args.questions_per_frame,
        mode=args.mode,
        direct=not args.quick and args.mode != "direct",
        probed=0 if args.quick or args.mode == "direct" else 60,
        processes=args.processes,
        backend=args.backend,
    )
    folder = pictures_folder()
    found = evaluate(options, folder, args.quiet)
    figures = {**describe(options, found, folder), **summarise(found, seed=args.seed)}
    print(table.summary(figures))
    if args.report:
        from cooper_ros.evaluation.report import write_report

        written = write_report(args.report, figures, found, options, folder, args.log)
        print(f"report: {written}")
    if args.json:
        print(json.dumps(plain(figures)))
    return 0


def _run_baselines(args: argparse.Namespace) -> int:
    from cooper_ros.evaluation.baselines import FILE, fit

    fitted = fit(args.data)
    path: Any = args.out or FILE
    fitted.save(path)
    print(f"{path}: mean depth of {fitted.frames} frames, {len(fitted.tables)} question families")
    return 0
