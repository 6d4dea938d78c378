"""`cooper eval calibrate-real`: what is fitted on real sets, and how it is judged without them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from real_folders import write_photos, write_set  # type: ignore[import-not-found]

from cooper_ros.cli import eval_real, main
from cooper_ros.core.classes import CLASS_IDS, CLASS_NAMES
from cooper_ros.core.errors import CooperError
from cooper_ros.core.labelled_photos import UNKNOWN
from cooper_ros.core.types import Frame, Intrinsics, Segment, Segmentation
from cooper_ros.evaluation import real_fit, real_run
from cooper_ros.evaluation.real_fit import DepthSample, RealSet
from cooper_ros.runtime.pipeline import CooperPipeline
from cooper_ros.runtime.real_pictures import ALONE, ANCHORED, RealPictures

WIDTH = 24


def tokens(count: int, offset: float, seed: int) -> list[np.ndarray]:
    """Mean tokens: real pictures differ from rooms along one line, each set a little more."""
    rng = np.random.default_rng(seed)
    found = rng.normal(0.0, 1.0, (count, WIDTH))
    found[:, :3] += offset
    found[:, 3 + seed % 8] += 0.5 * offset
    return list(found.astype(np.float32))


def sample(bias: float, sure: float, seed: int, sigma: float = 0.05) -> DepthSample:
    rng = np.random.default_rng(seed)
    error = rng.normal(bias, sigma, 400).astype(np.float32)
    return DepthSample(error, np.full(400, sure, np.float32), rng.random(400) < 0.9)


def sets() -> dict[str, RealSet]:
    made = (("hall", 12, 1, 0.8), ("table", 20, 2, -0.1), ("boxes", 2, 3, 0.0))
    return {
        name: RealSet(tokens(count, 2.5, seed), [sample(bias, 0.8, seed + i) for i in range(3)])
        for name, count, seed, bias in made
    }


def rooms(count: int = 200) -> np.ndarray:
    return np.asarray(tokens(count, 0.0, 9), np.float64)


def test_a_set_is_recognised_by_a_line_that_never_saw_it() -> None:
    measured = real_fit.cross_validated(rooms(), sets())
    assert all(one["recognised"] > 0.9 for one in measured.values())
    assert real_fit.false_alarms(rooms(), sets()) < 0.06


def test_pictures_that_are_rooms_are_not_recognised() -> None:
    same = RealSet(tokens(40, 0.0, 4), [sample(0.0, 0.8, 1)])
    measured = real_fit.cross_validated(rooms(), {**sets(), "same": same})
    assert measured["same"]["recognised"] < 0.15


def test_what_is_like_no_room_is_no_room() -> None:
    like = real_fit.fit_likeness(rooms(), [np.asarray(tokens(20, 2.5, 1), np.float64)])
    assert like.unlike(np.full(WIDTH, -9.0, np.float32)), "on the rooms' side, but far away"
    assert not like.unlike(np.zeros(WIDTH, np.float32))


def test_the_half_width_is_that_of_the_worst_set_and_judged_without_it() -> None:
    fitted = real_fit.fit(rooms(), sets())
    assert fitted.half_width == pytest.approx(0.8 + 1.28 * 0.05, abs=0.02)
    measured = real_fit.cross_validated(rooms(), sets())
    assert measured["hall"]["coverage"] < 0.05, "the other sets did not know of such an error"
    assert measured["table"]["coverage"] > 0.99
    assert measured["table"]["half_width"] == pytest.approx(fitted.half_width, abs=0.02)


def test_confidence_becomes_the_share_that_is_right() -> None:
    fitted = real_fit.fit(rooms(), sets())
    sure = np.full(1, 0.8, np.float32)
    right = np.mean([np.mean(real_fit._right(s, ALONE)) for s in sets()["hall"].depth])
    assert right < 0.05
    assert fitted.trusted(sure, ALONE)[0] == pytest.approx(2.0 / 3.0, abs=0.08), "two sets of three"
    assert fitted.trusted(sure, ANCHORED)[0] == pytest.approx(0.9, abs=0.05)


def test_confidence_that_is_sure_where_it_is_wrong_says_nothing() -> None:
    wrong = RealSet(tokens(5, 2.5, 1), [sample(0.9, 0.95, 1), sample(0.0, 0.3, 2)])
    offset, slope = real_fit.confidence_of([wrong])[ALONE]
    assert slope == 0.0 and offset == pytest.approx(0.0, abs=0.2), "half of the pixels are right"


def segments(*found: tuple[str, int]) -> Segmentation:
    """Objects side by side, 10 columns each, by class name and instance."""
    labels = np.zeros((10, 10 * len(found)), np.uint8)
    instances = np.zeros(labels.shape, np.uint16)
    listed = []
    for rank, (name, instance) in enumerate(found):
        columns = slice(10 * rank, 10 * rank + 10)
        labels[:, columns], instances[:, columns] = CLASS_IDS[name], instance
        box = (10 * rank, 0, 10, 10)
        listed.append(Segment(CLASS_IDS[name], instance, name, 0.5, box, 100))
    score = np.full(labels.shape, 0.5, np.float32)
    return Segmentation(labels, instances, CLASS_NAMES, score, tuple(listed))


def test_objects_are_judged_where_somebody_named_their_pixels() -> None:
    seen = segments(("chair", 1), ("table", 2), ("sofa", 3), ("mug", 4))
    said = np.full((10, 40), UNKNOWN, np.uint8)
    said[:, :6] = CLASS_IDS["chair"]
    said[:, 6:20] = CLASS_IDS["door"]  # two fifths of the chair, the whole table
    said[:, 20:22] = CLASS_IDS["sofa"]  # a fifth of the sofa is too little
    said[:, 30:40] = CLASS_IDS["wall"]  # labels cannot say mug
    found = real_run.photo_objects(7, seen, said)
    assert [(one.label, one.right, one.scene) for one in found] == [
        ("chair", True, 7), ("table", False, 7)
    ]  # fmt: skip


def test_one_set_is_refused() -> None:
    with pytest.raises(CooperError, match="two sets"):
        real_run.calibrate(rooms(40), {"hall": sets()["hall"], "photos": RealSet(tokens(3, 2, 1))})


def test_the_command_says_what_is_wrong_with_its_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["eval", "calibrate-real", str(tmp_path), str(tmp_path / "none")]
    assert main([*words, "--scenes", "0"]) == 1
    assert "--scenes must be 1 or more" in capsys.readouterr().err
    assert main(words) == 1
    assert "color_NAME.jpg" in capsys.readouterr().err


@pytest.mark.parametrize("hidden", [True, False])
def test_the_command_fits_the_shipped_model_and_writes_its_manifest(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    hidden: bool,
    shipped_model: Path,
) -> None:
    model = shipped_model
    rng = np.random.default_rng(0)
    camera = Intrinsics.from_fov(60.0, 160, 120)
    noise = [Frame(rng.integers(0, 256, (120, 160, 3)).astype(np.uint8), camera) for _ in range(10)]
    monkeypatch.setattr(eval_real, "_rooms", lambda args: noise)  # no simulator needed
    copy = tmp_path / "model"
    shutil.copytree(model, copy)
    folders = [write_set(tmp_path / "a", 2), write_set(tmp_path / "b", 1, far_m=6.0)]
    photos = write_photos(tmp_path / "p")
    words = ["eval", "calibrate-real", str(copy), *map(str, folders), "--photos", str(photos)]
    words += ["--scenes", "10", "--quiet", "--json", *([] if hidden else ["--no-scores"])]
    assert main(words) == 0
    out = capsys.readouterr().out
    measured = json.loads(out.splitlines()[-1])
    assert "simulated rooms (10)" in out and 0.0 <= measured["left_out"]["a"]["coverage"] <= 1.0
    manifest = json.loads((copy / "manifest.json").read_text())
    read = RealPictures.from_manifest(manifest, manifest["model"]["hidden_size"])
    assert read is not None and read.factor == pytest.approx(measured["factor"], rel=1e-3)
    assert read.sets == ("a", "b", "photos") and bool(read.min_score) is hidden
    pipeline = CooperPipeline.open(copy, threads=1)
    assert pipeline.real is not None and pipeline.real.sets == read.sets
