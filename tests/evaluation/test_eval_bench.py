"""Timing, the comparison with other architectures, and the command lines."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from cooper_ros.cli import main
from cooper_ros.core.classes import CLASS_IDS
from cooper_ros.core.errors import CooperError
from cooper_ros.core.types import Intrinsics
from cooper_ros.evaluation import bench, peers
from cooper_ros.evaluation.baselines import Baselines
from cooper_ros.evaluation.peers import OURS, USUAL, Peer
from cooper_ros.evaluation.timing import Timing, measure
from cooper_ros.sim.shards import write_shard
from cooper_ros.sim.truth import object_table


def test_warm_up_is_not_timed() -> None:
    called: list[int] = []
    ticks = itertools.count()  # one second per look at the clock
    calls = [lambda k=k: called.append(k) for k in range(4)]
    timing = measure(calls, warm_up=2, clock=lambda: float(next(ticks)))
    assert called == [0, 1, 0, 1, 2, 3]
    assert timing.seconds == (1.0, 1.0, 1.0, 1.0)
    assert len(timing.processor_seconds) == 4


def test_figures_of_a_timing() -> None:
    figures = Timing((0.1, 0.2, 0.3, 0.4, 1.0), (0.1,) * 5).to_dict()
    assert figures["median_ms"] == pytest.approx(300.0)
    assert figures["p90_ms"] == pytest.approx(760.0)
    assert figures["hz"] == pytest.approx(1 / 0.3)
    assert figures["processor_ms"] == pytest.approx(100.0)
    assert figures["runs"] == 5


def test_timings_add_call_by_call() -> None:
    both = Timing((1.0, 2.0), (0.5, 0.5)) + Timing((10.0, 20.0), (1.0, 2.0))
    assert both == Timing((11.0, 22.0), (1.5, 2.5))


def test_ratios_to_the_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    """ratio = (time of both peers) / (time of our depth + segmentation), per input size, in wall
    time and in processor time."""
    seconds = {**dict.fromkeys(USUAL, 0.9), **dict.fromkeys(OURS, 0.15)}
    monkeypatch.setattr(
        bench,
        "time_peer",
        lambda peer, threads, runs: Timing((seconds[peer],) * runs, (2 * seconds[peer],) * runs),
    )
    figures = bench.compare(bench.Options(runs=6), {"median_ms": 60.0, "processor_ms": 90.0})
    assert figures["usual_size"]["ratio"] == pytest.approx(30.0)
    assert figures["our_size"]["ratio"] == pytest.approx(5.0)
    assert figures["usual_size"]["processor_ratio"] == pytest.approx(40.0)
    assert figures["our_size"]["pair_ms"] == pytest.approx(300.0)


@pytest.mark.parametrize(
    ("peer", "millions", "shape"),
    [
        (Peer(peers.DEPTH, 56, 70), 24.8, (1, 56, 70)),
        (Peer(peers.SEGMENTATION, 64, 64), 3.75, (1, 150, 16, 16)),
    ],
)
def test_peers_are_the_known_architectures(peer: Peer, millions: float, shape: tuple) -> None:
    torch = pytest.importorskip("torch")
    model = peers.build(peer)
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, rel=0.01)
    with torch.no_grad():
        out = model(pixel_values=torch.zeros(1, 3, peer.height, peer.width))
    tensor = out.predicted_depth if peer.name == peers.DEPTH else out.logits
    assert tuple(tensor.shape) == shape


def test_camera_that_cannot_start_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "CAMERA_COMMAND", "raise SystemExit(3)")
    with pytest.raises(CooperError, match="exit code 3"), bench.camera_beside(True):
        pytest.fail("the block must not run without a camera")


@pytest.mark.parametrize(
    "arguments",
    [
        ["eval", "sim", "--model", "no-such-model", "--quiet"],
        ["eval", "rgbd", "NOWHERE", "--intrinsics", "1,2,3", "--model", "no-such-model"],
        ["bench", "--model", "no-such-model"],
    ],
)
def test_errors_are_for_people(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"cooper {arguments[0]}: ") and "Traceback" not in said


def test_kind_of_evaluation_is_required(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["eval"])
    assert stop.value.code == 2


def _write_shard(path: Path) -> None:
    """Two frames: a wall 4 m away, a mug at 1 m and a box at 2 m before it."""
    depth = np.full((144, 192), 4.0, np.float32)
    classes = np.full((144, 192), CLASS_IDS["wall"], np.uint8)
    instances = np.zeros((144, 192), np.uint8)
    for number, (name, x0, z) in enumerate((("mug", 20, 1.0), ("box", 120, 2.0)), start=1):
        window = (slice(60, 100), slice(x0, x0 + 40))
        depth[window], classes[window], instances[window] = z, CLASS_IDS[name], number
    intrinsics = Intrinsics.from_fov(60.0, 192, 144)
    table = object_table(depth, classes, instances, intrinsics, None)
    rows = np.concatenate([table, table])
    rows[len(table) :, 0] = 1
    k = [intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy]
    write_shard(
        path,
        {
            "rgb": np.zeros((2, 144, 192, 3), np.uint8),
            "depth": np.stack([depth, depth]).astype(np.float16),
            "classes": np.stack([classes, classes]),
            "instances": np.stack([instances, instances]),
            "objects": rows,
            "intrinsics": np.array([k, k], np.float32),
            "free_space": np.array([4.0, 4.0], np.float32),
            "seed": np.array([5, 6]),
        },
    )


def test_baselines_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From shards to the file, through the command line."""
    _write_shard(tmp_path / "shard-train-000-00000.npz")
    out = tmp_path / "baselines.npz"
    assert main(["eval", "baselines", "--data", str(tmp_path), "--out", str(out)]) == 0
    fitted = Baselines.load(out)
    assert fitted.frames == 2
    depth = fitted.depth(192, 144)
    assert depth[5, 5] == pytest.approx(4.0, rel=1e-3)
    assert depth[80, 40] == pytest.approx(1.0, rel=0.05)
    assert "2 frames" in capsys.readouterr().out


def test_baselines_without_shards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "baselines", "--data", str(tmp_path)]) == 1
    assert "no training frames" in capsys.readouterr().err
