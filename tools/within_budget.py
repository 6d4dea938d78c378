"""Run a command and say how much processor time it took, with everything that it started.

usage: within_budget.py SECONDS COMMAND [ARGUMENT...]

Ends with the command's exit code; with 3 if that was 0 and the time, user and system of all
processes together, is above SECONDS. Processor time and not time of day: it is nearly the same on
a busy machine. Processes that outlive their parents are not counted.
"""

from __future__ import annotations

import math
import resource
import signal
import subprocess
import sys

OVER = 3


def run(budget_s: float, command: list[str]) -> int:
    """The exit code of the command, or `OVER`."""
    process = subprocess.Popen(command)
    signal.signal(signal.SIGINT, lambda *_: None)  # a terminal's Ctrl-C reaches the command too
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: process.send_signal(received))
    code = process.wait()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = used.ru_utime + used.ru_stime
    over = seconds > budget_s
    verdict = ", that is TOO MUCH: make the dearest tests cheaper" if over else ""
    print(f"processor time: {_minutes(seconds)} of {_minutes(budget_s)} allowed{verdict}")
    return OVER if over and code == 0 else code


def _minutes(seconds: float) -> str:
    if math.isinf(seconds):
        return "any"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


def main(arguments: list[str]) -> int:
    """Budget and command from the command line."""
    try:
        budget_s, command = float(arguments[0]), arguments[1:]
    except (IndexError, ValueError):
        command = []
    if not command:
        print(__doc__, file=sys.stderr)
        return 2
    return run(budget_s, command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
