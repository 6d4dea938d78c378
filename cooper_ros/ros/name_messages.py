"""Messages of detectors and label images -> `NamedBox` and labels; what is bad in them is counted.

vision_msgs is optional, and its fields changed between distributions: they are read by name.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.box_surface import Box
from cooper_ros.core.classes import STUFF
from cooper_ros.core.errors import InvalidImageError, shown
from cooper_ros.core.named_maps import UNNAMED, NamedBox, without_doubles
from cooper_ros.reasoning.vocabulary import clean_name
from cooper_ros.ros.conversion import image_to_array

MAX_DETECTIONS = 256
"""Detections of one message that are read; a detector with more of them is not one."""
ASPECT_TOLERANCE = 0.01

NO_NAME = "detections without a class id"
NO_LETTERS = "names without a letter"
BAD_SCORE = "scores that are not in [0, 1]"
OUTSIDE = "boxes outside the image"
BAD_BOX = "boxes without a size"
TOO_MANY = f"detections beyond the first {MAX_DETECTIONS}"
TWICE = "detections of one thing twice"
TABLE_FULL = f"names beyond the first {UNNAMED}"
NUMBER_ONLY = "class numbers without a name in label_info"


class NameTable:
    """Every name that was seen since activation, with its class id (any thread).

    The first ids are the model's classes. `stuff`: names without instances.
    """

    def __init__(self, names: Sequence[str] = (), stuff: Sequence[str] = STUFF) -> None:
        self._lock = threading.Lock()
        self._names = list(names)
        self._ids = {name: index for index, name in enumerate(names)}
        self.stuff: frozenset[str] = frozenset(stuff)

    @property
    def names(self) -> tuple[str, ...]:
        """Names by class id."""
        with self._lock:
            return tuple(self._names)

    def id_of(self, name: str, problems: Counter[str]) -> int:
        """Class id of a name as it came, -1 with a counted problem where it has none."""
        cleaned = clean_name(name)
        if not cleaned:
            problems[NO_LETTERS] += 1
            return -1
        with self._lock:
            if cleaned not in self._ids:
                if len(self._names) >= UNNAMED:
                    problems[TABLE_FULL] += 1
                    return -1
                self._ids[cleaned] = len(self._names)
                self._names.append(cleaned)
            return self._ids[cleaned]

    def note_stuff(self, name: str) -> None:
        """Note that things of this name are not counted."""
        with self._lock:
            self.stuff |= {clean_name(name)}


def read_label_info(message: Any) -> tuple[dict[int, str], frozenset[str]]:
    """(name by number, names without instances) of a LabelInfo of vision_msgs or of this package.
    """
    if hasattr(message, "class_map"):
        return {int(row.class_id): str(row.class_name) for row in message.class_map}, frozenset()
    numbers = [int(number) for number in message.class_ids]
    names = dict(zip(numbers, message.names, strict=False))
    countable = zip(message.names, message.countable, strict=False)
    return names, frozenset(name for name, counted in countable if not counted)


def read_detections(
    message: Any,
    table: NameTable,
    numbers: Mapping[int, str],
    size: tuple[int, int],
    source: str,
    min_score: float,
    problems: Counter[str],
) -> list[NamedBox]:
    """The detections of a Detection2DArray that can be used; the others are counted in `problems`.

    `size`: (width, height) [px] of the image. `numbers`: names of class ids that are numbers.
    """
    found = []
    detections = list(message.detections)
    if len(detections) > MAX_DETECTIONS:
        problems[TOO_MANY] += len(detections) - MAX_DETECTIONS
    for detection in detections[:MAX_DETECTIONS]:
        best = _best(detection.results, problems)
        if best is None:
            continue
        text, score = best
        if score < min_score:
            continue
        name = _name(text, numbers, problems)
        box = _box(detection.bbox, size, problems) if name else None
        class_id = table.id_of(name, problems) if name and box else -1
        if class_id < 0 or box is None:
            continue
        number = str(getattr(detection, "id", "")).strip()
        instance = int(number) if number.isascii() and number.isdecimal() else 0
        found.append(NamedBox(class_id, score, box, source, instance if instance < 65536 else 0))
    once = without_doubles(found)
    if len(once) < len(found):
        problems[TWICE] += len(found) - len(once)
    return once


def _best(results: Sequence[Any], problems: Counter[str]) -> tuple[str, float] | None:
    """(class id, score) of the hypothesis with the best usable score."""
    best: tuple[str, float] | None = None
    bad = False
    for result in results:
        hypothesis = getattr(result, "hypothesis", result)
        text = str(getattr(hypothesis, "class_id", getattr(hypothesis, "id", ""))).strip()
        score = float(hypothesis.score)
        if not (math.isfinite(score) and 0.0 <= score <= 1.0):
            problems[BAD_SCORE] += 1
            bad = True
        elif text and (best is None or score > best[1]):
            best = text, score
    if best is None and not bad:
        problems[NO_NAME] += 1
    return best


def _name(text: str, numbers: Mapping[int, str], problems: Counter[str]) -> str:
    if not (text.isascii() and text.isdecimal()):
        return text
    name = numbers.get(int(text)) if len(text) < 10 else None
    if name is None:
        problems[NUMBER_ONLY] += 1
        return ""
    return name


def _box(bbox: Any, size: tuple[int, int], problems: Counter[str]) -> Box | None:
    """The part of a box inside the image (x, y, width, height), None with a counted problem."""
    centre = getattr(bbox.center, "position", bbox.center)
    theta = float(getattr(bbox.center, "theta", 0.0))
    values = (float(centre.x), float(centre.y), float(bbox.size_x), float(bbox.size_y), theta)
    if not all(map(math.isfinite, values)) or not (values[2] > 0.0 and values[3] > 0.0):
        problems[BAD_BOX] += 1
        return None
    u, v, across, down, _ = values
    sine, cosine = abs(math.sin(theta)), abs(math.cos(theta))
    width, height = across * cosine + down * sine, across * sine + down * cosine
    left, top = max(round(u - width / 2.0), 0), max(round(v - height / 2.0), 0)
    right = min(round(u + width / 2.0), size[0])
    bottom = min(round(v + height / 2.0), size[1])
    if right <= left or bottom <= top:
        problems[OUTSIDE] += 1
        return None
    return left, top, right - left, bottom - top


def read_labels(
    message: Any, table: NameTable, numbers: Mapping[int, str], size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Class ids of our table uint8 [h, w] of a label image; `UNNAMED` where it has no name.

    Raises InvalidImageError for another encoding, a shape unlike the image's, or when no value of
    it has a name.
    """
    values = _plane(message, ("mono8", "mono16", "8UC1", "16UC1"), size, "a label image")
    lookup = np.full(65536, UNNAMED, np.uint8)
    problems: Counter[str] = Counter()
    present = np.flatnonzero(np.bincount(values.reshape(-1), minlength=1))
    named = [int(number) for number in present if int(number) in numbers]
    if not named:
        raise InvalidImageError(
            f"none of its values ({shown(present[:8].tolist())}) has a name in label_info"
        )
    for number in named:
        class_id = table.id_of(numbers[number], problems)
        if class_id >= 0:
            lookup[number] = class_id
    return lookup[values]


def read_instances(message: Any, size: tuple[int, int]) -> NDArray[np.uint16]:
    """Instance numbers uint16 [h, w], 0 = none. Raises InvalidImageError as `read_labels`."""
    allowed = ("mono8", "mono16", "8UC1", "16UC1")
    return _plane(message, allowed, size, "an image of instance masks").astype(np.uint16)


def _plane(
    message: Any, allowed: tuple[str, ...], size: tuple[int, int], what: str
) -> NDArray[Any]:
    if message.encoding not in allowed:
        raise InvalidImageError(
            f"{what} must be mono8 or mono16, got {shown(message.encoding)}"
        )
    values = image_to_array(message)
    height, width = values.shape
    if abs(width * size[1] / (height * size[0]) - 1.0) > ASPECT_TOLERANCE:
        raise InvalidImageError(
            f"it is {width}x{height}, the image {size[0]}x{size[1]}: it does not show the same"
        )
    return values
