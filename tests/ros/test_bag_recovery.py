"""Recordings that were cut off: by SIGKILL, a full disk, or a lost file. What is there is read."""

from __future__ import annotations

import functools
import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import WAIT_S, Bench, room_image, room_info
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.rosbag2.enums import CompressionFormat, CompressionMode
from sensor_msgs.msg import CameraInfo

from cooper_ros.cli import main
from cooper_ros.core.errors import BagError
from cooper_ros.ros.bags.definitions import Definitions
from cooper_ros.ros.bags.mcap_scan import scan
from cooper_ros.ros.bags.reading import CAMERA_INFO, Bag
from cooper_ros.ros.bags.repair import is_sound, repair

COUNT = 40
RUN = (sys.executable, "-c", "import sys; from cooper_ros.cli import main; sys.exit(main())", "bag")


@functools.lru_cache  # serialising again leaves other bytes in the padding between fields
def messages() -> list[tuple[str, int, bytes]]:
    info = room_info()
    found = []
    for number in range(COUNT):
        info.header.stamp.sec = number
        topic = ("/left/camera_info", "/right/camera_info")[number % 3 == 0]
        found.append((topic, 10**9 * (100 + number), serialize_message(info)))
    return found


def write(path: Path, plugin: StoragePlugin, compress: bool, end: bool) -> Writer:
    """A bag of small chunks; `end`: with its index and metadata."""
    writer = Writer(path, version=9, storage_plugin=plugin)
    if compress:
        mcap = plugin == StoragePlugin.MCAP
        writer.set_compression(
            CompressionMode.STORAGE if mcap else CompressionMode.MESSAGE, CompressionFormat.ZSTD
        )
    writer.open()
    text, digest = Definitions().of(CAMERA_INFO)
    connections: dict[str, Any] = {}
    for number, (topic, stamp_ns, data) in enumerate(messages()):
        if topic not in connections:
            connections[topic] = writer.add_connection(
                topic, CAMERA_INFO, msgdef=text, rihs01=digest
            )
        writer.write(connections[topic], stamp_ns, data)
        if number % 7 == 6 and plugin == StoragePlugin.MCAP:
            writer.storage.close_chunk()  # type: ignore[union-attr]
    if end:
        writer.close()
    return writer


def read(path: Path) -> list[tuple[str, int, bytes]]:
    with Bag(path) as bag:
        found = [(m.topic, m.stamp_ns, m.data) for m in bag.messages()]
        assert bag.message_count == len(found) == sum(t.count for t in bag.topics)
        assert bag.start_ns == found[0][1]
        assert bag.duration_s == pytest.approx((found[-1][1] - found[0][1]) / 1e9)
    return found


@pytest.mark.parametrize("compress", [False, True])
def test_wherever_an_mcap_file_ends_all_before_is_read(tmp_path: Path, compress: bool) -> None:
    write(tmp_path / "bag", StoragePlugin.MCAP, compress, end=True)
    (file,) = (tmp_path / "bag").glob("*.mcap")
    data, wanted = file.read_bytes(), messages()
    (tmp_path / "bag" / "metadata.yaml").unlink()
    counts = []
    for length in [*range(len(data) - 1, 0, -397), *range(len(data) - 1, len(data) - 40, -3)]:
        file.write_bytes(data[:length])
        try:
            found = read(tmp_path / "bag")
        except BagError as error:
            assert "no readable message" in str(error) or "no MCAP file" in str(error)
            found = []
        assert found == wanted[: len(found)]
        counts.append((length, len(found)))
    counts.sort()
    assert [count for _, count in counts] == sorted(count for _, count in counts)
    assert counts[-1][1] == COUNT
    if not compress:  # not chunk by chunk, but message by message
        assert len({count for _, count in counts}) > COUNT // 2


@pytest.mark.parametrize("length", [0.4, 0.83, 1.0])
def test_a_repaired_mcap_file_is_one_for_everybody(tmp_path: Path, length: float) -> None:
    write(tmp_path / "bag", StoragePlugin.MCAP, False, end=False).abort()
    (file,) = (tmp_path / "bag").glob("*.mcap")
    os.truncate(file, int(length * file.stat().st_size))
    before = read(tmp_path / "bag")
    assert not is_sound(tmp_path / "bag")
    assert repair(tmp_path / "bag")
    assert is_sound(tmp_path / "bag") and read(tmp_path / "bag") == before
    with Reader(tmp_path / "bag") as reader:  # another program's reader
        assert reader.message_count == len(before) > COUNT // 4
        types = {c.msgtype: c.msgdef.data for c in reader.connections}
        assert "float64[9]" in types[CAMERA_INFO]
    with Bag(file) as bag:
        assert not bag.lost
    with file.open("rb") as content:
        assert not scan(content).lost


