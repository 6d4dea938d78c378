"""`cooper data bag`: a bag as a folder of RGB-D pictures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from harness import CAMERA, picture, room_info
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import Writer

from cooper_ros import cli
from cooper_ros.core.errors import BagError
from cooper_ros.evaluation.rgbd_sets import pictures_of
from cooper_ros.ros.bags.definitions import Definitions
from cooper_ros.ros.bags.reading import CAMERA_INFO, IMAGE, Bag
from cooper_ros.ros.conversion import array_to_image
from cooper_ros.ros.messages import to_header

MS = 10**6


def depth_map(metres: float, width: int = 320, height: int = 240) -> np.ndarray:
    depth = np.full((height, width), metres, np.float32)
    depth[0, 0], depth[0, 1], depth[0, 2] = np.nan, np.inf, 80.0
    return depth


def write_bag(path: Path, depths: list[tuple[int, np.ndarray, str]], images: int = 4) -> Path:
    """Images each 100 ms; `depths`: (stamp [ms], values, encoding), received 30 ms after it."""
    definitions = Definitions()
    messages = [(0, "/cam/camera_info", room_info())]
    for number in range(images):
        messages.append((number * 100, "/cam/image", array_to_image(picture() - number, "rgb8")))
    for stamp, values, encoding in depths:
        messages.append((stamp, "/cam/depth/image", array_to_image(values, encoding)))
    with Writer(path, version=9) as writer:
        connections = {}
        for name in sorted({name for _, name, _ in messages}):
            kind = CAMERA_INFO if name.endswith("info") else IMAGE
            text, digest = definitions.of(kind)
            connections[name] = writer.add_connection(name, kind, msgdef=text, rihs01=digest)
        late = {"/cam/depth/image": 30}
        for stamp, name, message in sorted(messages, key=lambda m: m[0] + late.get(m[1], 0)):
            message.header = to_header(stamp * MS, "cam")
            received = (stamp + late.get(name, 0)) * MS
            writer.write(connections[name], received, serialize_message(message))
    return path


def test_each_image_gets_the_nearest_depth(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    millimetres = np.full((240, 320), 2500, np.uint16)
    millimetres[5, 5] = 0
    bag = write_bag(
        tmp_path / "bag",
        [
            (8, depth_map(1.0), "32FC1"), (-12, depth_map(9.0), "32FC1"),
            (110, millimetres, "16UC1"), (250, depth_map(9.0), "32FC1"),
            (301, depth_map(4.0), "32FC1"),
        ],
    )  # fmt: skip
    out = tmp_path / "out"
    assert cli.main(["data", "bag", str(bag), "--out", str(out), "--json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])["bags"][0]
    assert (report["frames"], report["without_depth"], report["unusable"]) == (3, 1, 0)
    lines = [json.loads(line) for line in (out / "frames.jsonl").read_text().splitlines()]
    assert [line["stamp_ns"] // MS for line in lines] == [0, 100, 300]
    k = json.loads((out / "intrinsics.json").read_text())
    assert (k["fx"], k["cx"], k["width"]) == (CAMERA.fx, CAMERA.cx, 320)
    found = [(one.frame, one.truth) for one in pictures_of(out)]
    assert found[0][0].intrinsics == replace(CAMERA, distortion=(0.0,) * 5), "the bag's camera"
    for (frame, depth), metres, shade in zip(found, (1.0, 2.5, 4.0), (0, 1, 3), strict=True):
        assert np.array_equal(frame.rgb, picture() - shade)
        assert depth[100, 100] == pytest.approx(metres)
    assert np.isnan(found[0][1][0, :3]).all(), "unknown, infinite, and too far for millimetres"
    assert np.isnan(found[1][1][5, 5])


def test_depth_that_is_not_registered_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    bag = write_bag(tmp_path / "bag", [(0, depth_map(1.0, 160, 120), "32FC1")])
    assert cli.main(["data", "bag", str(bag), "--out", str(tmp_path / "out")]) == 1
    assert "registered" in capsys.readouterr().err


def test_what_cannot_be_done_is_said(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    bag = write_bag(tmp_path / "bag", [])
    out = tmp_path / "out"
    assert cli.main(["data", "bag", str(bag), "--out", str(out)]) == 1
    assert "which depth" in capsys.readouterr().err
    out.mkdir(exist_ok=True)
    (out / "mine.txt").write_text("x")
    arguments = ["data", "bag", str(bag), "--out", str(out), "--depth", "/cam/image"]
    assert cli.main(arguments) == 1 and "not empty" in capsys.readouterr().err
    with Bag(bag) as opened, pytest.raises(BagError, match="no topic /cam/nothing"):
        opened.choose(["cam/nothing"])
