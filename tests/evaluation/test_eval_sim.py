"""Test rooms, and the whole scoring on them with a perfect observer."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cooper_ros import sim
from cooper_ros.core.errors import CooperError
from cooper_ros.core.measure import measure_maps
from cooper_ros.core.query import FAMILIES
from cooper_ros.core.segments import build_segmentation
from cooper_ros.core.types import DepthMap, ScaleSource, SpatialAnswer, Status
from cooper_ros.evaluation import report_charts, table
from cooper_ros.evaluation.answers import Scored
from cooper_ros.evaluation.baselines import Baselines
from cooper_ros.evaluation.figures import plain, summarise
from cooper_ros.evaluation.probes import blank_frame, depth_factors
from cooper_ros.evaluation.questions import questions_of_frame
from cooper_ros.evaluation.report import choose_cases
from cooper_ros.evaluation.scenes import (
    TestFrame,
    iterate_scenes,
    read_scene,
    scene_jobs,
    world_digest,
)
from cooper_ros.evaluation.sim import options_of
from cooper_ros.evaluation.targets import target_figures
from cooper_ros.evaluation.trial import (
    Plan,
    SceneResult,
    class_names,
    in_truth_ids,
    run_scene,
)

SMALL = (320, 240)


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> list[list[TestFrame]]:
    folder = tmp_path_factory.mktemp("rooms")
    jobs = list(iterate_scenes(folder, 7, 3, 2, size=SMALL))
    assert all(job.path.is_file() for job in jobs)
    return [read_scene(job.path, job.scene) for job in jobs]


class PerfectContext:
    """Sees the truth and says it; depth times `factor` is answered as distance times `factor`."""

    def __init__(self, item: TestFrame) -> None:
        self.item, self.factor = item, 1.0
        names = class_names()
        unit = np.ones(item.depth.shape, np.float32)
        self.depth_map = DepthMap(
            item.depth, unit, unit, True, ScaleSource.MODEL_PRIOR, item.frame.intrinsics
        )
        self.labels = build_segmentation(
            item.classes, unit, names, depth=item.depth, intrinsics=item.frame.intrinsics
        )
        self.known = {q.text: q for q in questions_of_frame(item, 8)}

    def depth(self) -> DepthMap:
        return self.depth_map

    def perceive(self) -> tuple:
        return self.depth_map, self.labels

    def use_depth(self, depth: np.ndarray) -> None:
        self.factor = float(np.median(depth / self.item.depth))

    def answer(self, text: str, mode: str) -> SpatialAnswer:
        question = self.known[text]
        found = measure_maps(question.query, self.labels, self.depth_map)
        value = question.value * self.factor if question.query.unit == "m" else question.value
        status = Status.OK if math.isfinite(value) else Status.NOT_VISIBLE
        return SpatialAnswer(
            text,
            question.query.kind,
            status,
            value=value,
            measured=found.value,
            low=value - 0.1,
            high=value + 0.1,
            seconds=0.1,
        )


@pytest.fixture(scope="module")
def perfect(rooms: list[list[TestFrame]]) -> list[SceneResult]:
    contexts = {id(item.frame.rgb): PerfectContext(item) for room in rooms for item in room}
    pipeline = SimpleNamespace(see=lambda frame: contexts[id(frame.rgb)])
    return [run_scene(pipeline, room, Plan(8), Baselines.load()) for room in rooms]  # type: ignore[arg-type]


def test_rooms_are_reproducible_and_new_for_every_seed(
    rooms: list[list[TestFrame]], tmp_path: Path
) -> None:
    (again,) = iterate_scenes(tmp_path, 7, 1, 2, size=SMALL)
    first, second = rooms[0][0], read_scene(again.path, again.scene)[0]
    np.testing.assert_array_equal(first.frame.rgb, second.frame.rgb)
    np.testing.assert_array_equal(first.objects, second.objects)
    asked = [q.text for q in questions_of_frame(first, 6)]
    assert asked == [q.text for q in questions_of_frame(second, 6)] and asked
    seeds = [{job.scene for job in scene_jobs(tmp_path, seed, 500, 1)} for seed in (0, 1, 7)]
    assert not seeds[0] & seeds[1] and not seeds[1] & seeds[2]


def test_rendered_scenes_come_from_the_cache(tmp_path: Path) -> None:
    (job,) = iterate_scenes(tmp_path, 7, 1, 1, size=SMALL)
    before = job.path.stat()
    (again,) = iterate_scenes(tmp_path, 7, 1, 1, size=SMALL)
    after = again.path.stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)


def test_perfect_observer_gets_perfect_figures(perfect: list[SceneResult]) -> None:
    figures = summarise(perfect, samples=30)
    assert figures["depth"]["absrel"] == 0.0
    assert figures["depth"]["delta1"] == 1.0
    assert figures["segmentation"]["miou"] == 1.0
    assert figures["segmentation"]["boundary_f"] == 1.0
    # depth is stored in half precision: 0.05 %
    assert figures["objects"]["median_rel_error"] < 1e-3
    assert figures["questions"]
    for family, found in figures["questions"].items():
        if not found["n"]:
            continue
        best = found["within_20pct"] if "within_20pct" in found else found["accuracy"]
        assert best == 1.0, family
        assert found["coverage_90"] == 1.0 if FAMILIES[family].unit else True, family


def test_measuring_true_maps_gives_the_truth(perfect: list[SceneResult]) -> None:
    """The definitions of the simulator's truth and of the measurement are the same."""
    pairs = [
        (r.truth, r.measured)
        for result in perfect
        for r in result.answers
        if r.family in ("distance", "free", "between") and math.isfinite(r.measured)
        and r.answerable
    ]
    assert len(pairs) >= 3
    truth, measured = np.array(pairs).T
    np.testing.assert_allclose(measured, truth, rtol=5e-3)


