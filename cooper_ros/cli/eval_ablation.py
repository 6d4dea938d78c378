"""`cooper eval ablation`: what steps, camera rays and maps in the context are worth."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from cooper_ros.core.errors import CooperError


def declare(parser: argparse.ArgumentParser) -> None:
    """Arguments of `cooper eval ablation`."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    add = parser.add_argument
    add("--model", help="model folder or name (default: the one that is shipped)")
    add("--seed", type=int, default=0, help="any seed gives unseen rooms (default: 0)")
    add("--scenes", type=int, default=100, help="number of rooms (default: 100)")
    add("--questions-per-frame", type=int, default=6, metavar="K")
    add("--processes", type=int, default=min(2, cores), help="default: %(default)s")
    add("--backend", default="auto", help="inference engine (default: auto)")
    add(
        "--other",
        action="append",
        default=[],
        metavar="TITLE=FOLDER",
        help="another trained model as one more row, e.g. one trained without camera rays; "
        "may be given several times",
    )
    add(
        "--rows",
        metavar="NAMES",
        help="only these rows besides the first, with commas between (e.g. true_maps,no_maps); "
        "none: only --other",
    )
    add("--save", type=Path, metavar="FILE", help="write the JSON there")
    add(
        "--page",
        type=Path,
        metavar="FILE.md",
        help="Markdown page whose part between the ablation markers is rewritten",
    )
    add("--json", action="store_true", help="last line: one JSON object")
    add("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Run all variants and print the table."""
    from cooper_ros.cli.eval_progress import pictures, progress
    from cooper_ros.evaluation import ablation, ablation_figures
    from cooper_ros.evaluation.figures import plain
    from cooper_ros.evaluation.sim import Options, pictures_folder
    from cooper_ros.runtime.pipeline import CooperPipeline

    if args.scenes < 1:
        raise CooperError(f"--scenes must be 1 or more, got {args.scenes}")
    options = Options(
        model=args.model,
        seed=args.seed,
        scenes=args.scenes,
        questions_per_frame=args.questions_per_frame,
        mode="maps",
        direct=False,
        probed=0,
        processes=args.processes,
        backend=args.backend,
    )
    others = [_other(text) for text in args.other]
    variants = ablation.with_others(others, None if args.rows is None else args.rows.split(","))
    ablation.check_models(options, variants)
    model_id = CooperPipeline.open(options.model, options.backend).model_id
    folder = pictures_folder()
    chosen = pictures(options, folder, args.quiet)
    found = progress(
        ablation.ablate(options, chosen, variants), "variants", len(chosen), args.quiet
    )
    rows = ablation_figures.summarise_ablation(found, variants, seed=args.seed)
    figures: dict[str, Any] = {
        "model_id": model_id,
        "split": options.split,
        "seed": options.seed,
        "scenes": len(found),
        "frames": sum(len(scene[variants[0].name].depth) for scene in found),
        "asked": rows[0]["questions"],
        "world": folder.name,
        "variants": rows,
    }
    print(ablation_figures.ablation_text(figures))
    text = json.dumps(plain(figures))
    if args.save:
        args.save.write_text(text + "\n", encoding="utf-8")
    if args.page:
        page = args.page.read_text(encoding="utf-8")
        # from the JSON, so that the page and the saved figures cannot differ
        written = ablation_figures.ablation_text(json.loads(text))
        args.page.write_text(ablation_figures.put_between(page, written), encoding="utf-8")
    if args.json:
        print(text)
    return 0


def _other(text: str) -> tuple[str, str]:
    title, equals, folder = text.partition("=")
    if not (title and equals and folder):
        raise CooperError(f"--other needs TITLE=FOLDER, got {text!r}")
    return title, folder
