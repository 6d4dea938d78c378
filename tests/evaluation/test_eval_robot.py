"""Both views of an answer: the decoded text as before, and what a robot gets of it."""

from __future__ import annotations

import math

import pytest

from cooper_ros.core.query import Query
from cooper_ros.core.types import Kind, SpatialAnswer, Status
from cooper_ros.evaluation.answers import Robot, Scored, family_figures
from cooper_ros.evaluation.decoded import decoded
from cooper_ros.evaluation.robot import robot_figures
from cooper_ros.evaluation.table import align, robot_rows
from cooper_ros.runtime.calibration import Calibration

DISTANCE = Query("distance", ("mug",), text="how far is the mug ?")
NAN = math.nan


def record(truth: float, value: float, status: str = "OK", family: str = "distance") -> Scored:
    """Decoded `value`; the robot gets it with this status."""
    told = NAN if status == "NOT_VISIBLE" else value
    return Scored(0, family, "?", ("mug",), truth, value, "OK", robot=Robot(status, told))


@pytest.mark.parametrize("status", [Status.OK, Status.DISAGREES, Status.NOT_VISIBLE])
def test_the_text_is_read_whatever_the_maps_say(status: Status) -> None:
    value = NAN if status is Status.NOT_VISIBLE else 2.0
    told = SpatialAnswer("q", Kind.DISTANCE, status, "2.00 m", value, "m", measured=NAN)
    calibration = Calibration(0.9, {"distance": ((1.0, 0.5, 2.0), (4.0, 2.0, 8.0))})
    read = decoded(told, DISTANCE, calibration)
    assert (read.status, read.value) == (Status.OK, 2.0)
    assert (read.low, read.high) == pytest.approx((1.0, 4.0))
    assert math.isnan(decoded(told, DISTANCE).low)


def test_what_was_never_read_stays_unread() -> None:
    for status, text in ((Status.UNPARSED, "hm"), (Status.NOT_METRIC, ""), (Status.OK, "")):
        told = SpatialAnswer("q", Kind.DISTANCE, status, text, unit="m")
        assert decoded(told, DISTANCE) is told
    none = SpatialAnswer("q", Kind.DISTANCE, Status.NOT_VISIBLE, "none", unit="m")
    assert decoded(none, DISTANCE).status is Status.NOT_VISIBLE


def test_what_a_robot_gets() -> None:
    records = [
        record(2.0, 2.2),
        record(2.0, 3.0, "DISAGREES"),
        record(2.0, 4.0),
        record(2.0, 2.0, "NOT_VISIBLE"),
        record(NAN, 1.0, "NOT_VISIBLE"),
        record(NAN, 1.0),
        record(0.0, 0.0, family="count"),
        record(0.0, 2.0, family="count"),
        record(3.0, 3.0, family="count"),
        record(1.0, 1.0, family="presence"),
    ]
    found = robot_figures(records, samples=20)
    distance, count = found["distance"], found["count"]
    assert (distance["n"], distance["answered"]) == (4, 0.5)
    assert distance["correct"] == 0.5 and distance["median_rel_error"] == pytest.approx(0.55)
    assert (distance["absent_n"], distance["false_ok"]) == (2, 0.5)
    assert distance["statuses"] == {"OK": 3, "NOT_VISIBLE": 2, "DISAGREES": 1}
    assert (count["n"], count["answered"], count["absent_n"], count["false_ok"]) == (1, 1.0, 2, 0.5)
    assert math.isnan(found["presence"]["false_ok"])
    assert found["all"]["n"] == 6 and found["all"]["absent_n"] == 4
    assert found["all"]["false_ok"] == 0.5
    assert "falsely OK" in align(*robot_rows({"robot": found}))


def test_the_decoded_figures_do_not_know_what_the_robot_got() -> None:
    kept = [record(2.0, 2.2), record(NAN, 1.0)]
    gated = [record(2.0, 2.2, "DISAGREES"), record(NAN, 1.0, "NOT_VISIBLE")]
    one, other = family_figures(kept), family_figures(gated)
    assert one == other or str(one) == str(other)  # NaN is not equal to itself