def test_baselines_look_at_nothing_and_are_worse(perfect: list[SceneResult]) -> None:
    figures = summarise(perfect, samples=0)
    assert figures["baselines"]["mean_depth"]["depth"]["absrel"] > 0.1
    assert figures["baselines"]["error_ratio"]["depth"] == 0.0
    asked = [r for result in perfect for r in result.question_only]
    assert len(asked) == sum(len(result.answers) for result in perfect)
    assert not all(record.correct for record in asked)


def test_fixed_spellings_and_strict_json(perfect: list[SceneResult]) -> None:
    text = json.dumps(plain(summarise(perfect, samples=10)), allow_nan=False)
    figures = json.loads(text)
    assert isinstance(figures["depth"]["absrel"], float)
    assert isinstance(figures["depth"]["delta1"], float)
    assert isinstance(figures["segmentation"]["miou"], float)
    for family, found in figures["questions"].items():
        assert "n" in found, family
        if FAMILIES[family].unit == "m":
            assert {"median_rel_error", "within_20pct", "coverage_90"} <= set(found)
        else:
            assert "accuracy" in found


def test_table_for_people(perfect: list[SceneResult]) -> None:
    text = table.summary(summarise(perfect, samples=10))
    assert "depth AbsRel" in text and "question only" in text and "mean depth map" in text
    assert "nan" not in text


def test_plain_replaces_what_json_lacks() -> None:
    value = {"a": math.nan, "b": (math.inf, 1.23456789), "c": {"d": np.float32(2.0)}, "e": 3}
    assert plain(value) == {"a": None, "b": [None, 1.23457], "c": {"d": 2.0}, "e": 3}


def test_depth_probe_measures_the_factor(rooms: list[list[TestFrame]]) -> None:
    factors = []
    for room in rooms:
        for item in room:
            context = PerfectContext(item)
            factors += depth_factors(context, list(context.known.values()))  # type: ignore[arg-type]
    assert factors and np.allclose(factors, 1.5, rtol=1e-5)


def test_blank_frame_keeps_the_camera(rooms: list[list[TestFrame]]) -> None:
    frame = rooms[0][0].frame
    blank = blank_frame(frame)
    assert blank.intrinsics == frame.intrinsics and len(np.unique(blank.rgb)) == 1


def test_labels_of_another_palette() -> None:
    labels = np.array([[0, 1, 2]], np.uint8)
    found = in_truth_ids(labels, ("mug", "floor", "unicorn"))
    names = class_names()
    assert [int(x) for x in found[0]] == [names.index("mug"), names.index("floor"), 255]


