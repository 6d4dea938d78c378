"""Training data that comes from the simulator while training, and from Parquet shards."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from cooper_ros.cli.train import add_arguments  # noqa: E402
from cooper_ros.core.errors import CooperError  # noqa: E402
from cooper_ros.sim.generate import SEED_STRIDE, Job  # noqa: E402
from cooper_ros.sim.truth import COLUMNS  # noqa: E402
from cooper_ros.training import stream  # noqa: E402
from cooper_ros.training.frames import FrameStore  # noqa: E402
from cooper_ros.training.stream import SimStore, StreamOptions, parse_stream  # noqa: E402

SHAPE = (6, 8)


def _arrays(number: int, frames: int) -> dict[str, np.ndarray]:
    """A shard whose pixels are its number."""
    rows = np.zeros((frames, len(COLUMNS)), np.float32)
    rows[:, 0] = np.arange(frames)
    rows[:, 9] = number
    return {
        "rgb": np.full((frames, *SHAPE, 3), number, np.uint8),
        "depth": np.ones((frames, *SHAPE), np.float16),
        "classes": np.full((frames, *SHAPE), number % 5, np.uint8),
        "instances": np.zeros((frames, *SHAPE), np.uint8),
        "intrinsics": np.ones((frames, 4), np.float32),
        "free_space": np.full(frames, number, np.float32),
        "seed": np.full(frames, number, np.int64),
        "objects": rows,
        "info": np.array(json.dumps({"split": "train"})),
    }


class _Result:
    def __init__(self, value: Any = None, error: Exception | None = None) -> None:
        self.value, self.error, self.done = value, error, False

    def ready(self) -> bool:
        return self.done

    def wait(self, _seconds: float) -> None:
        self.done = True

    def get(self) -> Any:
        if self.error:
            raise self.error
        return self.value


class _Pool:
    """Renders when told to; a shard of ten frames per job."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.results: list[_Result] = []
        self.errors: dict[int, Exception] = {}

    def apply_async(self, render: Callable[[Job], Any], arguments: tuple[Job]) -> _Result:
        (job,) = arguments
        number = len(self.jobs)
        self.jobs.append(job)
        error = self.errors.get(number)
        if error is None:
            render(job)
        self.results.append(_Result((10, 0.1), error))
        return self.results[-1]

    def finish(self, count: int) -> None:
        for result in [r for r in self.results if not r.done][:count]:
            result.done = True


def _render(job: Job) -> tuple[int, float]:
    np.savez(job.path, **_arrays(job.first_scene % 250, 10))  # type: ignore[arg-type]
    return 10, 0.1


def _store(folder: Path, frames: int = 40, rank: int = 0, world: int = 1, **given: Any) -> SimStore:
    pool = given.pop("pool", None) or _Pool()
    options = StreamOptions(frames=frames, rooms=2, **given)
    return SimStore(options, folder, rank, world, _render, pool)


def test_the_newest_frames_stay_and_the_oldest_leave(tmp_path: Path) -> None:
    store = _store(tmp_path)
    assert len(store) == 10  # a tenth was waited for
    store.pool.finish(5)
    assert store.refresh() == 40 and len(store.sizes) == 4
    newest = set(store.rooms_free_space(torch.arange(40)))
    assert newest == {4.0, 6.0, 8.0, 10.0}  # first scenes of shards 2 to 5
    b = store.batch(torch.tensor([0, 39]))
    assert b.rgb[0, 0, 0, 0] == pytest.approx(4 / 127.5 - 1)
    assert [float(store.frame_objects[k][0, 9]) for k in (0, 39)] == [4.0, 10.0]
    # what left memory left the disk; what waits is bounded
    ahead = stream.AHEAD + store.options.processes
    assert len(list(tmp_path.glob("shard-*.npz"))) == 4 + ahead == 4 + len(store.waiting)
    store.refresh()
    assert len(store.pool.jobs) == 6 + ahead  # nothing finished, nothing more asked for


def test_rooms_are_new_for_every_process_and_seed(tmp_path: Path) -> None:
    rooms: list[int] = []
    for rank in range(2):
        store = _store(tmp_path / str(rank), rank=rank, world=2, seed=3)
        rooms += [r for j in store.pool.jobs for r in range(j.first_scene, j.first_scene + 2)]
    assert len(rooms) == len(set(rooms)) and min(rooms) == 3 * SEED_STRIDE
    assert sorted(rooms) == list(range(min(rooms), max(rooms) + 1))


