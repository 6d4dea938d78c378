"""`cooper train`: autoencoder, stage 1 (see and amg) and stage 2 (sft)."""

from __future__ import annotations

import argparse

EXAMPLE = "cooper train amg --data DIR --val DIR --start RUN/ae/model --out RUN/amg --minutes 60"
HELP = "train a model: autoencoder | see | amg | sft"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of all stages."""
    parser.add_argument("stage", choices=["autoencoder", "see", "amg", "sft", "recipe"])
    parser.add_argument(
        "--data",
        required=True,
        help="folder of training shards (cooper data sim, npz or parquet), or "
        "sim:[seed=0,frames=6000,rooms=20,views=10,processes=1] to render while training",
    )
    parser.add_argument(
        "--val",
        required=True,
        help="folder of validation shards, or sim:frames=160 to render them once",
    )
    parser.add_argument(
        "--out", required=True, help="run folder; an interrupted run continues from it"
    )
    parser.add_argument(
        "--recipe",
        default="",
        metavar="FILE",
        help="recipe: the stages, their budgets and options (default: the one for a GPU)",
    )
    parser.add_argument("--start", default="", help="model to start from (default: fresh)")
    parser.add_argument(
        "--config",
        default="",
        help="JSON of dimensions (default: cooper-nano); with --start: grow it",
    )
    parser.add_argument("--minutes", type=float, default=0.0, help="wall-clock budget")
    parser.add_argument("--steps", type=int, default=0, help="budget in steps (deterministic)")
    parser.add_argument("--frames", type=int, default=0, help="budget in frames (deterministic)")
    parser.add_argument(
        "--piece-minutes",
        type=float,
        default=0.0,
        help="end this call after so long; the same command goes on where it ended",
    )
    parser.add_argument(
        "--go-on",
        default="",
        metavar="MODEL",
        help="go on with a stage whose run folder is lost, from its averaged model "
        "(with training.json): same schedule, fresh optimiser",
    )
    parser.add_argument(
        "--photos",
        default="",
        metavar="DIR",
        help="see, amg, sft: real photos beside the simulation (index.jsonl, photos/, labels/)",
    )
    parser.add_argument(
        "--photo-share", type=float, default=1 / 3, help="share of the pictures of a batch"
    )
    parser.add_argument(
        "--numbers",
        default="auto",
        help="auto (measured at the start), bfloat16 or float32",
    )
    parser.add_argument("--profile", action="store_true", help="log the seconds of a step's parts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1, help="gradient-averaging processes")
    parser.add_argument(
        "--device", default="auto", choices=["auto", "cpu", "cuda"], help="auto: a GPU if there is"
    )
    parser.add_argument("--batch", type=int, default=0, help="frames per process and step")
    parser.add_argument("--muon-lr", type=float, default=0.0)
    parser.add_argument("--adam-lr", type=float, default=0.0)
    parser.add_argument("--hold", type=float, default=0.3, help="part of the budget at full rate")
    parser.add_argument("--ema", type=float, default=0.998)
    parser.add_argument("--eval-seconds", type=float, default=240.0, help="0: never")
    parser.add_argument("--save-seconds", type=float, default=300.0)
    parser.add_argument("--log-steps", type=int, default=20)
    parser.add_argument("--replay", type=int, default=3, help="sft: train maps every N-th step")
    parser.add_argument(
        "--pointing", type=float, default=0.5, help="sft: weight of the pointing loss, 0 without"
    )
    parser.add_argument(
        "--apart",
        type=float,
        default=0.5,
        help="sft: share of the budget in which text does not change the picture's states",
    )
    parser.add_argument(
        "--view-dropout",
        type=float,
        default=0.5,
        help="sft: share of frames of whose picture the answers see only a part",
    )
    parser.add_argument(
        "--score-frames", type=int, default=64, help="sft: frames of which evaluation asks"
    )
    parser.add_argument(
        "--tune-tower",
        type=float,
        default=1.0,
        metavar="SHARE",
        help="see: train the tower's convolutions too behind this share of the budget (1: never)",
    )
    parser.add_argument(
        "--sizes",
        nargs="*",
        default=[],
        help="picture sizes by progress, as 0:128x96:32 0.55:192x144:24",
    )


def run(args: argparse.Namespace) -> int:
    """Train; 0 when the budget was spent."""
    whole = args.stage == "recipe"
    if not whole and sum(value > 0 for value in (args.minutes, args.steps, args.frames)) != 1:
        raise SystemExit("give one of --minutes, --steps and --frames")
    from dataclasses import fields

    from cooper_ros.training.options import TrainOptions
    from cooper_ros.training.run import train

    options = TrainOptions(**{f.name: getattr(args, f.name) for f in fields(TrainOptions)})
    if whole:
        from cooper_ros.training.recipe import run_recipe
        from cooper_ros.training.setup import CONFIGS

        run_recipe(args.recipe or CONFIGS / "recipe-gpu.json", options)
    else:
        train(options)
    return 0
