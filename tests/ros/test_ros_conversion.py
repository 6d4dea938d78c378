"""Images between ROS messages and numpy: every encoding, odd steps, bad input."""

from __future__ import annotations

import array
import sys
import types

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
cv2 = pytest.importorskip("cv2")

from sensor_msgs.msg import CompressedImage, Image  # noqa: E402

from cooper_ros.core.errors import InvalidImageError  # noqa: E402
from cooper_ros.ros.conversion import (  # noqa: E402
    array_to_image,
    compressed_to_rgb,
    image_to_array,
    image_to_depth,
    image_to_rgb,
)
from cooper_ros.ros.encodings import ENCODINGS  # noqa: E402

COLOUR = sorted(name for name, row in ENCODINGS.items() if row.is_picture)
# What the pure-python cv_bridge of the package index knows: its tables have no YUV type and spell
# bayer_grbg8 wrongly. Those have tests by hand above.
ORACLE_RGB = (
    "rgb8", "bgr8", "rgba8", "bgra8", "mono8", "bayer_rggb8", "bayer_bggr8", "bayer_gbrg8",
)  # fmt: skip


def stored(encoding: str, height: int = 6, width: int = 8, seed: int = 0) -> np.ndarray:
    """Random stored values of an encoding, in its shape and dtype."""
    row = ENCODINGS[encoding]
    shape = (row.stored_rows(height), width) + ((row.channels,) if row.channels > 1 else ())
    random = np.random.default_rng(seed)
    if row.dtype == "f4":
        return random.uniform(0.1, 9.0, shape).astype(np.float32)
    return random.integers(0, np.iinfo(row.dtype).max, shape, endpoint=True).astype(row.dtype)


def padded(message: Image, padding: int) -> Image:
    """The same picture with `padding` extra bytes at the end of each row."""
    rows = np.frombuffer(message.data, np.uint8).reshape(-1, message.step)
    wide = np.pad(rows, ((0, 0), (0, padding)), constant_values=171)
    out = Image(
        height=message.height,
        width=message.width,
        encoding=message.encoding,
        is_bigendian=message.is_bigendian,
        step=message.step + padding,
    )
    out.data = array.array("B", wide.tobytes())
    return out


@pytest.mark.parametrize("encoding", sorted(ENCODINGS))
def test_every_encoding_survives_the_way_out_and_back(encoding: str) -> None:
    values = stored(encoding)
    message = array_to_image(values, encoding)
    assert (message.height, message.width) == (6, 8)
    assert len(message.data) == values.nbytes
    np.testing.assert_array_equal(image_to_array(message), values)


@pytest.mark.parametrize("padding", [1, 3, 64])
@pytest.mark.parametrize("encoding", sorted(ENCODINGS))
def test_bytes_between_rows_are_skipped(encoding: str, padding: int) -> None:
    message = array_to_image(stored(encoding), encoding)
    wide = padded(message, padding)
    np.testing.assert_array_equal(image_to_array(wide), image_to_array(message))
    if ENCODINGS[encoding].is_picture:
        np.testing.assert_array_equal(image_to_rgb(wide), image_to_rgb(message))


@pytest.mark.parametrize("encoding", ["mono16", "16UC1", "32FC1"])
def test_byte_order_is_honoured(encoding: str) -> None:
    values = stored(encoding)
    message = array_to_image(values, encoding)
    other = padded(message, 0)
    other.is_bigendian = 1 - message.is_bigendian
    other.data = array.array("B", values.byteswap().tobytes())
    np.testing.assert_array_equal(image_to_array(other), values)
    assert image_to_array(other).dtype.isnative
    assert message.is_bigendian == int(sys.byteorder == "big")


@pytest.mark.parametrize("encoding", ["rgb8", "mono8", "32FC1", "16UC1", "bgr8"])
def test_reading_makes_no_copy(encoding: str) -> None:
    message = array_to_image(stored(encoding), encoding)
    assert np.shares_memory(image_to_array(message), np.frombuffer(message.data, np.uint8))


def test_rgb_is_not_copied_either() -> None:
    message = array_to_image(stored("rgb8"), "rgb8")
    assert np.shares_memory(image_to_rgb(message), np.frombuffer(message.data, np.uint8))


@pytest.mark.parametrize("encoding", COLOUR)
def test_pictures_become_rgb_uint8(encoding: str) -> None:
    rgb = image_to_rgb(array_to_image(stored(encoding), encoding))
    assert rgb.shape == (6, 8, 3) and rgb.dtype == np.uint8


