"""Images, compressed images and camera infos, through the whole perception on a toy model."""

from __future__ import annotations

import array
import io
from functools import lru_cache
from typing import Any

import numpy as np
from fuzzing import FLOATS, NUMBERS, TEXTS, Kind, pick, some_bytes
from PIL import Image as PillowImage
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from toy_model import make_engine

from cooper_ros.core.types import Intrinsics
from cooper_ros.ros.conversion import array_to_image, intrinsics_to_camera_info
from cooper_ros.ros.distances import measure_items
from cooper_ros.ros.encodings import ENCODINGS
from cooper_ros.ros.messages import to_depth_info, to_segment_array
from cooper_ros.ros.overlay import draw_overlay
from cooper_ros.ros.perception import Perceiver, Perception
from cooper_ros.ros.worker import Snapshot
from cooper_ros.runtime.cancel import CancelToken
from cooper_ros.runtime.pipeline import CooperPipeline
from cooper_ros.runtime.tokenizer import Tokenizer

WIDTH, HEIGHT = 24, 18
ODD_ENCODINGS = ("RGB8", "rgb8 ", "8UC4", "bayer_rggb16", "nv24", "32FC4", "16SC1", *TEXTS)


@lru_cache(maxsize=1)
def toy_pipeline() -> CooperPipeline:
    """A small real transformer with random weights."""
    return CooperPipeline(make_engine(Tokenizer.from_vocabulary()), "toy@1")


def stamp_and_frame(message: Any, random: np.random.Generator) -> None:
    """Sometimes an impossible time or frame name."""
    if random.random() < 0.15:
        message.header.stamp.sec = pick(random, (-(2**31), -1, 0, 1, 2**31 - 1))
        message.header.stamp.nanosec = pick(random, (0, 999_999_999, 2**32 - 1))
    if random.random() < 0.15:
        message.header.frame_id = pick(random, TEXTS)


def make_image(random: np.random.Generator) -> Image:
    """A picture in any encoding, some of its fields wrong."""
    name = pick(random, sorted(ENCODINGS))
    encoding = ENCODINGS[name]
    shape: tuple[int, ...] = (encoding.stored_rows(HEIGHT), WIDTH)
    if encoding.channels > 1:
        shape = (*shape, encoding.channels)
    values = np.frombuffer(random.bytes(int(np.prod(shape)) * np.dtype(encoding.dtype).itemsize),
                           encoding.dtype).reshape(shape)  # fmt: skip
    message = array_to_image(values, name)
    stamp_and_frame(message, random)
    for _ in range(int(random.integers(0, 4))):
        field = pick(random, ("encoding", "size", "step", "data", "is_bigendian", "transposed"))
        if field == "encoding":
            message.encoding = pick(random, (*sorted(ENCODINGS), *ODD_ENCODINGS))
        elif field == "size":
            setattr(message, pick(random, ("width", "height")), pick(random, NUMBERS))
        elif field == "step":
            message.step = pick(random, (*NUMBERS, message.step + 1, message.step * 2))
        elif field == "is_bigendian":
            message.is_bigendian = int(random.integers(0, 256))
        elif field == "transposed":  # long and thin, with data that fits
            message.height, message.width = 1, len(message.data)
            message.encoding, message.step = "mono8", len(message.data)
        else:
            length = pick(random, (0, 1, len(message.data) - 1, len(message.data) + 1))
            message.data = array.array("B", random.bytes(max(int(length), 0)))
    return message


def make_calibration(random: np.random.Generator) -> CameraInfo:
    """A calibration of the fixed picture, some of its fields wrong."""
    info = intrinsics_to_camera_info(Intrinsics.from_fov(70.0, WIDTH, HEIGHT))
    if random.random() < 0.3:
        info.d = [float(v) for v in random.normal(0.0, 0.3, pick(random, (4, 5, 8, 12, 14)))]
        info.distortion_model = pick(random, ("plumb_bob", "rational_polynomial", "equidistant"))
    for _ in range(int(random.integers(0, 4))):
        field = pick(random, ("k", "d", "width", "height", "binning_x", "binning_y", "roi",
                              "distortion_model", "scale", "p", "r"))  # fmt: skip
        if field in ("k", "p", "r"):
            values = getattr(info, field)
            values[int(random.integers(0, len(values)))] = pick(random, FLOATS)
        elif field == "scale":
            info.k = [float(v) * pick(random, (1e-9, 0.01, 50.0, 1e9)) for v in info.k]
        elif field == "d":
            info.d = [pick(random, FLOATS) for _ in range(int(random.integers(0, 16)))]
        elif field == "roi":
            for part in ("width", "height", "x_offset", "y_offset"):
                if random.random() < 0.5:
                    setattr(info.roi, part, pick(random, (*NUMBERS, WIDTH, HEIGHT)))
        elif field == "distortion_model":
            info.distortion_model = pick(
                random, ("", "equidistant", "rational_polynomial", "fisheye", *TEXTS)
            )
        else:
            setattr(info, field, pick(random, (*NUMBERS, 2 * WIDTH, 2 * HEIGHT)))
    return info


