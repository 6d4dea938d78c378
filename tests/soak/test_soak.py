"""The soak: half a minute of it in `make test`, all of it (`--minutes`, 30) in `make test-long`."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("mujoco", reason="the simulator is not installed")

from judge import judge  # noqa: E402

SOAK = Path(__file__).with_name("soak.py")
OK, STALE, ERROR = 1, 4, 6


def soak(out: Path, **options: Any) -> dict[str, Any]:
    """Run it as its own process, as by hand; its result."""
    given = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    done = subprocess.run(
        [sys.executable, str(SOAK), f"--out={out}", *given], capture_output=True, text=True
    )
    assert out.is_file(), done.stderr[-4000:]
    result: dict[str, Any] = json.loads(out.read_text())
    assert result["faults"] == [], "\n".join(result["faults"]) + done.stderr[-2000:]
    assert done.returncode == 0
    return result


@pytest.mark.timeout(600)
def test_a_short_soak(tmp_path: Path) -> None:
    """Camera restarts and deaths; times are not judged, the machine may be busy."""
    quietly = {"rate": 5, "pause": 1}
    result = soak(tmp_path / "soak.json", minutes=0.5, every=7, recovery=60, seed=1, **quietly)
    assert result["answers"]["asked"] > 0 and result["answers"]["lost"] == 0
    assert result["recovery"]["count"] >= 1


@pytest.mark.long
@pytest.mark.alone
def test_a_long_soak(tmp_path: Path, minutes: float) -> None:
    result = soak(tmp_path / "soak.json", minutes=minutes)
    print(json.dumps(result, indent=1))
    assert result["memory"]["judged"] or minutes < 10


def line(question: str, **changes: Any) -> dict[str, Any]:
    row = {"question": question, "replies": 1, "echo": question, "status": OK, "message": "",
           "took_s": 0.1}  # fmt: skip
    return {**row, **changes}


def good_record() -> dict[str, Any]:
    """Ten minutes in which all went well."""
    return {
        "events": [{"kind": "kill", "at_s": 60.0, "first_ns": 1}],
        "memory": [[float(t), 200.0 + 10.0 * (t < 100), 100.0] for t in range(600)],
        "recoveries": [{"kind": "kill", "at_s": 60.0, "seconds": 0.9}],
        "minutes": [{"hz": 10.0, "age_s": 0.2}] * 10,
        "published": {"q1": 1, "q2": 1},
        "asked": {"a": [line("q1")], "b": [line("q2", status=STALE, message="too old")]},
        "node_exit": 0,
        "node_log": "all is well",
        "load_average": 1.0,
    }


def test_a_good_record_has_no_faults() -> None:
    result = judge(good_record(), 5.0, 10.0)
    assert result["faults"] == []
    assert result["answers"]["statuses"] == {"OK": 1, "STALE": 1}
    assert result["memory"]["drift_percent"] == 0.0


def _memory_grows(record: dict[str, Any]) -> None:
    for sample in record["memory"]:
        sample[1] = 200.0 + sample[0] * 0.02


def _change(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda record: record["asked"]["a"].__setitem__(0, line("q1", **changes))


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (_change(replies=0, echo=None, status=None), "got no reply"),
        (_change(replies=2), "several replies"),
        (_change(echo="q2"), "reply of another question"),
        (_change(status=STALE), "gave no reason"),
        (_change(status=ERROR, message="boom"), "STATUS_ERROR, the first: boom"),
        (lambda r: r["published"].pop("q1"), "never published"),
        (lambda r: r["published"].update(q1=2), "more often than asked"),
        (lambda r: r["published"].update(q9=1), "more often than asked"),
        (lambda r: r["recoveries"][0].update(seconds=2.1), "recovery took 2.1 s"),
        (lambda r: r["recoveries"][0].update(seconds=None), "no image was perceived"),
        (_memory_grows, "memory grew by"),
        (lambda r: r.update(node_exit=1), "exit code was 1"),
        (lambda r: r.update(node_log="Traceback (most"), "traceback"),
        (lambda r: r.update(minutes=[]), "no image was perceived"),
        (lambda r: r.update(asked={"a": []}, published={}), "nothing was asked"),
    ],
)
def test_every_fault_is_found(harm: Callable[[dict[str, Any]], Any], reason: str) -> None:
    record = copy.deepcopy(good_record())
    harm(record)
    faults = judge(record, 5.0, 10.0)["faults"]
    assert any(reason in fault for fault in faults), faults
