"""Recording and playing bags over real DDS, and reading what others might have broken."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from harness import WAIT_S, Bench, picture
from rclpy.executors import SingleThreadedExecutor
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.rosbag2 import StoragePlugin, Writer
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image

from cooper_ros.core.errors import BagError
from cooper_ros.msg import LabelInfo, SpatialAnswer
from cooper_ros.ros.bags.definitions import Definitions, definition_file, message_class
from cooper_ros.ros.bags.playing import Player
from cooper_ros.ros.bags.reading import Bag
from cooper_ros.ros.bags.recording import Recorder
from cooper_ros.ros.conversion import array_to_image
from cooper_ros.ros.messages import time_to_ns, to_header
from cooper_ros.ros.qos import LatchedPublisherQoS, LatchedSubscriptionQoS, StandardTopicQoS

COUNT = 5


class Recording:
    """A recorder that is spun while a test waits; it ends with its `with` block."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.node = Recorder(*arguments, **options)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *error: Any) -> None:
        self._executor.shutdown(timeout_sec=5.0)
        self.node.close()

    def spin_until(self, condition: Callable[[], Any]) -> None:
        deadline = time.monotonic() + WAIT_S
        while not condition():
            self._executor.spin_once(timeout_sec=0.1)
            assert time.monotonic() < deadline, (self.node.counts, self.node.problems)


@contextmanager
def playing(*arguments: Any, **options: Any) -> Iterator[Player]:
    """A player that ends here: one left behind offers its latched messages to later tests."""
    player = Player(*arguments, **options)
    try:
        yield player
    finally:
        player.destroy_node()


def numbered_image(number: int) -> Image:
    image = array_to_image(picture(64, 48), "rgb8", to_header(1000 + number, "cam"))
    image.data[0] = number
    return image


@pytest.fixture(scope="module")
def writers(ros: None) -> Iterator[Any]:
    bench = Bench("bag_source", period_s=5.0)
    try:
        yield (
            bench,
            bench.node.create_publisher(Image, "/rec/image", StandardTopicQoS(50)),
            bench.node.create_publisher(LabelInfo, "/rec/labels", LatchedPublisherQoS()),
        )
    finally:
        bench.close()


@pytest.fixture(scope="module", params=["mcap", "mcap-zstd", "sqlite3", "sqlite3-zstd"])
def recorded(request: Any, writers: Any, tmp_path_factory: Any) -> tuple[Path, list[bytes]]:
    """A bag with one latched message and then five images, and the bytes that were sent."""
    _, images, labels = writers
    storage, _, compressed = request.param.partition("-")
    path = tmp_path_factory.mktemp("bags") / "run"
    labels.publish(LabelInfo(names=["mug"], class_ids=[1], model_id="m"))
    sent = [serialize_message(numbered_image(number)) for number in range(COUNT)]
    with Recording(
        path, ["rec/image", "/rec/labels"], storage=storage, compress=bool(compressed)
    ) as recording:
        # The latched message is there first: topics are not ordered among each other by DDS.
        recording.spin_until(
            lambda: images.get_subscription_count() and recording.node.counts.get("/rec/labels")
        )
        for data in sent:
            images.publish(data)
        recording.spin_until(lambda: recording.node.counts["/rec/image"] >= COUNT)
    return path, sent


def test_a_bag_holds_the_bytes_that_were_sent(recorded: tuple[Path, list[bytes]]) -> None:
    path, sent = recorded
    with Bag(path) as bag:
        assert {t.name: (t.type_name, t.count) for t in bag.topics} == {
            "/rec/image": ("sensor_msgs/msg/Image", COUNT),
            "/rec/labels": ("cooper_ros/msg/LabelInfo", 1),
        }
        assert [m.data for m in bag.messages(["/rec/image"])] == sent
        stamps = [m.stamp_ns for m in bag.messages()]
        assert stamps == sorted(stamps) and bag.start_ns == stamps[0]
        assert bag.duration_s == pytest.approx((stamps[-1] - stamps[0]) / 1e9)
        label = next(bag.messages(["/rec/labels"]))
        assert deserialize_message(label.data, LabelInfo).names == ["mug"]


