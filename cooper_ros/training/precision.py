"""bfloat16 or float32: measured where training starts, for autocast and for Muon separately.

Some CPUs multiply bfloat16 matrices faster than float32, others emulate it and are ten times
slower, and on some the instructions exist and gain nothing. What /proc/cpuinfo names says less
than half a second of measuring.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cooper_ros.core.errors import CooperError

FORMATS = {"bfloat16": torch.bfloat16, "float32": torch.float32}
ROUNDS = 5
GAIN = 1.1
"""bfloat16 is taken when it is faster by this factor: float32 is the more exact one."""


@dataclass(frozen=True)
class NumberFormats:
    """What the forward and backward passes compute in, and Muon's iteration.

    `measured`: time of float32 divided by that of bfloat16, per use; empty where nothing was
    measured.
    """

    passes: torch.dtype
    muon: torch.dtype
    measured: tuple[tuple[str, float], ...] = ()

    def __str__(self) -> str:
        def named(dtype: torch.dtype) -> str:
            return str(dtype).removeprefix("torch.")

        ratios = ", ".join(f"{use} x{ratio:.2f}" for use, ratio in self.measured)
        why = f" (bfloat16 against float32: {ratios})" if ratios else ""
        return f"passes in {named(self.passes)}, Muon in {named(self.muon)}{why}"


def _fastest(work: Callable[[], object]) -> float:
    on_gpu = torch.get_default_device().type == "cuda"
    # what others do on the machine must not count; a GPU's work is in nobody's processor time
    clock = time.perf_counter if on_gpu else time.process_time
    work()
    times = []
    for _ in range(ROUNDS):
        if on_gpu:
            torch.cuda.synchronize()
        start = clock()
        work()
        if on_gpu:
            torch.cuda.synchronize()
        times.append(clock() - start)
    return min(times)


def _passes(dtype: torch.dtype) -> Callable[[], object]:
    """A linear layer and a convolution of cooper-nano's sizes, forward and backward."""
    x = torch.randn(1024, 256)
    linear = torch.nn.Linear(256, 704)
    picture = torch.randn(4, 32, 48, 36)
    kernel = torch.randn(32, 32, 3, 3, requires_grad=True)
    kind = torch.get_default_device().type

    def work() -> None:
        with torch.autocast(kind, dtype, enabled=dtype != torch.float32):
            loss = linear(x).float().sum() + F.conv2d(picture, kernel, padding=1).float().sum()
        loss.backward()

    return work


def _muon(dtype: torch.dtype) -> Callable[[], object]:
    x: Tensor = torch.randn(4, 256, 704).to(dtype)

    def work() -> Tensor:
        a = x @ x.mT
        return (a @ a) @ x

    return work


def measure() -> NumberFormats:
    """Time both formats on the default device (a quarter of a second) and choose.

    The fastest of some rounds counts: others on the machine make single rounds slower, not faster.
    """
    chosen: list[torch.dtype] = []
    measured: list[tuple[str, float]] = []
    for name, work in (("passes", _passes), ("Muon", _muon)):
        ratio = _fastest(work(torch.float32)) / _fastest(work(torch.bfloat16))
        chosen.append(torch.bfloat16 if ratio > GAIN else torch.float32)
        measured.append((name, ratio))
    return NumberFormats(chosen[0], chosen[1], tuple(measured))


def named(chosen: NumberFormats) -> str:
    """As `formats` reads it: `PASSES,MUON`."""
    return ",".join(str(d).removeprefix("torch.") for d in (chosen.passes, chosen.muon))


def formats(name: str) -> NumberFormats:
    """`auto` (measured), one format for everything, or `PASSES,MUON`.

    Raises CooperError for another name.
    """
    if name == "auto":
        return measure()
    parts = name.split(",")
    if len(parts) > 2 or any(p not in FORMATS for p in parts):
        raise CooperError(f"--numbers {name}: auto, {' or '.join(FORMATS)}")
    return NumberFormats(FORMATS[parts[0]], FORMATS[parts[-1]])


_present = NumberFormats(torch.float32, torch.float32)


def use(chosen: NumberFormats) -> None:
    """Compute in these from now on, in this process."""
    global _present
    _present = chosen


def present() -> NumberFormats:
    """What this process computes in: float32 until `use` was called."""
    return _present


def autocast() -> torch.autocast:
    """The passes' format, on the device that computes."""
    kind = torch.get_default_device().type
    dtype = _present.passes
    on = dtype != torch.float32
    return torch.autocast(kind, dtype if on else torch.bfloat16, enabled=on)
