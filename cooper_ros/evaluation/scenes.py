"""Test pictures from unseen simulated rooms: rendered once per machine, then read from a cache.

A scene is a pure function of seed, split and asset set; the cache key also holds the sources of the
simulator, so that a changed world never meets pictures of the old one.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core import paths, stopping
from cooper_ros.core.types import Frame, Intrinsics

SPLIT = "test"
SIZE = (640, 480)  # what robot cameras deliver
SEED_STRIDE = 1_000_000
KEEP_SECONDS = 7 * 24 * 3600.0
# Sources of the simulator that no rendered test picture depends on.
NO_PICTURES = ("questions.py", "generate.py", "shards.py", "parquet.py", "stream.py", "packed.py")
MAX_EMPTY_SHARE = 4  # scenes tried per scene wanted, at most


@dataclass(frozen=True, eq=False)
class TestFrame:
    """One picture with its truth at the picture's resolution.

    `depth` f32 [H, W] z [m]; `classes` uint8 and `instances` uint8 [H, W]; `objects` f32 [M, 19],
    columns `sim.truth.COLUMNS`; `free_space_m`; `gravity` f64 [3], down in the optical frame.
    """

    __test__ = False  # not a test class, whatever pytest thinks of the name

    scene: int
    index: int
    frame: Frame
    depth: NDArray[np.float32]
    classes: NDArray[np.uint8]
    instances: NDArray[np.uint8]
    objects: NDArray[np.float32]
    free_space_m: float
    gravity: NDArray[np.float64]


@dataclass(frozen=True)
class Job:
    """One scene to render into `path`."""

    path: Path
    scene: int
    views: int
    size: tuple[int, int]
    split: str = SPLIT


def world_digest() -> str:
    """12 hex digits: test asset set and the sources that turn a seed into a picture."""
    from cooper_ros import sim
    from cooper_ros.sim.assets import assets_for

    digest = hashlib.sha256(assets_for(SPLIT).digest.encode())
    for source in sorted(Path(sim.__path__[0]).glob("*.py")):
        if source.name not in NO_PICTURES:
            digest.update(source.read_bytes())
    digest.update(Path(__file__).read_bytes())
    return digest.hexdigest()[:12]


def cache_directory() -> Path:
    """Where test pictures of the present world lie, named after it.

    Pictures of other worlds are removed when nothing was added to them for a week: they may be in
    use by a run that began before the world changed.
    """
    root = paths.user_cache_dir() / "eval"
    current = root / world_digest()
    current.mkdir(parents=True, exist_ok=True)
    oldest = time.time() - KEEP_SECONDS
    for other in root.iterdir():
        if other.is_dir() and other != current and other.stat().st_mtime < oldest:
            shutil.rmtree(other, ignore_errors=True)
    return current


def render_scene(job: Job) -> Path:
    """Render one scene to its npz (with zero frames when no view of it is worth keeping)."""
    from cooper_ros.sim import camera, photo, truth
    from cooper_ros.sim.scene import Scene, scene_rng

    scene = Scene(job.scene, job.split, size=job.size)
    renderer = _renderer(job.size)
    rng = scene_rng(job.scene, job.split, "photo")
    arrays: dict[str, NDArray] = {}
    count = 0
    for pose, view in scene.views(renderer, job.views):
        intrinsics = camera.intrinsics(pose.hfov_deg, *job.size)
        gravity = camera.gravity(pose)
        table = truth.object_table(
            view.depth, view.classes, view.instances, intrinsics, gravity, frame=count
        )
        rgb = photo.photograph(renderer.colour().astype(np.float32), rng)
        k = [intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy]
        parts: dict[str, NDArray] = {
            "rgb": rgb,
            "depth": view.depth.astype(np.float16),  # 0.05 %: below anything scored here
            "classes": view.classes,
            "instances": view.instances,
            "objects": table,
            "intrinsics": np.array(k),
            "gravity": gravity,
            "free_space": np.array(_free_space(view.depth, intrinsics)),
        }
        arrays.update({f"{name}_{count}": part for name, part in parts.items()})
        count += 1
    arrays["count"] = np.array(count)
    job.path.parent.mkdir(parents=True, exist_ok=True)
    temporary = job.path.with_name(f"{job.path.stem}.{os.getpid()}.part")
    with open(temporary, "wb") as out:
        np.savez_compressed(out, **arrays)  # type: ignore[arg-type]
    os.replace(temporary, job.path)
    return job.path


def read_scene(path: Path, scene: int) -> list[TestFrame]:
    """The frames of one rendered scene."""
    frames = []
    with np.load(path) as data:
        for index in range(int(data["count"])):
            part = {
                name: data[f"{name}_{index}"]
                for name in ("rgb", "depth", "classes", "instances", "objects", "intrinsics")
            }
            height, width = part["depth"].shape
            fx, fy, cx, cy = (float(value) for value in part["intrinsics"])
            frames.append(
                TestFrame(
                    scene,
                    index,
                    Frame(part["rgb"], Intrinsics(fx, fy, cx, cy, width, height)),
                    part["depth"].astype(np.float32),
                    part["classes"],
                    part["instances"],
                    part["objects"],
                    float(data[f"free_space_{index}"]),
                    data[f"gravity_{index}"],
                )
            )
    return frames


def scene_jobs(
    folder: Path,
    seed: int,
    count: int,
    views: int,
    size: tuple[int, int] = SIZE,
    split: str = SPLIT,
) -> list[Job]:
    """Jobs for the first `count` scenes of a seed. Other seeds never share scenes with it."""
    first = seed * SEED_STRIDE
    return [
        Job(scene_path(folder, scene, views, size, split), scene, views, size, split)
        for scene in range(first, first + count)
    ]


def scene_path(
    folder: Path, scene: int, views: int, size: tuple[int, int] = SIZE, split: str = SPLIT
) -> Path:
    """The file of one rendered scene."""
    return folder / f"{split}-{scene}-{size[0]}x{size[1]}-{views}.npz"


def iterate_scenes(
    folder: Path,
    seed: int,
    scenes: int,
    views: int,
    *,
    size: tuple[int, int] = SIZE,
    split: str = SPLIT,
    processes: int = 1,
) -> Iterator[Job]:
    """Jobs of the first `scenes` scenes with at least one picture, rendered where missing."""
    jobs = scene_jobs(folder, seed, scenes * MAX_EMPTY_SHARE, views, size, split)
    kept = 0
    for job in _rendered(jobs, scenes, processes):
        with np.load(job.path) as data:
            empty = int(data["count"]) == 0
        if not empty:
            kept += 1
            yield job
        if kept == scenes:
            return


def _rendered(jobs: list[Job], block: int, processes: int) -> Iterator[Job]:
    """The jobs in order, each with its file; renders `block` scenes at a time, as they are few."""
    if processes <= 1 or all(job.path.exists() for job in jobs[:block]):
        for job in jobs:
            if not job.path.exists():
                render_scene(job)
            yield job
        return
    # llvmpipe threads of several renderers would fight for the same cores
    os.environ.setdefault("LP_NUM_THREADS", "1")
    with multiprocessing.get_context("spawn").Pool(processes, stopping.ignore) as pool:
        for start in range(0, len(jobs), block):
            part = jobs[start : start + block]
            missing = [job for job in part if not job.path.exists()]
            finished = pool.imap(render_scene, missing)
            for job in part:
                if job in missing:
                    next(finished)
                yield job


_RENDERERS: dict[tuple[int, int], object] = {}


def _renderer(size: tuple[int, int]):  # type: ignore[no-untyped-def]
    """One OpenGL context per process and size."""
    import atexit

    from cooper_ros.sim.render import Renderer

    if size not in _RENDERERS:
        renderer = Renderer(*size)
        # an open context prints a traceback when the interpreter ends
        atexit.register(renderer.close)
        _RENDERERS[size] = renderer
    return _RENDERERS[size]


def _free_space(depth: NDArray[np.float32], intrinsics: Intrinsics) -> float:
    from cooper_ros.core import geometry

    return geometry.free_space_ahead(depth, intrinsics)
