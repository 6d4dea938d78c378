"""`cooper eval completion`: its sets, its baseline, its figures."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from cooper_ros.cli import main
from cooper_ros.core.types import Intrinsics
from cooper_ros.evaluation.completion import (
    TRIALS,
    View,
    completion_table,
    evaluate_set,
    mean_of_sets,
)
from cooper_ros.evaluation.interpolation import interpolated

REAL = Path(__file__).parents[3] / "shared" / "rgbd"


def view(seed: int) -> View:
    """A twin of a real frame: a floor, a wall and a box, seen with smooth errors of a model."""
    rng = np.random.default_rng(seed)
    rows = np.arange(120)[:, None] + np.zeros((1, 160))
    truth = np.minimum(150.0 / np.maximum(rows - 30.0, 1.0), rng.uniform(3.0, 5.0))
    x, y = rng.integers(10, 100), rng.integers(20, 60)
    box = np.full(truth.shape, np.inf)
    box[y : y + 45, x : x + 45] = 1.2
    truth = np.minimum(truth, box)
    smooth = cv2.resize(rng.normal(0.3, 0.1, (3, 4)), (160, 120), interpolation=cv2.INTER_CUBIC)
    sensor = truth.astype(np.float32)
    sensor[:5] = np.nan
    nominal = (truth * np.exp(smooth)).astype(np.float32)
    return View(f"twin {seed}", nominal, sensor, Intrinsics.from_fov(60.0, 160, 120))


def test_interpolation_of_a_plane_is_exact_inside_and_nearest_outside() -> None:
    points = np.array([[0.0, 0.0], [100.0, 0.0], [0.0, 80.0], [100.0, 80.0], [40.0, 30.0]])
    values = 1.0 + 0.01 * points[:, 0] - 0.02 * points[:, 1]
    at = np.array([[10.0, 20.0], [77.0, 33.0], [100.0, 80.0], [130.0, 5.0]])
    expected = [1.0 + 0.1 - 0.4, 1.0 + 0.77 - 0.66, values[3], values[1]]
    np.testing.assert_allclose(interpolated(points, values, at), expected, atol=1e-9)


def test_interpolation_of_a_line_is_the_nearest_points_value() -> None:
    points = np.array([[0.0, 7.0], [10.0, 7.0], [20.0, 7.0]])
    at = np.array([[4.0, 50.0], [17.0, 0.0]])
    np.testing.assert_allclose(interpolated(points, np.array([1.0, 2.0, 3.0]), at), [1.0, 3.0])


def test_figures_of_a_set_compare_the_three() -> None:
    figures = evaluate_set([view(seed) for seed in range(4)])
    assert list(figures) == list(TRIALS)
    for trial in ("16 points", "64 points"):
        one = figures[trial]
        assert one["ratio"] == one["completion"] / min(one["interpolation"], one["fit"])
        assert one["ratio"] < 0.85
    assert figures["64 points, 30 % outliers"]["to_fit"] < 1.0
    assert figures["one line of 64"]["to_fit"] < 1.03
    assert 0.8 < np.mean([figures[f"{n} points"]["covered"] for n in (16, 64)]) < 0.99


def test_a_picture_with_too_few_sensor_pixels_is_left_out_of_that_row() -> None:
    one = view(1)
    truth = np.full_like(one.truth, np.nan)
    truth[::12, ::16] = one.truth[::12, ::16]  # a hundred pixels
    figures = evaluate_set([View("few", one.nominal, truth, one.camera)])
    assert "64 points" not in figures or figures["64 points"]["completion"] < 1.0
    assert "256 points" not in figures and "4 points" in figures


def test_the_mean_is_over_sets_and_names_the_worst() -> None:
    row = {"interpolation": 0.2, "fit": 0.1, "completion": 0.05, "ratio": 0.5, "covered": 0.9}
    sets = {"a": {"4 points": row}, "b": {"4 points": {**row, "ratio": 0.9}}}
    mean = mean_of_sets(sets)
    assert mean["4 points"]["ratio"] == pytest.approx(0.7)
    assert mean["4 points"]["worst_ratio"] == 0.9
    text = completion_table({"sets": sets, "mean": mean, "frames": {"a": 3, "b": 5}})
    assert "a (3)" in text and "mean of sets" in text and "0.70" in text


def test_the_command_says_what_is_wrong_with_its_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", "completion", str(tmp_path), "--draws", "0"]) != 0
    assert "--draws must be 1 or more" in capsys.readouterr().err
    assert main(["eval", "completion", str(tmp_path)]) != 0
    assert "sync_depth_NAME.png" in capsys.readouterr().err


def test_real_frames_are_completed(capsys: pytest.CaptureFixture[str]) -> None:
    if not REAL.is_dir():
        pytest.skip("real frames ../shared/rgbd are not here")
    words = ["eval", "completion", str(REAL), "--intrinsics", "525,525,319.5,239.5"]
    assert main([*words, "--frames", "1", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    for trial in ("16 points", "64 points"):
        assert figures["mean"][trial]["to_fit"] < 0.95
