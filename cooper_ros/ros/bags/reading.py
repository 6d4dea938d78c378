"""A bag on disk, as ros2 bag, this package or anybody else's recorder wrote it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.interfaces import MessageDefinitionFormat
from rosbags.rosbag2 import Reader

from cooper_ros.core.errors import BagError
from cooper_ros.ros.bags.recovery import Recovered, storage_files

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"


@dataclass(frozen=True)
class Topic:
    """One topic of a bag; `definition` is the recorded text of its type, "" if there is none."""

    name: str
    type_name: str
    count: int
    qos: tuple[Any, ...]
    definition: str = ""


@dataclass(frozen=True)
class Recorded:
    """One message: receive time [ns] and its CDR bytes."""

    topic: str
    type_name: str
    stamp_ns: int
    data: bytes


class Bag:
    """A bag folder, or a single .mcap or .db3 file, opened for reading.

    A recording that did not end properly is read as far as it goes; `lost` says, for people, what
    is missing of it, "" if nothing is. Raises BagError where nothing can be read, with the reason
    and what helps.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        if not self.path.exists():
            raise BagError(f"there is no bag {self.path}: give its folder, or a .mcap or .db3 file")
        self.lost = ""
        self._reader: Any
        try:
            self._reader = Reader(self.path)
            self._reader.open()
        except Exception as error:  # rosbags raises many kinds on damaged files
            self._recover(error)

    def _recover(self, error: Exception) -> None:
        """Read what a recorder left that did not come to its end."""
        if not storage_files(self.path):
            raise BagError(
                f"{self.path} is no bag: it holds no .mcap or .db3 file ({error})"
            ) from error
        try:
            self._reader = Recovered.open_bag(self.path)
        except BagError as reason:
            raise BagError(f"{self.path} cannot be read as a bag: {error}; {reason}") from error
        missing = self._reader.lost or ["metadata.yaml is missing or damaged"]
        self.lost = (
            f"{self.path} did not end properly ({'; '.join(missing)}): read as far as it goes; "
            "`cooper bag repair` makes it whole"
        )

    def __enter__(self) -> Bag:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._reader.is_open:
            self._reader.close()

    @property
    def topics(self) -> tuple[Topic, ...]:
        """What is in it, by name."""
        return tuple(
            Topic(
                c.topic,
                c.msgtype,
                c.msgcount,
                tuple(getattr(c.ext, "offered_qos_profiles", ())),
                c.msgdef.data if c.msgdef.format == MessageDefinitionFormat.MSG else "",
            )
            for c in sorted(self._reader.connections, key=lambda c: (c.topic, c.msgtype))
        )

    @property
    def message_count(self) -> int:
        """Messages on all topics."""
        return int(self._reader.message_count)

    @property
    def start_ns(self) -> int:
        """Receive time of the first message [ns]."""
        return int(self._reader.start_time)

    @property
    def duration_s(self) -> float:
        """From the first message to the last [s]."""
        return max(int(self._reader.duration) - 1, 0) / 1e9

    def messages(
        self, topics: Sequence[str] | None = None, start_s: float = 0.0, stop_s: float | None = None
    ) -> Iterator[Recorded]:
        """Messages in the order of their receive time; None = all topics.

        From `start_s` to before `stop_s` [s], counted from the first message of the bag.
        """
        chosen = [c for c in self._reader.connections if topics is None or c.topic in topics]
        if not chosen:
            return
        start = self.start_ns + round(start_s * 1e9)
        stop = None if stop_s is None else self.start_ns + round(stop_s * 1e9)
        try:
            for connection, stamp_ns, data in self._reader.messages(chosen, start, stop):
                yield Recorded(connection.topic, connection.msgtype, int(stamp_ns), bytes(data))
        except Exception as error:
            raise BagError(
                f"{self.path} is damaged: {error}; `cooper bag repair` keeps what is readable"
            ) from error

    def choose(self, wanted: Sequence[str]) -> list[str]:
        """Names of these topics as the bag has them (a missing leading "/" is forgiven)."""
        known = {topic.name for topic in self.topics}
        chosen = []
        for name in wanted:
            full = name if name.startswith("/") else f"/{name}"
            if full not in known:
                raise BagError(
                    f"{self.path} has no topic {full}; it has {', '.join(sorted(known)) or 'none'}"
                )
            chosen.append(full)
        return chosen

    def camera(self, image: str = "", camera_info: str = "") -> tuple[Topic, Topic | None]:
        """The camera's image topic (raw or compressed) and its camera_info (None without one).

        Named ones are taken as they are; otherwise the only image topic outside a perception
        node's own results. Raises BagError when there is none, or several to choose from.
        """
        by_name = {topic.name: topic for topic in self.topics}
        if image:
            found = by_name[self.choose([image])[0]]
            if found.type_name not in (IMAGE, COMPRESSED):
                raise BagError(f"{found.name} holds {found.type_name}, not images")
        else:
            raw = [
                t for t in self.topics
                if t.type_name in (IMAGE, COMPRESSED) and t.count and not _is_result(t.name)
            ]
            if len(raw) != 1:
                names = ", ".join(t.name for t in raw) or "none"
                raise BagError(f"which camera? the image topics are: {names}; name one (--image)")
            found = raw[0]
        if camera_info:
            return found, by_name[self.choose([camera_info])[0]]
        folder = found.name.removesuffix("/compressed").rpartition("/")[0]
        infos = [t for t in self.topics if t.type_name == CAMERA_INFO and t.count]
        beside = [t for t in infos if t.name == f"{folder}/camera_info"]
        return found, beside[0] if beside else None


def _is_result(topic: str) -> bool:
    """Pictures that a perception node made, or the simulator's truth, are no camera."""
    return topic.endswith(("/overlay", "/segmentation/labels")) or any(
        part in topic for part in ("/depth/", "/truth/")
    )
