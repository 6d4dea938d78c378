"""Nodes as processes of a command's own, in a ROS domain of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from cooper_ros.core import stopping
from cooper_ros.core.errors import CooperError

STOP_S = 5.0


class ProcessEnded(CooperError):
    """A process that was started for a command has ended."""


def use_private_domain(domain: int | None = None) -> None:
    """Talk on a ROS domain of this command's own, on this machine only.

    A robot in the same network is not disturbed. Domains up to 101 keep their ports below those
    that Linux hands out to others.
    """
    from cooper_ros.ros.environment import set_defaults

    os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 101 if domain is None else domain)
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    set_defaults()


@contextmanager
def running(commands: Mapping[str, Sequence[str]]) -> Iterator[Callable[[], None]]:
    """Start `python -m MODULE ARGUMENTS...` for each name; stop them all in the end.

    Yields a function that raises ProcessEnded when one of them has ended by itself. Their output
    goes to stderr: standard output belongs to the command's own report.
    """
    processes: dict[str, subprocess.Popen[bytes]] = {}

    def alive() -> None:
        for name, process in processes.items():
            if process.poll() is not None:
                raise ProcessEnded(f"the {name} ended with code {process.returncode}, see above")

    try:
        for name, command in commands.items():
            processes[name] = subprocess.Popen([sys.executable, "-m", *command], stdout=sys.stderr)
        yield alive
    finally:
        with stopping.ignoring():  # a second ctrl-C must not leave them behind
            _end(list(processes.values()))


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.send_signal(signal.SIGINT)
    deadline = time.monotonic() + STOP_S
    for process in processes:
        try:
            process.wait(max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
