"""`cooper eval calibrate`: intervals of lengths, confidence of depth and least scores of objects,
into the manifest."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from cooper_ros.core.errors import CooperError


def declare(parser: argparse.ArgumentParser) -> None:
    """Arguments of `cooper eval calibrate`."""
    add = parser.add_argument
    add("model", type=Path, help="model folder; its manifest is rewritten")
    add("--scenes", type=int, default=200, help="validation rooms (default: 200)")
    add("--seed", type=int, default=0)
    add("--questions-per-frame", type=int, default=6, metavar="K")
    add("--processes", type=int, default=1)
    add(
        "--only",
        choices=("min_score",),
        help="fit the least scores of objects alone (no questions), and leave the rest as it is",
    )
    add("--json", action="store_true", help="last line: one JSON object with what was measured")
    add("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Fit, measure on left-out rooms, write, print."""
    from cooper_ros.cli.eval_progress import evaluate
    from cooper_ros.core.paths import find_model_folder
    from cooper_ros.evaluation import calibration, calibration_run, scores
    from cooper_ros.evaluation.figures import plain
    from cooper_ros.evaluation.sim import Options, pictures_folder
    from cooper_ros.runtime.min_score import KEY

    if args.scenes < 1:
        raise CooperError(f"--scenes must be 1 or more, got {args.scenes}")
    model = find_model_folder(args.model)
    options = Options(
        model=str(model),
        seed=args.seed,
        scenes=args.scenes,
        questions_per_frame=0 if args.only else args.questions_per_frame,
        mode="maps",
        direct=False,
        probed=0,
        processes=args.processes,
        split="val",
        families=calibration.LENGTHS,
        sample_confidence=not args.only,
        sample_scores=True,
        min_score=0.0,  # what is hidden now counts too
    )
    calibration_run.forget(model)
    found = evaluate(options, pictures_folder(), args.quiet)
    least, objects = calibration_run.least_scores(model, found)
    calibration.write_section(model, KEY, least)
    print(scores.text(objects, least))
    if args.only:
        if args.json:
            print(json.dumps(plain({"scenes": len(found), KEY: least, "objects": objects})))
        return 0
    fitted, measured = calibration_run.calibrate(model, found)
    about: dict[str, Any] = {"split": options.split, "seed": options.seed, "scenes": len(found)}
    measured["objects"] = objects
    calibration.write(model, fitted, {**about, **measured})
    print(calibration_run.text(measured))
    print(f"{model / 'manifest.json'}: {fitted.level:.0%} intervals of {len(found)} rooms")
    if args.json:
        print(json.dumps(plain({**about, **measured})))
    return 0
