"""Reading an MCAP file whose end is missing, and making the end that it should have.

A recorder that was killed leaves complete chunks, perhaps a part of one, and no index. `scan` walks
over the records and stops at the first that is not whole; what it found is enough to write the rest
of the file (message indexes of the last chunk, summary, footer) as `Scan.ending`.
"""

from __future__ import annotations

import struct
from binascii import crc32
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from cooper_ros.core.errors import BagError

MAGIC = b"\x89MCAP0\r\n"
HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, MESSAGE_INDEX = 1, 2, 3, 4, 5, 6, 7
CHUNK_INDEX, STATISTICS, DATA_END = 8, 11, 15
PREFIX = 9
"""Bytes of the kind and length in front of every record."""
FAR_FUTURE = 2**63 - 1

Entries = dict[int, list[tuple[int, int]]]
"""Channel -> (time [ns], offset in the chunk) of its messages."""


@dataclass
class _Chunk:
    start: int
    length: int
    compression: str
    compressed: int
    uncompressed: int
    entries: Entries
    offsets: dict[int, int] = field(default_factory=dict)
    index_length: int = 0

    @property
    def times(self) -> list[int]:
        return [time for found in self.entries.values() for time, _ in found]

    @property
    def is_indexed(self) -> bool:
        return set(self.offsets) == set(self.entries)

    def counted(self) -> _Chunk:
        """The same without its lists of messages, of which a bag may have millions."""
        times = self.times
        kept = {
            channel: [(min(times), 0), (max(times), 0)][: len(found)]
            for channel, found in self.entries.items()
        }
        return _Chunk(self.start, self.length, self.compression, self.compressed,
                      self.uncompressed, kept, self.offsets, self.index_length)  # fmt: skip


@dataclass
class Scan:
    """What is readable. `whole`: bytes of the file that stay as they are; `ending`: what must
    follow them; `lost`: what is missing, for people, "" if nothing is."""

    whole: int = 0
    ending: bytes = b""
    message_count: int = 0
    lost: str = ""


class _Scanner:
    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        file.seek(0, 2)
        self.size = file.tell()
        self.schemas: dict[int, bytes] = {}
        self.channels: dict[int, bytes] = {}
        self.chunks: list[_Chunk] = []
        self.counts: dict[int, int] = {}
        self.first, self.last = FAR_FUTURE, 0
        self.bad_chunks = 0
        self.skipped = False  # whether the newest chunk was a bad one

    def run(self) -> Scan:
        self.file.seek(0)
        at = len(MAGIC)
        if self.file.read(at) != MAGIC:
            raise BagError("it is no MCAP file (its first bytes are others)")
        extra, complete = b"", False
        while True:
            self.file.seek(at)
            prefix = self.file.read(PREFIX)
            if len(prefix) < PREFIX:
                break
            kind, length = struct.unpack("<BQ", prefix)
            if kind in (DATA_END, FOOTER):
                complete = True
                break
            if kind == 0 or length > self.size - at - PREFIX:
                extra = self._salvaged(at, kind)
                break
            self._record(kind, at, length)
            at += PREFIX + length
        at, indexes = self._last_indexes(at)
        if extra:
            extra = self._chunk_record(extra, at + len(indexes))
        lost = [] if complete else ["the end is missing"]
        if self.bad_chunks:
            lost.append(f"{self.bad_chunks} damaged parts are left out")
        count = sum(self.counts.values())
        ending = indexes + extra
        ending += self._summary(at + len(ending))
        return Scan(at, ending, count, ", ".join(lost))

    # -- records -----------------------------------------------------------------------------

    def _record(self, kind: int, at: int, length: int) -> None:
        if kind == CHUNK:
            self._chunk(at, self.file.read(length))
        elif kind == MESSAGE_INDEX and self.chunks and not self.skipped:
            (channel,) = struct.unpack("<H", self.file.read(2))
            chunk = self.chunks[-1]
            chunk.offsets[channel] = at
            chunk.index_length += PREFIX + length
        elif kind in (SCHEMA, CHANNEL):
            self._define(kind, self.file.read(length))
        elif kind == MESSAGE and length >= 22:
            channel, _, time = struct.unpack("<HIQ", self.file.read(14))
            self._count(channel, [(time, 0)])

    def _define(self, kind: int, body: bytes) -> None:
        (number,) = struct.unpack("<H", body[:2])
        (self.schemas if kind == SCHEMA else self.channels)[number] = body

    def _count(self, channel: int, found: list[tuple[int, int]]) -> None:
        self.counts[channel] = self.counts.get(channel, 0) + len(found)
        times = [time for time, _ in found]
        self.first, self.last = min(self.first, *times), max(self.last, *times)

    def _chunk(self, at: int, body: bytes) -> None:
        try:
            uncompressed, compression, data, crc = _chunk_fields(body)
            content = _decompress(data, compression)
            if len(content) != uncompressed or (crc and crc32(content) != crc):
                raise ValueError("not what was written")
            entries = self._content(content)
        except Exception:  # decompressors and broken records raise many kinds
            self.bad_chunks += 1
            self.skipped = True
            return
        self.skipped = False
        if self.chunks:
            self.chunks[-1] = self.chunks[-1].counted()
        self.chunks.append(
            _Chunk(at, PREFIX + len(body), compression, len(data), uncompressed, entries)
        )

    def _content(self, content: bytes) -> Entries:
        """Note what a chunk defines and holds."""
        entries: Entries = {}
        for kind, offset, body in _records(content):
            if kind in (SCHEMA, CHANNEL):
                self._define(kind, bytes(body))
            elif kind == MESSAGE:
                channel, _, time = struct.unpack("<HIQ", body[:14])
                entries.setdefault(channel, []).append((time, offset))
        for channel, found in entries.items():
            self._count(channel, found)
        return entries

    # -- the end -----------------------------------------------------------------------------

    def _salvaged(self, at: int, kind: int) -> bytes:
        """Whole records of a part of a chunk, if it was not compressed."""
        if kind != CHUNK:
            return b""
        self.file.seek(at + PREFIX)
        body = self.file.read()
        try:
            _, compression, data, _ = _chunk_fields(body)
            found = [offset + PREFIX + len(body) for _, offset, body in _records(data)]
        except (struct.error, ValueError):
            return b""
        return b"" if compression or not found else data[: found[-1]]

    def _last_indexes(self, at: int) -> tuple[int, bytes]:
        """(end of what stays, message indexes of the last chunk if it has not all of them)."""
        if not self.chunks:
            return at, b""
        chunk = self.chunks[-1]
        if chunk.is_indexed:
            return at, b""
        at = chunk.start + chunk.length
        return at, self._indexes(chunk, at)

    def _indexes(self, chunk: _Chunk, at: int) -> bytes:
        made = b""
        chunk.offsets = {}
        for channel, found in chunk.entries.items():
            chunk.offsets[channel] = at + len(made)
            body = struct.pack("<HI", channel, 16 * len(found))
            body += b"".join(struct.pack("<QQ", time, offset) for time, offset in found)
            made += _record(MESSAGE_INDEX, body)
        chunk.index_length = len(made)
        return made

    def _chunk_record(self, content: bytes, at: int) -> bytes:
        """A chunk of these records, with its message indexes."""
        entries = self._content(content)
        times = [time for found in entries.values() for time, _ in found]
        body = struct.pack("<QQQI", min(times, default=FAR_FUTURE), max(times, default=0),
                           len(content), 0)  # fmt: skip
        body += struct.pack("<IQ", 0, len(content)) + content
        record = _record(CHUNK, body)
        chunk = _Chunk(at, len(record), "", len(content), len(content), entries)
        self.chunks.append(chunk)
        return record + self._indexes(chunk, at + len(record))

    def _summary(self, at: int) -> bytes:
        made = _record(DATA_END, struct.pack("<I", 0))
        start = at + len(made)
        made += b"".join(_record(SCHEMA, body) for body in self.schemas.values())
        made += b"".join(_record(CHANNEL, body) for body in self.channels.values())
        if all(chunk.is_indexed for chunk in self.chunks):  # else readers go through all of it
            made += b"".join(map(_chunk_index, self.chunks))
        counts = b"".join(struct.pack("<HQ", *item) for item in sorted(self.counts.items()))
        statistics = struct.pack(
            "<QHIIIIQQ", sum(self.counts.values()), len(self.schemas), len(self.channels), 0, 0,
            len(self.chunks), self.first, self.last,
        )  # fmt: skip
        made += _record(STATISTICS, statistics + struct.pack("<I", len(counts)) + counts)
        return made + _record(FOOTER, struct.pack("<QQI", start, 0, 0)) + MAGIC


