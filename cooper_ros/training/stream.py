"""Frames straight from the simulator: new rooms are rendered beside the training, old ones leave.

`--data sim:seed=3,frames=6000,processes=1` instead of a folder. Finished shards wait in a spool
folder of the run; the newest ones stay there, so that a run that was interrupted goes on at once,
with the rooms after them. How many frames a step has seen depends on the machine's speed: where a
result must be a function of the seed alone, render shards first (`cooper data sim`).
"""

from __future__ import annotations

import fcntl
import multiprocessing
import multiprocessing.pool
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from cooper_ros.core.errors import CooperError
from cooper_ros.sim.generate import SEED_STRIDE, Job, generate, plan, render_shard

from .frames import FrameStore
from .resident import on_gpu, resident_frames

PREFIX = "sim:"
AHEAD = 4  # finished shards that may wait; then the renderers pause
START_SHARE = 0.1  # of the frames to hold, before training begins
MAX_FAILURES = 5  # shards in a row
POLL_S = 0.2
RENDER_NICENESS = 5

Render = Callable[[Job], tuple[int, float]]


@dataclass(frozen=True)
class StreamOptions:
    """What to stream. `frames`: held in memory at most (a validation set: rendered once); `rooms`
    per shard and `views` per room; `processes` that render beside each training process."""

    seed: int = 0
    frames: int = 6000
    rooms: int = 20
    views: int = 10
    processes: int = 1


def is_stream(data: str) -> bool:
    """Whether this is `sim:...` rather than a folder."""
    return data.startswith(PREFIX)


def parse_stream(data: str) -> StreamOptions:
    """`sim:`, `sim:seed=3,frames=4000`. Raises CooperError that names the wrong part."""
    known = [field.name for field in fields(StreamOptions)]
    values: dict[str, int] = {}
    for part in filter(None, data.removeprefix(PREFIX).split(",")):
        name, _, text = part.partition("=")
        if name not in known or not text.strip().isdecimal():
            raise CooperError(
                f"{data!r}: {part!r} is not NAME=NUMBER with one of {', '.join(known)}"
            )
        values[name] = int(text)
    options = StreamOptions(**values)
    if min(options.frames, options.rooms, options.views, options.processes) < 1:
        raise CooperError(f"{data!r}: frames, rooms, views and processes must be at least 1")
    return options


def open_store(
    data: str,
    out: str,
    rank: int = 0,
    world: int = 1,
    *,
    validation: bool = False,
    next_room: int = 0,
) -> FrameStore:
    """The frames of a folder, or of `sim:...` with its spool under the run folder `out`.

    A stream begins with `next_room`, or behind what its spool holds.
    """
    if not is_stream(data):
        if on_gpu() and not validation:
            return resident_frames(data)
        return FrameStore(data, rank, world)
    options = parse_stream(data)
    if validation:
        return FrameStore(_rendered_once(options, Path(out) / "sim-val"))
    folder = Path(out) / f"sim-train-{rank}"
    return SimStore(options, folder, rank, world, next_room=next_room)


def _rendered_once(options: StreamOptions, folder: Path) -> Path:
    """A folder with about `frames` validation frames; one process renders, the others wait."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        jobs = plan(folder, options.frames, "val", options.seed, options.views)
        for _ in generate(jobs, options.processes):
            pass
    return folder


class SimStore(FrameStore):
    """The newest frames of an endless stream of training rooms.

    Waits at the start until a tenth of `frames` is there. Shards of rooms are numbered; process
    `rank` of `world` renders every world-th. Raises CooperError when rendering fails.
    """

    split = "train"

    def __init__(
        self,
        options: StreamOptions,
        folder: Path,
        rank: int = 0,
        world: int = 1,
        render: Render = render_shard,
        pool: Any = None,
        next_room: int = 0,
    ) -> None:
        self.options, self.render = options, render
        folder.mkdir(parents=True, exist_ok=True)
        self.waiting: deque[tuple[Path, Any]] = deque()
        self.kept = sorted(folder.glob(f"shard-{self.split}-{options.seed:03d}-*.npz"))
        # a stream goes on behind its last room, in this process's own numbers
        after = 1 + max((_number(path) for path in self.kept), default=-1)
        after = max(after, next_room)
        self.next_number = after + (rank - after) % world
        self.failures = 0
        self.pool: Any = pool or _renderers(options.processes)
        super().__init__(folder, rank, world)
        wanted = max(1, round(START_SHARE * options.frames))
        while len(self) < wanted:
            self.waiting[0][1].wait(POLL_S)
            self.refresh()

    def refresh(self) -> int:
        """Take in finished shards, let the oldest go, keep the renderers busy; returns the number
        of frames now held. Does not wait."""
        while self.kept:  # what an earlier run left
            self.add_shard(self.kept.pop(0))
        while self.waiting and self.waiting[0][1].ready():
            self._take(*self.waiting.popleft())
        while len(self.sizes) > 1 and len(self) - self.sizes[0] >= self.options.frames:
            self.drop_oldest().unlink(missing_ok=True)
        while len(self.waiting) < self.options.processes + AHEAD:
            job = self._job()
            self.waiting.append((job.path, self.pool.apply_async(self.render, (job,))))
        return len(self)

    def next_room(self) -> int:
        """Number of the first shard of rooms that nobody was asked for yet."""
        return self.next_number

    def close(self) -> None:
        """Stop the renderers."""
        self.pool.terminate()
        self.pool.join()

    def _take(self, path: Path, result: Any) -> None:
        try:
            result.get()
        except Exception as error:  # of another process: it may be anything
            self.failures += 1
            # rooms without a view worth keeping exist; several such shards in a row do not
            if not isinstance(error, CooperError) or self.failures >= MAX_FAILURES:
                raise CooperError(f"rendering {path.name} failed: {error!r}") from error
            return
        self.failures = 0
        self.add_shard(path)

    def _job(self) -> Job:
        number, rooms = self.next_number, self.options.rooms
        self.next_number += self.world
        path = self.folder / f"shard-{self.split}-{self.options.seed:03d}-{number:07d}.npz"
        first = self.options.seed * SEED_STRIDE + number * rooms
        return Job(path, self.split, first, rooms, self.options.views)


def _renderers(processes: int) -> multiprocessing.pool.Pool:
    """Processes that give way to the training beside them."""
    # llvmpipe threads of several renderers would fight for the same cores
    os.environ.setdefault("LP_NUM_THREADS", "1")
    # the initializer is none of ours: that would load torch into every renderer
    context = multiprocessing.get_context("spawn")
    return context.Pool(processes, os.nice, (RENDER_NICENESS,))


def _number(path: Path) -> int:
    return int(path.stem.rsplit("-", 1)[1])
