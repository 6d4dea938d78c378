"""CI refuses a skip that nobody allowed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SKIP = "tests/deploy/test_build.py::test_plan: no device"


def check(tmp_path: Path, report: str, allowed: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "report").write_text(report)
    (tmp_path / "allowed").write_text(allowed)
    return subprocess.run(
        [sys.executable, ROOT / "tools/check_skips.py", tmp_path / "report", tmp_path / "allowed"],
        capture_output=True, text=True,
    )


@pytest.mark.parametrize(
    ("report", "allowed", "code"),
    [
        ("skipped: 0\n", "", 0),
        (f"skipped: 1\n{SKIP}\n", "", 1),
        (f"skipped: 1\n{SKIP}\n", "# why\ntests/deploy/.*: no device ## needs a GPU\n", 0),
        (f"skipped: 1\n{SKIP}\n", "no device ## part of a line is not enough\n", 1),
        (f"skipped: 1\n{SKIP}\n", ".*no device\n", 2),
        (f"skipped: 2\n{SKIP}\n", ".* ## the report was cut\n", 2),
        ("", "", 2),
    ],
)
def test_verdict(tmp_path: Path, report: str, allowed: str, code: int) -> None:
    verdict = check(tmp_path, report, allowed)
    assert verdict.returncode == code, verdict.stderr
    if code == 1:
        assert SKIP in verdict.stderr


def test_conftest_writes_the_report(tmp_path: Path) -> None:
    """With parallel workers too, as `make test` runs them."""
    (tmp_path / "conftest.py").write_text((ROOT / "tests/conftest.py").read_text())
    (tmp_path / "test_probe.py").write_text(
        "import pytest\n\n"
        "def test_passes(): pass\n\n"
        "@pytest.mark.skipif(True, reason='for a reason')\n"
        "def test_skipped(): pass\n"
    )
    (tmp_path / "test_absent.py").write_text("import pytest\npytest.importorskip('no_such')\n")
    report = tmp_path / "report"
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", tmp_path],
        capture_output=True, text=True, cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "COOPER_SKIP_REPORT": str(report)},
    )
    assert run.returncode == 0, run.stdout + run.stderr
    head, *lines = report.read_text().splitlines()
    assert head == "skipped: 2"
    assert "test_probe.py::test_skipped: for a reason" in lines
    assert any(line.startswith("test_absent.py: could not import 'no_such'") for line in lines)
    assert "SKIPPED test_probe.py::test_skipped: for a reason" in run.stdout
