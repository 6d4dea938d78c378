"""`cooper demo` as a user starts it: processes, answers, picture, exit code."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from cooper_ros.cli.demo import ANSWERED  # noqa: E402
from cooper_ros.cli.demo_questions import (  # noqa: E402
    ABSENT,
    DemoQuestion,
    Visible,
    choose_questions,
)
from cooper_ros.cli.demo_verdict import Verdict, in_words, judge, summarise  # noqa: E402
from cooper_ros.core.classes import CLASS_NAMES  # noqa: E402
from cooper_ros.core.query import FAMILIES  # noqa: E402
from cooper_ros.core.types import SpatialAnswer, Status  # noqa: E402
from cooper_ros.reasoning.questions import parse_question  # noqa: E402

WAIT_S = 300.0


def visible(label: str, distance: float, u: float, fraction: float = 0.02) -> Visible:
    return Visible(label, fraction, distance, (u / 640.0, 0.0, distance), u, 0.3, 0.2)


def test_questions_have_the_true_answers() -> None:
    objects = [visible("mug", 1.0, 100.0), visible("table", 2.0, 400.0, 0.1),
               visible("chair", 3.0, 500.0), visible("chair", 3.5, 550.0)]  # fmt: skip
    chosen = {q.text: q for q in choose_questions(objects, 0.8, 640, limit=40)}
    assert chosen["how far is the table ?"].truth == 2.0
    assert chosen["how far is the mug ?"].truth == 1.0
    assert "how far is the chair ?" not in chosen, "there are two"
    between = next(q for q in chosen.values() if q.family == "between")
    assert between.truth == pytest.approx(math.hypot(300 / 640, 1.0))
    left = next(q for q in chosen.values() if q.family == "left")
    assert left.truth == ("yes" if left.text.index("mug") < left.text.index("table") else "no")
    assert next(q for q in chosen.values() if q.family == "nearer").truth == "mug"
    assert next(q for q in chosen.values() if "how many chairs" in q.text).truth == 2.0
    assert next(q for q in chosen.values() if q.family == "free").truth == 0.8
    assert chosen["is there a sofa ?"].truth == "no"


def test_by_default_every_family_is_asked_and_something_absent() -> None:
    objects = [visible("mug", 1.0, 100.0), visible("table", 2.0, 400.0, 0.1),
               visible("door", 3.5, 500.0)]  # fmt: skip
    chosen = choose_questions(objects, 0.8, 640)
    assert {q.family for q in chosen} == set(FAMILIES)
    assert len({q.text for q in chosen}) == len(chosen)
    assert next(q for q in chosen if q.truth == ABSENT).text == "how far is the bed ?"
    truths = {q.text: q.truth for q in choose_questions(objects, 0.8, 640, limit=99)}
    assert truths["is the table right of the door ?"] == "no"
    assert truths["which is farther , the table or the door ?"] == "door"
    assert truths["is the table in front of the mug ?"] == "no"
    assert truths["is the table behind the mug ?"] == "yes"
    assert truths["is the mug within 1.50 m ?"] == "yes"
    assert truths["is the door within 2.00 m ?"] == "no"
    assert truths["how wide is the mug ?"] == 0.3 and truths["how tall is the mug ?"] == 0.2


def test_things_are_counted_within_a_radius_and_on_a_side() -> None:
    objects = [visible("chair", 1.3, 100.0), visible("chair", 2.9, 200.0),
               visible("chair", 3.1, 600.0)]  # fmt: skip
    truths = {q.text: q.truth for q in choose_questions(objects, 0.8, 640, limit=40)}
    assert truths["how many chairs are within 2.00 m ?"] == 1.0
    assert truths["how many chairs are on the left ?"] == 2.0
    middle = [visible("chair", 1.9, 330.0), visible("chair", 5.6, 600.0)]
    texts = {q.text for q in choose_questions(middle, 0.8, 640, limit=40)}
    assert "how many chairs are within 3.00 m ?" in texts, "2 m would be a close call"
    assert not any("on the left" in text for text in texts), "one is nearly ahead"


def test_the_node_understands_every_question() -> None:
    objects = [visible(label, 1.0 + index, 40.0 * index + 30.0, 0.1 - index / 200)
               for index, label in enumerate(CLASS_NAMES[3:15])]  # fmt: skip
    objects += [visible("mug", 1.0, 100.0), visible("mug", 2.0, 110.0)]
    chosen = choose_questions(objects, 1.0, 640, limit=400)
    assert len(chosen) > 200
    for question in chosen:
        assert parse_question(question.text).family == question.family, question.text


def answer(status: Status = Status.OK, text: str = "", value: float = math.nan) -> SpatialAnswer:
    return SpatialAnswer("?", status=status, text=text, value=value)


@pytest.mark.parametrize(
    ("truth", "unit", "given", "right", "error"),
    [
        (2.0, "m", answer(text="2.20 m", value=2.2), True, 0.1),
        (2.0, "m", answer(text="1 m", value=1.0), False, 0.5),
        (2.0, "m", answer(Status.NOT_VISIBLE), None, None),
        (2.0, "m", answer(Status.TIMEOUT, value=2.0), None, None),
        ("yes", "", answer(text="yes", value=1.0), True, None),
        ("mug", "", answer(text="table"), False, None),
        (2.0, "", answer(text="3", value=3.0), False, None),
        (ABSENT, "", answer(text="1.5 m", value=1.5), False, None),
        (ABSENT, "", answer(Status.NOT_VISIBLE), True, None),
        (ABSENT, "", answer(Status.BUSY), None, None),
    ],
)
def test_answers_are_judged_by_the_truth(truth, unit, given, right, error) -> None:
    verdict = judge(DemoQuestion("distance", "?", truth, unit), given)
    assert verdict.right is right
    assert verdict.error == (None if error is None else pytest.approx(error))


def test_one_line_says_how_far_all_answers_were_off() -> None:
    verdicts = [Verdict(True, 0.1), Verdict(False, 0.5), Verdict(False, 0.3), Verdict(True),
                Verdict(False), Verdict(None), Verdict(None)]  # fmt: skip
    summary = summarise(verdicts, ["OK"] * 5 + ["NOT_VISIBLE"] * 2)
    assert summary["lengths"] == 3 and summary["lengths_median_error"] == 0.3
    line = in_words(summary)
    for part in ("3 lengths off by 30 %", "worst by 50 %", "1 of 2 others", "2 not answered"):
        assert part in line
    assert "nothing was answered" in in_words(summarise([], []))


def test_even_an_empty_room_has_four_questions() -> None:
    assert len(choose_questions([], 1.0, 640)) >= 4


def test_what_is_whole_comes_before_what_the_border_cuts() -> None:
    objects = [replace(visible("bed", 1.0, 20.0, 0.3), whole=False), visible("mug", 2.0, 300.0)]
    first = next(q for q in choose_questions(objects, 1.0, 640) if q.family == "distance")
    assert first.text == "how far is the mug ?"


def test_close_calls_are_not_asked() -> None:
    objects = [visible("mug", 1.0, 300.0), visible("can", 1.02, 310.0)]
    families = {q.family for q in choose_questions(objects, 1.0, 640, limit=40)}
    assert "left" not in families and "nearer" not in families and "between" in families


def test_small_objects_are_not_asked_about() -> None:
    objects = [visible("mug", 1.0, 300.0, 0.002)]
    texts = {q.text for q in choose_questions(objects, 1.0, 640, limit=40)}
    assert not any("far is the mug" in text or "many mugs" in text for text in texts)


def test_the_demo(tmp_path: Path) -> None:
    picture = tmp_path / "demo.png"
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "cooper_ros.cli", "demo", "--seed", "1",
         "--json", "--picture", str(picture), "--domain", os.environ["ROS_DOMAIN_ID"]],
        capture_output=True, text=True, timeout=WAIT_S, cwd=tmp_path,
    )  # fmt: skip
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr[-4000:]}"
    report = json.loads(run.stdout.splitlines()[-1])
    answers = report["answers"]
    assert len(answers) >= 4
    assert sum(answer["status"] in ANSWERED for answer in answers) >= 4
    assert any(answer["status"] == "OK" for answer in answers)
    for answer in answers:
        assert set(answer) >= {"question", "text", "value", "unit", "truth", "measured", "agree",
                               "status", "seconds"}  # fmt: skip
        assert answer["question"] in run.stdout
    families = {q["question"].split()[0] for q in answers}
    assert {"how", "is", "which"} <= families and len(answers) >= 12, "one of every kind"
    line = in_words(report["summary"])
    assert line in run.stdout.splitlines()[:-1]
    judged = [answer["error"] for answer in answers if answer["error"] is not None]
    assert report["summary"]["lengths"] == len(judged) > 0
    assert any(a["unit"] == "m" and a["value"] and a["measured"] for a in answers)
    assert report["depth_hz"] > 0.0
    assert report["picture"] == str(picture) and str(picture) in run.stdout
    _check_picture(picture)
    # The demo and what it starts (their import lists land in the same stream) need no torch.
    imported = {line.rsplit("|", 1)[-1].strip() for line in run.stderr.splitlines()
                if line.startswith("import time:")}  # fmt: skip
    assert "cooper_ros.ros.client" in imported
    assert not {m for m in imported if m.split(".")[0] in ("torch", "transformers")}


def _check_picture(path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    picture = cv2.imread(str(path))
    assert picture.shape[1] == 1280 and 960 <= picture.shape[0] <= 1120
    for rows in (slice(0, 480), slice(-480, None)):
        for columns in (slice(0, 640), slice(640, 1280)):
            assert np.std(picture[rows, columns]) > 5.0, "an empty panel"


def test_a_demo_that_cannot_run_fails_with_the_reason(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "cooper_ros.cli", "demo", "--model", str(tmp_path), "--json",
         "--domain", os.environ["ROS_DOMAIN_ID"]],
        capture_output=True, text=True, timeout=WAIT_S, cwd=tmp_path,
    )  # fmt: skip
    assert run.returncode == 1
    assert str(tmp_path) in run.stderr
    assert json.loads(run.stdout.splitlines()[-1])["answers"] == []