def test_a_single_file_of_a_bag_can_be_read(recorded: tuple[Path, list[bytes]]) -> None:
    path, sent = recorded
    file = next(f for f in path.iterdir() if f.suffix in (".mcap", ".db3"))
    with Bag(file) as bag:
        data = [m.data for m in bag.messages(["/rec/image"])]
    if "compression_mode: message" in (path / "metadata.yaml").read_text():
        assert len(data) == COUNT  # only metadata.yaml says how these are compressed
    else:
        assert data == sent


@pytest.mark.parametrize(
    "duration_ns", [0, 1, 333_333_333, 86_400_000_000_123, 2_591_999_999_999_999]
)
def test_no_message_is_lost_between_seconds_and_nanoseconds(
    tmp_path: Path, duration_ns: int
) -> None:
    """Seconds of a bag are floats: a month is kept to the nanosecond."""
    start_ns = 1_795_368_835_148_603_668
    text, digest = Definitions().of("rosgraph_msgs/msg/Clock")
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection(
            "/tick", "rosgraph_msgs/msg/Clock", msgdef=text, rihs01=digest
        )
        for number, stamp_ns in enumerate((start_ns, start_ns + duration_ns)):
            writer.write(connection, stamp_ns, bytes([number]))
    with Bag(tmp_path / "bag") as bag:
        last = list(bag.messages(start_s=bag.duration_s))
        assert [m.data[0] for m in last] == ([1] if duration_ns else [0, 1])
        before = list(bag.messages(stop_s=bag.duration_s))
        assert [m.data[0] for m in before] == ([0] if duration_ns else [])


def test_playing_sends_the_same_bytes_in_order(
    recorded: tuple[Path, list[bytes]], ros: None
) -> None:
    path, sent = recorded
    listener = Bench("bag_sink", period_s=5.0)
    received = listener.listen(Image, "/other/image", StandardTopicQoS(50))
    labels = listener.listen(LabelInfo, "/rec/labels", LatchedSubscriptionQoS())
    clocks = listener.listen(Clock, "/clock", StandardTopicQoS(500))
    stop = threading.Event()
    try:
        with (
            Bag(path) as bag,
            playing(bag, clock_hz=50.0, rate=4.0, remaps=["/rec/image:=/other/image"]) as player,
        ):
            assert player.topics["/rec/image"] == "/other/image"
            ready = ("/other/image", "/rec/labels", "/clock")
            listener.wait(lambda: all(player.count_subscribers(name) for name in ready))
            assert player.wait_for_readers(60.0, stop)
            assert player.play(stop)
            listener.wait(lambda: len(received) == COUNT and labels)
            # Not the bytes: serialising leaves the padding between fields undefined.
            assert received == [deserialize_message(data, Image) for data in sent]
            end_ns = bag.start_ns + round(bag.duration_s * 1e9)
            listener.wait(lambda: clocks and time_to_ns(clocks[-1].clock) >= end_ns)
            times = [time_to_ns(message.clock) for message in clocks]
            assert times == sorted(times) and times[0] >= bag.start_ns
            stop.set()
            assert not player.play(stop)
    finally:
        listener.close()


def test_part_of_a_bag_can_be_played(recorded: tuple[Path, list[bytes]], ros: None) -> None:
    with Bag(recorded[0]) as bag:
        stamps = [m.stamp_ns for m in bag.messages(["/rec/image"])]
        later = (stamps[2] - bag.start_ns - 1) / 1e9
        with playing(bag, bag.choose(["rec/image"]), rate=1000.0) as player:
            assert player.play(threading.Event(), start_s=later)
            assert player.counts == {"/rec/image": COUNT - 2}
        with playing(bag, rate=1000.0) as player:
            assert player.play(threading.Event(), start_s=bag.duration_s)
            assert player.counts == {"/rec/image": 1, "/rec/labels": 1}, "latched: still sent"
        for wrong in ({"rate": 0.0}, {"clock_hz": -1.0}, {"remaps": ["/a=/b"]}):
            with pytest.raises(BagError):
                Player(bag, **wrong)
        with pytest.raises(BagError, match="/rec/image, /rec/labels"):
            bag.choose(["/rec/sound"])


@pytest.mark.parametrize(
    "type_name",
    [
        "sensor_msgs/msg/Image",
        "cooper_ros/msg/SpatialAnswer",
        "diagnostic_msgs/msg/DiagnosticArray",
    ],
)
def test_definitions_and_hashes_are_those_of_ros(type_name: str) -> None:
    """The hash that rosidl wrote beside the definition is the oracle."""
    text, digest = Definitions().of(type_name)
    file = definition_file(type_name)
    assert file is not None
    hashes = json.loads(file.with_suffix(".json").read_text())["type_hashes"]
    assert digest == next(h["hash_string"] for h in hashes if h["type_name"] == type_name)
    assert "MSG: std_msgs/Header" in text.replace("/msg/", "/")