def test_channel_orders() -> None:
    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 0] = 200
    alpha = np.full((2, 2, 1), 9, np.uint8)
    for encoding, values in {
        "rgb8": red,
        "bgr8": red[..., ::-1],
        "8UC3": red[..., ::-1],
        "rgba8": np.concatenate([red, alpha], -1),
        "bgra8": np.concatenate([red[..., ::-1], alpha], -1),
    }.items():
        np.testing.assert_array_equal(image_to_rgb(array_to_image(values, encoding)), red)


def test_mono16_keeps_the_high_byte() -> None:
    values = np.array([[0x0000, 0x12FF], [0x8000, 0xFFFF]], np.uint16)
    rgb = image_to_rgb(array_to_image(values, "mono16"))
    np.testing.assert_array_equal(rgb[..., 0], [[0x00, 0x12], [0x80, 0xFF]])


@pytest.mark.parametrize("encoding", ["uyvy", "yuv422", "yuyv", "yuv422_yuy2", "nv12", "nv21"])
def test_yuv_of_a_flat_colour(encoding: str) -> None:
    """BT.601 limited range, by hand: Y 81, U 90, V 240 is pure red."""
    y, u, v = 81, 90, 240
    if encoding in ("uyvy", "yuv422"):
        values = np.tile(np.array([[u, y], [v, y]], np.uint8), (4, 3, 1)).reshape(4, 6, 2)
    elif encoding in ("yuyv", "yuv422_yuy2"):
        values = np.tile(np.array([[y, u], [y, v]], np.uint8), (4, 3, 1)).reshape(4, 6, 2)
    else:
        chroma = (u, v) if encoding == "nv12" else (v, u)
        values = np.concatenate([np.full((4, 6), y), np.tile(chroma, (2, 3))]).astype(np.uint8)
    rgb = image_to_rgb(array_to_image(values, encoding)).astype(int)
    np.testing.assert_allclose(rgb - [255, 0, 0], 0, atol=3)


@pytest.mark.parametrize("encoding", ["bayer_rggb8", "bayer_bggr8", "bayer_gbrg8", "bayer_grbg8"])
def test_bayer_patterns_by_name(encoding: str) -> None:
    """A red scene: only the pixels under a red filter are lit."""
    pattern = encoding[len("bayer_"):-1]
    cell = np.array([240 if letter == "r" else 0 for letter in pattern], np.uint8).reshape(2, 2)
    rgb = image_to_rgb(array_to_image(np.tile(cell, (8, 8)), encoding))[4:-4, 4:-4]
    np.testing.assert_array_equal(rgb, np.broadcast_to([240, 0, 0], rgb.shape))


@pytest.mark.parametrize("encoding", ORACLE_RGB)
def test_agrees_with_cv_bridge(encoding: str) -> None:
    bridge = pytest.importorskip("cv_bridge", reason="cv-bridge is not installed").CvBridge()
    message = array_to_image(stored(encoding, 16, 24), encoding)
    np.testing.assert_array_equal(image_to_rgb(message), bridge.imgmsg_to_cv2(message, "rgb8"))


def test_cv_bridge_reads_what_we_write() -> None:
    bridge = pytest.importorskip("cv_bridge", reason="cv-bridge is not installed").CvBridge()
    for encoding in ("rgb8", "mono8", "32FC1", "mono16"):
        values = stored(encoding)
        out = bridge.imgmsg_to_cv2(array_to_image(values, encoding))
        np.testing.assert_array_equal(np.asarray(out).reshape(values.shape), values)


def test_depth_units_come_from_the_encoding() -> None:
    millimetres = np.array([[0, 1500], [250, 65535]], np.uint16)
    depth = image_to_depth(array_to_image(millimetres, "16UC1"))
    np.testing.assert_allclose(depth, [[np.nan, 1.5], [0.25, 65.535]], rtol=1e-6)
    metres = np.array([[1.25, np.nan]], np.float32)
    np.testing.assert_array_equal(image_to_depth(array_to_image(metres, "32FC1")), metres)
    with pytest.raises(InvalidImageError, match="32FC1"):
        image_to_depth(array_to_image(stored("rgb8"), "rgb8"))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"encoding": "rgb565"}, "rgb565.*not supported.*rgb8"),
        ({"encoding": ""}, "not supported"),
        ({"encoding": "x" * 10_000}, r"x{40}\.\.\."),
        ({"encoding": "32FC1", "step": 32}, "depth"),
        ({"width": 0}, "0x6"),
        ({"height": 0}, "8x0"),
        ({"step": 23}, "step is 23.*need 24"),
        ({"step": 0}, "step is 0"),
        ({"step": 25}, "144 bytes.*150"),
        ({"height": 7}, "144 bytes.*168"),
        ({"width": 4_000_000_000}, "4000000000"),
        ({"data": array.array("B", bytes(143))}, "143 bytes"),
        ({"data": array.array("B")}, "0 bytes"),
    ],
)
def test_contradictions_are_refused_with_the_values(change: dict, expected: str) -> None:
    message = array_to_image(stored("rgb8"), "rgb8")
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(InvalidImageError, match=f"(?s).*{expected}"):
        image_to_rgb(message)