def test_cases_are_best_median_worst() -> None:
    found = [
        SceneResult(k, depth=[{"metric": {"absrel": float(value)}}])
        for k, value in enumerate((5, 1, 4, 2, 3, 9, 7, 8, 6))
    ]
    cases = choose_cases(found, 2)
    assert [result.scene for result in cases["best"]] == [1, 3]
    assert [result.scene for result in cases["worst"]] == [5, 7]
    assert len(cases["median"]) == 2
    assert choose_cases(found[:1])["best"]


def test_learning_curve_reads_evaluation_lines(tmp_path: Path) -> None:
    lines = [
        {"kind": "train", "step": 1, "samples": 10, "depth": 1.0},
        {"kind": "eval", "step": 2, "samples": 20, "absrel": 0.5, "miou": 0.1},
        {"kind": "eval", "step": 4, "samples": 40, "absrel": 0.2, "miou": 0.6},
    ]
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    points = report_charts.read_log(log)
    assert [point["samples"] for point in points] == [20, 40]
    assert report_charts.curves(points).count("<polyline") == 2
    assert report_charts.curves(points[:1]) == ""


@pytest.mark.parametrize(
    ("frames", "scenes", "wanted"),
    [(None, None, (200, 1)), (50, None, (50, 1)), (100, 50, (50, 2)), (None, 30, (30, 1))],
)
def test_numbers_of_pictures(frames: int | None, scenes: int | None, wanted: tuple) -> None:
    options = options_of(frames, scenes)
    assert (options.scenes, options.views) == wanted


def test_zero_pictures_are_refused() -> None:
    with pytest.raises(CooperError, match="--frames"):
        options_of(0, None)


def test_refused_question_counts_as_wrong() -> None:
    record = Scored(0, "distance", "?", ("mug",), 1.0, status="BAD_QUESTION")
    assert record.relative_error == math.inf and not record.parsed and not record.correct


def test_targets_are_judged_in_their_direction(perfect: list[SceneResult]) -> None:
    figures = summarise(perfect, samples=10)
    found = figures["targets"]
    assert found["depth AbsRel"]["reached_cpu"] and found["mIoU"]["reached_gpu"]
    figures["depth"]["absrel"] = 0.10
    figures["segmentation"]["miou"] = 0.1
    again = target_figures(figures)
    assert again["depth AbsRel"]["reached_cpu"] and not again["depth AbsRel"]["reached_gpu"]
    assert not again["mIoU"]["reached_cpu"]
    figures["questions"] = {"left": {"n": 3, "accuracy": 1.0}, "front": {"n": 1, "accuracy": 0.0}}
    assert target_figures(figures)["order and side"]["value"] == 0.75
    assert target_figures(figures)["count exact"]["reached_cpu"] is None
    maps = {"distance": {"n": 1, "median_rel_error": 0.2}}
    figures["questions"] = maps
    figures["baselines"] = {"direct": {"distance": {"n": 1, "median_rel_error": 0.25}}}
    last = target_figures(figures)["distance error, maps / no maps"]
    assert last["value"] == pytest.approx(0.8) and last["reached_cpu"]


def test_every_table_is_printed(perfect: list[SceneResult]) -> None:
    figures = summarise(perfect, samples=5)
    text = table.summary(figures)
    for words in ("RMSE [m]", "delta3", "agree", "90 % interval covers", "absent", "GPU-trained"):
        assert words in text
    assert "depth confidence: calibration error" in text
    kept = figures["depth"]["reliability"]
    assert kept["right"] == 1.0 and kept["bins"]["0.9-1"]["share"] == 1.0  # perfect, and says so
    (bins,) = {tuple(part) for part in figures["depth"]["bins"].values()}
    assert bins == ("share", "absrel", "delta1", "delta2", "delta3", "rmse")


def test_new_questions_need_no_new_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "sim"
    shutil.copytree(sim.__path__[0], copy)
    monkeypatch.setattr(sim, "__path__", [str(copy)])
    before = world_digest()
    (copy / "questions.py").write_text("other questions")
    assert world_digest() == before
    (copy / "render.py").write_text("other pictures")
    assert world_digest() != before