def test_damage_in_the_middle_costs_what_is_damaged(tmp_path: Path) -> None:
    write(tmp_path / "bag", StoragePlugin.MCAP, True, end=True)
    (file,) = (tmp_path / "bag").glob("*.mcap")
    data = bytearray(file.read_bytes())
    middle = data.index(b"\x28\xb5\x2f\xfd", len(data) // 3)  # a chunk in the middle
    data[middle : middle + 30] = bytes(30)
    file.write_bytes(data)
    with pytest.raises(BagError, match="cooper bag repair"):
        read(tmp_path / "bag")
    (lost,) = repair(tmp_path / "bag")
    assert "1 damaged part" in lost
    found = read(tmp_path / "bag")
    assert [m for m in messages() if m in found] == found and len(found) == COUNT - 7


@pytest.mark.parametrize("compress", [False, True])
def test_sqlite_goes_back_to_its_last_commit(tmp_path: Path, compress: bool) -> None:
    writer = write(tmp_path / "bag", StoragePlugin.SQLITE3, compress, end=False)
    storage: Any = writer.storage
    storage.conn.commit()
    storage.conn.execute("PRAGMA cache_size = 1")  # so that the file is written before the commit
    for _ in range(50):
        writer.write(writer.connections[0], 10**12, os.urandom(2000))
    storage.conn.execute("PRAGMA cache_spill = ON")
    killed = tmp_path / "killed"
    shutil.copytree(tmp_path / "bag", killed)
    storage.conn.close()
    (file,) = killed.glob("*.db3")
    journal = killed / f"{file.name}-journal"
    assert journal.stat().st_size > 0, "there was nothing to roll back"
    if os.geteuid() != 0:  # root may write everywhere
        killed.chmod(0o500)
        assert read(killed) == messages() and journal.exists()
        killed.chmod(0o700)
    assert read(killed) == messages()
    repair(killed)
    assert is_sound(killed) and read(killed) == messages()
    assert sqlite3.connect(file).execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_the_command_repairs_and_says_what_was_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = str(tmp_path / "bag")
    write(tmp_path / "bag", StoragePlugin.MCAP, False, end=False).abort()
    assert main(["bag", "info", bag, "--json"]) == 0
    said = capsys.readouterr()
    kept = json.loads(said.out.splitlines()[-1])["messages"]
    assert kept == 35 and "cooper bag repair" in said.err and "the end is missing" in said.err
    assert main(["bag", "repair", bag, "--json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["repaired"] and report["messages"] == kept and report["lost"]
    assert main(["bag", "repair", bag]) == 0
    assert "nothing was changed" in capsys.readouterr().out
    assert main(["bag", "info", bag]) == 0
    assert capsys.readouterr().err == ""
    for wrong in (tmp_path, tmp_path / "nowhere"):
        assert main(["bag", "repair", str(wrong)]) == 1


@pytest.fixture(autouse=True)
def _hangup_is_heard() -> Iterator[None]:
    """A test run under nohup hands its ignored SIGHUP down to all that it starts."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


# -- the recorder --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def camera(ros: None) -> Any:
    made = Bench("cut_off_camera")
    made.show(room_image(), room_info())
    yield made
    made.close()


def record(path: Path, storage: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*RUN, "record", str(path), "/image", "/camera_info", "--storage", storage],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


def count(path: Path) -> int:
    """Messages that can be read now, of both topics if any."""
    try:
        with Bag(path) as bag:
            return bag.message_count if len(bag.topics) == 2 else 0
    except BagError:
        return 0


def wait(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_a_recorder_that_is_ended_leaves_what_it_had(
    camera: Any, tmp_path: Path, storage: str, number: int
) -> None:
    process = record(tmp_path / "run", storage)
    try:
        wait(lambda: count(tmp_path / "run") >= 8)  # while it is being written
        before = count(tmp_path / "run")
        process.send_signal(number)
        _, said = process.communicate(timeout=WAIT_S)
    finally:
        process.kill()
    with Bag(tmp_path / "run") as bag:
        assert bag.message_count >= before
        assert all(len(m.data) > 100 for m in bag.messages())
        assert {t.type_name for t in bag.topics} == {CAMERA_INFO, "sensor_msgs/msg/Image"}
        if number == signal.SIGHUP:
            assert process.returncode == 0 and not bag.lost, said
            assert is_sound(tmp_path / "run") and "Traceback" not in said
        else:
            assert "cooper bag repair" in bag.lost


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_full_disk_ends_a_recording_that_can_be_read(
    camera: Any, tmp_path: Path, storage: str
) -> None:
    room = 3 * 2**20

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    process = record(tmp_path / "run", storage, preexec_fn=full)
    _, said = process.communicate(timeout=WAIT_S)
    assert process.returncode == 1 and "Traceback" not in said
    assert "cannot write" in said and "can be read" in said
    with Bag(tmp_path / "run") as bag:
        size = len(serialize_message(room_image()))
        assert bag.message_count * size > room / 4
        found = [m for m in bag.messages() if m.type_name == CAMERA_INFO]
        assert found and deserialize_message(found[0].data, CameraInfo).k[0] > 0.0
