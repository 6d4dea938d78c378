"""The shipped model on unseen rooms: the whole evaluation, and whether the model looks.

Small numbers of rooms: enough to tell a model that uses its maps and its picture from one that does
not. The figures of the README come from `cooper eval sim`.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest

from cooper_ros.cli import main
from cooper_ros.core.errors import ModelFolderError
from cooper_ros.core.paths import find_model_folder
from cooper_ros.evaluation import probes
from cooper_ros.evaluation.baselines import Baselines
from cooper_ros.evaluation.figures import overall, summarise
from cooper_ros.evaluation.scenes import TestFrame, iterate_scenes, read_scene
from cooper_ros.evaluation.trial import Plan, SceneResult, run_scene, score
from cooper_ros.runtime.pipeline import CooperPipeline
from cooper_ros.sim.questions import Question, sample_questions

ROOMS = 16
SIZE = (320, 240)
SEED = 11


def _model_is_there() -> bool:
    try:
        find_model_folder()
    except ModelFolderError:
        return False
    return True


pytestmark = pytest.mark.skipif(not _model_is_there(), reason="no engines/cooper-nano")


@pytest.fixture(scope="module")
def pipeline() -> CooperPipeline:
    return CooperPipeline.open(threads=1)


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> list[TestFrame]:
    folder = tmp_path_factory.mktemp("rooms")
    jobs = iterate_scenes(folder, SEED, ROOMS, 1, size=SIZE)
    return [read_scene(job.path, job.scene)[0] for job in jobs]


@pytest.fixture(scope="module")
def found(pipeline: CooperPipeline, rooms: list[TestFrame]) -> list[SceneResult]:
    plan = Plan(3, "maps", direct=False)
    return [run_scene(pipeline, [item], plan, Baselines.load()) for item in rooms]


def _distances(item: TestFrame) -> list[Question]:
    import numpy as np

    rng = np.random.default_rng(item.scene)
    drawn = sample_questions(item.objects, item.free_space_m, rng, 2, ["distance"])
    return [question for question in drawn if question.value == question.value]


def test_depth_map_in_the_context_is_read(
    pipeline: CooperPipeline, rooms: list[TestFrame]
) -> None:
    """Scaling it by 1.5 moves the decoded distance by 1.25 to 1.75, median over rooms."""
    medians = []
    for item in rooms:
        factors = probes.depth_factors(pipeline.see(item.frame), _distances(item))
        if factors:
            medians.append(statistics.median(factors))
    assert len(medians) >= ROOMS // 2
    assert 1.25 <= statistics.median(medians) <= 1.75


def test_grey_image_leaves_only_the_question(
    pipeline: CooperPipeline, rooms: list[TestFrame], found: list[SceneResult]
) -> None:
    """Accuracy falls to that of answers from the question alone (within the noise of 48)."""
    blank = []
    for item, result in zip(rooms, found, strict=True):
        texts = {record.question for record in result.answers}
        asked = [q for q in _asked(item) if q.text in texts]
        for question, reply in probes.blank_answers(pipeline, item.frame, asked, "maps"):
            blank.append(score(item.scene, question, reply))
    seeing = overall([record for result in found for record in result.answers])
    guessing = overall([record for result in found for record in result.question_only])
    assert len(blank) >= 2 * ROOMS
    assert overall(blank) <= guessing + 0.12
    assert overall(blank) < seeing


def _asked(item: TestFrame) -> list[Question]:
    from cooper_ros.evaluation.questions import questions_of_frame

    return questions_of_frame(item, 3)


def test_model_beats_what_does_not_look(found: list[SceneResult]) -> None:
    figures = summarise(found, samples=0)
    mean_depth = figures["baselines"]["mean_depth"]
    assert figures["depth"]["absrel"] < 0.75 * mean_depth["depth"]["absrel"]
    assert (
        figures["objects"]["median_rel_error"] < 0.75 * mean_depth["objects"]["median_rel_error"]
    )
    assert figures["segmentation"]["pixel_accuracy"] > 0.5


def test_eval_command_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`cooper eval sim` on two rooms: table, report, and the promised JSON as the last line."""
    arguments = ["eval", "sim", "--seed", "3", "--frames", "2", "--questions-per-frame", "2"]
    report = tmp_path / "report"
    options = ["--processes", "1", "--quick", "--quiet", "--json", "--report", str(report)]
    assert main([*arguments, *options]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    figures = json.loads(lines[-1])
    assert (figures["frames"], figures["seed"], figures["split"]) == (2, 3, "test")
    assert 0.0 < figures["depth"]["absrel"] < 2.0
    assert 0.0 <= figures["depth"]["delta1"] <= 1.0
    assert 0.0 < figures["segmentation"]["miou"] <= 1.0
    assert figures["questions"] and all("n" in found for found in figures["questions"].values())
    assert any("depth AbsRel" in line for line in lines)
    page = (report / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") >= 1 and "http" not in page


def test_bench_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--runs", "3", "--threads", "1", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    for name in ("see", "maps", "perceive", "answer", "answer_again", "answer_direct"):
        assert figures[name]["median_ms"] > 0 and figures[name]["runs"] == 3, name
    assert figures["width"] == 640 and figures["threads"] == 1
