"""The processor time of the tests is added up, children included, and has a limit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WORK = "import os\nwhile sum(os.times()[:2]) < 0.6: pass\n"
CHILD = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {WORK!r}])\n"


def within(budget: str, code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "tools/within_budget.py", budget, sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("code", [WORK, CHILD], ids=["itself", "a child"])
def test_too_much_fails_with_the_figure(code: str) -> None:
    run = within("0.1", code)
    assert run.returncode == 3 and "TOO MUCH" in run.stdout


def test_a_slower_machine_is_given_more() -> None:
    """Less than the reference's time for the two measures: four times as slow here."""
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        import within_budget
    finally:
        sys.path.pop(0)
    within_budget.LOOP_S /= 4
    within_budget.PRODUCT_S /= 4
    assert within_budget.slowness() > 3
    within_budget.LOOP_S *= 1000
    within_budget.PRODUCT_S *= 1000
    assert within_budget.slowness() == 1.0


def test_enough_says_the_figure_and_keeps_the_exit_code() -> None:
    run = within("60", "import time; time.sleep(0.1); raise SystemExit(5)")
    assert run.returncode == 5
    assert "processor time: 0 min 00 s of 1 min 00 s allowed" in run.stdout
    assert within("inf", "pass").returncode == 0
    assert within("0.0", "raise SystemExit(1)").returncode == 1, "a failure stays that failure"


def test_wrong_use_is_no_success() -> None:
    assert within("soon", "pass").returncode == 2


def test_make_test_has_a_budget() -> None:
    assert "COOPER_TEST_BUDGET_S=540 tools/run_tests.sh" in (ROOT / "Makefile").read_text()
    assert '"${COOPER_TEST_BUDGET_S:-inf}"' in (ROOT / "tools/run_tests.sh").read_text()
