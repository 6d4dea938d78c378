"""Bags whose recording did not end properly: reading what is there, and writing what is missing.

A killed recorder leaves a storage file without its index (MCAP) or in the middle of a transaction
(SQLite), and no metadata.yaml. Reading changes nothing on disk, but for SQLite's own rollback.
"""

from __future__ import annotations

import io
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from rosbags.rosbag2.storage_mcap import McapReader, zstd
from rosbags.rosbag2.storage_sqlite3 import Sqlite3Reader

from cooper_ros.core.errors import BagError
from cooper_ros.ros.bags.mcap_scan import Scan, scan

SUFFIXES = (".mcap", ".db3")
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
"""A message that was compressed by itself starts so; CDR starts with a 0."""


class _WithEnding(io.RawIOBase):
    """A file whose first bytes are followed by others, for reading."""

    def __init__(self, path: Path, whole: int, ending: bytes) -> None:
        self._file: BinaryIO = path.open("rb")
        self._whole, self._ending, self._at = whole, ending, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        base = (0, self._at, self._whole + len(self._ending))[whence]
        self._at = max(base + offset, 0)
        return self._at

    def readinto(self, buffer: Any) -> int:
        if self._at < self._whole:
            self._file.seek(self._at)
            data = self._file.read(min(len(buffer), self._whole - self._at))
        else:
            start = self._at - self._whole
            data = self._ending[start : start + len(buffer)]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


class _Completed:
    """What rosbags needs of a path, of a file with another ending."""

    def __init__(self, path: Path, found: Scan) -> None:
        self._path, self._found = path, found

    def open(self, mode: str) -> BinaryIO:
        raw = _WithEnding(self._path, self._found.whole, self._found.ending)
        return io.BufferedReader(raw, 1 << 16)

    def __str__(self) -> str:
        return str(self._path)


def storage_files(path: Path) -> list[Path]:
    """The files with messages of a bag folder, in order; a file itself."""
    if path.is_file():
        return [path] if path.suffix in SUFFIXES else []
    return sorted(f for f in path.iterdir() if f.suffix in SUFFIXES and f.is_file())


@dataclass
class Recovered:
    """What is readable of a bag, with the part of rosbags' Reader that `Bag` uses.

    `lost`: per file what is missing, for people; `files`: those with something in them.
    """

    storages: list[Any]
    lost: list[str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    folder: Any = None
    is_open: bool = True

    @classmethod
    def open_bag(cls, path: Path) -> Recovered:
        """Open whatever is readable. Raises BagError when that is nothing."""
        made = cls([])
        try:
            for file in storage_files(path):
                made._add(file)
        except BaseException:
            made.close()
            raise
        if not made.message_count:
            made.close()
            raise BagError(f"{path} holds no readable message")
        return made

    def _add(self, file: Path) -> None:
        lost = ""
        try:
            if file.suffix == ".mcap":
                with file.open("rb") as content:
                    found = scan(content)
                if not found.message_count:
                    self.lost.append(f"{file.name}: nothing in it is readable")
                    return
                lost = found.lost
                reader: Any = McapReader(_Completed(file, found))  # type: ignore[arg-type]
            else:
                lost = self._rolled_back(file)
                reader = Sqlite3Reader(self.folder_file(file) if self.folder else file)
            reader.open()
        except Exception as error:  # rosbags and SQLite raise many kinds on damaged files
            raise BagError(f"{file} cannot be read: {error}") from error
        self.storages.append(reader)
        self.files.append(file)
        if lost:
            self.lost.append(f"{file.name}: {lost}")

    def folder_file(self, file: Path) -> Path:
        """Where a copy of a file is, for bags in folders that cannot be written."""
        return Path(self.folder.name, file.name)

    def _rolled_back(self, file: Path) -> str:
        """Undo a transaction that was cut off; in a copy where the bag may not be written."""
        journal = file.with_name(file.name + "-journal")
        if not journal.exists():
            return ""
        if not os.access(file, os.W_OK) or not os.access(file.parent, os.W_OK):
            self.folder = self.folder or tempfile.TemporaryDirectory(prefix="cooper_bag_")
            for part in (file, journal):
                shutil.copy(part, self.folder_file(part))
            file = self.folder_file(file)
        roll_back(file)
        return "the last messages were cut off"

    # -- as rosbags' Reader ------------------------------------------------------------------

    @property
    def connections(self) -> list[Any]:
        """One per topic and type over all files, with all messages counted."""
        joined: dict[tuple[str, str], Any] = {}
        for storage in self.storages:
            for found in storage.connections:
                key = (found.topic, found.msgtype)
                count = found.msgcount + (joined[key].msgcount if key in joined else 0)
                joined[key] = found._replace(msgcount=count)
        return list(joined.values())

    @property
    def message_count(self) -> int:
        return sum(storage.metadata.message_count for storage in self.storages)

    @property
    def start_time(self) -> int:
        return min(storage.metadata.start_time for storage in self.storages)

    @property
    def duration(self) -> int:
        return max(storage.metadata.end_time for storage in self.storages) - self.start_time

    def messages(
        self, connections: Collection[Any], start: int | None = None, stop: int | None = None
    ) -> Iterator[tuple[Any, int, bytes]]:
        """As rosbags' Reader does."""
        wanted = {(c.topic, c.msgtype): c for c in connections}
        for storage in self.storages:
            own = [c for c in storage.connections if (c.topic, c.msgtype) in wanted]
            if not own:
                continue
            for found, stamp_ns, data in storage.messages(own, start, stop):
                if bytes(data[:4]) == ZSTD_MAGIC:
                    data = zstd.decompress(data)
                yield wanted[found.topic, found.msgtype], stamp_ns, data

    def close(self) -> None:
        """Let go of the files."""
        for storage in self.storages:
            storage.close()
        if self.folder is not None:
            self.folder.cleanup()
        self.storages, self.folder, self.is_open = [], None, False


def roll_back(file: Path) -> None:
    """Undo a transaction of a SQLite file that was cut off: SQLite does it when it opens it."""
    connection = sqlite3.connect(file)
    try:
        connection.execute("SELECT count(*) FROM topics").fetchone()
    finally:
        connection.close()
