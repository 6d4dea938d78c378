"""Confidence of depth: what it is fitted on, that it keeps its word, that it is used."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from cooper_ros.cli import main
from cooper_ros.core.errors import ModelFolderError
from cooper_ros.core.paths import find_model_folder
from cooper_ros.core.types import Frame, Intrinsics
from cooper_ros.evaluation import calibration_run, confidence
from cooper_ros.evaluation.trial import SceneResult
from cooper_ros.runtime.calibration import Calibration
from cooper_ros.runtime.confidence import (
    DEPTH_ONLY,
    RANGE_KNOTS,
    WITH_CLASSES,
    DepthConfidence,
    feature_names,
    features,
)
from cooper_ros.runtime.folder import ModelFolder
from cooper_ros.runtime.pipeline import CooperPipeline
from cooper_ros.runtime.spec import ModelSpec

SHAPE = (24, 32)


@pytest.fixture(scope="module")
def spec() -> ModelSpec:
    return ModelFolder.open(find_model_folder(), check="size").spec


def _samples(spec: ModelSpec, count: int, seed: int) -> list[confidence.ConfidenceSample]:
    """Pictures whose depth is wrong in the lower half far away, and right elsewhere mostly."""
    rng = np.random.default_rng(seed)
    assert spec.segmentation is not None
    codec, palette = spec.depth.codec(), spec.segmentation.codec()
    found = []
    for scene in range(count):
        truth = np.exp(rng.uniform(-1.0, 2.0, SHAPE)).astype(np.float32)
        row = np.linspace(0.0, 1.0, SHAPE[0])[:, None]
        wrong = rng.random(SHAPE) < 0.1 + 0.7 * row
        drawn = np.where(wrong, truth * 2.0, truth).astype(np.float32)
        labels = rng.integers(0, len(spec.segmentation.names), SHAPE)
        picture = palette.encode(labels)
        # as the runtime: metres are those of the picture, which is clamped to the code's range
        inside = np.clip(drawn, codec.min_m, codec.max_m)
        found.append(confidence.sample(spec, scene, codec.encode(inside), picture, inside, truth))
    return found


def test_features_of_a_drawn_map(spec: ModelSpec) -> None:
    grey = np.zeros((3, *SHAPE), np.float32)  # code 0.5 everywhere
    grey[0, 5, 5] = 0.2
    assert spec.segmentation is not None
    picture = spec.segmentation.codec().encode(np.full(SHAPE, 3))
    values = features(spec, grey, picture)
    names = feature_names(spec, True)
    assert values.shape == (len(names), *SHAPE) and values.dtype == np.float32
    of = dict(zip(names, values, strict=True))
    hats = sum(of[f"range_{knot:g}"] for knot in RANGE_KNOTS)
    np.testing.assert_allclose(hats, 1.0, atol=1e-5)
    assert of["range_0.4"][0, 0] == pytest.approx(0.5) == of["range_0.6"][0, 0]
    assert of["spread"][5, 5] == pytest.approx(math.sqrt(0.1)) and of["spread"][0, 0] == 0.0
    assert of["edge"][5, 4] > 0.0 == of["edge"][20, 20]
    assert (of["row"][0, 0], of["row"][-1, 0], of["middle"][0, 0]) == (0.0, 1.0, 0.5)
    third = f"is_{spec.segmentation.names[3]}"
    classes = sum(of[name] for name in names if name.startswith("is_"))
    assert of[third].all() and np.all(classes == 1.0)
    assert of["saturated"][0, 0] == pytest.approx(1.0, abs=1e-3)
    alone = features(spec, grey, None)
    assert len(alone) == len(feature_names(spec, False))
    np.testing.assert_array_equal(alone, values[: len(alone)])


def test_fitted_confidence_keeps_its_word_on_new_pictures(spec: ModelSpec) -> None:
    fitted = confidence.fit(spec, _samples(spec, 40, 0))
    weights = {k: np.array([w for _, w in pairs]) for k, pairs in fitted.weights.items()}
    sums = np.zeros((confidence.BINS, 4))
    for one in _samples(spec, 40, 1):
        chance = 1.0 / (1.0 + np.exp(-(weights[WITH_CLASSES] @ one.both)))
        sums += confidence.reliability_sums(chance, one.error)
    figures = confidence.reliability_figures(sums)
    assert figures["ece"] < 0.05
    assert len(figures["bins"]) >= 5  # it tells pixels apart
    for found in figures["bins"].values():
        if found["share"] > 0.05:
            assert found["right"] == pytest.approx(found["confidence"], abs=0.08)
    measured = confidence.cross_validated(spec, _samples(spec, 40, 2))
    for kind in (DEPTH_ONLY, WITH_CLASSES):
        assert measured[kind]["ece"] < 0.05
        assert measured[kind]["absrel_confident_half"] < 0.6 * measured[kind]["absrel_other_half"]


def test_unknown_truth_takes_no_part(spec: ModelSpec) -> None:
    depth = np.zeros((3, *SHAPE), np.float32)
    truth = np.full((48, 64), np.nan, np.float32)
    truth[:2, :2] = 1.0
    drawn = np.full((48, 64), 1.5, np.float32)
    assert spec.segmentation is not None
    picture = spec.segmentation.codec().encode(np.zeros(SHAPE, int))
    one = confidence.sample(spec, 0, depth, picture, drawn, truth)
    assert one.error.tolist() == [0.5] and not one.right.any() and one.both.shape[1] == 1
    none = confidence.sample(spec, 0, depth, picture, drawn, truth * np.nan)
    assert np.isfinite(confidence.logistic([none.both, one.both], [none.right, one.right])).all()


def test_reliability_by_hand() -> None:
    sums = confidence.reliability_sums(
        np.array([0.95, 0.95, 0.35, np.nan]), np.array([0.1, 0.5, 0.1, 0.1])
    )
    figures = confidence.reliability_figures(sums)
    assert figures["right"] == pytest.approx(2 / 3)
    assert figures["bins"]["0.9-1"] == pytest.approx(
        {"share": 2 / 3, "confidence": 0.95, "right": 0.5}
    )
    assert figures["ece"] == pytest.approx((2 * 0.45 + 0.65) / 3)
    assert figures["brier"] == pytest.approx((0.05**2 + 0.95**2 + 0.65**2) / 3)
    empty = confidence.reliability_figures(np.zeros((confidence.BINS, 4)))
    assert math.isnan(empty["ece"]) and empty["bins"] == {}


def test_manifest_round_trip_and_other_features(spec: ModelSpec) -> None:
    fitted = confidence.fit(spec, _samples(spec, 6, 3))
    section = json.loads(json.dumps(Calibration(0.9, {}, fitted).to_dict()))
    read = Calibration.from_manifest({"calibration": section})
    assert read is not None and read.depth is not None
    picture = np.random.default_rng(0).uniform(-1, 1, (3, *SHAPE)).astype(np.float32)
    for other in (None, picture[::-1].copy()):
        first, second = (c.score(spec, picture, other) for c in (fitted, read.depth))
        assert first is not None and second is not None
        np.testing.assert_allclose(first, second, atol=1e-5)
        assert first.dtype == np.float32 and first.shape == SHAPE
        assert 0.0 <= first.min() <= first.max() <= 1.0
    strange = DepthConfidence(0.25, {DEPTH_ONLY: (("row", 1.0),)})
    with pytest.raises(ModelFolderError, match="cooper eval calibrate"):
        strange.score(spec, picture, None)
    assert DepthConfidence(0.25, {}).score(spec, picture, None) is None


def test_shipped_model_is_calibrated_and_the_pipeline_uses_it() -> None:
    pipeline = CooperPipeline.open(threads=1)
    assert pipeline.calibration is not None and pipeline.calibration.depth is not None
    pipeline.real = None  # noise is like no room; what then holds: tests/runtime/test_real_pictures
    rgb = np.random.default_rng(1).integers(0, 255, (96, 128, 3), dtype=np.uint8)
    frame = Frame(rgb, Intrinsics.from_fov(60.0, 128, 96))
    context = pipeline.see(frame)
    depth, _ = context.perceive()
    pictures = (context.map(kind).picture for kind in ("depth", "segmentation"))
    wanted = pipeline.calibration.depth.score(pipeline.spec, *pictures)
    assert wanted is not None
    assert depth.confidence.mean() == pytest.approx(wanted.mean(), abs=0.01)
    assert depth.confidence_method == "error_below_25pct"
    alone = pipeline.see(frame).depth()
    assert not np.array_equal(alone.confidence, depth.confidence)
    np.testing.assert_array_equal(alone.depth, depth.depth)
    pipeline.calibration = None
    plain = pipeline.see(frame).depth()
    assert plain.confidence_method == "channel_spread"
    # as drawn, by the agreement of the channels: another number, whatever the error
    assert np.all((plain.confidence >= 0.0) & (plain.confidence <= 1.0))
    assert not np.allclose(plain.confidence, alone.confidence, atol=0.05)


def test_calibrate_reads_what_an_evaluation_kept(tmp_path: Path, spec: ModelSpec) -> None:
    model = find_model_folder()
    found = []
    for one in _samples(spec, 10, 4):
        result = SceneResult(one.scene)
        result.confidence_samples = [one]
        found.append(result)
    fitted, measured = calibration_run.calibrate(model, found)
    assert fitted.depth is not None and set(fitted.depth.weights) == {DEPTH_ONLY, WITH_CLASSES}
    assert measured["intervals"] == {} and "depth and classes" in calibration_run.text(measured)
    copy = tmp_path / "model"
    copy.mkdir()
    old = {"name": "x", "calibration": {"level": 0.9, "families": {"distance": [[1.0, 0.2]]}}}
    (copy / "manifest.json").write_text(json.dumps(old))
    calibration_run.forget(copy)
    assert json.loads((copy / "manifest.json").read_text()) == {"name": "x"}
    new = {"name": "x", "calibration": dataclasses.replace(fitted).to_dict()}
    (copy / "manifest.json").write_text(json.dumps(new))
    calibration_run.forget(copy)
    assert "calibration" in json.loads((copy / "manifest.json").read_text())


def test_command_on_a_copy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "model"
    shutil.copytree(find_model_folder(), copy)
    command = ["eval", "calibrate", str(copy), "--scenes", "2", "--seed", "3", "--quiet", "--json"]
    assert main(command) == 0
    measured = json.loads(capsys.readouterr().out.splitlines()[-1])
    section = json.loads((copy / "manifest.json").read_text())["calibration"]
    assert section["measured"] == measured and measured["scenes"] == 2
    assert set(section["depth_confidence"]["weights"]) == {DEPTH_ONLY, WITH_CLASSES}
    assert section["families"] == {}  # two rooms promise nothing about lengths
    assert CooperPipeline.open(copy, threads=1).calibration is not None
