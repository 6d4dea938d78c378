"""Intervals of lengths: fitted on some answers, they cover others; carried by the manifest."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cooper_ros.core.errors import ModelFolderError
from cooper_ros.core.query import Query
from cooper_ros.core.types import Kind, SpatialAnswer, Status
from cooper_ros.evaluation import calibration
from cooper_ros.evaluation.answers import Scored
from cooper_ros.runtime.asking import _bounded
from cooper_ros.runtime.calibration import Calibration


def _answers(count: int, seed: int, far_share: float = 0.5) -> list[Scored]:
    """Decoded lengths that lean to the middle, with an error that grows with the distance; three
    questions per room. `far_share` of the rooms are beyond 2 m."""
    rng = np.random.default_rng(seed)
    far = rng.random(count) < far_share
    truth = np.where(far, rng.uniform(2.0, 5.0, count), rng.uniform(0.4, 2.0, count))
    value = truth**0.7 * 1.3 * np.exp(rng.normal(0.0, 0.08 + 0.03 * truth))
    return [
        Scored(k // 3, "distance", "?", ("mug",), float(t), float(v), "OK")
        for k, (t, v) in enumerate(zip(truth, value, strict=True))
    ]


def _coverage(fitted: Calibration, records: list[Scored]) -> dict[int, float]:
    inside: dict[int, list[bool]] = {}
    for record in records:
        low, high = fitted.bounds("distance", record.value)
        inside.setdefault(min(int(record.truth), 3), []).append(low <= record.truth <= high)
    return {distance: float(np.mean(hits)) for distance, hits in inside.items()}


@pytest.mark.parametrize("far_share", [0.5, 0.1, 0.9])
def test_covers_every_true_range_however_often_it_is_met(far_share: float) -> None:
    fitted = calibration.fit(_answers(1200, 0))
    found = _coverage(fitted, _answers(6000, 1, far_share))
    assert set(found) == {0, 1, 2, 3}
    for distance, share in found.items():
        assert 0.85 <= share <= 0.98, (distance, share)


def test_rows_rise_and_surround_their_value() -> None:
    rows = calibration.fit(_answers(600, 2)).families["distance"]
    values, low, high = np.array(rows).T
    assert np.all(np.diff(values) > 0) and np.all(np.diff(low) >= 0) and np.all(np.diff(high) >= 0)
    assert np.all((low <= values) & (values <= high)) and len(rows) <= calibration.TABLE


def test_quantile_curve_by_hand() -> None:
    decoded = np.arange(40, dtype=np.float64)
    truth = np.zeros(40)  # one truth: the window is all of them
    curve = calibration._curve(truth, decoded, np.zeros(1), 0.05)
    assert curve[0] == decoded[1]  # rank floor(0.05 * 41) = 2
    curve = calibration._curve(truth, decoded, np.zeros(1), 0.95)
    assert curve[0] == decoded[38]  # rank ceil(0.95 * 41) = 39


def test_a_family_with_few_answers_gets_none() -> None:
    few = _answers(calibration.MIN_COUNT - 1, 3)
    assert calibration.fit(few).families == {}
    assert all(map(math.isnan, calibration.fit(few).bounds("distance", 1.0)))


def test_an_answer_that_never_varies_is_covered_by_all_lengths() -> None:
    rng = np.random.default_rng(4)
    always = [
        Scored(k, "distance", "?", ("mug",), float(t), 2.0, "OK")
        for k, t in enumerate(rng.uniform(0.5, 6.0, 200))
    ]
    low, high = calibration.fit(always).bounds("distance", 2.0)
    assert low < 0.6 and high > 5.8  # the model does not look: nothing is ruled out


def test_unanswered_and_counting_questions_take_no_part() -> None:
    records = [Scored(0, "distance", "?", ("mug",), 1.0, status="UNPARSED")] * 80
    records += [Scored(0, "count", "?", ("mug",), 1.0, 1.0, "OK")] * 80
    records += [Scored(0, "distance", "?", ("mug",), math.nan, 1.0, "OK")] * 80
    assert calibration.usable(records) == []
    assert calibration.fit(records).families == {}


def test_measured_on_rooms_that_took_no_part() -> None:
    records = _answers(900, 5)
    found = calibration.cross_validated(records)["distance"]
    assert found["n"] == 900 and 0.85 <= found["coverage"] <= 0.96
    assert sum(b["n"] for b in found["by_truth"].values()) == 900
    # rooms with answers of their own: what is remembered about them must not count
    odd = [Scored(k, "distance", "?", (), 1.0 + k, 1.0 + k, "OK") for k in range(60)]
    odd += [Scored(900, "distance", "?", (), 1.0, 50.0, "OK")] * 40
    assert calibration.cross_validated(odd)["distance"]["coverage"] < 0.75


def test_bounds_between_and_outside_the_rows() -> None:
    known = Calibration(0.9, {"distance": ((1.0, 0.5, 2.0), (4.0, 2.0, 8.0))})
    assert known.bounds("distance", 1.0) == pytest.approx((0.5, 2.0))
    assert known.bounds("distance", 2.0) == pytest.approx((1.0, 4.0))  # half way, logarithmically
    assert known.bounds("distance", 0.5) == pytest.approx((0.25, 2.0))
    assert known.bounds("distance", 16.0) == pytest.approx((2.0, 32.0))
    narrow = Calibration(0.9, {"distance": ((1.0, 1.5, 2.0), (4.0, 3.0, 3.5))})
    assert narrow.bounds("distance", 1.0)[0] == 1.0 and narrow.bounds("distance", 4.0)[1] == 4.0
    for family, value in (("width", 1.0), ("distance", math.nan), ("distance", 0.0)):
        assert all(map(math.isnan, known.bounds(family, value)))
    assert all(map(math.isnan, known.bounds("distance", math.inf)))


def test_answers_carry_the_interval_unless_the_model_wrote_one() -> None:
    known = Calibration(0.9, {"distance": ((1.0, 0.5, 2.0),)})
    query = Query("distance", ("mug",))

    def bounds(answer: SpatialAnswer, calibration: Calibration | None = known) -> Any:
        context: Any = SimpleNamespace(calibration=calibration, real=None)
        bounded = _bounded(context, query, answer)
        return bounded.low, bounded.high

    plain = SpatialAnswer("?", Kind.DISTANCE, Status.OK, value=1.0)
    assert bounds(plain) == pytest.approx((0.5, 2.0))
    written = SpatialAnswer("?", Kind.DISTANCE, Status.OK, value=1.0, low=0.9, high=1.1)
    assert bounds(written) == (0.9, 1.1)
    unread = SpatialAnswer("?", Kind.DISTANCE, Status.UNPARSED)
    assert all(map(math.isnan, bounds(unread)))
    assert all(map(math.isnan, bounds(plain, None)))


def test_manifest_round_trip(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"name": "x", "format_version": 1}')
    fitted = calibration.fit(_answers(300, 6))
    calibration.write(tmp_path, fitted, {"scenes": 100, "odd": math.nan})
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["name"] == "x" and manifest["format_version"] == 1
    assert manifest["calibration"]["measured"] == {"scenes": 100, "odd": None}
    read = Calibration.from_manifest(manifest)
    assert read is not None and read.level == 0.9 and read.depth is None
    for value in (0.5, 1.5, 9.0):
        wanted = fitted.bounds("distance", value)
        assert read.bounds("distance", value) == pytest.approx(wanted, rel=1e-3)
    assert Calibration.from_manifest({}) is None


@pytest.mark.parametrize(
    "section",
    [
        {},
        [],
        {"level": 0.9, "families": {"distance": [[1.0, 0.5]]}},
        {"level": 0.9, "families": {"distance": [[1.0, 2.0, 0.5]]}},
        {"level": 0.9, "families": {"distance": [[1.0, 0.5, 2.0], [1.0, 0.5, 2.0]]}},
        {"level": 0.9, "families": {"distance": [[1.0, 0.5, math.nan]]}},
        {"level": 0.9, "families": {}, "depth_confidence": {"within": 0.25}},
        {
            "level": 0.9,
            "families": {},
            "depth_confidence": {"within": 0.25, "weights": {"depth": {"row": math.inf}}},
        },
    ],
)
def test_malformed_section_is_named(section: object) -> None:
    with pytest.raises(ModelFolderError, match="calibration"):
        Calibration.from_manifest({"calibration": section})