@pytest.mark.parametrize(("encoding", "size"), [("yuv422", (4, 5)), ("nv12", (5, 4))])
def test_shared_chroma_needs_even_sizes(encoding: str, size: tuple[int, int]) -> None:
    height, width = size
    row = ENCODINGS[encoding]
    message = Image(height=height, width=width, encoding=encoding, step=width * row.channels)
    message.data = array.array("B", bytes(message.step * row.stored_rows(height)))
    with pytest.raises(InvalidImageError, match="even"):
        image_to_rgb(message)


def test_writing_refuses_what_does_not_fit() -> None:
    with pytest.raises(InvalidImageError, match="3 channel"):
        array_to_image(np.zeros((2, 2), np.uint8), "rgb8")
    with pytest.raises(InvalidImageError, match="float32"):
        array_to_image(np.zeros((2, 2), np.float64), "32FC1")


def test_writing_takes_any_memory_layout() -> None:
    values = stored("rgb8", 8, 8)
    for view in (values[::2, ::2], values[:, ::-1], np.asfortranarray(values)):
        np.testing.assert_array_equal(image_to_rgb(array_to_image(view, "rgb8")), view)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_compressed_images(suffix: str) -> None:
    rgb = np.zeros((24, 32, 3), np.uint8)
    rgb[:, :16] = (220, 30, 30)
    _, data = cv2.imencode(suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    message = CompressedImage(format=suffix[1:], data=array.array("B", data.tobytes()))
    np.testing.assert_allclose(compressed_to_rgb(message).astype(int)[12, 4], rgb[12, 4], atol=8)
    message.data = array.array("B", data.tobytes()[:20])
    with pytest.raises(InvalidImageError, match="20 bytes"):
        compressed_to_rgb(message)
    with pytest.raises(InvalidImageError, match="0 bytes"):
        compressed_to_rgb(CompressedImage())


def test_a_picture_that_claims_gigabytes_is_refused_before_it_is_unpacked() -> None:
    _, png = cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))
    data = bytearray(png.tobytes())
    data[16:24] = (60_000).to_bytes(4, "big") * 2  # width and height in the header chunk
    with pytest.raises(InvalidImageError):
        compressed_to_rgb(CompressedImage(format="png", data=array.array("B", bytes(data))))


class Bridge:
    """Stands in for the cv_bridge of a distribution, which knows 16-bit colour; the one of the
    package index does not."""

    def imgmsg_to_cv2(self, msg: Image, desired: str) -> np.ndarray:
        if msg.encoding != "rgb16":
            raise KeyError(msg.encoding)
        values = np.frombuffer(msg.data, "<u2").reshape(msg.height, msg.width, 3)
        return (values >> 8).astype(np.uint8)


@pytest.fixture
def bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("cv_bridge")
    module.CvBridge = Bridge
    monkeypatch.setitem(sys.modules, "cv_bridge", module)


def deep_image(encoding: str) -> Image:
    values = np.arange(2 * 3 * 3, dtype="<u2").reshape(2, 3, 3) << 8
    message = Image(height=2, width=3, encoding=encoding, step=18)
    message.data = array.array("B", values.tobytes())
    return message


def test_what_only_cv_bridge_knows_is_left_to_it(bridge: None) -> None:
    rgb = image_to_rgb(deep_image("rgb16"))
    np.testing.assert_array_equal(rgb.ravel(), np.arange(18))


@pytest.mark.parametrize(
    "change", [{"encoding": "rgb565"}, {"step": 17}, {"height": 3}, {"data": array.array("B")}]
)
def test_what_cv_bridge_cannot_read_is_refused_as_ever(bridge: None, change: dict) -> None:
    message = deep_image("rgb16")
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(InvalidImageError, match="not supported.*rgb8"):
        image_to_rgb(message)


def test_our_own_converter_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv_bridge", None)  # an import would fail
    assert image_to_rgb(array_to_image(stored("bayer_rggb8"), "bayer_rggb8")).shape == (6, 8, 3)
    with pytest.raises(InvalidImageError, match="not supported"):
        image_to_rgb(deep_image("rgb16"))
