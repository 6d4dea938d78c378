"""Shared memory of Fast DDS: whether it can be had, and what killed processes left in it.

A process that is killed cannot remove its segments; they take 34 MiB each until the machine
restarts, and in a container with a small /dev/shm the next node gets none.
"""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

FOLDER = Path("/dev/shm")
NAME = re.compile(r"(?:fastrtps|fastdds)_(?:port\d+|[0-9a-f]{16})")
"""Segments and ports of Fast DDS 2 and 3, without what is appended for their lock files."""
LOCKS = ("_el", "_sl")
SETTLED_S = 10.0
"""Younger files may belong to a process that is just starting."""


def problem(folder: Path = FOLDER) -> str:
    """Why there is no shared memory here, for people; "" if there is."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        return (
            f"{folder} cannot be used ({reason}): images go through the network, and large ones "
            "get lost; mount a tmpfs there, in Docker give --shm-size=512m or --ipc=host"
        )


def left_behind(folder: Path = FOLDER) -> list[Path]:
    """Files of processes that are gone: nobody holds their lock or, where there is none, nobody
    has them mapped. (Others may still have mapped what belonged to a process that is gone.)

    Only files that this user may remove; those younger than `SETTLED_S` are never listed.
    """
    groups: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if match := NAME.match(path.name.removeprefix("sem.")):
            groups.setdefault(match.group(), []).append(path)
    in_use = _mapped(folder)
    found: list[Path] = []
    for name, paths in groups.items():
        locked = _is_locked(folder, name)
        unused = name not in in_use if locked is None else not locked
        if unused and all(map(_is_ours_and_old, paths)):
            found += paths
    return found


def remove(paths: Iterable[Path]) -> int:
    """Remove files; how many bytes that gave back."""
    freed = 0
    for path in paths:
        try:
            size = path.stat().st_blocks * 512
            path.unlink()
            freed += size
        except OSError:  # somebody else was faster
            continue
    return freed


def clean(folder: Path = FOLDER) -> str:
    """Remove what killed processes left behind; what was done, for people."""
    files = left_behind(folder)
    freed = remove(files)
    return f"{len(files)} files of killed nodes removed from {folder}: {freed / 2**20:.0f} MiB"


def size_mib(paths: Iterable[Path]) -> float:
    """Memory that files take [MiB]."""
    return sum(path.stat().st_blocks * 512 for path in paths if path.exists()) / 2**20


def _is_ours_and_old(path: Path) -> bool:
    try:
        info = path.stat()
    except OSError:
        return False
    age_s = time.time() - max(info.st_mtime, info.st_ctime)
    return os.geteuid() in (0, info.st_uid) and age_s > SETTLED_S


def _is_locked(folder: Path, name: str) -> bool | None:
    """Whether a process, also one of another container, holds the lock of a segment or port; None
    where there is no lock file."""
    found: bool | None = None
    for end in LOCKS:
        try:
            with open(folder / f"{name}{end}", "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = bool(found)
        except FileNotFoundError:
            continue
        except OSError:
            return True
    return found


def _mapped(folder: Path) -> set[str]:
    """Segments and ports that a process, as far as they can be looked into, has mapped."""
    found: set[str] = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            text = (process / "maps").read_text(errors="replace")
        except OSError:
            continue
        for line in text.splitlines():
            _, slash, rest = line.partition(f"{folder}/")
            name = NAME.match(rest.removeprefix("sem.")) if slash else None
            if name:
                found.add(name.group())
    return found