def make_compressed(random: np.random.Generator) -> CompressedImage:
    """A picture file of any kind, some of its bytes wrong."""
    mode = pick(random, ("RGB", "L", "RGBA", "1", "P", "CMYK", "I;16"))
    kind = pick(random, ("PNG", "JPEG", "JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"))
    pixels = random.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    picture = PillowImage.fromarray(pixels)
    if mode == "I;16":
        picture = PillowImage.fromarray(random.integers(0, 65535, (HEIGHT, WIDTH), np.uint16))
    else:
        picture = picture.convert(mode)
    file = io.BytesIO()
    try:
        picture.save(file, kind)
    except (OSError, ValueError, KeyError):  # a format that cannot hold this mode
        PillowImage.fromarray(pixels).save(file, "PNG")
    data = some_bytes(random, file.getvalue())
    if random.random() < 0.1:  # a size that the rest of the file does not have
        at = data.find(b"IHDR")
        if at > 0:
            size = pick(random, (0, 1, 20_000, 2**31 - 1, 2**32 - 1)).to_bytes(4, "big")
            data = data[: at + 4] + size * 2 + data[at + 12 :]
    message = CompressedImage(data=array.array("B", data))
    message.format = pick(random, ("jpeg", "png", "rgb8; jpeg compressed bgr8", *TEXTS))
    stamp_and_frame(message, random)
    return message


def publish(perception: Perception) -> None:
    """Everything that the node would send about a frame, serialized."""
    depth, segmentation = perception.depth, perception.segmentation
    assert segmentation is not None
    header = to_segment_array(segmentation).header
    picture = draw_overlay(
        perception.frame.rgb, segmentation, np.zeros((len(segmentation.names), 3), np.uint8), ()
    )
    messages = [
        to_depth_info(depth, 0.25, 10.0, perception.seconds),
        to_segment_array(segmentation),
        array_to_image(depth.relative, "32FC1", header),
        array_to_image(segmentation.labels, "mono8", header),
        array_to_image(picture, "rgb8", header),
    ]
    if depth.metric:
        assert depth.intrinsics is not None and depth.intrinsics.is_valid
        messages.append(intrinsics_to_camera_info(depth.intrinsics, header))
    for message in messages:
        serialize_message(message)
    items = measure_items(
        ["mug", "floor", "floors"], [(0.0, 0.0), (1e9, -1.0)], depth, segmentation
    )
    assert len(items) == 5


def perceive(message: Any, info: CameraInfo | None) -> str:
    """The node's way of one image, from message to messages."""
    perceiver = Perceiver(
        toy_pipeline(), find_info=lambda *_: (info, "" if info else "none came")
    )
    perception = perceiver(Snapshot(message), CancelToken())
    publish(perception)
    frame = perception.frame
    assert frame.rgb.dtype == np.uint8 and frame.rgb.ndim == 3
    if frame.intrinsics is None:
        assert perception.calibration_problem and not perception.depth.metric
        return "relative"
    assert frame.intrinsics.is_valid and not perception.calibration_problem
    known = perception.depth.depth[np.isfinite(perception.depth.depth)]
    assert (known > 0.0).all()
    return "metric"


def feed_calibration(info: CameraInfo) -> str:
    picture = np.arange(WIDTH * HEIGHT * 3, dtype=np.uint32).astype(np.uint8)
    return perceive(array_to_image(picture.reshape(HEIGHT, WIDTH, 3), "rgb8"), info)


KINDS = (
    Kind("images", make_image, lambda message: perceive(message, None)),
    Kind("camera_infos", make_calibration, feed_calibration),
    Kind("compressed", make_compressed, lambda message: perceive(message, None)),
)
