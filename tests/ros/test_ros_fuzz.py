"""Mutated messages: every one is read or refused with one of our errors, nothing else happens."""

from __future__ import annotations

import array
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
cv2 = pytest.importorskip("cv2")

from sensor_msgs.msg import CameraInfo, CompressedImage, Image  # noqa: E402

from cooper_ros.core.errors import CooperError  # noqa: E402
from cooper_ros.core.types import Intrinsics  # noqa: E402
from cooper_ros.ros.conversion import array_to_image, intrinsics_to_camera_info  # noqa: E402
from cooper_ros.ros.encodings import ENCODINGS  # noqa: E402
from cooper_ros.ros.perception import to_frame  # noqa: E402
from cooper_ros.ros.worker import Snapshot  # noqa: E402

COUNT = 600
NUMBERS = (0, 1, 2, 3, 7, 8, 23, 24, 25, 640, 65535, 2**31, 2**32 - 1)
FLOATS = (0.0, -1.0, 1.0, 1e-300, 1e300, float("nan"), float("inf"), -float("inf"))
ODD_NAMES = ("", "RGB8", "rgb8 ", "rgb8\x00", "8UC4", "bayer_rggb16", "nv24", "\u00e9" * 50)


def image(random: np.random.Generator) -> Image:
    rgb = random.integers(0, 255, (6, 8, 3), dtype=np.uint8)
    message = array_to_image(rgb, "rgb8")
    for _ in range(random.integers(0, 4)):
        field = random.choice(["encoding", "width", "height", "step", "data", "is_bigendian"])
        if field == "encoding":
            message.encoding = str(random.choice([*ENCODINGS, *ODD_NAMES]))
        elif field == "data":
            message.data = array.array("B", bytes(int(random.choice([0, 1, 48, 96, 144, 145]))))
        elif field == "is_bigendian":
            message.is_bigendian = int(random.integers(0, 256))
        else:
            setattr(message, field, int(random.choice(NUMBERS)))
    return message


def calibration(random: np.random.Generator) -> CameraInfo:
    info = intrinsics_to_camera_info(Intrinsics.from_fov(70.0, 8, 6))
    for _ in range(random.integers(0, 4)):
        field = random.choice(["k", "d", "width", "height", "binning_x", "roi", "model"])
        if field == "k":
            info.k[int(random.integers(0, 9))] = float(random.choice(FLOATS))
        elif field == "d":
            info.d = [float(random.choice(FLOATS)) for _ in range(random.integers(0, 16))]
        elif field == "roi":
            info.roi.width, info.roi.height = (int(v) for v in random.choice(NUMBERS, 2))
            info.roi.x_offset = int(random.choice(NUMBERS))
        elif field == "model":
            info.distortion_model = str(random.choice(["", "equidistant", "fisheye", "x" * 99]))
        else:
            setattr(info, field, int(random.choice(NUMBERS)))
    return info


def compressed(random: np.random.Generator) -> CompressedImage:
    rgb = random.integers(0, 255, (16, 16, 3), dtype=np.uint8)
    _, data = cv2.imencode(str(random.choice([".png", ".jpg"])), rgb)
    content = bytearray(data.tobytes())
    for _ in range(random.integers(0, 6)):
        content[int(random.integers(0, len(content)))] = int(random.integers(0, 256))
    if random.random() < 0.3:
        content = content[: int(random.integers(0, len(content)))]
    return CompressedImage(format="jpeg", data=array.array("B", bytes(content)))


def read(message: Any, info: CameraInfo | None) -> str:
    """What became of it: "frame", "relative" (no intrinsics, with a reason) or the error's type."""
    try:
        frame, problem = to_frame(Snapshot(message, info), lambda _: (None, "none has arrived"))
    except CooperError as error:
        assert str(error) and len(str(error)) < 2000
        return type(error).__name__
    assert frame.rgb.dtype == np.uint8 and frame.rgb.ndim == 3
    if frame.intrinsics is None:
        assert problem
        return "relative"
    assert frame.intrinsics.is_valid and not problem
    assert (frame.intrinsics.width, frame.intrinsics.height) == (frame.width, frame.height)
    return "frame"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", [image, compressed, calibration])
def test_mutated_messages(kind: Any, seed: int) -> None:
    random = np.random.default_rng(seed)
    outcomes = set()
    for _ in range(COUNT):
        if kind is calibration:
            message, info = array_to_image(np.zeros((6, 8, 3), np.uint8), "rgb8"), kind(random)
        else:
            message, info = kind(random), None
        outcomes.add(read(message, info))
    # The mutations reach both sides of the checks.
    assert outcomes >= ({"frame", "relative"} if kind is calibration
                        else {"relative", "InvalidImageError"})  # fmt: skip
