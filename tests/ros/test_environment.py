"""Homes, log folders and shared memory that are not as they should be."""

from __future__ import annotations

import fcntl
import mmap
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from harness import WAIT_S  # noqa: E402

from cooper_ros.cli import doctor as command  # noqa: E402
from cooper_ros.core import paths  # noqa: E402
from cooper_ros.core.errors import CacheError  # noqa: E402
from cooper_ros.deploy.doctor import Verdict, machine_checks  # noqa: E402
from cooper_ros.ros import doctor, shared_memory  # noqa: E402
from cooper_ros.ros.environment import log_folder, log_problem, set_defaults  # noqa: E402

NOWHERE = "/dev/null/nowhere"
"""A folder that nobody can make, not even root."""
OLD_S = 1_000_000.0


def test_where_ros_writes_its_log(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path)}
    assert log_folder(home) == tmp_path / ".ros" / "log"
    assert log_folder(home | {"ROS_HOME": "/r"}) == Path("/r/log")
    assert log_folder(home | {"ROS_HOME": "/r", "ROS_LOG_DIR": "/l"}) == Path("/l")
    assert log_problem(home) == ""
    for environment in ({}, {"HOME": NOWHERE}, {"ROS_LOG_DIR": NOWHERE}, {"ROS_HOME": NOWHERE}):
        assert "set ROS_LOG_DIR to" in log_problem(environment), environment


@pytest.mark.parametrize("home", [{}, {"HOME": NOWHERE}], ids=["none", "read-only"])
def test_without_a_home_the_log_goes_elsewhere(
    home: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    environment = dict(home)
    set_defaults(environment)
    assert log_problem(environment) == "" and "ros_log" in environment["ROS_LOG_DIR"]
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "set ROS_LOG_DIR" in said
    chosen = {"ROS_LOG_DIR": NOWHERE}  # what the user has set is never changed
    set_defaults(chosen)
    assert chosen["ROS_LOG_DIR"] == NOWHERE and not capsys.readouterr().err


def started(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """The node, waiting for transitions; only what ROS must have is in its environment."""
    keep = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "ROS_DOMAIN_ID", "AMENT_PREFIX_PATH",
            "ROS_AUTOMATIC_DISCOVERY_RANGE", "_ROS_WHEELS_BOOTSTRAP_COMPLETE")  # fmt: skip
    return subprocess.Popen(
        [*arguments, sys.executable, "-u", "-m", "cooper_ros.ros.node", "--ros-args",
         "-p", "autostart:=false", "-p", "odd_name:=1"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={k: os.environ[k] for k in keep if k in os.environ} | environment,
    )  # fmt: skip


def heard(process: subprocess.Popen[str], sentence: str = "") -> str:
    """All output; the process is stopped after a sentence."""
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if sentence and sentence in line:
            process.send_signal(signal.SIGINT)
    process.wait(WAIT_S)
    return text


def test_the_node_runs_without_a_home(ros: None) -> None:
    process = started()
    said = heard(process, "'odd_name' has no effect")
    assert process.returncode == 0, said
    assert "HOME is not set; set ROS_LOG_DIR" in said


def test_the_node_names_the_variable_that_is_wrong(ros: None) -> None:
    process = started(ROS_LOG_DIR=NOWHERE)
    said = heard(process)
    assert process.returncode == 2, said
    assert "set ROS_LOG_DIR to a folder of this user" in said and "Traceback" not in said


def test_commands_name_it_too(
    ros: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "cooper_ros.cli", "bag", "record", str(tmp_path / "b"), "/image"],
        capture_output=True, text=True, timeout=WAIT_S,
        env={**os.environ, "ROS_LOG_DIR": NOWHERE},
    )  # fmt: skip
    assert ran.returncode == 1
    assert ran.stderr.startswith("cooper bag: ROS has no folder for its log")
    assert "Traceback" not in ran.stderr


def why_no_mounts() -> str:
    """Why a /dev/shm of one's own cannot be had here, "" if it can."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        return "a /dev/shm of its own needs root"
    tried = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "-o", "ro", "none", "/dev/shm"],
        capture_output=True,
    )
    return "this container lets nobody mount" if tried.returncode else ""


@pytest.mark.skipif(bool(why_no_mounts()), reason=why_no_mounts())
def test_the_node_runs_without_shared_memory(ros: None, tmp_path: Path) -> None:
    script = 'mount -t tmpfs -o ro none /dev/shm && exec "$@"'
    process = started("unshare", "--mount", "sh", "-c", script, "sh", HOME=str(tmp_path))
    said = heard(process, "'odd_name' has no effect")
    assert process.returncode == 0, said
    assert "/dev/shm cannot be used (Read-only file system)" in said


def test_doctor_finds_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def checks() -> dict[str, doctor.Check]:
        return {c.name: c for c in doctor.installation_checks() + machine_checks()}

    monkeypatch.setenv("ROS_LOG_DIR", NOWHERE)
    monkeypatch.setenv("XDG_CACHE_HOME", NOWHERE)
    monkeypatch.setattr(shared_memory, "FOLDER", tmp_path / "none")
    monkeypatch.setattr(shared_memory.problem, "__defaults__", (tmp_path / "none",))
    found = checks()
    assert found["log"].verdict is Verdict.FAIL and "ROS_LOG_DIR" in found["log"].advice
    assert found["shared memory"].verdict is Verdict.WARN
    assert "--shm-size" in found["shared memory"].advice
    assert "XDG_CACHE_HOME" in found["disk"].advice
    monkeypatch.delenv("ROS_LOG_DIR")
    monkeypatch.setenv("HOME", NOWHERE)
    assert checks()["log"].verdict is Verdict.WARN


def test_without_a_cache_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in (NOWHERE, ""):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        monkeypatch.setattr(Path, "home", lambda: Path(NOWHERE))
        with pytest.raises(CacheError, match="set XDG_CACHE_HOME"):
            paths.user_cache_dir()


# -- what killed nodes leave ---------------------------------------------------------------------


def segment(folder: Path, number: int) -> list[Path]:
    """A segment with its lock file, as old as the hills."""
    name = f"fastrtps_{number:016x}"
    files = [folder / name, folder / f"{name}_el"]
    for path in files:
        path.write_bytes(b"x" * 4096)
    return files


@pytest.fixture
def aged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything was made long ago (ctime cannot be set)."""
    now = time.time()
    monkeypatch.setattr(shared_memory.time, "time", lambda: now + OLD_S)


def test_only_what_nobody_uses_is_left_behind(aged: None, tmp_path: Path) -> None:
    left, locked = segment(tmp_path, 0), segment(tmp_path, 1)
    mapped = [tmp_path / "fastrtps_port7412"]
    mapped[0].write_bytes(b"x" * 4096)
    port = [tmp_path / "fastdds_port7411", tmp_path / "sem.fastdds_port7411_mutex"]
    others = [tmp_path / name for name in ("lttng-ust-wait-6", "fastrtps_x", "psm_1")]
    for path in (*port, *others):
        path.write_bytes(b"x")
    with locked[1].open("rb") as lock, mapped[0].open("rb") as file:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ):
            assert shared_memory.left_behind(tmp_path) == sorted([*left, *port], key=_segment)
            assert shared_memory.clean(tmp_path).startswith("4 files")
    assert sorted(tmp_path.iterdir()) == sorted([*locked, *mapped, *others])


