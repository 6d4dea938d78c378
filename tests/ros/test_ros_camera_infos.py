"""Calibrations: what contradicts itself gives no metres and says why, what is harmless is taken."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from sensor_msgs.msg import CameraInfo, Image  # noqa: E402

from cooper_ros.core.errors import FrameError, IntrinsicsError  # noqa: E402
from cooper_ros.core.types import Intrinsics  # noqa: E402
from cooper_ros.ros.camera_infos import (  # noqa: E402
    camera_info_to_intrinsics,
    intrinsics_to_camera_info,
    is_rectified,
    rectified_info,
)
from cooper_ros.ros.frames import Frames  # noqa: E402
from cooper_ros.ros.inputs import CameraInput  # noqa: E402
from cooper_ros.ros.perception import to_frame  # noqa: E402
from cooper_ros.ros.reframe import pose_for  # noqa: E402
from cooper_ros.ros.slots import Snapshot  # noqa: E402

CAMERA = Intrinsics(500.0, 510.0, 319.5, 239.5, 640, 480)


def test_calibration_there_and_back() -> None:
    assert camera_info_to_intrinsics(intrinsics_to_camera_info(CAMERA), 640, 480) == Intrinsics(
        500.0, 510.0, 319.5, 239.5, 640, 480, (0.0,) * 5
    )


def test_calibration_is_scaled_with_the_image() -> None:
    half = camera_info_to_intrinsics(intrinsics_to_camera_info(CAMERA), 320, 240)
    assert half is not None
    assert (half.fx, half.width, half.height) == (250.0, 320, 240)
    assert half.cx == pytest.approx(159.5)


def test_binning_and_region_of_interest() -> None:
    info = intrinsics_to_camera_info(CAMERA)
    info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = 100, 50, 400, 200
    info.binning_x = info.binning_y = 2
    seen = camera_info_to_intrinsics(info, 200, 100)
    assert seen is not None
    assert (seen.fx, seen.fy) == (250.0, 255.0)
    # Column 219 of the sensor is column 119 of the window and (119.5) / 2 - 0.5 after binning.
    assert seen.cx == pytest.approx((319.5 - 100 + 0.5) / 2 - 0.5)


def test_zero_matrix_means_uncalibrated() -> None:
    assert camera_info_to_intrinsics(CameraInfo(width=640, height=480), 640, 480) is None


@pytest.mark.parametrize("values", [{0: float("nan")}, {0: -500.0}, {4: 0.0}, {2: float("inf")}])
def test_impossible_cameras_are_refused(values: dict[int, float]) -> None:
    info = intrinsics_to_camera_info(CAMERA)
    for index, value in values.items():
        info.k[index] = value
    with pytest.raises(IntrinsicsError, match="not usable"):
        camera_info_to_intrinsics(info, 640, 480)


@pytest.mark.parametrize(
    ("model", "coefficients", "reason"),
    [
        ("plumb_bob", [0.1, 0.2, 0.0], "3 distortion coefficients"),
        ("magic", [0.1] * 5, "'magic'"),
        ("plumb_bob", [1e200, 0.0, 0.0, 0.0, 0.0], "cannot be undone"),
    ],
)
def test_unknown_lenses_are_refused(model: str, coefficients: list, reason: str) -> None:
    info = intrinsics_to_camera_info(CAMERA)
    info.distortion_model, info.d = model, coefficients
    with pytest.raises(IntrinsicsError, match=reason):
        camera_info_to_intrinsics(info, 640, 480)


def test_known_lenses_keep_their_coefficients() -> None:
    info = intrinsics_to_camera_info(CAMERA)
    info.distortion_model, info.d = "rational_polynomial", [0.1, -0.05, 0.001, 0.0, 0.0, 0.1, 0, 0]
    seen = camera_info_to_intrinsics(info, 640, 480)
    assert seen is not None and seen.is_distorted and len(seen.distortion) == 8


def test_a_calibration_of_another_camera_mode_is_refused() -> None:
    with pytest.raises(IntrinsicsError, match="640x480.*1280x720"):
        camera_info_to_intrinsics(intrinsics_to_camera_info(CAMERA), 1280, 720)


def camera_info(**fields: Any) -> CameraInfo:
    """That of `CAMERA` with other fields; `k`, `p`: index -> value."""
    info = intrinsics_to_camera_info(CAMERA)
    for name, value in fields.items():
        if name in ("k", "p"):
            for index, number in value.items():
                getattr(info, name)[index] = number
        elif name == "roi":
            info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = value
        else:
            setattr(info, name, value)
    return info


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"k": {2: 640.0}}, "principal point.*border of its 640x480"),
        ({"k": {2: 639.0}}, "principal point"),
        ({"k": {2: 0.0}}, "principal point"),
        ({"k": {5: -3.0}}, "principal point"),
        ({"k": {2: 960.0, 5: 540.0}}, "another resolution"),
        ({"k": {1: 0.6}}, "skew of 0.6"),
        ({"k": {1: -5.0}}, "skew"),
        ({"k": {6: 0.1}}, "no camera matrix"),
        ({"k": {8: 2.0}}, "no camera matrix"),
        ({"roi": (400, 0, 300, 480)}, "region of interest.*not inside its 640x480"),
        ({"roi": (0, 470, 640, 20)}, "region of interest"),
        ({"roi": (10, 10, 0, 0)}, "region of interest"),
        ({"roi": (0, 0, 640, 0)}, "region of interest"),
        ({"width": 640, "height": 360}, "border|same camera mode"),
        ({"width": 1280, "height": 720}, "1280x720.*640x480.*same camera mode"),
    ],
)
def test_contradictions_give_no_metres(fields: dict, reason: str) -> None:
    with pytest.raises(IntrinsicsError, match=reason):
        camera_info_to_intrinsics(camera_info(**fields), 640, 480)


@pytest.mark.parametrize(
    "fields",
    [
        {"k": {1: 0.4}},  # a skew below 1e-3 fx
        {"k": {8: 0.0}},
        {"roi": (0, 0, 640, 480)},
        {"width": 0, "height": 0},
        {"r": [0.0] * 9},
        {"p": {0: 0.0, 2: 0.0, 5: 0.0, 6: 0.0, 10: 0.0}},
        {"d": []},
        {"d": [0.0] * 8, "distortion_model": "no such lens"},
        {"distortion_model": ""},
    ],
)
def test_what_does_no_harm_is_taken(fields: dict) -> None:
    seen = camera_info_to_intrinsics(camera_info(**fields), 640, 480)
    assert seen is not None and (seen.fx, seen.cx, seen.cy) == (500.0, 319.5, 239.5)
    assert not seen.is_distorted


def test_a_crop_may_leave_the_centre_outside() -> None:
    seen = camera_info_to_intrinsics(camera_info(roi=(400, 0, 200, 480)), 200, 480)
    assert seen is not None and seen.cx == 319.5 - 400


LENS = (-0.1, 0.02, 0.001, -0.0005)


@pytest.mark.parametrize(
    ("model", "given", "expected", "taken"),
    [
        ("radtan", (*LENS,), "plumb_bob", (*LENS, 0.0)),
        ("plumb_bob", (*LENS, 0.01), "plumb_bob", (*LENS, 0.01)),
        ("Brown Conrady", (*LENS, 0.0), "plumb_bob", (*LENS, 0.0)),
        ("radial-tangential", (*LENS, 0.0, 0.0, 0.0), "plumb_bob", (*LENS, 0.0)),
        ("", LENS, "plumb_bob", (*LENS, 0.0)),
        ("rational_polynomial", (*LENS, *(0.0,) * 4), "plumb_bob", (*LENS, 0.0)),
        ("Rational Polynomial", (*LENS, 0.01, 0.1, 0.0, 0.0), "rational_polynomial",
         (*LENS, 0.01, 0.1, 0.0, 0.0)),
        ("plumb_bob", (*LENS, 0.01, 0.1, 0.02, 0.001), "rational_polynomial",
         (*LENS, 0.01, 0.1, 0.02, 0.001)),
        ("rational_polynomial", (*LENS, 0.01, 0.1, 0.02, 0.001, *(0.0,) * 6),
         "rational_polynomial", (*LENS, 0.01, 0.1, 0.02, 0.001)),
        ("equidistant", (0.01, -0.003, 0.0, 0.0), "equidistant", (0.01, -0.003, 0.0, 0.0)),
        ("fisheye", (0.01, -0.003, 0.001, 0.0), "equidistant", (0.01, -0.003, 0.001, 0.0)),
        ("Kannala Brandt4", (0.01, -0.003, 0.001, 0.0, 0.0), "equidistant",
         (0.01, -0.003, 0.001, 0.0)),
    ],
)  # fmt: skip
def test_lenses_mean_what_drivers_mean(
    model: str, given: tuple, expected: str, taken: tuple
) -> None:
    info = camera_info(distortion_model=model, d=list(given))
    seen = camera_info_to_intrinsics(info, 640, 480)
    assert seen is not None
    assert (seen.distortion_model, seen.distortion) == (expected, taken)


@pytest.mark.parametrize(
    ("model", "given", "reason"),
    [
        ("inverse_brown_conrady", LENS, "'inverse_brown_conrady'"),
        ("none", LENS, "not zero"),
        ("fisheye", (*LENS, 0.01), "5 distortion coefficients"),
        ("plumb_bob", (*LENS, 0.01, 0.1), "6 distortion coefficients"),
        ("plumb_bob", (math.nan, 0.0, 0.0, 0.0), "not usable"),
    ],
)
def test_lenses_that_cannot_be_known(model: str, given: tuple, reason: str) -> None:
    with pytest.raises(IntrinsicsError, match=reason):
        camera_info_to_intrinsics(
            camera_info(distortion_model=model, d=list(given)), 640, 480
        )


def rectifying_info(**fields: Any) -> CameraInfo:
    """A camera with a lens whose rectified picture has another focal length and centre."""
    return camera_info(
        d=[*LENS, 0.0], p={0: 450.0, 5: 455.0, 2: 330.0, 6: 250.0, 3: -40.0}, **fields
    )


def test_a_rectified_picture_has_p_and_no_lens() -> None:
    seen = camera_info_to_intrinsics(rectifying_info(), 640, 480, rectified=True)
    assert seen is not None and not seen.is_distorted
    assert (seen.fx, seen.fy, seen.cx, seen.cy) == (450.0, 455.0, 330.0, 250.0)
    raw = camera_info_to_intrinsics(rectifying_info(), 640, 480)
    assert raw is not None and raw.fx == 500.0 and raw.is_distorted
    told = rectified_info(rectifying_info())
    assert camera_info_to_intrinsics(told, 640, 480) == camera_info_to_intrinsics(
        rectifying_info(), 640, 480, rectified=True
    ).__class__(450.0, 455.0, 330.0, 250.0, 640, 480, (0.0,) * 5)


def test_p_stands_in_for_a_zero_k_only_without_a_lens() -> None:
    zero = {0: 0.0, 2: 0.0, 4: 0.0, 5: 0.0, 8: 0.0}
    with pytest.raises(IntrinsicsError, match="K of camera_info is zero.*rectified"):
        camera_info_to_intrinsics(rectifying_info(k=zero), 640, 480)
    assert camera_info_to_intrinsics(rectifying_info(k=zero), 640, 480, True) is not None
    seen = camera_info_to_intrinsics(camera_info(k=zero), 640, 480)
    assert seen is not None and seen.fx == 500.0


def test_a_rectified_picture_without_p() -> None:
    zero = {0: 0.0, 2: 0.0, 5: 0.0, 6: 0.0, 10: 0.0}
    lens = camera_info(d=[*LENS, 0.0], p=zero)
    with pytest.raises(IntrinsicsError, match="P of its camera_info is zero"):
        camera_info_to_intrinsics(lens, 640, 480, rectified=True)
    seen = camera_info_to_intrinsics(camera_info(p=zero), 640, 480, rectified=True)
    assert seen is not None and seen.fx == 500.0  # no lens: K says the same
    with pytest.raises(IntrinsicsError, match="P of camera_info has a skew"):
        camera_info_to_intrinsics(camera_info(p={1: 3.0}), 640, 480, rectified=True)


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        ("/camera/image_rect", True),
        ("/left/image_rect_color/compressed", True),
        ("/camera/image_raw", False),
        ("/image_rectangle_detector/image", True),  # a name says what it says
        ("/camera/my_image_rect", False),
    ],
)
def test_rectified_by_the_topic(topic: str, expected: bool) -> None:
    assert is_rectified("auto", topic) is expected
    assert is_rectified("true", topic) and not is_rectified("false", topic)


class Graph:
    """As much of a node as an input needs: topics are remapped to `topic`."""

    def __init__(self, topic: str = "/image") -> None:
        self.topic = topic

    def resolve_topic_name(self, name: str) -> str:
        return self.topic if name == "image" else f"/{name}"

    def create_subscription(self, kind: Any, name: str, *_: Any, **__: Any) -> Any:
        return SimpleNamespace(topic_name=self.resolve_topic_name(name))


def camera_input(topic: str, rectified: str = "auto") -> tuple[CameraInput, list[Snapshot]]:
    seen: list[Snapshot] = []
    return CameraInput(Graph(topic), "raw", seen.append, print, "", rectified), seen  # type: ignore


@pytest.mark.parametrize(("topic", "focal"), [("/image_rect", 450.0), ("/image_raw", 500.0)])
def test_the_topic_decides_which_matrix_an_image_gets(topic: str, focal: float) -> None:
    camera, seen = camera_input(topic)
    camera._receive_info(rectifying_info())
    image = Image(width=640, height=480, step=1920, encoding="rgb8", data=bytes(640 * 480 * 3))
    camera._receive_image(image)
    frame, problem = to_frame(seen[0], lambda name: (camera.info_for(name), ""))
    assert frame.intrinsics is not None and frame.intrinsics.fx == focal and not problem


def test_frames_are_the_same_with_and_without_a_slash() -> None:
    camera, _ = camera_input("/image")
    info = camera_info()
    info.header.frame_id = "/camera_optical"
    camera._receive_info(info)
    assert camera.info_for("camera_optical") is info
    assert Frames(None, use_tf=False).lookup("/map", "map", 0)[0, 0] == 1.0
    assert pose_for(None, "camera_optical", "/camera_optical", 0) is None
    with pytest.raises(FrameError):
        pose_for(None, "map", "/camera_optical", 0)


def test_a_calibration_of_another_frame_only_where_it_is_allowed() -> None:
    camera, _ = camera_input("/image")
    info = camera_info()
    info.header.frame_id = "camera_link"
    camera._receive_info(info)
    assert camera.info_for("camera_optical") is None
    assert "camera_info_any_frame" in camera.info_problem("camera_optical")
    assert camera.info_for("camera_optical", any_frame=True) is info
