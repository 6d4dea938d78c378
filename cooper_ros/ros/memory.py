"""Giving memory back to the system when a model is put away."""

from __future__ import annotations

import ctypes
import gc
import os

from cooper_ros.core.errors import BackendError

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""Numbers of glibc's malloc.h."""
LARGE_BYTES = 2_000_000
"""Blocks from here on are the system's again as soon as they are freed: an image or a map of a
large camera. Those of a VGA camera stay with the process, which is faster."""
ARENAS = 2


def return_large_blocks() -> None:
    """Have the C library give freed images back; call it before there are threads.

    By itself it raises its threshold to the largest block that was ever freed, up to 32 MB, and
    keeps holes of that size in an arena of every thread. A user's own MALLOC_ variables win.
    """
    choose = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc only
    if choose is None or any(name.startswith("MALLOC_") for name in os.environ):
        return
    choose(M_MMAP_THRESHOLD, LARGE_BYTES)
    choose(M_TRIM_THRESHOLD, LARGE_BYTES)
    choose(M_ARENA_MAX, ARENAS)


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
    trim_heap()


def trim_heap() -> None:
    """Return the free pages of the C library's heap to the system; takes about a millisecond."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
    if trim is not None:
        trim(0)