def test_unknown_types_are_said(tmp_path: Path) -> None:
    with pytest.raises(BagError, match="robot_msgs"):
        message_class("robot_msgs/msg/Arm")
    with pytest.raises(BagError, match="sensor_msgs/msg/Nose"):
        message_class("sensor_msgs/msg/Nose")
    with pytest.raises(BagError, match="AMENT_PREFIX_PATH"):
        Definitions().of("robot_msgs/msg/Arm")
    assert message_class("cooper_ros/msg/SpatialAnswer") is SpatialAnswer


def test_wrong_recordings_are_refused(ros: None, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    with pytest.raises(BagError, match="exists already"):
        Recorder(tmp_path / "old")
    with pytest.raises(BagError, match="mcap, sqlite3"):
        Recorder(tmp_path / "new", storage="zip")
    with pytest.raises(BagError, match="regular expression"):
        Recorder(tmp_path / "new", pattern="(")
    with Recording(tmp_path / "silent", ["/nobody/image"]) as silent:
        assert silent.node.missing == ["/nobody/image"]
    assert not (tmp_path / "silent").exists()


def test_a_bag_that_cannot_be_written_ends_with_a_reason(writers: Any, tmp_path: Path) -> None:
    _, images, _ = writers
    (tmp_path / "place").write_text("a file where a folder should be")
    with Recording(tmp_path / "place" / "bag", ["/rec/image"]) as recording:
        recording.spin_until(images.get_subscription_count)
        images.publish(numbered_image(0))
        recording.spin_until(lambda: recording.node.error)
        assert isinstance(recording.node.error, BagError)
        assert "cannot write" in str(recording.node.error)


def test_damaged_bags_end_with_a_reason(recorded: tuple[Path, list[bytes]], tmp_path: Path) -> None:
    source = recorded[0]
    file = next(f for f in source.iterdir() if f.suffix in (".mcap", ".db3"))
    data = file.read_bytes()
    damages = {
        "cut": data[: len(data) // 2],
        "empty": b"",
        "noise": bytes(range(256)) * 40,
        "hole": data[:200] + bytes(len(data) - 400) + data[-200:],
    }
    for name, damaged in damages.items():
        broken = tmp_path / name
        broken.mkdir()
        (broken / file.name).write_bytes(damaged)
        (broken / "metadata.yaml").write_text((source / "metadata.yaml").read_text())
        read: list[bytes] = []
        try:
            with Bag(broken) as bag:
                read.extend(m.data for m in bag.messages(["/rec/image"]))
                assert bag.lost, "it does not say that something is missing"
        except BagError as error:
            assert name in str(error)
        assert read == recorded[1][: len(read)], name
    with pytest.raises(BagError, match="holds no"):
        Bag(tmp_path)
    with pytest.raises(BagError, match="there is no bag"):
        Bag(tmp_path / "nowhere")


def test_the_camera_of_a_bag(recorded: tuple[Path, list[bytes]]) -> None:
    with Bag(recorded[0]) as bag:
        image, info = bag.camera()
        assert image.name == "/rec/image" and info is None
        with pytest.raises(BagError, match="not images"):
            bag.camera("/rec/labels")


def test_importing_needs_no_rosbags_for_the_node() -> None:
    """The perception node must not depend on what only `cooper bag` needs."""
    import ast

    root = Path(sys.modules["cooper_ros"].__file__ or "").parent
    for path in (root / "ros").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith(("rosbags", "cooper_ros.ros.bags")), path


def test_compressed_images_are_decoded(tmp_path: Path) -> None:
    import cv2

    from cooper_ros.ros.bags.asking import _picture

    ok, data = cv2.imencode(".png", picture(64, 48)[..., ::-1])
    assert ok
    message = CompressedImage(format="png", data=data.tobytes())
    message.header = to_header(7, "cam")
    image = _picture(serialize_message(message), "sensor_msgs/msg/CompressedImage")
    assert bytes(image.data) == picture(64, 48).tobytes() and image.header.frame_id == "cam"
