"""What every test runs under, and the list of skipped tests at the end."""

from __future__ import annotations

import os
import signal
import zlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAST = pytest.StashKey[float]()


def _isolate_ros() -> None:
    """A DDS domain of its own for each run and worker, never beyond this machine.

    Set at import: rclpy and the processes that tests start read it from the environment. Two
    test runs on one machine, or a robot in the same network, must not hear each other.
    """
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", f"{os.getpid()}")
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    # domains up to 101 keep their ports below the range that Linux hands out to others
    slots = 25
    os.environ["ROS_DOMAIN_ID"] = str(1 + (zlib.crc32(run.encode()) % slots) * 4 + worker % 4)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ.pop("ROS_STATIC_PEERS", None)


def _use_one_thread() -> None:
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")


def _hear_hangups() -> None:
    """Programs that tests start end on SIGHUP, also where the tests run under nohup."""
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


_isolate_ros()
_use_one_thread()
_hear_hangups()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the long tests."""
    parser.addoption("--minutes", type=float, default=30.0, help="length of the long soak")


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Built engines and ROS logs of tests stay out of the user's home."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["ROS_LOG_DIR"] = str(tmp_path_factory.mktemp("ros_log"))


def _processor_seconds() -> float:
    """User and system time of this process and of all its children that have ended."""
    return sum(os.times()[:4])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Iterator[None]:
    """Each phase of a test carries the processor time since the phase before it."""
    report = yield
    now = _processor_seconds()
    report.processor_s = now - item.session.stash.get(LAST, now)
    item.session.stash[LAST] = now
    return report


def _dearest(reporter: pytest.TerminalReporter, count: int = 25) -> list[str]:
    """The files that took the most processor time, with their dearest test."""
    spent: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    for reports in reporter.stats.values():
        for report in reports:
            if hasattr(report, "processor_s"):
                file, _, test = report.nodeid.partition("::")
                spent[file][test] += report.processor_s
    files = sorted(spent.items(), key=lambda entry: -sum(entry[1].values()))[:count]
    lines = []
    for file, tests in files:
        dearest = max(tests, key=lambda test: tests[test])
        total = sum(tests.values())
        lines.append(f"{total:7.1f} s  {file}, of that {tests[dearest]:.1f} {dearest}")
    return lines


def _skips(reporter: pytest.TerminalReporter) -> list[str]:
    lines = set()
    for report in reporter.stats.get("skipped", []):
        if isinstance(report.longrepr, tuple):
            reason = str(report.longrepr[2])
        else:
            reason = str(report.longrepr)
        lines.add(f"{report.nodeid}: {reason.removeprefix('Skipped: ')}".replace("\n", " "))
    return sorted(lines)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what was not tested and why; COOPER_SKIP_REPORT gets the same for .ci/run."""
    skips = _skips(terminalreporter)
    deselected = len(terminalreporter.stats.get("deselected", []))
    if skips or deselected:
        terminalreporter.section("not tested")
        for line in skips:
            terminalreporter.write_line(f"SKIPPED {line}")
    if deselected:
        terminalreporter.write_line(
            f"{deselected} left out by selection; `make test-long` runs the long ones too"
        )
    if os.environ.get("COOPER_TEST_TIMES"):
        terminalreporter.section("processor time by file")
        for line in _dearest(terminalreporter):
            terminalreporter.write_line(line)
    report = os.environ.get("COOPER_SKIP_REPORT")
    if report:
        Path(report).write_text("\n".join([f"skipped: {len(skips)}", *skips]) + "\n")
