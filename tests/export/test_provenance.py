"""What an exported model says about its training, read from run folders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cooper_ros.export import exporter, provenance
from cooper_ros.export.tracing import ExportError


def _shards(folder: Path, suffix: str = "npz") -> Path:
    """Two shards with three frames of two rooms each."""
    folder.mkdir(parents=True)
    info = json.dumps({"split": "train", "assets": "own", "asset_hash": "ab12", "format": 1})
    for number in range(2):
        seeds = np.array([10 * number, 10 * number, 10 * number + 1])
        path = folder / f"shard-train-000-0000{number}.{suffix}"
        if suffix == "npz":
            np.savez(path, seed=seeds, info=np.array(info), rgb=np.zeros((3, 2, 2, 3), np.uint8))
        else:
            import pyarrow as pa
            import pyarrow.parquet as pq

            table = pa.table({"seed": seeds}).replace_schema_metadata({"info": info})
            pq.write_table(table, path)
    return folder


def _run(folder: Path, **options: Any) -> Path:
    """A run folder as `cooper train` leaves it; returns its checkpoint."""
    model = folder / "model"
    model.mkdir(parents=True)
    (folder / "options.json").write_text(json.dumps(options))
    (folder / "state.json").write_text(json.dumps({"step": 7, "samples": 70, "seconds": 12.34}))
    lines = [{"kind": "train", "step": 1}]
    lines += [{"kind": "eval", "step": k, "absrel": 1.0 / (k + 1)} for k in range(40)]
    text = "\n".join(json.dumps(line) for line in lines) + '\n{"kind": "ev'  # killed while writing
    (folder / "log.jsonl").write_text(text)
    return model


def test_stages_are_followed_back_to_fresh_weights(tmp_path: Path) -> None:
    data = _shards(tmp_path / "data")
    first = _run(tmp_path / "ae", stage="autoencoder", seed=0, data=str(data), val="gone")
    last = _run(
        tmp_path / "amg", stage="amg", seed=3, batch=12, start=str(first), data="sim:seed=4", val=""
    )
    found = provenance.read_provenance(last)
    assert found["checkpoint"] == "amg/model"
    old, new = found["training"]
    assert (old["stage"], old["start"], new["stage"], new["start"]) == (
        "autoencoder",
        "fresh",
        "amg",
        "ae/model",
    )
    assert (old["seed"], new["seed"], new["settings"]) == (0, 3, {"batch": 12})
    assert (old["steps"], old["samples"], old["seconds"]) == (7, 70, 12.3)
    assert old["data"] == {
        "folder": "data",
        "shards": 2,
        "frames": 6,
        "scenes": 4,
        "first_scene_seed": 0,
        "last_scene_seed": 11,
        "split": "train",
        "assets": "own",
        "asset_hash": "ab12",
    }
    assert old["validation"] == {"folder": "gone"} and new["data"] == {"stream": "sim:seed=4"}
    curve = old["curve"]
    assert len(curve) == provenance.MAX_ROWS
    assert (curve[0]["step"], curve[-1]["step"]) == (0, 39) and "kind" not in curve[0]
    assert len(old["log_sha256"]) == 64
    assert str(tmp_path) not in json.dumps(found)  # nobody needs the places of this machine


def test_runs_that_were_moved_together_are_found(tmp_path: Path) -> None:
    first = _run(tmp_path / "there" / "ae", stage="autoencoder")
    _run(tmp_path / "there" / "amg", stage="amg", start=str(first))
    shutil.move(tmp_path / "there", tmp_path / "here")
    found = provenance.read_provenance(tmp_path / "here" / "amg" / "model")
    assert [stage["stage"] for stage in found["training"]] == ["autoencoder", "amg"]


def test_a_circle_ends(tmp_path: Path) -> None:
    one = _run(tmp_path / "one", stage="amg", start=str(tmp_path / "two" / "model"))
    _run(tmp_path / "two", stage="sft", start=str(one))
    assert len(provenance.read_provenance(one)["training"]) == provenance.MAX_STAGES


def test_parquet_shards_are_counted(tmp_path: Path) -> None:
    summary = provenance.data_summary(str(_shards(tmp_path / "data", "parquet")))
    assert (summary["frames"], summary["scenes"], summary["assets"]) == (6, 4, "own")


def test_a_written_file_wins_and_damage_is_named(tmp_path: Path) -> None:
    model = _run(tmp_path / "amg", stage="amg")
    (model / "provenance.json").write_text('{"checkpoint": "mine", "licence": "MIT"}')
    found = provenance.read_provenance(model)
    assert found["checkpoint"] == "mine" and found["licence"] == "MIT" and found["training"]
    (tmp_path / "amg" / "options.json").write_text("{")
    with pytest.raises(ExportError, match="options.json"):
        provenance.read_provenance(model)
    broken = tmp_path / "data"
    broken.mkdir()
    (broken / "shard-0.npz").write_bytes(b"half")
    with pytest.raises(ExportError, match="shard-0"):
        provenance.data_summary(str(broken))


def test_the_manifest_carries_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = _run(tmp_path / "sft", stage="sft", seed=5)
    given: list[Any] = []
    monkeypatch.setattr(exporter, "load_model", lambda source: None)
    monkeypatch.setattr(exporter, "_read_tokenizer", lambda source: None)
    monkeypatch.setattr(exporter, "export_model", lambda *arguments: given.append(arguments[4]))
    exporter.export_checkpoint(checkpoint, tmp_path / "out")
    (stage,) = given[0]["training"]
    assert stage["stage"] == "sft" and stage["seed"] == 5 and stage["samples"] == 70
