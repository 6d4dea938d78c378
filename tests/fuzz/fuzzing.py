"""Feeding mutated inputs to the package and judging what becomes of each.

An input may be accepted, or refused with one of our errors and a sentence. Everything else is a
finding: another exception, a wait, a file opened because an input named it, unpickling, memory that
a small input must not cost. Input number i of a seed is always the same one:

    python tests/fuzz/run.py --kind images --seed 3 --index 17
"""

from __future__ import annotations

import resource
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cooper_ros.core.errors import CooperError

LIMIT_S = 20.0
"""Most processor time for one input."""

WAIT_S = 300.0
"""Longest wait for one input: long, because the machine may be busy with other things."""

MEMORY_MIB = 1536
"""Most that the peak memory may grow over a whole run of small inputs."""

LONGEST_MESSAGE = 2000
CANARY = "cooper_canary"
"""Part of every path that a mutated input holds: a file opened under it was named by an input."""

NUMBERS = (0, 1, 2, 3, 7, 8, 23, 24, 25, 640, 65535, 2**31 - 1, 2**31, 2**32 - 1)
FLOATS = (0.0, -0.0, -1.0, 1.0, 1e-300, 1e300, 1e-38, 3.4e38, float("nan"), float("inf"), -1e9)
TEXTS = (
    "", " ", "\x00", "\n", "rgb8\x00", "\u00e9" * 50, "x" * 5000, "\u202e\u0300\U0001f916",
    "../../etc/passwd", f"/tmp/{CANARY}", f"file:///tmp/{CANARY}", "%s%n{0}{}", "__import__('os')",
    "<answer>", "<|im_end|>", "NaN", "-0", "1e309",
)  # fmt: skip


class Hang(BaseException):
    """An input took longer than the limit. No Exception: code under test must not catch it."""


@dataclass(frozen=True)
class Kind:
    """One kind of input. `make(random)` gives an input; `feed(input)` uses it as the package would
    and returns a word for what became of it, or raises."""

    name: str
    make: Callable[[np.random.Generator], Any]
    feed: Callable[[Any], str]


@dataclass
class Finding:
    """What went wrong with input `index`."""

    kind: str
    seed: int
    index: int
    what: str

    def __str__(self) -> str:
        return (
            f"{self.what}\nagain: python tests/fuzz/run.py --kind {self.kind} --seed {self.seed} "
            f"--index {self.index}"
        )


@dataclass
class Report:
    """Outcomes of one run."""

    kind: str
    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    slowest_s: float = 0.0
    memory_mib: float = 0.0

    @property
    def count(self) -> int:
        """Inputs fed."""
        return sum(self.outcomes.values()) + len(self.findings)


_opened: list[str] = []
_watching = False


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    if event == "open" and CANARY in str(arguments[0]):
        _opened.append(f"opened {arguments[0]!r}, which an input named")
    elif event == "pickle.find_class":
        _opened.append(f"unpickled {arguments}")
    elif event in ("os.system", "subprocess.Popen", "socket.connect", "exec.input"):
        _opened.append(f"{event} {arguments}")


@contextmanager
def _watched() -> Iterator[None]:
    """Time limit and watch over files for one input."""
    global _watching

    def late(*_: Any) -> None:
        raise Hang

    clocks = {signal.SIGPROF: signal.ITIMER_PROF, signal.SIGALRM: signal.ITIMER_REAL}
    before = {number: signal.signal(number, late) for number in clocks}
    signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
    signal.setitimer(signal.ITIMER_REAL, WAIT_S)
    _watching = True
    try:
        yield
    finally:
        _watching = False
        for number, clock in clocks.items():
            signal.setitimer(clock, 0.0)
            signal.signal(number, before[number])


def judge(kind: Kind, value: Any) -> tuple[str, str]:
    """Feed one input: (what became of it, "") or ("", what went wrong)."""
    _opened.clear()
    try:
        with _watched(), warnings.catch_warnings():
            # an overflow or NaN that nobody caught: what comes after it is no measurement
            warnings.simplefilter("error", RuntimeWarning)
            outcome = kind.feed(value)
    except CooperError as error:
        text = str(error)
        if not text.strip() or len(text) > LONGEST_MESSAGE:
            return "", f"{type(error).__name__} with a message of {len(text)} characters"
        outcome = type(error).__name__
    except Hang:
        limits = f"{LIMIT_S:g} s of processor time or {WAIT_S:g} s"
        return "", f"still busy after {limits}\n{traceback.format_exc(limit=-6)}"
    except Exception:
        return "", traceback.format_exc(limit=-6)
    if _opened:
        return "", "; ".join(_opened)
    return outcome, ""


def describe(value: Any, limit: int = 600) -> str:
    """An input for people."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def run(kind: Kind, count: int, seed: int, most_findings: int = 5) -> Report:
    """Feed inputs 0..count-1 of a seed; stops after `most_findings`."""
    report = Report(kind.name)
    peak = _peak_mib()
    for index in range(count):
        value = kind.make(generator(seed, index))
        started = time.monotonic()
        outcome, problem = judge(kind, value)
        report.slowest_s = max(report.slowest_s, time.monotonic() - started)
        if problem:
            what = f"{problem}\ninput: {describe(value)}"
            report.findings.append(Finding(kind.name, seed, index, what))
            if len(report.findings) >= most_findings:
                break
        else:
            report.outcomes[outcome] += 1
    report.memory_mib = _peak_mib() - peak
    if report.memory_mib > MEMORY_MIB:
        what = f"peak memory grew by {report.memory_mib:.0f} MiB over the run"
        report.findings.append(Finding(kind.name, seed, count, what))
    return report


def generator(seed: int, index: int) -> np.random.Generator:
    """The random numbers of one input."""
    return np.random.default_rng([seed, index])


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def pick(random: np.random.Generator, values: Any) -> Any:
    """One of a sequence, as it is (numpy's own choice would convert it)."""
    return values[int(random.integers(0, len(values)))]


def some_bytes(random: np.random.Generator, data: bytes) -> bytes:
    """Data with a few bytes changed, cut, doubled or moved."""
    content = bytearray(data)
    for _ in range(int(random.integers(0, 7))):
        if not content:
            break
        start = int(random.integers(0, len(content)))
        length = int(random.integers(1, 17))
        action = int(random.integers(0, 5))
        if action == 0:
            content[start] = int(random.integers(0, 256))
        elif action == 1:
            content[start : start + length] = random.bytes(length)
        elif action == 2:
            del content[start : start + length]
        elif action == 3:
            content[start:start] = content[start : start + 4 * length]
        else:
            content[start] ^= 1 << int(random.integers(0, 8))
    if random.random() < 0.2:
        content = content[: int(random.integers(0, len(content) + 1))]
    return bytes(content)


sys.addaudithook(_audit)
