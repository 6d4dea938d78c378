"""The same questions about the frames of a bag, with the same answers every time.

Each question carries its image and calibration, so that neither timing nor a lost message decides
which frame it is about: the same bag, model folder, seed and inference engine give the same
answers.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from cooper_ros.core.errors import BagError
from cooper_ros.core.types import SpatialAnswer
from cooper_ros.ros.bags.reading import COMPRESSED, Bag, Topic
from cooper_ros.ros.camera_infos import is_rectified, rectified_info
from cooper_ros.ros.conversion import array_to_image, compressed_to_rgb
from cooper_ros.ros.messages import time_to_ns


def frames(
    bag: Bag, image: Topic, info: Topic | None, every: int = 1, limit: int | None = None
) -> Iterator[tuple[Image, CameraInfo | None]]:
    """Every n-th image (compressed ones decoded) with the newest calibration before it.

    Images that come before the first calibration get that first one: cameras often publish both
    at once, in either order. Rectified images (by the topic's name) get a calibration of their own.
    """
    if every < 1:
        raise BagError(f"every must be at least 1, got {every}")
    newest = _first(bag, info)
    rectified = is_rectified("auto", image.name)
    seen = 0
    for message in bag.messages([image.name, *([info.name] if info else [])]):
        if info is not None and message.topic == info.name:
            newest = deserialize_message(message.data, CameraInfo)
            continue
        if seen % every == 0:
            told = rectified_info(newest) if rectified and newest is not None else newest
            yield _picture(message.data, image.type_name), told
            if limit is not None and seen // every + 1 >= limit:
                return
        seen += 1


def _first(bag: Bag, info: Topic | None) -> CameraInfo | None:
    if info is None:
        return None
    first = next(bag.messages([info.name]), None)
    return deserialize_message(first.data, CameraInfo) if first else None


def _picture(data: bytes, type_name: str) -> Image:
    if type_name != COMPRESSED:
        return deserialize_message(data, Image)
    message = deserialize_message(data, CompressedImage)
    return array_to_image(compressed_to_rgb(message), "rgb8", message.header)


def ask_bag(
    client: Any,
    pictures: Iterable[tuple[Image, CameraInfo | None]],
    questions: Sequence[str],
    *,
    mode: str = "auto",
    timeout_s: float = 30.0,
) -> Iterator[dict[str, Any]]:
    """Ask every question about every frame; yields what `record_of` keeps."""
    for picture, info in pictures:
        for question in questions:
            answer = client.ask(
                question, mode=mode, image=picture, camera_info=info, timeout_s=timeout_s
            )
            yield record_of(answer, time_to_ns(picture.header.stamp))


def record_of(answer: SpatialAnswer, stamp_ns: int) -> dict[str, Any]:
    """An answer as JSON: what was said and measured, not how long it took. Unknown is None."""
    return {
        "stamp_ns": stamp_ns,
        "question": answer.question,
        "status": answer.status.name,
        "text": answer.text,
        "value": _number(answer.value),
        "unit": answer.unit,
        "measured": _number(answer.measured),
        "agree": answer.agree,
        "checked": answer.checked,
        "answered_by": answer.answered_by.name,
        "question_understood": answer.question_understood,
        "low": _number(answer.low),
        "high": _number(answer.high),
        "objects": [
            {
                "label": item.label,
                "box": list(item.box),
                "distance": _number(item.distance_m),
                "position": [_number(value) for value in item.position],
            }
            for item in answer.objects
        ],
        "scale_source": answer.scale_source.name,
        "model_id": answer.model_id,
        "message": answer.message,
    }


def digest_of(records: Iterable[dict[str, Any]]) -> str:
    """One number for all answers: equal when every one of them is equal (SHA-256, hex)."""
    digest = hashlib.sha256()
    for record in records:
        digest.update(json.dumps(record, sort_keys=True).encode())
        digest.update(b"\n")
    return digest.hexdigest()


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
