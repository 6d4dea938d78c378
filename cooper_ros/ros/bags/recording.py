"""Recording topics as they come in, without decoding them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.enums import CompressionFormat, CompressionMode

from cooper_ros.core.errors import BagError
from cooper_ros.ros.bags.definitions import Definitions, message_class
from cooper_ros.ros.bags.policies import to_bag, to_record
from cooper_ros.ros.bags.repair import repair

STORAGES = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}
FLUSH_S = 0.5
LOOK_S = 0.2
"""How often new topics are looked for [s]."""
NEVER_RECORDED = ("/rosout", "/parameter_events", "/clock")
"""Left out of "all topics"; each can be named."""


class Recorder(Node):
    """Subscribes to topics when they appear and writes their bytes.

    `topics`: names, resolved as this node's own (namespace and remaps apply); empty = all whose
    name matches `pattern`. The bag is made with the first message, so that a recording of nothing
    leaves nothing behind. Message times are those of this node's clock (`use_sim_time` works).
    Every `FLUSH_S` all that came is handed to the system: a recorder that is killed loses no more.
    Spin and close it in one thread: SQLite wants it so.
    Raises BagError when the target exists or the storage is unknown.
    """

    def __init__(
        self,
        path: str | Path,
        topics: Sequence[str] = (),
        *,
        pattern: str = "",
        storage: str = "mcap",
        compress: bool = False,
        **arguments: Any,
    ) -> None:
        self.path = Path(path).expanduser()
        if self.path.exists():
            raise BagError(f"{self.path} exists already: give a new name, nothing is overwritten")
        if storage not in STORAGES:
            raise BagError(f"storage must be one of {', '.join(STORAGES)}, got {storage!r}")
        try:
            self._pattern = re.compile(pattern)
        except re.error as error:
            raise BagError(f"{pattern!r} is no regular expression: {error}") from error
        super().__init__("bag_recorder", **arguments)
        self._storage, self._compress = storage, compress
        self._wanted = [self.resolve_topic_name(name) for name in topics]
        self._definitions = Definitions()
        self._writer: Writer | None = None
        self._connections: dict[str, Any] = {}
        self._offers: dict[str, list[Any]] = {}
        self.counts: dict[str, int] = {}
        self.problems: dict[str, str] = {}
        self.error: BaseException | None = None
        self.look()
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # a simulation may stand still
        self.create_timer(LOOK_S, self.look, clock=steady)
        self.create_timer(FLUSH_S, self.flush, clock=steady)

    @property
    def message_count(self) -> int:
        """Messages written."""
        return sum(self.counts.values())

    @property
    def missing(self) -> list[str]:
        """Named topics that nobody has published yet."""
        return [name for name in self._wanted if name not in self.counts]

    def look(self) -> None:
        """Subscribe to what has appeared since the last look."""
        for topic, types in self.get_topic_names_and_types():
            if topic in self.counts or topic in self.problems or not self._is_wanted(topic):
                continue
            offers = self.get_publishers_info_by_topic(topic)
            if not offers:
                continue
            try:
                self._subscribe(topic, types, [info.qos_profile for info in offers])
            except BagError as error:
                self.problems[topic] = str(error)
                self.get_logger().error(f"{topic} is not recorded: {error}")

    def _is_wanted(self, topic: str) -> bool:
        if self._wanted:
            return topic in self._wanted
        hidden = any(part.startswith("_") for part in topic.split("/"))
        return (
            not hidden and topic not in NEVER_RECORDED and bool(self._pattern.search(topic))
        )

    def _subscribe(self, topic: str, types: list[str], offers: list[Any]) -> None:
        if len(types) != 1:
            raise BagError(f"it is published with several types: {', '.join(types)}")
        kind = message_class(types[0])
        self._definitions.of(types[0])  # now, not with the first message
        self._offers[topic] = offers
        self.counts[topic] = 0
        type_name = types[0]

        def write(data: Any) -> None:
            self._write(topic, type_name, data)

        self.create_subscription(
            kind,
            topic,
            write,
            to_record(offers),
            raw=True,
        )
        self.get_logger().info(f"recording {topic} ({type_name})")

    def _write(self, topic: str, type_name: str, data: bytes) -> None:
        if self.error is not None:
            return
        try:
            if topic not in self._connections:
                self._connections[topic] = self._connect(topic, type_name)
            assert self._writer is not None
            stamp_ns = self.get_clock().now().nanoseconds
            self._writer.write(self._connections[topic], stamp_ns, data)
        except Exception as error:  # disk full, no permission: each storage has its own kind
            self._failed(error)
            return
        self.counts[topic] += 1

    def _failed(self, error: Exception) -> None:
        kept = "; what was recorded before can be read" if self.message_count else ""
        self.error = BagError(f"cannot write {self.path}: {error}{kept}")

    def flush(self) -> None:
        """Hand all that was received to the operating system."""
        storage: Any = self._writer.storage if self._writer is not None else None
        if storage is None or self.error is not None:
            return
        try:
            if self._storage == "mcap":
                if storage.chunk.msgs:
                    storage.close_chunk()
                storage.bio.flush()
            else:
                storage.conn.commit()
        except Exception as error:  # as above
            self._failed(error)

    def _connect(self, topic: str, type_name: str) -> Any:
        if self._writer is None:
            writer = Writer(self.path, version=9, storage_plugin=STORAGES[self._storage])
            if self._compress:
                mcap = self._storage == "mcap"
                mode = CompressionMode.STORAGE if mcap else CompressionMode.MESSAGE
                writer.set_compression(mode, CompressionFormat.ZSTD)
            writer.open()
            if self._storage == "sqlite3":
                # Between two commits the file stays as it is, whatever happens.
                writer.storage.conn.execute("PRAGMA cache_spill = OFF")  # type: ignore[union-attr]
            self._writer = writer
        text, digest = self._definitions.of(type_name)
        return self._writer.add_connection(
            topic,
            type_name,
            msgdef=text,
            rihs01=digest,
            offered_qos_profiles=[to_bag(profile) for profile in self._offers[topic]],
        )

    def close(self) -> None:
        """End the recording and write its index; on a full disk as far as there is room."""
        writer, self._writer = self._writer, None
        try:
            if writer is not None and self.error is None:
                writer.close()
        except Exception as error:
            self._failed(error)
        if writer is not None and self.error is not None:
            self._rescue(writer)
        self.destroy_node()

    def _rescue(self, writer: Writer) -> None:
        """After a failed write: keep what is whole. It can be read without an index too."""
        with contextlib.suppress(Exception):
            writer.abort()
        with contextlib.suppress(Exception):
            repair(self.path)
