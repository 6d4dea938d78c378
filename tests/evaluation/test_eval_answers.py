"""Scoring of answers, bootstrap over scenes, and the answers that need no image."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from cooper_ros.core.errors import CooperError
from cooper_ros.core.query import FAMILIES, Query
from cooper_ros.evaluation.answers import Scored, all_figures, coverage, family_figures
from cooper_ros.evaluation.baselines import ANY, MIN_COUNT, Baselines, MeanDepth, fit_tables
from cooper_ros.evaluation.bootstrap import interval, mean_of, median_of

NAN = math.nan


def scored(
    family: str, truth: float, value: float = NAN, scene: int = 0, **other: object
) -> Scored:
    status = other.pop("status", "OK" if math.isfinite(value) else "UNPARSED")
    return Scored(scene, family, "?", ("mug",), truth, value, status, **other)  # type: ignore[arg-type]


def test_lengths_by_hand() -> None:
    records = [
        scored("distance", 1.0, 1.05),
        scored("distance", 1.0, 1.15, scene=1),
        scored("distance", 2.0, 1.54, scene=1),
        scored("distance", 2.0, scene=2),  # unreadable: counts as infinitely wrong
    ]
    figures = family_figures(records)
    assert figures["n"] == 4
    assert figures["median_rel_error"] == pytest.approx((0.15 + 0.23) / 2)
    assert figures["within_10pct"] == 0.25
    assert figures["within_20pct"] == 0.5
    assert figures["within_25pct"] == 0.75
    assert figures["parse_rate"] == 0.75
    assert "accuracy" not in figures


def test_most_answers_missing_is_an_infinite_error() -> None:
    records = [scored("distance", 1.0, 1.0), scored("distance", 1.0), scored("distance", 1.0)]
    assert family_figures(records)["median_rel_error"] == math.inf


def test_accuracy_and_refusals_by_hand() -> None:
    records = [
        scored("left", 1.0, 1.0, agree=True),
        scored("left", 0.0, 1.0),
        scored("left", 1.0, status="NOT_VISIBLE"),  # a refusal of something that is there
        scored("left", NAN, status="NOT_VISIBLE"),  # a right refusal
        scored("left", NAN, 1.0),  # an answer about something that is not there
    ]
    figures = family_figures(records)
    assert figures["n"] == 3
    assert figures["accuracy"] == pytest.approx(1 / 3)
    assert figures["refused"] == pytest.approx(1 / 3)
    assert figures["agree"] == pytest.approx(1 / 3)
    assert (figures["absent_n"], figures["absent_refused"]) == (2, 0.5)
    assert "median_rel_error" not in figures


def test_measured_value_is_scored_apart() -> None:
    record = scored("distance", 1.0, 3.0, measured=1.1, low=0.5, high=4.0)
    assert not record.correct
    measured = record.as_measured()
    assert measured.correct and math.isnan(measured.low)
    assert scored("distance", 1.0, 3.0).as_measured().refused


def test_coverage_and_width() -> None:
    records = [
        scored("distance", 1.0, 1.0, low=0.8, high=1.2),
        scored("distance", 2.0, 1.0, low=0.8, high=1.6),
        scored("distance", 3.0, 3.0),  # without bounds: not in the share
    ]
    share, width = coverage(records)
    assert share == 0.5
    assert width == pytest.approx((0.4 + 0.8) / 2)
    assert math.isnan(coverage(records[2:])[0])
    assert family_figures(records)["coverage_bins"]["1-2 m"] == {"n": 1, "coverage_90": 1.0}


def test_families_have_the_promised_keys() -> None:
    records = [scored(family, 1.0, 1.0) for family in FAMILIES]
    figures = all_figures(records, samples=20)
    assert list(figures) == list(FAMILIES)
    for family, found in figures.items():
        lengths = FAMILIES[family].unit == "m"
        assert found["n"] == 1
        wanted = {"median_rel_error", "within_20pct", "coverage_90"} if lengths else {"accuracy"}
        assert wanted <= set(found), family
        assert set(found["interval95"]) == wanted - {"coverage_90"}


def test_bootstrap_is_deterministic_and_draws_scenes() -> None:
    rng = np.random.default_rng(0)
    scenes = [list(rng.normal(1.0, 0.3, 5)) for _ in range(40)]
    first = interval(scenes, mean_of, seed=3)
    assert first == interval(scenes, mean_of, seed=3)
    assert first != interval(scenes, mean_of, seed=4)
    assert first[0] < mean_of(scenes) < first[1]
    # Values of one scene move together: the interval is that of 40 things, not of 4000.
    copies = [[scene[0]] * 100 for scene in scenes]
    single = [[scene[0]] for scene in scenes]
    assert interval(copies, mean_of, seed=1) == pytest.approx(interval(single, mean_of, seed=1))


def test_bootstrap_width_matches_theory() -> None:
    values = [[x] for x in np.random.default_rng(5).normal(0.0, 1.0, 400)]
    low, high = interval(values, mean_of, samples=800)
    assert high - low == pytest.approx(2 * 1.96 / math.sqrt(400), rel=0.15)


def test_bootstrap_without_scenes_and_with_infinite_values() -> None:
    assert all(map(math.isnan, interval([], mean_of)))
    low, high = interval([[1.0], [1.0], [math.inf]], median_of, samples=200)
    assert (low, high) == (1.0, math.inf)


def test_tables_are_medians_and_majorities() -> None:
    asked = [(Query("distance", ("mug",)), 1.0 + 0.01 * k) for k in range(MIN_COUNT)]
    asked += [(Query("distance", ("door",)), 4.0)]  # too few for a figure of its own
    asked += [(Query("count", ("book",)), value) for value in (1.0, 2.0, 2.0)]
    asked += [(Query("distance", ("mug",)), NAN)]
    tables = fit_tables(asked)
    assert tables["distance"]["mug"] == pytest.approx(1.055)
    assert "door" not in tables["distance"]
    assert tables["count"] == {ANY: 2.0}


def test_answers_from_the_question_alone(tmp_path: Path) -> None:
    tables = {"distance": {ANY: 2.0, "mug": 1.0, "door": 4.0}, "count": {ANY: 1.0}}
    made = Baselines(np.zeros((24, 32), np.float32), tables, 7)
    made.save(tmp_path / "b.npz")
    known = Baselines.load(tmp_path / "b.npz")
    assert known.frames == 7
    assert known.value(Query("distance", ("mug",))) == 1.0
    assert known.value(Query("distance", ("vase",))) == 2.0
    assert known.value(Query("nearer", ("mug", "door"))) == 0.0  # index of the mug
    assert known.value(Query("farther", ("mug", "door"))) == 1.0
    assert known.value(Query("front", ("mug", "door"))) == 1.0
    assert known.value(Query("behind", ("mug", "door"))) == 0.0
    assert known.value(Query("reachable", ("mug",), 1.2)) == 1.0
    assert known.value(Query("reachable", ("mug",), 0.8)) == 0.0
    assert math.isnan(known.value(Query("width", ("mug",))))
    np.testing.assert_allclose(known.depth(64, 48), 1.0)


def test_missing_baselines_say_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(CooperError, match="cooper eval baselines"):
        Baselines.load(tmp_path / "none.npz")


def test_mean_depth_is_the_mean_of_logarithms() -> None:
    mean = MeanDepth()
    with pytest.raises(CooperError, match="no training frames"):
        mean.result()
    mean.add(np.full((144, 192), 1.0))
    mean.add(np.full((144, 192), 4.0))
    np.testing.assert_allclose(np.exp(mean.result()), 2.0, rtol=1e-6)


def test_shipped_baselines_know_every_family() -> None:
    shipped = Baselines.load()
    assert set(shipped.tables) >= set(FAMILIES)
    assert shipped.frames >= 1000
    depth = shipped.depth(640, 480)
    assert depth.shape == (480, 640) and 0.5 < float(depth.min()) < float(depth.max()) < 6.0
