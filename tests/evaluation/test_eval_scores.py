"""Least scores of objects: at least half of what is shown is right."""

from __future__ import annotations

import numpy as np
import pytest

from cooper_ros.core.segments import build_segmentation
from cooper_ros.evaluation import scores
from cooper_ros.evaluation.scores import ScoredObject, cross_validated, fit, threshold


def objects(label: str, *pairs: tuple[float, bool]) -> list[ScoredObject]:
    return [ScoredObject(n, label, score, right) for n, (score, right) in enumerate(pairs)]


def many(label: str, slope: float, count: int = 400) -> list[ScoredObject]:
    """Right with probability `slope` times the score, which is even in [0, 1]."""
    rng = np.random.default_rng(0)
    draws = rng.random((count, 2))
    return objects(label, *((float(s), bool(u < slope * s)) for s, u in draws))


def test_threshold_is_the_lowest_with_half_of_them_right() -> None:
    good = [(0.9, True), (0.8, True), (0.7, True), (0.6, False), (0.5, False)]
    assert threshold(objects("mug", *good)) == 0.0, "three of five"
    found = threshold(objects("mug", *good, (0.4, False), (0.3, False), (0.2, False)))
    assert found == pytest.approx(0.35), "three of six are the most"
    assert threshold(objects("mug", *[(0.9, False)] * 9)) == 0.95, "better than any of these"
    assert threshold([]) == 0.0


def test_luck_at_the_top_is_no_reason_to_show() -> None:
    few = [(0.9, True), *[(0.8 - 0.01 * n, False) for n in range(20)]]
    assert threshold(objects("mug", *few)) == 0.95


def test_good_classes_hide_nothing_and_rare_ones_are_judged_together() -> None:
    found = many("chair", 1.4) + many("can", 0.6)
    rare = objects("vase", *[(0.5, False)] * 6) + objects("bowl", *[(0.4, False)] * 6)
    least = fit(found + rare, ("chair", "can", "vase", "bowl"))
    assert "chair" not in least and 0.3 < least["can"] < 1.0
    assert least["vase"] == least["bowl"] == 0.75
    shown = [one for one in found if one.label == "can" and one.score >= least["can"]]
    assert np.mean([one.right for one in shown]) >= 0.5 and len(shown) >= 5


def test_what_it_is_worth_is_measured_on_other_rooms() -> None:
    found = many("can", 0.7, 2000)
    measured = cross_validated(found, ("can", "mug"))
    can = measured["can"]
    assert measured["all"] == can and "mug" not in measured
    assert can["n"] == 2000 and can["precision"] == pytest.approx(0.35, abs=0.03)
    assert can["precision_shown"] == pytest.approx(0.5, abs=0.05) and can["kept"] > can["shown"]
    table = scores.text(measured, fit(found, ("can",)))
    assert "least score" in table and "can" in table


def test_objects_are_right_by_their_own_pixels() -> None:
    names = ("floor", "mug", "can")
    drawn = np.zeros((40, 40), np.uint8)
    drawn[5:15, 5:15], drawn[25:35, 25:35] = 1, 2
    truth = drawn.copy()
    truth[25:35, 25:35] = 1
    score = np.full((40, 40), 0.5, np.float32)
    seen = build_segmentation(drawn, score, names)
    found = scores.objects_of(3, seen, truth, names)
    assert [(one.label, one.right, one.scene) for one in found] == [
        ("mug", True, 3), ("can", False, 3),
    ]  # fmt: skip
