"""`cooper eval photos`: classes against labels that are there in places."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from real_folders import write_photos  # type: ignore[import-not-found]

from cooper_ros.cli import main
from cooper_ros.core.classes import CLASS_IDS, CLASS_NAMES
from cooper_ros.core.errors import CooperError
from cooper_ros.core.labelled_photos import UNKNOWN, UNNAMED, LabelledPhotos
from cooper_ros.core.types import Segmentation
from cooper_ros.evaluation.photos import (
    NONE,
    confusion_of,
    evaluate,
    figures_of,
    photo_text,
    right_of,
)
from cooper_ros.evaluation.report_real import spread

FLOOR, WALL, CHAIR, MUG = (CLASS_IDS[name] for name in ("floor", "wall", "chair", "mug"))


def segmentation(labels: np.ndarray, names: tuple[str, ...] = CLASS_NAMES) -> Segmentation:
    ids = labels.astype(np.uint8)
    return Segmentation(ids, np.zeros(ids.shape, np.uint16), names, np.ones(ids.shape, np.float32))


def perfect(picture: np.ndarray) -> Segmentation:
    """Reads the red channel; what has no name it calls a mug, which labels cannot say."""
    red = picture[..., 0]
    return segmentation(np.where(red >= len(CLASS_NAMES), MUG, red))


def test_a_perfect_model_is_right_everywhere(tmp_path: Path) -> None:
    figures = evaluate(LabelledPhotos(write_photos(tmp_path / "p"), "val"), perfect)
    assert figures["pixel_accuracy"] == 1.0 and figures["miou"] == pytest.approx(1.0)
    assert figures["photos"] == 2 and len(figures["each"]) == 2
    assert figures["labelled_pixels"] == 2 * 75 * 60, "unknown pixels are left out"


def test_a_model_that_says_wall_has_the_walls_share(tmp_path: Path) -> None:
    photos = LabelledPhotos(write_photos(tmp_path / "p"), "val")
    figures = evaluate(photos, lambda p: segmentation(np.full(p.shape[:2], WALL)))
    assert figures["pixel_accuracy"] == pytest.approx(figures["constant"])
    assert figures["iou"]["wall"] == pytest.approx(figures["constant"])
    assert figures["iou"]["floor"] == 0.0
    assert figures["confusion"][NONE] == {"wall": 2 * 20 * 20}, "the thing without name"


def test_classes_that_hardly_occur_take_no_part() -> None:
    size = len(CLASS_NAMES) + 1
    confusion = np.zeros((size, size), np.int64)
    confusion[FLOOR, FLOOR], confusion[FLOOR, WALL] = 3000, 1000
    confusion[CHAIR, WALL] = 1999
    figures = figures_of({"one": confusion})
    assert figures["iou"] == {"floor": 0.75} and figures["miou"] == 0.75
    assert figures["pixel_accuracy"] == pytest.approx(3000 / 5999)
    assert figures["mistakes"] == {"floor": {"floor": 0.75, "wall": 0.25}}


def test_names_of_another_model_are_read_by_name() -> None:
    labels = np.array([[CHAIR, FLOOR]], np.uint8)
    found = confusion_of(segmentation(np.array([[0, 1]]), ("chair", "dragon")), labels)
    assert found[CHAIR, CHAIR] == 1
    assert found[FLOOR, -1] == 1, "a class that nobody knows is none of the nameable ones"


def test_labels_beyond_the_classes_are_refused() -> None:
    with pytest.raises(CooperError, match="class 99"):
        confusion_of(segmentation(np.zeros((2, 2))), np.full((2, 2), 99, np.uint8))


def test_the_text_names_the_mistakes_of_the_worst(tmp_path: Path) -> None:
    photos = LabelledPhotos(write_photos(tmp_path / "p"), "val")
    text = photo_text(evaluate(photos, lambda p: segmentation(np.full(p.shape[:2], WALL))))
    assert "pixel accuracy" in text and "floor" in text and "wall 100%" in text


def test_the_command_says_what_is_wrong_with_its_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", "photos", str(tmp_path)]) == 1
    assert "index.jsonl is missing" in capsys.readouterr().err
    folder = write_photos(tmp_path / "p")
    assert main(["eval", "photos", str(folder), "--split", "test"]) == 1
    assert "no photo of split 'test'" in capsys.readouterr().err
    assert main(["eval", "photos", str(folder), "--split", "train"]) == 1
    assert "photo missing or its labels are missing" in capsys.readouterr().err
    (folder / "index.jsonl").write_text("[1]\n")
    assert main(["eval", "photos", str(folder)]) == 1
    assert "needs id and split" in capsys.readouterr().err


@pytest.mark.usefixtures("shipped_model")
def test_the_command_runs_the_shipped_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_photos(tmp_path / "p")
    assert main(["eval", "photos", str(folder), "--json", "--report", str(tmp_path / "out")]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures["photos"] == 2 and figures["split"] == "val"
    assert 0.0 <= figures["pixel_accuracy"] <= 1.0
    assert set(figures["iou"]) == {"floor", "wall"}, "the chair has too few pixels"
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("data:image/jpeg") == 2 and "photo1" in page


def test_the_report_shows_the_best_the_middle_and_the_worst() -> None:
    values = {f"p{i}": float(i) for i in range(9)} | {"unknown": math.nan}
    chosen = spread(values, 2)
    assert chosen == {
        "p0": "best", "p1": "best", "p3": "middle", "p4": "middle", "p7": "worst", "p8": "worst"
    }  # fmt: skip
    assert spread({"only": 1.0}, 2) == {"only": "best"} and spread({}, 2) == {}


def test_right_and_wrong_are_told_where_somebody_knows() -> None:
    labels = np.array([[FLOOR, WALL, UNNAMED, UNNAMED, UNKNOWN]], np.uint8)
    found = segmentation(np.array([[FLOOR, FLOOR, MUG, CHAIR, CHAIR]]))
    assert right_of(found, labels).tolist() == [[1, 0, 1, 0, -1]]