def _segment(path: Path) -> str:
    return path.name.removeprefix("sem.")


def test_young_files_and_those_of_others_stay(tmp_path: Path) -> None:
    segment(tmp_path, 7)
    assert shared_memory.left_behind(tmp_path) == []
    assert shared_memory.left_behind(tmp_path / "none") == []


def test_a_killed_process_is_found_and_a_living_one_is_not(aged: None) -> None:
    program = """
import rclpy, sys
from cooper_ros.ros.environment import set_defaults
set_defaults(); rclpy.init(); node = rclpy.create_node("victim")
print("up", flush=True); sys.stdin.read()
"""
    def owned_by(process: subprocess.Popen[str] | None) -> set[str]:
        """Segments and ports whose lock it holds (None: anybody); it has mapped those of its
        neighbours as well."""
        locks = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
        inodes = {
            int(w[5].split(":")[2]) for w in locks if process is None or w[4] == str(process.pid)
        }
        files = shared_memory.FOLDER.glob("fast*_el")
        return {p.name.removesuffix("_el") for p in files if p.stat().st_ino in inodes}

    def start() -> subprocess.Popen[str]:
        made = subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        assert made.stdout is not None and made.stdout.readline() == "up\n"
        return made

    victim, witness = start(), start()
    try:
        of_victim, of_witness = owned_by(victim), owned_by(witness)
        assert of_victim and of_witness, "no shared memory is used: nothing was tested"
        victim.kill()
        victim.wait(WAIT_S)
        # a port that was free for a moment may be a neighbour's by now: before and after are asked
        taken_over = owned_by(None)
        found = shared_memory.left_behind()
        names = {path.name for path in found}
        taken_over |= owned_by(None)
        assert of_victim - taken_over, "a neighbour took everything: nothing was tested"
        assert of_victim - taken_over <= names and not of_witness & names
        assert shared_memory.remove([p for p in found if p.name in of_victim]) > 0
    finally:
        for process in (victim, witness):
            process.kill()
            process.communicate()


def test_doctor_names_and_cleans(
    aged: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for function in (shared_memory.left_behind, shared_memory.clean):
        monkeypatch.setattr(function, "__defaults__", (tmp_path,))
    segment(tmp_path, 1)
    found = {c.name: c for c in doctor.installation_checks()}["left behind"]
    assert found.verdict is Verdict.WARN and "cooper doctor --clean" in found.advice
    monkeypatch.setattr(command, "collect", lambda *_: [])
    parser = __import__("argparse").ArgumentParser()
    command.add_arguments(parser)
    assert command.run(parser.parse_args(["--clean"])) == 0
    assert "2 files of killed nodes removed" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
