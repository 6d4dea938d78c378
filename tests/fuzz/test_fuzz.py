"""Mutated inputs of every kind: read, or refused with one of our errors; nothing else happens.

A few of each in `make test`, over ten thousand in `make test-long`. What was found is kept in
test_found.py.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from all_kinds import ALL  # noqa: E402
from fuzzing import Kind, Report, judge, run  # noqa: E402

from cooper_ros.core.errors import CooperError, ModelFolderError  # noqa: E402

SHORT = {"model_folders": 8}
LONG = {"model_folders": 550}
MANY_SHORT, MANY_LONG = 60, 1700

REACHED = {
    "images": {"relative", "InvalidImageError"},
    "camera_infos": {"metric", "relative"},
    "compressed": {"relative", "InvalidImageError"},
    "questions": {"QuestionError", "UNPARSED"},
    "turns": {"entries", "no entry"},
    "numbers": {"read", "UNPARSED, refused"},
    "parameters": {"accepted", "refused"},
    "range_points": {"measured", "refused"},
    "model_folders": {"ModelFolderError"},
}
"""Both sides of the checks must be met, or the mutations are too tame or too wild."""


@pytest.fixture(scope="module", autouse=True)
def _end_ros() -> Iterator[None]:
    """The parameters' node starts rclpy; other files of this worker expect none."""
    import rclpy

    was_on = rclpy.ok()
    yield
    if not was_on:
        rclpy.try_shutdown()


def check(report: Report, count: int) -> None:
    assert not report.findings, "\n\n".join(map(str, report.findings))
    assert report.count == count
    assert set(report.outcomes) >= REACHED[report.kind], report.outcomes


@pytest.mark.parametrize("name", sorted(ALL))
def test_a_few(name: str) -> None:
    count = SHORT.get(name, MANY_SHORT)
    check(run(ALL[name](), count, seed=0), count)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", sorted(ALL))
def test_thousands(name: str) -> None:
    count = LONG.get(name, MANY_LONG)
    assert count >= 500
    check(run(ALL[name](), count, seed=1), count)


def test_there_are_ten_thousand_of_them() -> None:
    assert sum(LONG.get(name, MANY_LONG) for name in ALL) >= 10_000
    assert set(ALL) == set(REACHED)


def _raise(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("feed", "reason"),
    [
        (lambda _: _raise(ZeroDivisionError("oops")), "ZeroDivisionError"),
        (lambda _: _raise(CooperError("")), "message of 0 characters"),
        (lambda _: _raise(CooperError("x" * 5000)), "message of 5000 characters"),
        (lambda path: open(path, "rb").close() or "opened", "which an input named"),
    ],
)
def test_the_judge_finds_faults(feed, reason, tmp_path) -> None:
    named = tmp_path / "cooper_canary"
    named.write_text("")
    outcome, problem = judge(Kind("x", lambda r: None, feed), str(named))
    assert not outcome and reason in problem


@pytest.mark.parametrize(("limit", "busy"), [("LIMIT_S", True), ("WAIT_S", False)])
def test_the_judge_ends_a_hang(monkeypatch, limit: str, busy: bool) -> None:
    import fuzzing

    monkeypatch.setattr(fuzzing, limit, 0.2)

    def endless(_: object) -> str:
        while busy or not time.sleep(30.0):
            pass
        return "never"

    assert "still busy" in judge(Kind("x", lambda r: None, endless), None)[1]


def test_the_judge_takes_typed_refusals() -> None:
    outcome, problem = judge(
        Kind("x", lambda r: None, lambda _: _raise(ModelFolderError("it is cut"))), None
    )
    assert (outcome, problem) == ("ModelFolderError", "")
