"""Data folders: what is written can be read, and work is not done twice."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from cooper_ros.cli import main
from cooper_ros.core.classes import CLASS_NAMES
from cooper_ros.core.errors import CooperError
from cooper_ros.sim import generate, shards
from cooper_ros.sim.packed import pack, unpack_depth, unpack_labels, unpack_rgb
from cooper_ros.sim.scene import Sample
from cooper_ros.sim.truth import COLUMNS, visible_edges


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
    assert len(shards.frames_of(arrays)) == len(arrays["ends"]) == 3
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


@pytest.mark.parametrize(("bits", "worst"), [(8, 0.0091), (16, 4e-5)])
def test_packed_depth_is_off_by_half_a_step(bits, worst):
    rng = np.random.default_rng(0)
    depth = np.exp(rng.uniform(np.log(0.13), np.log(11.9), (40, 30))).astype(np.float32)
    labels = rng.integers(0, 250, (2, 40, 30), np.uint8)
    rgb = rng.integers(0, 255, (40, 30, 3), np.uint8)
    frame = pack(rgb, depth, *labels, bits=bits, lossless=True)
    assert (np.abs(unpack_depth(frame) / depth - 1)).max() < worst
    assert np.array_equal(unpack_rgb(frame), rgb)
    assert all(np.array_equal(a, b) for a, b in zip(unpack_labels(frame), labels, strict=True))


def test_frames_of_format_1_are_read():
    rng = np.random.default_rng(1)
    old = {
        "rgb": rng.integers(0, 255, (2, 6, 8, 3), np.uint8),
        "depth": rng.uniform(0.3, 9, (2, 6, 8)).astype(np.float16),
        "classes": rng.integers(0, 27, (2, 6, 8), np.uint8),
        "instances": rng.integers(0, 9, (2, 6, 8), np.uint8),
    }
    frames = shards.frames_of(old)
    assert np.array_equal(unpack_rgb(frames[1]), old["rgb"][1])
    np.testing.assert_allclose(unpack_depth(frames[1]), old["depth"][1], rtol=1e-4)


def real_edges(arrays):
    """The arrays with objects that their labels show, and the edges of these."""
    rows = arrays["objects"].copy()
    rows[:, COLUMNS.index("instance")] = [1, 2, 3, 4, 5]
    for row in rows:
        _, instances = unpack_labels(shards.frames_of(arrays)[int(row[0])])
        row[-4:] = visible_edges(instances, row[[COLUMNS.index("instance")]])[0]
    return {**arrays, "objects": rows}


@pytest.mark.parametrize("kind", ["npz", "parquet", "format 1"])
def test_a_shard_without_edges_gets_them_from_its_labels(arrays, tmp_path, kind):
    whole = real_edges(arrays)
    old = {**whole, "objects": whole["objects"][:, :15]}
    info = shards.shard_info(arrays) | {"object_columns": COLUMNS[:15]}
    old["info"] = np.array(json.dumps(info))
    if kind == "parquet":
        pytest.importorskip("pyarrow")
        from cooper_ros.sim.parquet import read_parquet, write_parquet

        write_parquet(tmp_path / "old.parquet", old)
        got = read_parquet(tmp_path / "old.parquet")
    elif kind == "npz":
        shards.write_shard(tmp_path / "old.npz", old)
        got = shards.read_shard(tmp_path / "old.npz")
    else:
        maps = [unpack_labels(frame)[1] for frame in shards.frames_of(old)]
        got = shards.with_edges({"objects": old["objects"], "instances": np.stack(maps)})
    assert np.array_equal(got["objects"], whole["objects"])
    assert np.isfinite(whole["objects"][:, -4:]).all()


def test_a_table_of_another_width_is_refused(arrays, tmp_path):
    path = tmp_path / "shard-val-000-00000.npz"
    shards.write_shard(path, {**arrays, "objects": arrays["objects"][:, :12]})
    with pytest.raises(CooperError, match="00000.npz is no readable.*has not 19 columns: render"):
        shards.read_shard(path)


def test_a_shard_that_was_cut_off_is_named(arrays, tmp_path):
    path = tmp_path / "shard-val-000-00000.npz"
    shards.write_shard(path, arrays)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(CooperError, match="shard-val-000-00000.npz is no readable shard"):
        shards.read_shard(path)
    short = {**arrays, "rgb": arrays["rgb"][:-5]}
    with pytest.raises(CooperError, match="cut off"):
        shards.frames_of(short)


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
    assert set(content["seed"]) == {0}
    for frame in shards.frames_of(content):
        assert unpack_rgb(frame).shape == (288, 384, 3)
        assert unpack_depth(frame).shape == unpack_labels(frame)[0].shape == (288, 384)
    before = path.stat().st_mtime_ns
    assert main(command) == 0
    again = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert again["shards_kept"] == 1 and again["frames"] == 0
    assert path.stat().st_mtime_ns == before


@pytest.fixture
def jobs(tmp_path, monkeypatch, no_files):
    """Four shards of three scenes with two views, rendered by nobody."""
    monkeypatch.setattr(generate, "SCENES_PER_SHARD", 3)
    monkeypatch.setattr(generate, "assets_for", lambda split: no_files)
    return generate.plan(tmp_path, 24, "val", 1, 2)


def _write(arrays, job, path=None, noted=True, **changes):
    """The shard of a job, as rendering gives it (`noted`: as it is written since 0.2.0)."""
    values = {"split": job.split, "views": job.views, "first_scene": job.first_scene} | changes
    info = shards.shard_info(arrays) | {"split": values["split"]}
    first, views = values["first_scene"], values["views"]
    info["made"] = {"first_scene": first, "scenes": job.scenes, "views": views} if noted else {}
    seeds = np.repeat(np.arange(first, first + job.scenes), views)
    content = {**arrays, "seed": seeds, "info": np.array(json.dumps(info))}
    shards.write_shard(path or job.path, content)


@pytest.mark.parametrize("noted", [True, False])
def test_what_is_done_is_told_by_what_is_in_the_shards(arrays, jobs, tmp_path, noted):
    assert generate.unfinished(jobs) == jobs
    for job in jobs[:3]:
        _write(arrays, job, noted=noted)
    assert generate.unfinished(jobs) == jobs[3:]
    jobs[0].path.rename(tmp_path / "my-own-name.npz")
    assert generate.unfinished(jobs) == jobs[3:], "a name says nothing"
    data = jobs[1].path.read_bytes()
    jobs[1].path.write_bytes(data[: len(data) // 2])
    assert generate.unfinished(jobs) == [jobs[1], jobs[3]], "half a shard is none"
    jobs[1].path.write_bytes(b"")
    assert jobs[1] in generate.unfinished(jobs)
    shards.write_shard(jobs[1].path, {"seed": arrays["seed"], "info": arrays["info"]})
    assert jobs[1] in generate.unfinished(jobs), "without pictures"


@pytest.mark.parametrize("noted", [True, False])
@pytest.mark.parametrize("change", [{"views": 1}, {"split": "test"}, {"first_scene": 0}])
def test_a_shard_with_other_frames_under_the_right_name_does_not_count(
    arrays, jobs, noted, change
):
    for job in jobs:
        _write(arrays, job, noted=noted, **change)
    assert generate.unfinished(jobs) == jobs


def test_the_last_shard_of_a_smaller_run_is_made_again(arrays, jobs, tmp_path, no_files):
    smaller = generate.plan(tmp_path, 10, "val", 1, 2)
    for job in smaller:
        _write(arrays, job)
    assert smaller[-1].path == jobs[1].path and smaller[-1].scenes < jobs[1].scenes
    assert generate.unfinished(jobs) == jobs[1:]


def test_models_that_changed_are_other_frames(arrays, jobs, monkeypatch):
    from cooper_ros.sim.assets import AssetSet

    for job in jobs:
        _write(arrays, job)
    monkeypatch.setattr(generate, "assets_for", lambda split: AssetSet("new", (), "other"))
    assert generate.unfinished(jobs) == jobs


def test_half_written_files_of_a_killed_run_are_removed(jobs, tmp_path):
    left = jobs[2].path.with_name(f"{jobs[2].path.name}.{2**30}.tmp")
    being_written = jobs[2].path.with_name(f"{jobs[2].path.name}.{os.getpid()}.tmp")
    mine = tmp_path / "notes.tmp"
    for path in (left, being_written, mine):
        path.write_text("x")
    generate.remove_leftovers([job.path for job in jobs])
    assert not left.exists() and being_written.exists() and mine.exists()


def test_wrong_numbers_are_refused(tmp_path, capsys):
    assert main(["data", "sim", "--out", str(tmp_path), "--frames", "0"]) == 1
    assert "at least 1" in capsys.readouterr().err