def scan(file: BinaryIO) -> Scan:
    """What is readable of an MCAP file. Raises BagError for what is none."""
    return _Scanner(file).run()


def _records(data: bytes | memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """(kind, offset, body) of the whole records of a chunk's content."""
    view, at = memoryview(data), 0
    while at + PREFIX <= len(view):
        kind, length = struct.unpack_from("<BQ", view, at)
        if kind == 0 or at + PREFIX + length > len(view):
            return
        if kind == MESSAGE and length < 22:
            raise ValueError("a message without a head")
        yield kind, at, view[at + PREFIX : at + PREFIX + length]
        at += PREFIX + length


def _chunk_fields(body: bytes) -> tuple[int, str, bytes, int]:
    """(size of the content, its compression, the data as far as it is there, checksum or 0)."""
    _, _, uncompressed, crc, size = struct.unpack_from("<QQQII", body)
    compression = body[32 : 32 + size].decode("ascii")
    (length,) = struct.unpack_from("<Q", body, 32 + size)
    data = body[40 + size : 40 + size + length]
    return uncompressed, compression, data, crc


def _decompress(data: bytes, compression: str) -> bytes:
    from rosbags.rosbag2.storage_mcap import DECOMPRESSORS

    return DECOMPRESSORS[compression](data, 0)


def _record(kind: int, body: bytes) -> bytes:
    return struct.pack("<BQ", kind, len(body)) + body


def _chunk_index(chunk: _Chunk) -> bytes:
    times = chunk.times
    body = struct.pack(
        "<QQQQ", min(times, default=FAR_FUTURE), max(times, default=0), chunk.start, chunk.length
    )
    offsets = b"".join(struct.pack("<HQ", *item) for item in chunk.offsets.items())
    name = chunk.compression.encode()
    body += struct.pack("<I", len(offsets)) + offsets + struct.pack("<Q", chunk.index_length)
    body += struct.pack("<I", len(name)) + name
    return _record(
        CHUNK_INDEX, body + struct.pack("<QQ", chunk.compressed, chunk.uncompressed)
    )
