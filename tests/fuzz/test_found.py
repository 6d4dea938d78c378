"""Inputs that the fuzzer found, kept: each went wrong once."""

from __future__ import annotations

import io
import json
import shutil
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from all_kinds import ALL  # noqa: E402
from fuzzing import judge  # noqa: E402
from PIL import Image as PillowImage  # noqa: E402
from sensor_msgs.msg import CameraInfo, CompressedImage  # noqa: E402

from cooper_ros.core.anchors import anchors_from_points  # noqa: E402
from cooper_ros.core.errors import IntrinsicsError, InvalidImageError, ModelFolderError  # noqa: E402
from cooper_ros.core.paths import find_model_folder  # noqa: E402
from cooper_ros.core.types import Intrinsics  # noqa: E402
from cooper_ros.ros.conversion import (  # noqa: E402
    array_to_image,
    camera_info_to_intrinsics,
    compressed_to_rgb,
    image_to_depth,
    intrinsics_to_camera_info,
)
from cooper_ros.ros.frames import transform_points  # noqa: E402
from cooper_ros.ros.messages import to_duration  # noqa: E402
from cooper_ros.runtime.folder import ModelFolder  # noqa: E402
from cooper_ros.runtime.selftest import SELFTEST, run_selftest  # noqa: E402
from cooper_ros.runtime.spec import ModelSpec  # noqa: E402


def test_a_parameter_without_a_name_is_refused() -> None:
    """rclpy takes it, and nothing is set."""
    outcome, problem = judge(ALL["parameters"](), ("", 1000))
    assert not problem and outcome == "CooperError"


def info() -> CameraInfo:
    return intrinsics_to_camera_info(Intrinsics.from_fov(70.0, 24, 18))


@pytest.mark.parametrize(
    ("field", "value"),
    [(4, 1.7e-8), (0, 1e9), (5, 8.5e9), (2, -1e300)],
    ids=["fy of nanometres", "fx of a gigapixel", "cy outside", "cx of -1e300"],
)
def test_finite_numbers_that_are_no_camera(field: int, value: float) -> None:
    """Rays overflowed in the model, and metres came out."""
    bad = info()
    bad.k[field] = value
    with pytest.raises(IntrinsicsError, match="no camera that sees 24x18"):
        camera_info_to_intrinsics(bad, 24, 18)


def test_a_real_telephoto_and_a_real_wide_camera_are_taken() -> None:
    for fov in (0.5, 60.0, 150.0):
        good = intrinsics_to_camera_info(Intrinsics.from_fov(fov, 640, 480))
        assert camera_info_to_intrinsics(good, 640, 480) is not None


def test_a_lens_that_sends_corner_pixels_to_infinity() -> None:
    """Exact half way to the corners, 1e20 at the corners."""
    bad = info()
    bad.distortion_model = "rational_polynomial"
    bad.d = [-0.6467332961478832, 0.3797878563643811, 0.25744597412251086, -0.046063998397532765,
             -0.5396905624700781, -0.3826308754785909, -0.12213433991660355, -0.2443701873363104,
             0.05604561303369724, -0.28825509886912415, -0.3265900650174218, 0.04043182961543994,
             0.11743994794864572, -0.33573489257520467]  # fmt: skip
    with pytest.raises(IntrinsicsError, match="distortion coefficients"):
        camera_info_to_intrinsics(bad, 24, 18)


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "BMP", "PPM"])
def test_only_jpeg_and_png_are_parsed(kind: str) -> None:
    """Any decoder of Pillow and OpenCV could be reached by a message."""
    file = io.BytesIO()
    PillowImage.new("RGB", (8, 8)).save(file, kind)
    with pytest.raises(InvalidImageError, match="not a readable JPEG or PNG"):
        compressed_to_rgb(CompressedImage(data=file.getvalue(), format="jpeg"))


def test_a_picture_is_not_turned_by_its_exif() -> None:
    """A turned picture is not the one that the calibration is for."""
    picture = PillowImage.new("RGB", (16, 8), (200, 10, 10))
    exif = picture.getexif()
    exif[0x0112] = 6  # "turn by 90 degrees to view"
    file = io.BytesIO()
    picture.save(file, "JPEG", exif=exif)
    assert compressed_to_rgb(CompressedImage(data=file.getvalue())).shape == (8, 16, 3)


def test_an_image_from_before_the_epoch_has_an_age() -> None:
    """A stamp of the year 1902 made an age that wraps around in its int32."""
    assert to_duration(3.9e9).sec == 2**31 - 1


def test_a_range_image_of_no_known_encoding_is_refused_in_few_words() -> None:
    """5000 characters of encoding made a message of 5000 characters."""
    message = array_to_image(np.zeros((2, 2), np.uint16), "16UC1")
    message.encoding = "x" * 5000
    with pytest.raises(InvalidImageError, match="16UC1") as caught:
        image_to_depth(message)
    assert len(str(caught.value)) < 200


def test_points_beyond_any_sensor_are_left_out() -> None:
    """Depths of 1e38 overflowed where nearer points hide farther ones."""
    points = np.array([[0.0, 0.0, 2.0], [0.0, 0.0, 3.4e38], [0.1, 0.0, np.inf], [0.0, 0.0, 1e5]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        anchors = anchors_from_points(points, Intrinsics.from_fov(60.0, 24, 18))
    assert len(anchors) == 1


def test_signalling_nans_of_a_lidar_do_not_warn() -> None:
    points = np.frombuffer(bytes.fromhex("0100807f" * 3), "<f4")[None]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(transform_points(np.eye(4), points)).all()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(find_model_folder(), tmp_path / "model"))


def selftest_of(folder: Path) -> list:
    """The self-test as an attacker leaves it: size and hash fit."""
    model = ModelFolder.open(find_model_folder(), check="size")
    model.path = folder

    class Engine:
        def run(self, graph, inputs):
            return {"nothing": np.zeros(1)}

    return run_selftest(model, Engine())


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-30],  # no directory: BadZipFile
        lambda data: data[:100] + b"\x00" + data[101:],  # BadZipFile, zlib.error
        lambda data: data.replace(b"PK\x01\x02", b"PK\x01\x03", 1),
        lambda data: b"",  # EOFError
    ],
)
def test_a_damaged_self_test_file_is_explained(folder: Path, damage) -> None:
    path = folder / SELFTEST
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ModelFolderError, match="selftest.npz"):
        selftest_of(folder)


def test_a_self_test_of_another_graph_is_explained(folder: Path) -> None:
    with pytest.raises(ModelFolderError, match="does not have"):
        selftest_of(folder)


def test_a_self_test_is_never_unpickled(folder: Path) -> None:
    file = io.BytesIO()
    np.save(file, np.array([print], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(folder / SELFTEST, "w") as archive:
        archive.writestr("und/in/x.npy", file.getvalue())
    with pytest.raises(ModelFolderError, match="selftest.npz"):
        selftest_of(folder)


def test_errors_show_the_beginning_of_a_long_value_only() -> None:
    """A manifest with a long text in the wrong place made an error of 5000 characters."""
    manifest = json.loads((find_model_folder() / "manifest.json").read_text())
    section = manifest["model"]
    section["hidden_size"] = "x" * 5000
    with pytest.raises(ModelFolderError, match="hidden_size must be int") as caught:
        ModelSpec.from_dict(section)
    assert len(str(caught.value)) < 200
