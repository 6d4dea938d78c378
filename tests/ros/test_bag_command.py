"""The command `cooper bag`, as its users start it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harness import WAIT_S, Bench, picture, room_image, room_info
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import Writer
from sensor_msgs.msg import CameraInfo, Image

from cooper_ros.core.errors import BagError
from cooper_ros.core.types import SpatialAnswer
from cooper_ros.ros.bags.asking import digest_of, frames, record_of
from cooper_ros.ros.bags.definitions import Definitions
from cooper_ros.ros.bags.reading import CAMERA_INFO, IMAGE, Bag
from cooper_ros.ros.conversion import array_to_image
from cooper_ros.ros.messages import time_to_ns, to_header

RUN = (sys.executable, "-c", "import sys; from cooper_ros.cli import main; sys.exit(main())", "bag")
QUESTIONS = ("how far is the table ?", "how much free space is ahead ?", "how far is the ufo ?")


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*RUN, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def command(*arguments: str) -> tuple[int, Any, str]:
    """Exit code, the JSON object of the last line, and what was said on stderr."""
    process = start(*arguments, "--json")
    out, err = process.communicate(timeout=2 * WAIT_S)
    lines = out.splitlines()
    return process.returncode, json.loads(lines[-1]) if lines else None, err


def write_bag(path: Path, shades: tuple[int, ...], info_at: int | None = 1) -> Path:
    """Images that differ in brightness; camera_info with image number `info_at`, None = all."""
    definitions = Definitions()
    with Writer(path, version=9) as writer:
        connections = {}
        for name, kind in (("/cam/image_raw", IMAGE), ("/cam/camera_info", CAMERA_INFO)):
            text, digest = definitions.of(kind)
            connections[name] = writer.add_connection(name, kind, msgdef=text, rihs01=digest)
        for number, shade in enumerate(shades):
            stamp_ns = (100 + number) * 10**8
            header = to_header(stamp_ns, "cam_optical")
            image = array_to_image(picture() - shade, "rgb8", header)
            writer.write(connections["/cam/image_raw"], stamp_ns, serialize_message(image))
            if info_at in (number, None):
                info = room_info()
                info.header = header
                writer.write(connections["/cam/camera_info"], stamp_ns, serialize_message(info))
    return path


def test_the_same_bag_gives_the_same_answers(ros: None, tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", (0, 10))
    results = []
    for file in ("a", "b"):  # each time with a node of its own
        code, report, said = command("ask", str(bag), *QUESTIONS, "--out", str(tmp_path / file))
        assert code == 0, said
        results.append(report)
    first, again = results
    assert len(first["answers"]) == 2 * len(QUESTIONS)
    assert {answer["stamp_ns"] for answer in first["answers"]} == {10**10, 101 * 10**8}
    assert first == again and len(first["sha256"]) == 64
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    by_question = {answer["question"]: answer for answer in first["answers"]}
    free = by_question[QUESTIONS[1]]
    read = ("OK", "DISAGREES")  # which of them depends on the model's weights
    assert free["status"] in read and free["value"] > 0.0 and free["unit"] == "m"
    assert free["checked"] and free["answered_by"] in ("MODEL", "BOTH")
    assert by_question[QUESTIONS[2]]["status"] == "BAD_QUESTION"
    # The images that came before the first camera_info have metres too.
    assert {answer["scale_source"] for answer in first["answers"] if answer["status"] in read} == {
        "MODEL_PRIOR"
    }


def test_one_number_stands_for_all_answers() -> None:
    answer = SpatialAnswer("how far is the mug ?", value=0.5)
    same = [digest_of([record_of(a, 7)]) for a in (answer, replace(answer, seconds=9.0))]
    other = [
        digest_of([record_of(a, 7)])
        for a in (replace(answer, value=0.6), replace(answer, message="x"))
    ]
    assert same[0] == same[1] and len({same[0], *other, digest_of([])}) == 4


def test_frames_can_be_chosen(tmp_path: Path) -> None:
    with Bag(write_bag(tmp_path / "bag", (0, 1, 2, 3, 4))) as bag:
        image, info = bag.camera()
        assert info is not None and info.name == "/cam/camera_info"
        chosen = [time_to_ns(i.header.stamp) // 10**8 for i, _ in frames(bag, image, info, 2)]
        assert chosen == [100, 102, 104]
        assert len([*frames(bag, image, info, 2, limit=2)]) == 2
        assert all(calibration is not None for _, calibration in frames(bag, image, info))
        assert all(calibration is None for _, calibration in frames(bag, image, None))
        with pytest.raises(BagError, match="every"):
            next(frames(bag, image, info, 0))


def test_record_and_play(ros: None, tmp_path: Path) -> None:
    camera = Bench("bag_camera")
    camera.show(room_image(), room_info())
    try:
        target = tmp_path / "run"
        code, report, said = command(
            "record", str(target), "/image", "/camera_info", "--messages", "12"
        )
        assert code == 0, said
        assert sum(report["topics"].values()) >= 12 and min(report["topics"].values()) > 0
        code, content, _ = command("info", str(target))
        assert code == 0 and content["topics"]["/image"]["type"] == IMAGE
        code, _, said = command("record", str(target), "/image")
        assert code == 1 and "exists already" in said
    finally:
        camera.close()
    listener = Bench("bag_listener")
    images = listener.listen(Image, "/replayed/image", 10)
    infos = listener.listen(CameraInfo, "/camera_info", 10)
    player = start("play", str(target), "--remap", "/image:=/replayed/image", "--loop")
    try:
        listener.wait(lambda: images and infos)
        assert bytes(images[0].data) == picture().tobytes()
        player.terminate()
        _, said = player.communicate(timeout=WAIT_S)
        assert player.returncode == 0, said
    finally:
        player.kill()
        listener.close()


def test_wrong_use(tmp_path: Path, ros: None) -> None:
    assert start("record", str(tmp_path / "x")).wait(WAIT_S) == 2
    code, _, said = command("record", str(tmp_path / "x"), "/nobody", "--duration", "1")
    assert code == 1 and "nobody published /nobody" in said and "nothing was recorded" in said
    assert not (tmp_path / "x").exists()
    assert "there is no bag" in command("info", str(tmp_path / "none"))[2]
    bag = str(write_bag(tmp_path / "bag", (0,), 0))
    code, _, said = command("ask", bag, "how far is the mug ?", "--image", "/cam/camera_info")
    assert code == 1 and "not images" in said
