"""CompressedImage: `format` as image_transport has it, and no more is decoded than needed."""

from __future__ import annotations

import array
import io
import tracemalloc
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
cv2 = pytest.importorskip("cv2")

from PIL import Image as PillowImage  # noqa: E402
from sensor_msgs.msg import CompressedImage  # noqa: E402

from cooper_ros.core.errors import InvalidImageError  # noqa: E402
from cooper_ros.core.picture_files import read_header  # noqa: E402
from cooper_ros.core.pictures import WORK_PIXELS  # noqa: E402
from cooper_ros.ros.compressed import decode_compressed  # noqa: E402
from cooper_ros.ros.conversion import compressed_to_rgb  # noqa: E402

RED = np.full((32, 48, 3), (200, 30, 40), np.uint8)


def coded(stored: np.ndarray, form: str, suffix: str = ".jpg") -> CompressedImage:
    """What a publisher sends that gave `stored` to OpenCV's encoder."""
    _, data = cv2.imencode(suffix, stored)
    return CompressedImage(format=form, data=array.array("B", data.tobytes()))


@pytest.mark.parametrize(
    ("form", "stored"),
    [
        ("jpeg", RED[..., ::-1]),
        ("rgb8; jpeg compressed bgr8", RED[..., ::-1]),
        ("bgr8; jpeg compressed bgr8", RED[..., ::-1]),
        ("rgba8; jpeg compressed bgr8", RED[..., ::-1]),
        ("bayer_rggb8; jpeg compressed bgr8", RED[..., ::-1]),  # demosaiced before
        ("rgb8; jpeg compressed rgb8", RED),
        ("rgb8; jpeg compressed ", RED),
        ("bgr8; jpeg compressed", RED),
    ],
)
def test_colours_are_those_of_the_camera(form: str, stored: np.ndarray) -> None:
    rgb = compressed_to_rgb(coded(stored, form)).astype(int)
    np.testing.assert_allclose(rgb, RED, atol=6)


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_mosaic_is_demosaiced(pattern: str, suffix: str) -> None:
    """A red scene: only the pixels under a red filter are lit."""
    cell = np.array([240 if letter == "r" else 0 for letter in pattern], np.uint8).reshape(2, 2)
    kind = {".png": "png", ".jpg": "jpeg"}[suffix]
    message = coded(np.tile(cell, (16, 16)), f"bayer_{pattern}8; {kind} compressed ", suffix)
    rgb = compressed_to_rgb(message)[8:-8, 8:-8].astype(int)
    assert rgb[..., 0].mean() > 150 and rgb[..., 1:].mean() < 60


@pytest.mark.parametrize(
    "form", ["16UC1; png compressed ", "16UC1; compressedDepth", "32FC1; compressedDepth png",
             "16UC1; compressedDepth rvl"]
)  # fmt: skip
def test_depth_is_no_picture(form: str) -> None:
    depth = np.full((8, 8), 1500, np.uint16)
    with pytest.raises(InvalidImageError, match="is depth, not a picture"):
        compressed_to_rgb(coded(depth, form, ".png"))


def test_deep_grey_needs_its_name() -> None:
    grey = np.linspace(0, 4095, 48 * 32).reshape(32, 48).astype(np.uint16)  # 12 bits
    with pytest.raises(InvalidImageError, match="may be depth or a grey picture"):
        compressed_to_rgb(coded(grey, "png", ".png"))
    found = decode_compressed(coded(grey, "mono16; png compressed ", ".png"))
    assert found.grey_range == (0.0, 4095.0)
    assert found.rgb.min() == 0 and found.rgb.max() == 255


def test_transparency_and_palettes_are_colour() -> None:
    for mode in ("RGBA", "P", "LA", "1"):
        file = io.BytesIO()
        PillowImage.fromarray(RED).convert(mode).save(file, "PNG")
        message = CompressedImage(format="png", data=array.array("B", file.getvalue()))
        assert compressed_to_rgb(message).shape == RED.shape


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"exif": b"Exif\0\0MM\0*"}])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_headers(kind: str, options: dict) -> None:
    file = io.BytesIO()
    PillowImage.fromarray(RED).save(file, kind, **(options if kind == "JPEG" else {}))
    found = read_header(file.getvalue())
    assert found is not None
    assert (found.width, found.height, found.channels, found.bits) == (48, 32, 3, 8)
    for length in range(0, 60, 3):  # whatever is missing, nothing is raised
        read_header(file.getvalue()[:length])


def large_jpeg(width: int, height: int) -> CompressedImage:
    """A picture of some kB that stands for hundreds of MB, with a dark right half."""
    plane = np.full((height, width), 200, np.uint8)
    plane[:, width // 2 :] = 40
    file = io.BytesIO()
    PillowImage.fromarray(plane).save(file, "JPEG", quality=10)
    return CompressedImage(format="jpeg", data=array.array("B", file.getvalue()))


def test_a_large_jpeg_is_never_unpacked_to_its_full_size(monkeypatch: pytest.MonkeyPatch) -> None:
    message = large_jpeg(3600, 3600)
    sizes: list[int] = []
    decode = cv2.imdecode

    def watched(data: Any, flags: int) -> Any:
        found = decode(data, flags)
        sizes.append(found.shape[0] * found.shape[1])
        return found

    monkeypatch.setattr(cv2, "imdecode", watched)
    tracemalloc.start()
    try:
        found = decode_compressed(message)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.size == (3600, 3600)
    assert WORK_PIXELS // 2 < found.rgb.shape[0] * found.rgb.shape[1] <= WORK_PIXELS
    assert sizes == [1800 * 1800] and peak < 4 * 3 * sizes[0] // 2
    assert found.rgb[480, 90, 0] > 180 and found.rgb[480, 860, 0] < 60


def test_a_png_that_cannot_be_so_large_is_refused_before_it_is_unpacked() -> None:
    _, png = cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))
    data = bytearray(png.tobytes())
    data[16:24] = (15_000).to_bytes(4, "big") * 2  # within the limit of 256 megapixels
    with pytest.raises(InvalidImageError, match="needs at least"):
        compressed_to_rgb(CompressedImage(format="png", data=array.array("B", bytes(data))))
    data[16:24] = (17_000).to_bytes(4, "big") * 2
    with pytest.raises(InvalidImageError, match="more than 256 megapixels"):
        compressed_to_rgb(CompressedImage(format="png", data=array.array("B", bytes(data))))
