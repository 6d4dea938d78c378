"""The bytes of a model folder: read once into memory, or mapped and watched.

What runs is what was checked. A small folder is read once, while its hashes are computed; whatever
happens to it on disk later changes nothing. A large one stays on disk: every use first asks whether
its files still have the size and time that they were opened with.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cooper_ros.core.errors import ModelFolderError

IN_MEMORY_BYTES = 512 * 2**20
"""Folders up to this size are read once; larger ones are mapped."""

EXPORT_AGAIN = "export the model again with `cooper export`, or copy the folder completely"
BLOCK = 1 << 20

Stamp = tuple[int, int, int]
"""Size [bytes], time of the last change [ns] and inode of a file."""


@dataclass(frozen=True)
class FileEntry:
    """One file of the folder: length in bytes and SHA-256 as 64 hex digits."""

    size: int
    sha256: str


class ModelFiles:
    """The files that a manifest lists, opened once.

    `in_memory`: whether the contents were read; else `content` maps them. `watch_paths`: whether
    `check` looks at the files by name as well.
    """

    def __init__(self, folder: Path, entries: Mapping[str, FileEntry]) -> None:
        self._folder = folder
        self._entries = entries
        self._open: dict[str, BinaryIO] = {}
        self._stamps: dict[str, Stamp] = {}
        self._contents: dict[str, memoryview] = {}
        self._changed = ""
        self.watch_paths = False
        self.in_memory = sum(entry.size for entry in entries.values()) <= IN_MEMORY_BYTES

    def open(self, hashes: bool) -> None:
        """Open every file, compare it with its entry, and read it if the folder is small.

        Raises ModelFolderError on the first that is missing, outside the folder or different.
        """
        root = self._folder.resolve()
        for name, entry in self._entries.items():
            path = self._folder / name
            if not path.is_file():
                raise ModelFolderError(f"{path} is missing: {EXPORT_AGAIN}")
            if root not in path.resolve().parents:
                raise ModelFolderError(f"{path} is a link out of the model folder")
            file = path.open("rb", buffering=0)
            self._stamps[name] = _stamp(os.fstat(file.fileno()))
            size = self._stamps[name][0]
            if size != entry.size:
                file.close()
                state = "truncated" if size < entry.size else "too long"
                raise ModelFolderError(
                    f"{path} is {state}: {size} bytes, expected {entry.size}; {EXPORT_AGAIN}"
                )
            self._take(name, file, hashes)

    def _take(self, name: str, file: BinaryIO, hashes: bool) -> None:
        entry, path = self._entries[name], self._folder / name
        if self.in_memory:
            with file:
                content = _read(file, entry.size)
            if len(content) != entry.size:  # it is being written just now
                raise ModelFolderError(f"{path} is truncated: it changed while it was read")
            self._contents[name] = content
            digest = hashlib.sha256(content).hexdigest() if hashes else entry.sha256
        else:
            self._open[name] = file
            digest = _sha256_of(file) if hashes else entry.sha256
        if digest != entry.sha256:
            raise ModelFolderError(
                f"{path} was altered: SHA-256 {digest[:16]}..., "
                f"expected {entry.sha256[:16]}...; {EXPORT_AGAIN}"
            )

    def content(self, name: str) -> memoryview:
        """The bytes of a file, read-only. Raises ModelFolderError where they are gone."""
        if name in self._contents:
            return self._contents[name]
        if name in self._open:
            self.check()
            if not self._entries[name].size:
                return memoryview(b"")
            return memoryview(mmap.mmap(self._open[name].fileno(), 0, access=mmap.ACCESS_READ))
        raise ModelFolderError(f"{self._folder / name} was put away already")

    def put_away(self, name: str) -> None:
        """Free the memory of a file that nobody will read again."""
        self._contents.pop(name, None)

    def check(self) -> None:
        """Raise ModelFolderError when a mapped file is not what it was; for good."""
        if self._changed:
            raise ModelFolderError(self._changed)
        for name, file in self._open.items():
            if _stamp(os.fstat(file.fileno())) != self._stamps[name]:
                self._give_up(name)
        if self.watch_paths:
            self.check_paths()

    def check_paths(self) -> None:
        """Raise ModelFolderError when a name leads to another file than the one that was opened.
        For engines that open files by their path, after they did."""
        for name, stamp in self._stamps.items():
            try:
                now: Stamp | None = _stamp(os.stat(self._folder / name))
            except OSError:
                now = None
            if now != stamp:
                self._give_up(name)

    def _give_up(self, name: str) -> None:
        self._changed = (
            f"{self._folder / name} changed while the model was in use, so it is not used any "
            "more: configure the node again; write a new model to a new folder and rename that"
        )
        raise ModelFolderError(self._changed)


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_size, status.st_mtime_ns, status.st_ino


def _read(file: BinaryIO, size: int) -> memoryview:
    """Read into pages of its own, which go back to the system when they are put away."""
    if not size:
        return memoryview(b"")
    buffer, filled = mmap.mmap(-1, size), 0
    view = memoryview(buffer)
    while filled < size:
        count = file.readinto(view[filled:])  # type: ignore[attr-defined]
        if not count:
            break
        filled += count
    return view[:filled].toreadonly()


def _sha256_of(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    file.seek(0)
    while block := file.read(BLOCK):
        digest.update(block)
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file as hex digits."""
    with path.open("rb") as file:
        return _sha256_of(file)
