"""Run a command and say how much processor time it took, with everything that it started.

usage: within_budget.py SECONDS COMMAND [ARGUMENT...]

Ends with the command's exit code; with 3 if that was 0 and the time, user and system of all
processes together, is above SECONDS. Processor time and not time of day: it is nearly the same on
a busy machine. A machine that is slower than the one the budget was made for (an Intel Xeon with
AVX-512) is given more: by how much longer a loop and a matrix product take there. Processes that
outlive their parents are not counted.
"""

from __future__ import annotations

import math
import resource
import signal
import subprocess
import sys
import time

OVER = 3
LOOP_S, PRODUCT_S = 0.0675, 0.0142
"""Best times of `_loop` and `_product` on the reference machine."""

LOOP_SHARE = 0.7
"""About how much of the tests' time is Python rather than arithmetic on arrays."""


def _loop() -> None:
    total = 0
    for i in range(1_000_000):
        total += i * i % 7


def _product() -> None:
    try:
        import numpy as np
    except ImportError:  # outside of the virtual environment only the loop counts
        return
    a = np.ones((512, 512), np.float32)
    for _ in range(8):
        a @ a


def slowness() -> float:
    """How many times longer this machine takes than the reference, at least 1."""
    taken = []
    for work in (_loop, _product):
        times = []
        for _ in range(5):
            start = time.process_time()
            work()
            times.append(time.process_time() - start)
        taken.append(min(times))
    ratio = LOOP_SHARE * taken[0] / LOOP_S + (1 - LOOP_SHARE) * taken[1] / PRODUCT_S
    return max(1.0, ratio)


def run(budget_s: float, command: list[str]) -> int:
    """The exit code of the command, or `OVER`."""
    process = subprocess.Popen(command)
    signal.signal(signal.SIGINT, lambda *_: None)  # a terminal's Ctrl-C reaches the command too
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: process.send_signal(received))
    code = process.wait()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = used.ru_utime + used.ru_stime
    slow = slowness() if seconds > budget_s else 1.0  # only asked where it matters
    budget_s *= slow
    over = seconds > budget_s
    verdict = ", that is TOO MUCH: make the dearest tests cheaper" if over else ""
    here = f" on this machine, {slow:.2f} times as slow as the reference" if slow > 1 else ""
    print(f"processor time: {_minutes(seconds)} of {_minutes(budget_s)} allowed{here}{verdict}")
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
