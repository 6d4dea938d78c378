"""`cooper eval calibrate-real`: what holds on real pictures, into the manifest."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from cooper_ros.core.errors import CooperError


def declare(parser: argparse.ArgumentParser) -> None:
    """Arguments of `cooper eval calibrate-real`."""
    add = parser.add_argument
    add("model", type=Path, help="model folder; its manifest is rewritten")
    add(
        "folders",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="two or more sets of RGB-D pictures, as for `cooper eval rgbd`",
    )
    add("--photos", type=Path, metavar="DIR", help="labelled photos, as for `cooper eval photos`")
    add("--split", default="val", help="photos of the index: none that it learned from (val)")
    add(
        "--no-scores",
        action="store_true",
        help="measure the objects of photos, but hide none: the least scores of simulation stay",
    )
    add("--intrinsics", metavar="fx,fy,cx,cy", help="of sets without intrinsics.json [px]")
    add("--scenes", type=int, default=200, help="simulated validation rooms (default: 200)")
    add("--seed", type=int, default=0)
    add("--backend", default="auto", help="inference engine (default: auto)")
    add("--json", action="store_true", help="last line: one JSON object with what was measured")
    add("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Fit, measure on left-out sets, write, print."""
    from dataclasses import replace

    from cooper_ros.core.labelled_photos import LabelledPhotos
    from cooper_ros.core.paths import find_model_folder
    from cooper_ros.evaluation import real_run
    from cooper_ros.evaluation.calibration import write_section
    from cooper_ros.evaluation.figures import plain
    from cooper_ros.evaluation.rgbd_sets import listed, parse_intrinsics
    from cooper_ros.runtime.real_pictures import KEY

    if args.scenes < 1:
        raise CooperError(f"--scenes must be 1 or more, got {args.scenes}")
    given = parse_intrinsics(args.intrinsics) if args.intrinsics else None
    for folder in args.folders:
        listed(folder)  # a wrong name is said before minutes of work
    photos = LabelledPhotos(args.photos, args.split) if args.photos else None
    model = find_model_folder(args.model)
    forget(model)
    rooms, sets = real_run.collect(
        real_run.opened(model, args.backend),
        _rooms(args),
        args.folders,
        photos,
        given,
        rooms=args.scenes,
        seen=_bars(args.quiet),
    )
    fitted, measured = real_run.calibrate(rooms, sets)
    least = dict(fitted.min_score)
    if args.no_scores:
        fitted = replace(fitted, min_score={})
    write_section(model, KEY, {**fitted.to_dict(), "measured": plain(measured)})
    print(real_run.text(measured, least))
    print(
        f"{model / 'manifest.json'}: real pictures by {', '.join(sets)}: lengths without anchor "
        f"may be off by a factor of {fitted.factor:.2f}"
    )
    if args.json:
        print(json.dumps(plain({"factor": fitted.factor, **measured})))
    return 0


def forget(model: Path) -> None:
    """Take out a section that this version cannot read."""
    from cooper_ros.core.errors import ModelFolderError
    from cooper_ros.runtime.real_pictures import KEY, RealPictures

    path = model / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    try:
        RealPictures.from_manifest(manifest, int(manifest["model"]["hidden_size"]))
    except ModelFolderError:
        del manifest[KEY]
        path.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _rooms(args: argparse.Namespace) -> Any:
    from cooper_ros.evaluation.scenes import read_scene
    from cooper_ros.evaluation.sim import Options, pictures_folder, tasks

    options = Options(seed=args.seed, scenes=args.scenes, split="val")
    for task in tasks(options, pictures_folder()):
        yield read_scene(task.job.path, task.job.scene)[0].frame


def _bars(quiet: bool) -> Any:
    from tqdm import tqdm

    return lambda items, what, total: tqdm(items, what, total, unit="picture", disable=quiet)
