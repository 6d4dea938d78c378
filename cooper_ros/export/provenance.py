"""Where weights come from: what the run folders of `cooper train` tell, for the manifest.

A checkpoint of `cooper train` lies in its run folder, beside the options, the log and the state of
that run; the options name the checkpoint it started from, and so on back to fresh weights. Nothing
else is asked: no version control, no network. Folders are named without their place on the machine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cooper_ros.export.tracing import ExportError
from cooper_ros.runtime.folder import file_sha256

FILE = "provenance.json"
MAX_STAGES = 12  # a chain of runs that is longer goes in a circle
MAX_ROWS = 16  # of a learning curve
# what a run may be told besides its data and its budget
_SETTINGS = ("processes", "batch", "muon_lr", "adam_lr", "hold", "ema", "replay", "sizes")


def read_provenance(checkpoint: Path) -> dict[str, Any]:
    """What is known about a checkpoint folder.

    `checkpoint` (its name), `training` (one entry per stage, oldest first) where it lies in a run
    folder, and the fields of a `provenance.json` inside it, which win. Raises ExportError when one
    of the files is damaged.
    """
    source = checkpoint.resolve()
    found: dict[str, Any] = {"checkpoint": source.name}
    stages = _stages(source)
    if stages:
        found["checkpoint"] = f"{source.parent.name}/{source.name}"
        found["training"] = stages
    written = source / FILE
    if written.is_file():
        found.update(_object(written))
    return found


def _stages(checkpoint: Path) -> list[dict[str, Any]]:
    stages: list[dict[str, Any]] = []
    at: Path | None = checkpoint
    while at is not None and len(stages) < MAX_STAGES:
        run = at.parent
        if not (run / "options.json").is_file():
            break
        options = _object(run / "options.json")
        stages.insert(0, _stage(run, options))
        at = _start_of(options, run)
    return stages


def _start_of(options: Mapping[str, Any], run: Path) -> Path | None:
    """The checkpoint that a run started from: as it was named, or beside the run where it moved."""
    start = str(options.get("start") or "")
    if not start:
        return None
    named = Path(start)
    for path in (named, run.parent / named.parent.name / named.name):
        if path.is_dir() and path.resolve().parent != run:
            return path.resolve()
    return None


def _stage(run: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    state = _object(run / "state.json") if (run / "state.json").is_file() else {}
    start = str(options.get("start") or "")
    stage: dict[str, Any] = {
        "stage": options.get("stage", ""),
        "run": run.name,
        "start": "/".join(Path(start).parts[-2:]) if start else "fresh",
        "budget_minutes": options.get("minutes", 0.0),
        "budget_steps": options.get("steps", 0),
        "steps": state.get("step"),
        "samples": state.get("samples"),
        "seconds": round(float(state["seconds"]), 1) if "seconds" in state else None,
        "seed": options.get("seed"),
        "settings": {name: options[name] for name in _SETTINGS if options.get(name)},
        "data": data_summary(str(options.get("data", ""))),
        "validation": data_summary(str(options.get("val", ""))),
    }
    if (run / "log.jsonl").is_file():
        stage["log_sha256"] = file_sha256(run / "log.jsonl")
        stage["curve"] = _curve(run / "log.jsonl")
    return stage


def _curve(log: Path) -> list[dict[str, Any]]:
    """The evaluations of a log, thinned; the last one is always there."""
    rows = []
    for line in log.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except ValueError:  # a run that was killed while it wrote
            continue
        if isinstance(row, dict) and row.get("kind") == "eval":
            row.pop("kind")
            rows.append(row)
    if len(rows) <= MAX_ROWS:
        return rows
    chosen = np.unique(np.linspace(0, len(rows) - 1, MAX_ROWS).round().astype(int))
    return [rows[index] for index in chosen]


def data_summary(data: str) -> dict[str, Any]:
    """What a data folder of `cooper data sim` holds now: frames, scenes, seeds, assets.

    A folder that is gone (or a stream, `sim:...`) is named only.
    """
    if data.startswith("sim:"):
        return {"stream": data}
    folder = Path(data)
    shards = sorted([*folder.glob("shard-*.npz"), *folder.glob("shard-*.parquet")])
    summary: dict[str, Any] = {"folder": folder.name}
    if not data or not shards:
        return summary
    seeds: list[np.ndarray] = []
    info: dict[str, Any] = {}
    for path in shards:
        found, info = _seeds_and_info(path)
        seeds.append(found)
    every = np.concatenate(seeds)
    return {
        **summary,
        "shards": len(shards),
        "frames": len(every),
        "scenes": len(np.unique(every)),
        "first_scene_seed": int(every.min()),
        "last_scene_seed": int(every.max()),
        **{key: info[key] for key in ("split", "assets", "asset_hash") if key in info},
    }


def _seeds_and_info(path: Path) -> tuple[np.ndarray, dict[str, Any]]:
    """Scene seeds per frame, and the description, without reading the pictures."""
    try:
        if path.suffix == ".npz":
            with np.load(path) as arrays:
                return arrays["seed"], dict(json.loads(str(arrays["info"])))
        import pyarrow.parquet as pq

        table = pq.read_table(path, columns=["seed"])
        text = (table.schema.metadata or {}).get(b"info", b"{}")
        return table.column("seed").to_numpy(), dict(json.loads(text))
    except (OSError, ValueError, KeyError) as error:
        raise ExportError(f"{path} is no readable shard: {error}") from error


def _object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ExportError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise ExportError(f"{path} must hold an object")
    return value