def test_an_interrupted_stream_goes_on_behind_its_last_room(tmp_path: Path) -> None:
    first = _store(tmp_path)
    first.pool.finish(2)
    first.refresh()
    known = {job.path for job in first.pool.jobs}
    second = _store(tmp_path)
    # rendered but not yet taken when the run stopped: not lost, not taken twice
    assert len(second) == 40 and known >= set(second.loaded)
    assert not known & {job.path for job in second.pool.jobs}
    other = _store(tmp_path, seed=1)
    assert all("train-001" in path.name for path in other.loaded)


def test_a_lost_spool_goes_on_with_the_rooms_of_the_state(tmp_path: Path) -> None:
    first = _store(tmp_path / "a", rank=0, world=2)
    number = first.next_room()
    again = SimStore(
        first.options, tmp_path / "b", 1, 2, _render, _Pool(), next_room=number
    )
    known = {job.first_scene for job in first.pool.jobs}
    assert min(job.first_scene for job in again.pool.jobs) > max(known)


def test_shards_of_another_size_or_cut_off_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "shard-0.npz", **_arrays(0, 3))  # type: ignore[arg-type]
    store = FrameStore(tmp_path)
    other = _arrays(1, 3)
    for name in ("rgb", "depth", "classes", "instances"):
        other[name] = other[name][:, :4]
    np.savez(tmp_path / "shard-1.npz", **other)  # type: ignore[arg-type]
    with pytest.raises(CooperError, match=r"shard-1.npz holds frames of 8x4 pixels.*8x6"):
        store.refresh()
    whole = (tmp_path / "shard-0.npz").read_bytes()
    (tmp_path / "shard-1.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CooperError, match="shard-1.npz is no readable shard"):
        store.refresh()
    assert len(store) == 3


def test_a_failing_renderer_ends_the_run_and_an_empty_room_does_not(tmp_path: Path) -> None:
    pool = _Pool()
    pool.errors[0] = CooperError("no view was worth keeping")
    assert len(_store(tmp_path / "a", pool=pool)) == 10
    pool = _Pool()
    pool.errors[0] = RuntimeError("no OpenGL")
    with pytest.raises(CooperError, match="no OpenGL"):
        _store(tmp_path / "b", pool=pool)
    pool = _Pool()
    pool.errors.update(dict.fromkeys(range(99), CooperError("no view")))
    with pytest.raises(CooperError, match="no view"):
        _store(tmp_path / "c", pool=pool)


def test_what_may_be_written_after_sim() -> None:
    assert parse_stream("sim:") == StreamOptions()
    assert parse_stream("sim:seed=3,frames=400") == StreamOptions(seed=3, frames=400)
    for wrong in ("sim:speed=3", "sim:seed", "sim:seed=-1", "sim:frames=x", "sim:frames=0"):
        with pytest.raises(CooperError, match="frames"):
            parse_stream(wrong)
    assert not stream.is_stream("data/train")


def test_parquet_shards_train_like_npz(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    from cooper_ros.sim.parquet import write_parquet

    one, other = tmp_path / "npz", tmp_path / "parquet"
    one.mkdir()
    other.mkdir()
    for number in range(2):
        np.savez(one / f"shard-{number}.npz", **_arrays(number, 3))  # type: ignore[arg-type]
        write_parquet(other / f"shard-{number}.parquet", _arrays(number, 3))
    first, second = FrameStore(one), FrameStore(other)
    index = torch.tensor([0, 5, 3])
    a, b = first.batch(index), second.batch(index)
    for key in ("rgb", "depth", "classes", "instances", "intrinsics"):
        assert torch.equal(getattr(a, key), getattr(b, key)), key
    assert first.rooms_free_space(index) == second.rooms_free_space(index)
    for a, b in zip(first.frame_objects, second.frame_objects, strict=True):
        np.testing.assert_array_equal(a, b)


def test_rooms_come_from_the_simulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real thing, small: single rooms, rendered in another process, of committed models (those
    of a training room may first have to be converted, which takes long)."""
    assert SimStore.split == "train"
    monkeypatch.setattr(SimStore, "split", "val")
    data = "sim:seed=5,frames=4,rooms=1,views=3"
    store = stream.open_store(data, str(tmp_path))
    try:
        assert isinstance(store, SimStore) and len(store) >= 1
        b = store.batch(torch.arange(1))
        assert b.rgb.shape[1:] == (3, 288, 384) and float(b.depth.min()) > 0.0
        assert len(store.frame_objects) == len(store)
    finally:
        store.close()  # type: ignore[attr-defined]


def test_train_command_takes_a_stream() -> None:
    import argparse

    parser = argparse.ArgumentParser()
    add_arguments(parser)
    given = parser.parse_args(["amg", "--data", "sim:", "--val", "sim:frames=9", "--out", "x"])
    assert given.data == "sim:" and "frames=6000" in parser.format_help()
