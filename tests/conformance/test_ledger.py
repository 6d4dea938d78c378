"""The ledger itself: nothing may slip through it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cooper_ros.core.errors import CooperError
from cooper_ros.evaluation.conformance import Ledger, Report, relative_error, report


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    arrays = {
        "image": np.zeros((2, 2, 3), np.uint8),
        "logits_text": np.array([3.0, 4.0], np.float32),
        "rgb_euler8": np.full((2, 2, 3), 7, np.uint8),
    }
    np.savez(tmp_path / "cases.npz", **arrays)
    cases = {"kv_text": [[1], [1]], "loop": {"order": ["text"], "cfg": [1.0]}}
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    return tmp_path


def test_unclaimed_entries_are_misses(folder: Path) -> None:
    ledger = Ledger(folder)
    ledger.input("image")
    ledger.input("loop.cfg")
    ledger.close("logits_text", np.array([3.0, 4.0]))
    ledger.levels("rgb_euler8", np.full((2, 2, 3), 8, np.uint8))
    ledger.same("kv_text", [[1], [1]])
    result = report(ledger, "none")
    assert result.unclaimed == ("loop.order",)
    assert not result.passed
    assert "loop.order" in result.table()
    ledger.same("loop.order", ("text",))
    assert report(ledger, "none").passed


def test_results_cannot_be_claimed_as_inputs(folder: Path) -> None:
    with pytest.raises(KeyError, match="not an input"):
        Ledger(folder).input("logits_text")


def test_reading_an_expected_value_claims_nothing(folder: Path) -> None:
    ledger = Ledger(folder)
    ledger.expected("logits_text")
    assert "logits_text" in report(ledger, "none").unclaimed


@pytest.mark.parametrize(
    "value",
    [np.array([3.0, 4.01]), np.array([3.0]), np.array([3.0, np.nan])],
    ids=["off", "shape", "nan"],
)
def test_a_wrong_float_is_a_miss(folder: Path, value: np.ndarray) -> None:
    ledger = Ledger(folder)
    ledger.close("logits_text", value)
    assert not ledger.verdicts[0].passed


def test_two_levels_are_too_many(folder: Path) -> None:
    ledger = Ledger(folder)
    ledger.levels("rgb_euler8", np.full((2, 2, 3), 9, np.uint8))
    ledger.levels("rgb_euler8", np.full((2, 2, 3), 7, np.float32))
    assert not any(verdict.passed for verdict in ledger.verdicts)


def test_relative_error_is_that_of_the_norms() -> None:
    assert relative_error(np.array([3.0, 4.5]), np.array([3.0, 4.0])) == pytest.approx(0.1)


def test_a_folder_without_cases_is_named(tmp_path: Path) -> None:
    with pytest.raises(CooperError, match=r"cases\.npz"):
        Ledger(tmp_path)


@pytest.mark.parametrize("complete", [True, False])
def test_exit_code_follows_the_misses(
    folder: Path,
    complete: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from cooper_ros.cli import main
    from cooper_ros.evaluation import conformance_run

    def fake(path: str) -> Report:
        ledger = Ledger(path)
        for name in ("image", "loop.cfg"):
            ledger.input(name)
        ledger.levels("rgb_euler8", np.full((2, 2, 3), 7, np.uint8))
        ledger.same("kv_text", [[1], [1]])
        ledger.same("loop.order", ["text"])
        if complete:
            ledger.close("logits_text", np.array([3.0, 4.0]))
        return report(ledger, "fake")

    monkeypatch.setattr(conformance_run, "run_torch", fake)
    assert main(["conformance", str(folder), "--json"]) == (0 if complete else 1)
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["unclaimed"] == ([] if complete else ["logits_text"])
