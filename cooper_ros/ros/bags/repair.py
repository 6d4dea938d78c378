"""`cooper bag repair`: what a recorder that was killed could not write any more."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml
from rosbags.rosbag2 import Reader
from rosbags.rosbag2.metadata import dump_qos_v9

from cooper_ros.core.errors import BagError
from cooper_ros.ros.bags.mcap_scan import scan
from cooper_ros.ros.bags.recovery import ZSTD_MAGIC, Recovered, roll_back, storage_files

METADATA = "metadata.yaml"
PLUGINS = {".mcap": "mcap", ".db3": "sqlite3"}


def is_sound(path: Path) -> bool:
    """Whether a bag opens and all that its index names can be read."""
    try:
        with Reader(path) as reader:
            for _ in reader.messages(list(reader.connections)):
                pass
    except Exception:  # rosbags raises many kinds on damaged files
        return False
    return True


def repair(path: Path) -> list[str]:
    """Give a bag, or a single file of one, its index and metadata; what was lost, for people.

    What is readable stays where it is; only the unreadable end of a file is replaced. Raises
    BagError when nothing is readable, or the bag cannot be written.
    """
    if not storage_files(path):
        raise BagError(f"{path} is no bag: it holds no .mcap or .db3 file")
    bag = Recovered.open_bag(path)  # before anything is written: is there something to keep?
    lost, files = list(bag.lost), list(bag.files)
    bag.close()
    try:
        for file in files:
            if file.suffix == ".mcap":
                _complete(file)
            elif file.with_name(file.name + "-journal").exists():
                roll_back(file)
        if path.is_dir():
            _write_metadata(path, files)
    except OSError as error:
        raise BagError(f"cannot write {path}: {error}") from error
    return lost


def _complete(file: Path) -> None:
    with file.open("r+b") as content:
        found = scan(content)
        content.seek(found.whole)
        content.write(found.ending)
        content.truncate()
        content.flush()
        os.fsync(content.fileno())


def _write_metadata(folder: Path, files: list[Path]) -> None:
    parts = []
    for file in files:
        bag = Recovered.open_bag(file)
        parts.append((file.name, bag.start_time, bag.duration - 1, bag.message_count))
        bag.close()
    bag = Recovered.open_bag(folder)
    try:
        first = next(iter(bag.storages[0].messages(bag.storages[0].connections)))
        compressed = bytes(first[2][:4]) == ZSTD_MAGIC
        text = _metadata(bag, files, parts, compressed)
    finally:
        bag.close()
    temporary = folder / f"{METADATA}.tmp"
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, folder / METADATA)


def _metadata(
    bag: Recovered, files: list[Path], parts: list[tuple[str, int, int, int]], compressed: bool
) -> str:
    topics = [
        {
            "topic_metadata": {
                "name": found.topic,
                "type": found.msgtype,
                "serialization_format": "cdr",
                "offered_qos_profiles": dump_qos_v9(list(found.ext.offered_qos_profiles)),
                "type_description_hash": found.digest,
            },
            "message_count": found.msgcount,
        }
        for found in bag.connections
    ]
    information: dict[str, Any] = {
        "version": 9,
        "storage_identifier": PLUGINS[files[0].suffix],
        "relative_file_paths": [file.name for file in files],
        **_span(bag.start_time, bag.duration - 1, bag.message_count),
        "topics_with_message_count": topics,
        "compression_format": "zstd" if compressed else "",
        "compression_mode": "message" if compressed else "",
        "files": [{"path": name, **_span(*rest)} for name, *rest in parts],
        "custom_data": None,
        "ros_distro": "rosbags",
    }
    return str(yaml.safe_dump({"rosbag2_bagfile_information": information}, sort_keys=False))


def _span(start_ns: int, duration_ns: int, count: int) -> dict[str, Any]:
    return {
        "starting_time": {"nanoseconds_since_epoch": start_ns},
        "duration": {"nanoseconds": duration_ns},
        "message_count": count,
    }
