"""Data folders: what is written can be read, and work is not done twice."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cooper_ros.cli import main
from cooper_ros.core.classes import CLASS_NAMES
from cooper_ros.sim import generate, shards
from cooper_ros.sim.scene import Sample
from cooper_ros.sim.truth import COLUMNS


@pytest.fixture
def arrays(no_files):
    rng = np.random.default_rng(0)
    samples = [
        Sample(
            rgb=rng.integers(0, 255, (12, 16, 3), np.uint8),
            depth=rng.uniform(0.3, 9, (12, 16)).astype(np.float32),
            classes=rng.integers(0, 27, (12, 16), np.uint8),
            instances=rng.integers(0, 9, (12, 16), np.uint8),
            intrinsics=np.array([20, 20, 7.5, 5.5], np.float32),
            free_space=1.5,
            objects=rng.random((count, len(COLUMNS))).astype(np.float32),
            seed=number,
        )
        for number, count in enumerate((3, 0, 2))
    ]
    return shards.pack(samples, "val", no_files)


def _same(first, second):
    assert set(first) == set(second)
    for name, value in first.items():
        assert value.dtype == second[name].dtype or name == "info", name
        assert np.array_equal(value, second[name]), name


def test_pack_numbers_the_frames(arrays):
    assert arrays["objects"][:, 0].tolist() == [0, 0, 0, 2, 2]
    assert arrays["depth"].dtype == np.float16
    info = shards.shard_info(arrays)
    assert info["split"] == "val" and info["classes"] == list(CLASS_NAMES)
    assert info["object_columns"] == list(COLUMNS)


def test_npz_round_trip_leaves_no_other_file(arrays, tmp_path):
    path = tmp_path / "shard-val-000-00000.npz"
    shards.write_shard(path, arrays)
    _same(arrays, shards.read_shard(path))
    assert list(tmp_path.iterdir()) == [path] == shards.shard_paths(tmp_path)


def test_parquet_round_trip(arrays, tmp_path):
    pytest.importorskip("pyarrow")
    from cooper_ros.sim.parquet import read_parquet, write_parquet

    path = tmp_path / "shard.parquet"
    write_parquet(path, arrays)
    _same(arrays, read_parquet(path))
    assert list(tmp_path.iterdir()) == [path]


def test_plan_covers_the_frames_without_sharing_scenes(tmp_path):
    jobs = generate.plan(tmp_path, 1000, "train", 1, 12)
    scenes = [s for job in jobs for s in range(job.first_scene, job.first_scene + job.scenes)]
    assert len(scenes) == len(set(scenes)) == 84  # ceil(1000 / 12)
    assert jobs == generate.plan(tmp_path, 1000, "train", 1, 12)
    others = {job.first_scene for job in generate.plan(tmp_path, 1000, "train", 2, 12)}
    assert not others & set(scenes)


def test_command_renders_once_and_then_keeps(tmp_path, capsys):
    command = [
        "data",
        "sim",
        "--out",
        str(tmp_path),
        "--frames",
        "2",
        "--views",
        "2",
        "--split",
        "test",
        "--quiet",
        "--json",
    ]
    assert main(command) == 0
    first = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert first["shards"] == 1 and first["shards_kept"] == 0 and 1 <= first["frames"] <= 2
    (path,) = shards.shard_paths(tmp_path)
    content = shards.read_shard(path)
    assert content["rgb"].shape[1:] == (144, 192, 3) and set(content["seed"]) == {0}
    before = path.stat().st_mtime_ns
    assert main(command) == 0
    again = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert again["shards_kept"] == 1 and again["frames"] == 0
    assert path.stat().st_mtime_ns == before


def test_wrong_numbers_are_refused(tmp_path, capsys):
    assert main(["data", "sim", "--out", str(tmp_path), "--frames", "0"]) == 1
    assert "at least 1" in capsys.readouterr().err
