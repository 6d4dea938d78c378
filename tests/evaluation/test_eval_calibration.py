"""Intervals of lengths: fitted on some answers, they cover others; carried by the manifest."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from cooper_ros.core.errors import ModelFolderError
from cooper_ros.core.query import Query
from cooper_ros.core.types import Kind, SpatialAnswer, Status
from cooper_ros.evaluation import calibration
from cooper_ros.evaluation.answers import Scored
from cooper_ros.runtime.asking import _bounded
from cooper_ros.runtime.calibration import Calibration


def _answers(count: int, seed: int) -> list[Scored]:
    """Decoded lengths whose log error grows with the distance."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.4, 5.0, count)
    value = truth * np.exp(rng.normal(0.0, 0.04 * truth))
    return [
        Scored(k, "distance", "?", ("mug",), float(t), float(v), "OK")
        for k, (t, v) in enumerate(zip(truth, value, strict=True))
    ]


def test_covers_new_answers_in_every_range() -> None:
    fitted = calibration.fit(_answers(600, 0))
    inside: dict[int, list[bool]] = {}
    for record in _answers(6000, 1):
        low, high = fitted.bounds("distance", record.value)
        inside.setdefault(min(int(record.truth), 3), []).append(low <= record.truth <= high)
    for distance, hits in inside.items():
        assert 0.82 <= np.mean(hits) <= 0.97, distance
    assert 0.88 <= np.mean([hit for hits in inside.values() for hit in hits]) <= 0.93
    rows = fitted.families["distance"]
    assert [upper for upper, _ in rows] == [1.0, 2.0, 3.0, math.inf]
    assert rows[0][1] < rows[-1][1]  # far is less certain


def test_conformal_rank_by_hand() -> None:
    errors = [0.1 * k for k in range(1, 10)]
    assert calibration.half_width(errors, 0.9) == pytest.approx(0.9)  # rank 9 of 9
    assert calibration.half_width(errors, 0.5) == pytest.approx(0.5)
    assert calibration.half_width(errors[:8], 0.9) == math.inf  # 8 answers cannot promise 90 %


def test_ranges_with_few_answers_are_joined() -> None:
    near = [r for r in _answers(400, 2) if r.value < 2.0]
    rows = calibration.fit(near).families["distance"]
    assert rows[-1][0] == math.inf and len(rows) <= 2
    assert calibration.fit(near[: calibration.MIN_COUNT - 1]).families == {}


def test_unanswered_and_counting_questions_take_no_part() -> None:
    records = [Scored(0, "distance", "?", ("mug",), 1.0, status="UNPARSED")] * 50
    records += [Scored(0, "count", "?", ("mug",), 1.0, 1.0, "OK")] * 50
    assert calibration.fit(records).families == {}


def test_bounds_surround_the_value() -> None:
    known = Calibration(0.9, {"distance": ((1.0, math.log(1.1)), (math.inf, math.log(2.0)))})
    assert known.bounds("distance", 0.5) == pytest.approx((0.5 / 1.1, 0.55))
    assert known.bounds("distance", 4.0) == pytest.approx((2.0, 8.0))
    for family, value in (("width", 1.0), ("distance", math.nan), ("distance", 0.0)):
        assert all(map(math.isnan, known.bounds(family, value)))


def test_answers_carry_the_interval_unless_the_model_wrote_one() -> None:
    known = Calibration(0.9, {"distance": ((math.inf, math.log(2.0)),)})
    query = Query("distance", ("mug",))
    plain = SpatialAnswer("?", Kind.DISTANCE, Status.OK, value=1.0)
    bounded = _bounded(known, query, plain)
    assert (bounded.low, bounded.high) == pytest.approx((0.5, 2.0))
    written = SpatialAnswer("?", Kind.DISTANCE, Status.OK, value=1.0, low=0.9, high=1.1)
    assert (_bounded(known, query, written).low, _bounded(known, query, written).high) == (0.9, 1.1)
    unread = SpatialAnswer("?", Kind.DISTANCE, Status.UNPARSED)
    assert math.isnan(_bounded(known, query, unread).low)
    assert math.isnan(_bounded(None, query, plain).low)


def test_manifest_round_trip(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"name": "x", "format_version": 1}')
    fitted = calibration.fit(_answers(300, 3))
    calibration.write(tmp_path, fitted)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["name"] == "x" and manifest["format_version"] == 1
    read = Calibration.from_manifest(manifest)
    assert read is not None and read.level == 0.9
    for value in (0.5, 1.5, 9.0):
        wanted = fitted.bounds("distance", value)
        assert read.bounds("distance", value) == pytest.approx(wanted, rel=1e-3)
    assert Calibration.from_manifest({}) is None


@pytest.mark.parametrize("section", [{}, [], {"level": 0.9, "families": {"distance": [[1.0]]}}])
def test_malformed_section_is_named(section: object) -> None:
    with pytest.raises(ModelFolderError, match="calibration"):
        Calibration.from_manifest({"calibration": section})
