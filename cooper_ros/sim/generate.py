"""Renders a data set in several processes: `python -m cooper_ros.sim.generate --help`."""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cooper_ros.core import stopping
from cooper_ros.core.errors import CooperError
from cooper_ros.sim.assets import assets_for
from cooper_ros.sim.resume import contents, remove_leftovers

SCENES_PER_SHARD = 20
# Scene seeds of a run start here: seed * STRIDE. Runs with other seeds never share scenes.
SEED_STRIDE = 10_000_000


@dataclass(frozen=True)
class Job:
    """One shard to render."""

    path: Path
    split: str
    first_scene: int
    scenes: int
    views: int


def plan(
    out: Path, frames: int, split: str, seed: int, views: int, suffix: str = "npz"
) -> list[Job]:
    """Shards that hold about `frames` frames; the same request gives the same plan."""
    scenes = math.ceil(frames / views)
    jobs = []
    for number, first in enumerate(range(0, scenes, SCENES_PER_SHARD)):
        count = min(SCENES_PER_SHARD, scenes - first)
        jobs.append(
            Job(
                out / f"shard-{split}-{seed:03d}-{number:05d}.{suffix}",
                split,
                seed * SEED_STRIDE + first,
                count,
                views,
            )
        )
    return jobs


def render_shard(job: Job) -> tuple[int, float]:
    """Render and write one shard; returns frames written and seconds."""
    # imported here: the parent process needs no OpenGL
    from cooper_ros.sim import shards
    from cooper_ros.sim.render import Renderer
    from cooper_ros.sim.scene import RENDER_SIZE, Scene

    started = time.perf_counter()
    assets = assets_for(job.split)
    samples = []
    with Renderer(*RENDER_SIZE) as renderer:
        for number in range(job.first_scene, job.first_scene + job.scenes):
            samples += list(Scene(number, job.split, assets).samples(renderer, job.views))
    job.path.parent.mkdir(parents=True, exist_ok=True)
    if not samples:
        raise CooperError(f"{job.path.name}: no view was worth keeping; ask for more frames")
    made = {"first_scene": job.first_scene, "scenes": job.scenes, "views": job.views}
    arrays = shards.pack(samples, job.split, assets, made)
    if job.path.suffix == ".parquet":
        from cooper_ros.sim import parquet

        parquet.write_parquet(job.path, arrays)
    else:
        shards.write_shard(job.path, arrays)
    return len(samples), time.perf_counter() - started


def unfinished(jobs: list[Job]) -> list[Job]:
    """The jobs whose frames are in no shard of their folder. A shard counts by what is in it: it
    may have another name, and one that is damaged or holds something else is made again."""
    first = jobs[0]
    found = contents(first.path.parent, first.path.suffix.lstrip("."))
    if not found:
        return jobs
    asset_hash = assets_for(first.split).digest
    return [
        job for job in jobs
        if not any(
            content.holds(job.split, asset_hash, job.first_scene, job.scenes, job.views)
            for content in found.values() if content is not None
        )
    ]


def generate(missing: list[Job], processes: int) -> Iterator[tuple[Job, int]]:
    """Render all these jobs; yields each job with its number of frames."""
    if processes <= 1:
        for job in missing:
            yield job, render_shard(job)[0]
        return
    # llvmpipe threads of several renderers would fight for the same cores
    os.environ.setdefault("LP_NUM_THREADS", "1")
    with multiprocessing.get_context("spawn").Pool(processes, stopping.ignore) as pool:
        for job, (count, _) in zip(missing, pool.imap(render_shard, missing), strict=True):
            yield job, count


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `cooper data sim`."""
    parser.add_argument("--out", type=Path, required=True, help="folder for the shards")
    parser.add_argument("--frames", type=int, default=2000, help="number of frames (about)")
    parser.add_argument("--split", choices=("train", "val", "test"), default="train")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other scenes")
    parser.add_argument("--views", type=int, default=10, help="views per scene")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument(
        "--format",
        choices=("npz", "parquet"),
        default="npz",
        help="training reads both; parquet: compressed, one row per frame (needs pyarrow)",
    )
    parser.add_argument("--json", action="store_true", help="last line: one JSON object")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Render; returns the exit code."""
    from tqdm import tqdm

    if args.frames < 1 or args.views < 1 or args.processes < 1 or args.seed < 0:
        raise CooperError(
            "frames, views and processes must be at least 1, and the seed not below 0"
        )
    if args.format == "parquet":
        import pyarrow  # noqa: F401  (said before the rendering, not after)
    jobs = plan(args.out, args.frames, args.split, args.seed, args.views, args.format)
    remove_leftovers([job.path for job in jobs])
    missing = unfinished(jobs)
    if len(missing) < len(jobs) and not args.json:
        print(f"{len(jobs) - len(missing)} of {len(jobs)} shards are there already")
    others = sum(job.path.exists() for job in missing)
    if others:
        print(f"cooper data sim: {others} shards are damaged or hold other frames (scenes, views, "
              "models) than asked for, and are made again", file=sys.stderr)  # fmt: skip
    started, frames = time.perf_counter(), 0
    with tqdm(
        total=sum(job.scenes * job.views for job in missing),
        unit="frame",
        disable=args.quiet or None,
        mininterval=2.0,
    ) as bar:
        for job, count in generate(missing, args.processes):
            frames += count
            bar.update(job.scenes * job.views)
            bar.set_postfix(shard=job.path.stem[-5:])
    seconds = time.perf_counter() - started
    rate = frames / seconds if seconds > 0 else 0.0
    if args.json:
        report = {
            "frames": frames,
            "seconds": round(seconds, 2),
            "frames_per_second": round(rate, 2),
            "shards": len(jobs),
            "shards_kept": len(jobs) - len(missing),
            "folder": str(args.out),
        }
        print(json.dumps(report))
        return 0
    print(
        f"{frames} frames in {seconds:.1f} s: {rate:.1f} frames/s, {len(jobs)} shards in {args.out}"
    )
    return 0


def main(argv: list[str] | None = None) -> int:
    """Entry of `python -m cooper_ros.sim.generate`."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    return run(parser.parse_args(argv))


if __name__ == "__main__":
    raise SystemExit(main())
