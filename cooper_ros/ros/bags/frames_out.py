"""A bag's camera and registered depth as a folder of RGB-D pictures, for scoring and training.

Writes `color_NNNNN.png`, `depth_NNNNN.png` (uint16 [mm], 0 = no measurement), `intrinsics.json` and
`frames.jsonl` (name, stamps): what `cooper eval rgbd` reads. Depth belongs to the image whose stamp
is nearest; an image without depth near enough in time is left out and counted.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from cooper_ros.core.errors import BagError
from cooper_ros.core.types import Intrinsics
from cooper_ros.ros.bags.reading import COMPRESSED, IMAGE, Bag, Recorded, Topic
from cooper_ros.ros.camera_infos import is_rectified, rectified_info
from cooper_ros.ros.conversion import (
    camera_info_to_intrinsics,
    compressed_to_rgb,
    image_to_depth,
    image_to_rgb,
)
from cooper_ros.ros.messages import time_to_ns

KEPT = 32
"""Depth images, and images that wait for their depth, that are kept at a time."""
MAX_MM = 65535


@dataclass
class Written:
    """What became of the images that were chosen."""

    frames: int = 0
    without_depth: int = 0
    unusable: int = 0
    first_problem: str = ""


class RgbdWriter:
    """Pairs images with depth and writes them; `intrinsics` are those of the first image."""

    def __init__(self, out: Path, tolerance_s: float, progress: Callable[[], object]) -> None:
        if out.exists() and any(out.iterdir()):
            raise BagError(f"{out} is not empty: give a new folder, nothing is overwritten")
        out.mkdir(parents=True, exist_ok=True)
        self._out, self._tolerance_ns = out, round(tolerance_s * 1e9)
        self._progress = progress
        self._depths: deque[tuple[int, Image]] = deque(maxlen=KEPT)
        self._colours: deque[tuple[int, NDArray[np.uint8]]] = deque()
        self._lines: list[str] = []
        self.intrinsics: Intrinsics | None = None
        self.result = Written()

    def add_depth(self, message: Image) -> None:
        """A depth image, in the order of the bag."""
        self._depths.append((time_to_ns(message.header.stamp), message))
        self._pair()

    def add_colour(self, stamp_ns: int, rgb: NDArray[np.uint8], info: CameraInfo | None) -> None:
        """An image uint8 [H, W, 3] that is to be written, with its calibration."""
        if self.intrinsics is None and info is not None:
            self.intrinsics = camera_info_to_intrinsics(info, rgb.shape[1], rgb.shape[0])
        self._colours.append((stamp_ns, rgb))
        self._pair(final=len(self._colours) > KEPT)

    def finish(self) -> Written:
        """Pair what is left and write the lists."""
        while self._colours:
            self._pair(final=True)
        (self._out / "frames.jsonl").write_text("".join(self._lines), encoding="utf-8")
        if self.intrinsics is not None:
            k = self.intrinsics
            text = {
                "fx": k.fx, "fy": k.fy, "cx": k.cx, "cy": k.cy, "width": k.width,
                "height": k.height, "distortion": list(k.distortion),
                "distortion_model": k.distortion_model,
            }  # fmt: skip
            (self._out / "intrinsics.json").write_text(json.dumps(text), encoding="utf-8")
        return self.result

    def _pair(self, final: bool = False) -> None:
        """Write waiting images whose depth cannot come nearer any more; `final`: the first one."""
        while self._colours:
            stamp, rgb = self._colours[0]
            if not final and (not self._depths or self._depths[-1][0] < stamp):
                return
            self._colours.popleft()
            final = False
            near = min(self._depths, key=lambda d: abs(d[0] - stamp), default=None)
            if near is None or abs(near[0] - stamp) > self._tolerance_ns:
                self.result.without_depth += 1
            else:
                self._write(stamp, rgb, *near)

    def _write(
        self, stamp: int, rgb: NDArray[np.uint8], depth_stamp: int, message: Image
    ) -> None:
        try:
            depth = image_to_depth(message)
            if depth.shape != rgb.shape[:2]:
                raise BagError(
                    f"depth is {depth.shape[1]}x{depth.shape[0]}, the image "
                    f"{rgb.shape[1]}x{rgb.shape[0]}: record depth that is registered to the image"
                )
        except (ValueError, BagError) as error:
            self._refuse(str(error))
            return
        known = np.isfinite(depth) & (depth > 0.0) & (depth * 1000.0 <= MAX_MM)
        millimetres = np.where(known, np.rint(np.where(known, depth, 0.0) * 1000.0), 0)
        name = f"{self.result.frames:05d}"
        self._save(f"color_{name}.png", np.ascontiguousarray(rgb[..., ::-1]))
        self._save(f"depth_{name}.png", millimetres.astype(np.uint16))
        line = {"name": name, "stamp_ns": stamp, "depth_stamp_ns": depth_stamp}
        self._lines.append(json.dumps(line) + "\n")
        self.result.frames += 1
        self._progress()

    def _save(self, name: str, values: NDArray[Any]) -> None:
        if not cv2.imwrite(str(self._out / name), values):
            raise BagError(f"cannot write {self._out / name}: is the disk full?")

    def _refuse(self, problem: str) -> None:
        self.result.unusable += 1
        self.result.first_problem = self.result.first_problem or problem


def find_depth(bag: Bag, name: str, image: Topic) -> Topic:
    """The depth topic of this name, or the only one that looks like one."""
    if name:
        wanted = bag.choose([name])[0]
        return next(topic for topic in bag.topics if topic.name == wanted)
    found = [
        t for t in bag.topics
        if t.type_name == IMAGE and "depth" in t.name and t.name != image.name and t.count
    ]
    if len(found) != 1:
        names = ", ".join(t.name for t in found) or "none"
        raise BagError(f"which depth? topics that look like it: {names}; name one (--depth)")
    return found[0]


def write_rgbd(
    bag: Bag,
    out: Path,
    image: Topic,
    info: Topic | None,
    depth: Topic,
    *,
    every: int = 1,
    tolerance_s: float = 0.02,
    progress: Callable[[], object] = lambda: None,
) -> tuple[Written, Intrinsics | None]:
    """Write every n-th image with its depth; raises BagError."""
    if every < 1:
        raise BagError(f"every must be at least 1, got {every}")
    writer = RgbdWriter(out, tolerance_s, progress)
    rectified = is_rectified("auto", image.name)
    newest: CameraInfo | None = None
    if info is not None:
        first = next(bag.messages([info.name]), None)
        newest = deserialize_message(first.data, CameraInfo) if first else None
    seen = 0
    names = [image.name, depth.name, *([info.name] if info else [])]
    for message in bag.messages(names):
        if message.topic == depth.name:
            writer.add_depth(deserialize_message(message.data, Image))
        elif message.topic == image.name:
            if seen % every == 0:
                stamp_ns, rgb = _colour(message)
                info_now = rectified_info(newest) if rectified and newest else newest
                writer.add_colour(stamp_ns, rgb, info_now)
            seen += 1
        else:
            newest = deserialize_message(message.data, CameraInfo)
    return writer.finish(), writer.intrinsics


def _colour(message: Recorded) -> tuple[int, NDArray[np.uint8]]:
    if message.type_name == COMPRESSED:
        compressed = deserialize_message(message.data, CompressedImage)
        return time_to_ns(compressed.header.stamp), compressed_to_rgb(compressed)
    picture = deserialize_message(message.data, Image)
    return time_to_ns(picture.header.stamp), image_to_rgb(picture)
