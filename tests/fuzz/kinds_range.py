"""Range points and depth images of other sensors, through the fit that gives a frame its metres."""

from __future__ import annotations

import array
from functools import lru_cache
from typing import Any

import numpy as np
from fuzzing import FLOATS, NUMBERS, TEXTS, Kind, pick
from kinds_images import toy_pipeline
from sensor_msgs.msg import Image, PointCloud2, PointField

from cooper_ros.core.errors import FrameError
from cooper_ros.core.types import Frame, Intrinsics, ScaleSource
from cooper_ros.ros.conversion import array_to_image
from cooper_ros.ros.evidence import EvidenceSources
from cooper_ros.ros.ranges import Reading
from cooper_ros.ros.scaling import Scaling
from cooper_ros.ros.worker import Snapshot

SIZE = (24, 18)
FRAME = "camera"
STAMP_NS = 10**18
FIELDS = ("x", "y", "z", "intensity", "ring")


def make_cloud(random: np.random.Generator) -> PointCloud2:
    """Points in front of the camera, then fields, steps, sizes and numbers made wrong."""
    count = int(random.integers(0, 200))
    wide = random.random() < 0.3
    points = random.normal(0.0, 1.0, (count, 3)).astype("<f8" if wide else "<f4")
    points[:, 2] = np.abs(points[:, 2]) + 0.5
    if count and random.random() < 0.4:
        for _ in range(int(random.integers(1, 20))):
            with np.errstate(over="ignore"):
                points[int(random.integers(0, count)), int(random.integers(0, 3))] = pick(
                    random, FLOATS
                )
    size = 8 if wide else 4
    kind = PointField.FLOAT64 if wide else PointField.FLOAT32
    message = PointCloud2(height=1, width=count, point_step=3 * size, row_step=3 * size * count)
    message.fields = [
        PointField(name=name, offset=size * i, datatype=kind, count=1)
        for i, name in enumerate("xyz")
    ]
    message.data = array.array("B", points.tobytes())
    for _ in range(int(random.integers(0, 4))):
        field = pick(random, ("width", "height", "point_step", "row_step", "data", "fields",
                              "is_bigendian"))  # fmt: skip
        if field == "data":
            message.data = array.array("B", random.bytes(int(random.integers(0, 500))))
        elif field == "is_bigendian":
            message.is_bigendian = bool(random.integers(0, 2))
        elif field == "fields" and message.fields:
            one = pick(random, message.fields)
            one.name = pick(random, (*FIELDS, *TEXTS))
            one.offset = pick(random, (*NUMBERS, one.offset))
            one.datatype = int(random.integers(0, 12))
            one.count = pick(random, (0, 1, 3, 2**32 - 1))
            if random.random() < 0.3:
                message.fields = message.fields[: int(random.integers(0, 3))]
        elif field != "fields":
            setattr(message, field, pick(random, (*NUMBERS, count, 12, 16)))
    return message


def make_depth(random: np.random.Generator) -> Image:
    """A registered depth image, some of it wrong."""
    shape = (int(pick(random, (SIZE[1], 9, 36, 1))), int(pick(random, (SIZE[0], 12, 48, 1))))
    if random.random() < 0.5:
        depth = np.abs(random.normal(2.0, 1.0, shape)).astype(np.float32)
        for _ in range(int(random.integers(0, 30))):
            with np.errstate(over="ignore"):
                depth[tuple(int(random.integers(0, n)) for n in shape)] = pick(random, FLOATS)
        message = array_to_image(depth, "32FC1")
    else:
        message = array_to_image(random.integers(0, 65535, shape).astype(np.uint16), "16UC1")
    if random.random() < 0.3:
        message.encoding = pick(random, ("32FC1", "16UC1", "mono16", "rgb8", *TEXTS))
    if random.random() < 0.3:
        setattr(message, pick(random, ("width", "height", "step")), pick(random, NUMBERS))
    return message


def make(random: np.random.Generator) -> tuple[Any, dict[str, Any]]:
    """(message, settings of the node's parameters of this matter)."""
    message = make_cloud(random) if random.random() < 0.7 else make_depth(random)
    message.header.frame_id = FRAME if random.random() < 0.8 else pick(random, TEXTS)
    message.header.stamp.sec = STAMP_NS // 10**9 if random.random() < 0.8 else pick(
        random, (-(2**31), 0, 2**31 - 1)
    )
    settings = {"camera_height_m": float(pick(random, (0.0, 0.0, 0.5, 100.0))),
                "camera_pitch_deg": float(pick(random, (0.0, 20.0, -89.0))),
                "depth_source": pick(random, ("model", "model", "external"))}  # fmt: skip
    return message, settings


class OneFrame:
    """TF that knows the camera alone."""

    def lookup(self, target: str, source: str, stamp_ns: int) -> np.ndarray:
        if source != target:
            raise FrameError(f"no transform from {source[:40]!r} to {target!r}")
        return np.eye(4)


class OneReading:
    """A topic on which this message arrived."""

    topic, problem = "/range_points", ""

    def __init__(self, message: Any) -> None:
        self._reading = Reading(message)

    def nearest(self, stamp_ns: int, received: float) -> Reading:
        return self._reading


@lru_cache(maxsize=1)
def frame() -> Frame:
    rgb = np.random.default_rng(0).integers(0, 255, (SIZE[1], SIZE[0], 3)).astype(np.uint8)
    return Frame(rgb, Intrinsics.from_fov(60.0, *SIZE), STAMP_NS, FRAME)


def feed(value: tuple[Any, dict[str, Any]]) -> str:
    message, settings = value
    is_image = isinstance(message, Image)
    reading = OneReading(message)
    sources: Any = EvidenceSources(OneFrame(), reading, reading if is_image else None)  # type: ignore[arg-type]
    for name, content in settings.items():
        object.__setattr__(sources.settings, name, content)
    warnings: list[str] = []
    scaling = Scaling(sources, warnings.append)
    context = toy_pipeline().see(frame())
    scaling.apply(context, Snapshot(array_to_image(frame().rgb, "rgb8")))
    depth = context.depth()
    known = depth.depth[np.isfinite(depth.depth)]
    assert (known > 0.0).all(), "depth behind the camera"
    assert all(0 < len(text) < 2000 for text in warnings)
    if depth.scale_source not in (ScaleSource.UNKNOWN, ScaleSource.MODEL_PRIOR):
        return "measured"
    assert warnings, "neither used nor refused with a reason"
    return "refused"


KINDS = (Kind("range_points", make, feed),)
