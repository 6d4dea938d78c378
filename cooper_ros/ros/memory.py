"""Giving memory back to the system when a model is put away."""

from __future__ import annotations

import ctypes
import gc
import os

from cooper_ros.core.errors import BackendError


def resident_mib() -> int:
    """Resident memory of this process [MiB]."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 2**20


def memory_problem(limit_mib: int) -> str:
    """That the process uses more than allowed, for people; "" if not, or without a limit (0)."""
    used = resident_mib()
    if not 0 < limit_mib < used:
        return ""
    return (
        f"the process uses {used} MiB, more than {limit_mib} (parameter max_memory_mib): take a "
        "smaller model, or raise the limit"
    )


def check_memory(limit_mib: int) -> None:
    """Raise BackendError when the process uses more than allowed (0 = no limit)."""
    problem = memory_problem(limit_mib)
    if problem:
        raise BackendError(problem)


def give_back() -> None:
    """Free what nobody holds any more, down to the operating system.

    Sessions and caches sit in reference cycles, so the collector has to run. The C library then
    keeps the freed pages for later, which on a robot's board other programs wait for: cleaning up
    after cooper-nano leaves 190 MiB resident without the trim and 104 MiB with it.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
    if trim is not None:
        trim(0)
