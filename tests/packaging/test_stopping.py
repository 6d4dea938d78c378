"""SIGINT, SIGTERM, SIGHUP and a closed pipe end a command from its first moment on: children end,
what is owed is written, and nobody sees a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cooper_ros.core import stopping

WAIT_S = 120.0
ALL = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]

CHILD = """
import pathlib, signal, sys
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: sys.exit(0))
pathlib.Path(sys.argv[1]).write_text("here")
signal.pause()
"""
PROBE = """
import pathlib, sys, time
'''Probe.'''
def add_arguments(parser):
    parser.add_argument("what")
def begin(text):
    print(text, flush=True)
    while True:
        time.sleep(0.01)
def run(args):
    from cooper_ros.cli.processes import running
    mark = pathlib.Path("child_is_here")
    try:
        with running({"child": ["waiting_child", str(mark)]}):
            while not mark.exists():
                time.sleep(0.01)
            if args.what == "talk":
                while True:
                    print("x" * 1000)
            if args.what == "wait":
                begin("ready")
            if args.what == "convert":
                try:
                    begin("ready")
                except BaseException as error:
                    raise ImportError("a library that makes something else of it") from error
            if args.what == "swallow":
                class Swallows:
                    def __del__(self):
                        begin("ready")
                thing = Swallows()
                del thing
                begin("not stopped")
    finally:
        pathlib.Path("owed").write_text("written")
"""
PROGRAM = """
import sys
sys.argv = ["cooper", *sys.argv[1:]]
from cooper_ros import cli
cli.SUBCOMMANDS["probe"] = ("cooper_probe", "for this test")
sys.exit(cli.main())
"""


@pytest.fixture(autouse=True)
def _hangup_is_heard() -> Iterator[None]:
    """A test run under nohup hands its ignored SIGHUP down to all that it starts."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


class Command:
    """`cooper probe WHAT` in a folder of its own."""

    def __init__(self, folder: Path, what: str, program: str = PROGRAM, **options: Any) -> None:
        (folder / "waiting_child.py").write_text(CHILD)
        (folder / "cooper_probe.py").write_text(PROBE)
        self.folder = folder
        path = os.pathsep.join([str(folder), *sys.path])
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, "probe", what],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder,
            env={**os.environ, "PYTHONPATH": path}, **options,
        )  # fmt: skip
        assert self.process.stdout is not None

    def first_line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> tuple[int, str]:
        """Exit code and stderr."""
        try:
            _, said = self.process.communicate(timeout=WAIT_S)
        finally:
            self.process.kill()
        return self.process.returncode, said

    @property
    def has_child(self) -> bool:
        command = str(self.folder / "waiting_child.py")
        for entry in Path("/proc").glob("[0-9]*/environ"):
            try:
                inside = f"PYTHONPATH={self.folder}" in entry.read_text(errors="replace")
                line = (entry.parent / "cmdline").read_text()
            except OSError:
                continue
            if inside and ("waiting_child" in line or command in line):
                return True
        return False


@pytest.mark.parametrize("number", ALL)
def test_a_signal_ends_children_and_writes_what_is_owed(number: int, tmp_path: Path) -> None:
    command = Command(tmp_path, "wait")
    assert command.first_line() == "ready" and command.has_child
    command.process.send_signal(number)
    assert command.end() == (1, "cooper probe: interrupted\n")
    assert not command.has_child
    assert (tmp_path / "owed").read_text() == "written"


@pytest.mark.parametrize("what", ["convert", "swallow"])
def test_whatever_a_library_makes_of_the_signal(what: str, tmp_path: Path) -> None:
    command = Command(tmp_path, what)
    assert command.first_line() == "ready"
    command.process.send_signal(signal.SIGINT)
    code, said = command.end()
    assert code == 1 and said == "cooper probe: interrupted\n"
    assert not command.has_child


def test_a_reader_that_goes_ends_the_command_quietly(tmp_path: Path) -> None:
    """`cooper ... | head -1`"""
    command = Command(tmp_path, "talk")
    assert command.first_line()
    assert command.process.stdout is not None
    command.process.stdout.close()
    command.process.stdout = None
    assert command.end() == (1, "")
    assert not command.has_child and (tmp_path / "owed").exists()


IMPORTING = """
import sys
sys.argv = [{name!r}]
import cooper_ros
print("ready", flush=True)
import time
time.sleep(1000)
"""


@pytest.mark.parametrize(
    ("name", "number", "code", "said"),
    [
        ("/usr/bin/cooper", signal.SIGINT, 1, "cooper: interrupted\n"),
        ("cooper", signal.SIGHUP, 1, "cooper: interrupted\n"),
        ("cooper_node", signal.SIGINT, 0, ""),
        ("cooper_view", signal.SIGTERM, 0, ""),
    ],
)
def test_while_it_imports_a_program_ends_at_once(
    name: str, number: int, code: int, said: str, tmp_path: Path
) -> None:
    command = Command(tmp_path, "", IMPORTING.format(name=name))
    assert command.first_line() == "ready"
    command.process.send_signal(number)
    assert command.end() == (code, said)


def test_a_module_of_ours_is_a_program_too(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "cooper_ros.ros.node"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "ROS_LOG_DIR": str(tmp_path)},
    )  # fmt: skip
    assert process.stderr is not None
    lines = []
    for line in process.stderr:  # stop it in the middle of its imports
        lines.append(line)
        if "rclpy" in line:
            process.send_signal(signal.SIGINT)
            break
    said = process.communicate(timeout=WAIT_S)[1]
    assert process.returncode == 0
    assert "Traceback" not in "".join(lines) + said


def test_another_program_keeps_its_handlers() -> None:
    assert not stopping.is_program()
    before = [signal.getsignal(number) for number in ALL]
    with stopping.raising() as stopped:
        with pytest.raises(stopping.Stopped):
            signal.raise_signal(signal.SIGHUP)
        assert stopped()
        with stopping.ignoring():
            signal.raise_signal(signal.SIGTERM)
    assert [signal.getsignal(number) for number in ALL] == before


def test_nohup_is_respected(tmp_path: Path) -> None:
    command = Command(
        tmp_path, "wait", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    )
    assert command.first_line() == "ready"
    command.process.send_signal(signal.SIGHUP)
    time.sleep(0.3)  # nothing happens: there is nothing to wait for
    assert command.process.poll() is None
    command.process.terminate()
    assert command.end()[0] == 1


def test_workers_leave_the_end_to_their_parent() -> None:
    program = (
        "import signal\nfrom cooper_ros.core import stopping\nstopping.ignore()\n"
        "signal.raise_signal(signal.SIGINT); signal.raise_signal(signal.SIGHUP)\n"
        "print('still here', flush=True)\nsignal.raise_signal(signal.SIGTERM)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (run.stdout, run.returncode) == ("still here\n", -signal.SIGTERM)


def test_help_that_nobody_reads_to_its_end() -> None:
    read, write = os.pipe()
    os.close(read)
    program = "import sys; sys.argv = ['cooper', '--help']\nfrom cooper_ros import cli; cli.main()"
    run = subprocess.run(
        [sys.executable, "-c", program], stdout=write, stderr=subprocess.PIPE, text=True
    )
    os.close(write)
    assert run.stderr == ""
