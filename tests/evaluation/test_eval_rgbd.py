"""`cooper eval rgbd`: its sets, its readings, what stands beside the model."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from real_folders import HEIGHT, write_set  # type: ignore[import-not-found]

from cooper_ros.cli import main
from cooper_ros.core.errors import CooperError, IntrinsicsError
from cooper_ros.core.scale_state import ScaleState
from cooper_ros.evaluation.rgbd import (
    READINGS,
    Seen,
    evaluate_set,
    mean_figures,
    picture_figures,
    rgbd_table,
)
from cooper_ros.evaluation.rgbd_sets import (
    NYU_CAMERA,
    RgbdPicture,
    SetCamera,
    camera_of,
    listed,
    named,
    pictures_of,
)


def relative(picture: RgbdPicture) -> Seen:
    """A model that sees near and far right, but inverse depth with a scale and shift of its own."""
    truth = np.nan_to_num(picture.truth, nan=2.0)
    grey = np.full_like(truth, 2.5)
    grey[: HEIGHT // 2] = 3.0
    nominal = (1.0 / (0.5 / truth + 0.1)).astype(np.float32)
    return Seen(picture, nominal, grey, ScaleState.of_model("log", metric=True))


@pytest.mark.parametrize(
    ("colour", "depth"),
    [
        ("color_1.jpg", "depth_1.png"),
        ("kitchen/rgb_00045.jpg", "kitchen/sync_depth_00045.png"),
        ("test/0001.png", "test/0001_depth.png"),
    ],
)
def test_both_layouts_are_read(tmp_path: Path, colour: str, depth: str) -> None:
    for name in (colour, depth):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert listed(tmp_path) == [(tmp_path / colour, tmp_path / depth)]


def test_the_camera_is_the_folders_then_the_one_given_then_nyus(tmp_path: Path) -> None:
    given = SetCamera(1.0, 2.0, 3.0, 4.0, 0.002)
    assert camera_of(tmp_path, given, nyu=True) == given
    assert camera_of(tmp_path, None, nyu=True) == NYU_CAMERA
    assert NYU_CAMERA.unit_m == 0.001
    with pytest.raises(CooperError, match="--intrinsics"):
        camera_of(tmp_path, None)
    path = tmp_path / "intrinsics.json"
    path.write_text('{"fx": 500, "fy": 501, "cx": 320, "cy": 240, "depth_unit_m": 0.0002}')
    assert camera_of(tmp_path, given) == SetCamera(500.0, 501.0, 320.0, 240.0, 0.0002)
    path.write_text('{"fx": 500, "fy": 501, "cx": 320, "cy": 240}')
    assert camera_of(tmp_path, given).unit_m == 0.002, "the unit may be told where it is not there"
    path.write_text("[1]")
    with pytest.raises(CooperError, match="fx, fy, cx and cy"):
        camera_of(tmp_path, given)


def test_pictures_of_another_size_than_the_cameras_are_refused(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "a", 1)
    camera = json.loads((folder / "intrinsics.json").read_text())
    (folder / "intrinsics.json").write_text(json.dumps({**camera, "width": 640, "height": 480}))
    with pytest.raises(IntrinsicsError, match="640x480"):
        next(pictures_of(folder))


def test_the_lens_of_the_set_is_the_pictures(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "a", 1)
    camera = json.loads((folder / "intrinsics.json").read_text())
    camera["distortion"] = [0.1, -0.05, 0.0, 0.0, 0.0]
    (folder / "intrinsics.json").write_text(json.dumps(camera))
    assert next(pictures_of(folder)).camera.distortion == (0.1, -0.05, 0.0, 0.0, 0.0)


def test_sets_of_one_name_are_told_apart() -> None:
    folders = [Path("a/rgbd"), Path("b/rgbd"), Path("b/tum")]
    assert list(named(folders)) == ["rgbd", "b/rgbd", "tum"]


def test_relative_depth_is_right_when_aligned_and_not_before(tmp_path: Path) -> None:
    picture = next(pictures_of(write_set(tmp_path / "a", 1)))
    figures = picture_figures(relative(picture))
    assert list(figures) == list(READINGS)
    absrel = {reading: methods["model"]["absrel"] for reading, methods in figures.items()}
    assert absrel["metric"] > 0.2 and absrel["affine"] < 1e-3
    assert absrel["affine"] < absrel["median_aligned"] < absrel["metric"]
    assert absrel["64 points"] < 0.5 * absrel["metric"]
    beside = figures["affine"]
    assert beside["grey"]["absrel"] > 0.05 and beside["constant"]["absrel"] > 0.05
    points = figures["64 points"]
    assert points["interpolation"]["absrel"] < points["constant"]["absrel"]
    assert "interpolation" not in beside, "it needs points"


def test_what_the_sensor_is_not_believed_in_takes_no_part(tmp_path: Path) -> None:
    picture = next(pictures_of(write_set(tmp_path / "a", 1)))
    seen = relative(picture)
    nominal = picture.truth.copy()
    nominal[picture.truth > 8.0] = 0.5  # wrong, where the sensor is not believed either
    exact = Seen(picture, nominal, seen.grey, seen.prior)
    assert picture_figures(exact, 1)["metric"]["model"]["absrel"] == pytest.approx(0.0, abs=1e-6)


def test_the_constant_is_the_true_median_or_that_of_the_points(tmp_path: Path) -> None:
    picture = next(pictures_of(write_set(tmp_path / "a", 1)))
    figures = picture_figures(relative(picture))
    known = picture.truth[picture.believed()]
    expected = float(np.mean(np.abs(np.median(known) - known) / known))
    assert figures["metric"]["constant"]["absrel"] == pytest.approx(expected, rel=1e-5)
    assert figures["256 points"]["constant"]["absrel"] == pytest.approx(expected, rel=0.2)


def test_a_model_without_metres_has_no_metric_reading(tmp_path: Path) -> None:
    picture = next(pictures_of(write_set(tmp_path / "a", 1)))
    seen = relative(picture)
    prior = ScaleState.of_model("log", metric=False)
    figures = picture_figures(Seen(picture, seen.nominal, seen.grey, prior, metric=False), 1)
    assert math.isnan(figures["metric"]["model"]["absrel"])
    assert figures["affine"]["model"]["absrel"] < 1e-3


def test_too_few_pixels_leave_a_reading_out(tmp_path: Path) -> None:
    picture = next(pictures_of(write_set(tmp_path / "a", 1)))
    few = np.full_like(picture.truth, np.nan)
    few[40:46, 40:50] = picture.truth[40:46, 40:50]  # sixty pixels
    figures = picture_figures(relative(RgbdPicture("few", picture.frame, few)))
    assert "16 points" in figures and "64 points" not in figures


def test_means_are_over_pictures_then_over_sets(tmp_path: Path) -> None:
    sets = {
        name: evaluate_set(write_set(tmp_path / name, count, far), relative, draws=1)
        for name, count, far in (("a", 1, 3.0), ("b", 2, 6.0))
    }
    each = [f["metric"]["model"]["absrel"] for f in sets["b"]["each"].values()]
    inside = [sets[name]["readings"]["metric"]["model"]["absrel"] for name in "ab"]
    assert inside[1] == pytest.approx(np.mean(each)) and inside[0] != pytest.approx(inside[1])
    mean = mean_figures([one["readings"] for one in sets.values()])
    assert mean["metric"]["model"]["absrel"] == pytest.approx(np.mean(inside))
    text = rgbd_table({"sets": sets, "mean": mean})
    assert "b (2) 16 points" in text and "mean of sets affine" in text


def test_the_command_says_what_is_wrong_with_its_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_set(tmp_path / "a", 1)
    assert main(["eval", "rgbd", str(folder), "--draws", "0"]) != 0
    assert "--draws must be 1 or more" in capsys.readouterr().err
    assert main(["eval", "rgbd", str(folder), "--intrinsics", "1,2"]) != 0
    assert "fx,fy,cx,cy" in capsys.readouterr().err


@pytest.mark.usefixtures("shipped_model")
def test_the_command_runs_the_shipped_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [write_set(tmp_path / "a", 1), write_set(tmp_path / "b", 2)]
    (folders[1] / "intrinsics.json").unlink()
    words = ["eval", "rgbd", *map(str, folders), "--draws", "1", "--json"]
    assert main(words) != 0
    assert "intrinsics.json is not there" in capsys.readouterr().err
    report = tmp_path / "report" / "real.html"
    assert main([*words, "--intrinsics", "140,140,79.5,59.5", "--report", str(report)]) == 0
    out = capsys.readouterr().out.splitlines()
    figures = json.loads(out[-1])
    assert figures["frames"] == 3 and list(figures["sets"]) == ["a", "b"]
    assert figures["depth"]["affine"] == figures["mean"]["affine"]["model"]
    assert 0.0 < figures["depth"]["affine"]["absrel"] < figures["depth"]["metric"]["absrel"]
    page = report.read_text()
    assert page.count("data:image/jpeg") == 3, "every picture of so small sets"
    assert "b 256 points" not in page and "b (2) 256 points" in page
