"""`cooper eval eyes`: a depth camera and a detector in simulated rooms, and no model.

The questions of `cooper eval sim`, answered by measurement alone, with two kits: `boxes`, exact
depth with boxes that have no masks, and `sensors`, depth and masks with the errors of real ones.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.classes import CLASS_NAMES, STUFF
from cooper_ros.core.errors import QuestionError
from cooper_ros.core.named_maps import UNNAMED, NamedBox, NamedImage, name_maps
from cooper_ros.core.types import DepthMap, ScaleReport, ScaleSource, Status
from cooper_ros.evaluation.questions import questions_of_frame
from cooper_ros.evaluation.scenes import TestFrame
from cooper_ros.runtime.measured import MeasuredPipeline
from cooper_ros.runtime.naming import Naming
from cooper_ros.sim.questions import THINGS

STEREO = 0.004
"""Error of the stereo depth at 1 m [m], one standard deviation; it grows with the square of range
(a baseline of 5 cm, 600 px of focal length and an eighth of a pixel)."""
SHARED = 0.5  # share of that error's variance that neighbouring pixels have in common
EDGE_STEP, EDGE_PX = 0.05, 2  # holes where the depth changes by more than this share, so wide
SENSOR_BIAS = 0.01
"""Error that all pixels of a frame share, as share of the depth: the sensor's calibration."""
RANGE_SIGMA = {"boxes": 0.02, "sensors": 0.005}
"""The node's parameter `range_sigma` for each kit."""
MASK_PX = 3
WRONG_NAMES = 0.05
GROUPS = {
    "distance": ("distance",),
    "order and side": ("nearer", "farther", "front", "behind", "left", "right"),
    "presence": ("presence",),
    "count": ("count",),
}
Given = tuple[NamedImage, DepthMap]


def boxes(item: TestFrame, rng: np.random.Generator) -> Given:
    """Exact depth, and a box around the visible part of each thing."""
    found = []
    for class_id, mask in _things(item):
        rows, columns = np.nonzero(mask)
        box = (
            int(columns.min()),
            int(rows.min()),
            int(np.ptp(columns)) + 1,
            int(np.ptp(rows)) + 1,
        )
        found.append(NamedBox(class_id, 0.9, box, "/detections"))
    return NamedImage(CLASS_NAMES, tuple(found)), _depth_map(item, item.depth, RANGE_SIGMA["boxes"])


def sensors(item: TestFrame, rng: np.random.Generator) -> Given:
    """Stereo depth with holes at edges; masks a little too small or too large; wrong names."""
    labels = np.full(item.classes.shape, UNNAMED, np.uint8)
    instances = np.zeros(item.classes.shape, np.uint16)
    kernel = np.ones((2 * MASK_PX + 1, 2 * MASK_PX + 1), np.uint8)
    for number, (class_id, mask) in enumerate(_things(item), start=1):
        change = cv2.dilate if rng.random() < 0.5 else cv2.erode
        changed = change(mask.astype(np.uint8), kernel) > 0
        mask = changed if changed.any() else mask
        if rng.random() < WRONG_NAMES:
            others = [name for name in THINGS if CLASS_NAMES.index(name) != class_id]
            class_id = CLASS_NAMES.index(str(rng.choice(others)))
        labels[mask], instances[mask] = class_id, number
    depth = _stereo(item.depth, rng)
    given = NamedImage(CLASS_NAMES, (), labels, instances, "/labels")
    return given, _depth_map(item, depth, RANGE_SIGMA["sensors"])


KITS: dict[str, Callable[[TestFrame, np.random.Generator], Given]] = {
    "boxes": boxes,
    "sensors": sensors,
}


def _things(item: TestFrame) -> list[tuple[int, NDArray[np.bool_]]]:
    """(class id, mask) of what a detector would find."""
    found = []
    for number in np.unique(item.instances[item.instances > 0]):
        mask = item.instances == number
        class_id = int(item.classes[mask][0])
        if CLASS_NAMES[class_id] not in STUFF and mask.sum() >= 0.0015 * mask.size:
            found.append((class_id, mask))
    return found


def _stereo(depth: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    fine = rng.standard_normal(depth.shape).astype(np.float32)
    coarse = rng.standard_normal((depth.shape[0] // 32 + 2, depth.shape[1] // 32 + 2))
    smooth = cv2.resize(coarse.astype(np.float32), depth.shape[::-1], interpolation=cv2.INTER_CUBIC)
    noise = math.sqrt(1.0 - SHARED) * fine + math.sqrt(SHARED) * smooth
    measured = depth * (1.0 + SENSOR_BIAS * rng.standard_normal()) + STEREO * depth**2 * noise
    low = cv2.erode(depth, np.ones((3, 3), np.uint8))
    high = cv2.dilate(depth, np.ones((3, 3), np.uint8))
    edge = cv2.dilate(
        (high > low * (1.0 + EDGE_STEP)).astype(np.uint8),
        np.ones((2 * EDGE_PX + 1, 2 * EDGE_PX + 1), np.uint8),
    )
    return np.where((edge > 0) | (measured <= 0.0), np.nan, measured).astype(np.float32)


def _depth_map(item: TestFrame, depth: NDArray[np.float32], sigma: float) -> DepthMap:
    width = 1.645 * math.hypot(sigma, 0.01)
    report = ScaleReport(
        ScaleSource.EXTERNAL, "sensor", half_widths=((0.1, width), (100.0, width))
    )
    camera = item.frame.intrinsics
    unknown = np.full((1, 1), np.nan, np.float32)
    return DepthMap(
        depth, depth, unknown, True, ScaleSource.EXTERNAL, camera, scale=report
    )


@dataclass(frozen=True)
class Scored:
    """One question: its family, whether it was answered, rightly, and within its interval."""

    family: str
    answered: bool
    right: bool
    error: float = math.nan
    covered: bool = False


def ask_frame(item: TestFrame, kit: str, count: int = 8) -> list[Scored]:
    """The questions about one picture, answered with this kit."""
    rng = np.random.default_rng([item.scene, item.index, *kit.encode()])
    given, depth = KITS[kit](item, rng)
    pipeline = MeasuredPipeline()
    pipeline.naming = Naming(names=CLASS_NAMES)
    context = pipeline.see(item.frame)
    context.gravity = item.gravity
    context.put_depth(depth)
    context.put_segmentation(name_maps(given, depth, item.frame.full_size))
    scored = []
    for question in questions_of_frame(item, count):
        try:
            answer = context.answer(question.text)
        except QuestionError:
            scored.append(Scored(question.family, False, False))
            continue
        if math.isnan(question.value):  # of what is not there
            right = answer.status is Status.NOT_VISIBLE
            scored.append(Scored("absent", True, right))
            continue
        answered = answer.status is Status.OK
        error = abs(answer.value / question.value - 1.0) if question.value else math.nan
        lengths = answer.unit == "m"
        right = answered and (error <= 0.10 if lengths else answer.value == question.value)
        covered = answered and answer.low <= question.value <= answer.high
        scored.append(Scored(question.family, answered, right, error, covered))
    return scored


def summarise(scored: Iterable[Scored]) -> dict[str, Any]:
    """Per group of families: `n`, `answered`, `right` of all, `right_of_answered`; of distances
    `coverage_90` of the answered."""
    by: dict[str, list[Scored]] = defaultdict(list)
    for item in scored:
        for group, families in GROUPS.items():
            if item.family in families:
                by[group].append(item)
                break
        else:
            by[item.family].append(item)
    table: dict[str, Any] = {}
    for group, items in by.items():
        answered = [item for item in items if item.answered]
        row = {
            "n": len(items),
            "answered": len(answered) / len(items),
            "right": sum(item.right for item in items) / len(items),
            "right_of_answered": sum(i.right for i in answered) / max(len(answered), 1),
        }
        if group in ("distance", "between", "width", "height"):
            row["coverage_90"] = sum(i.covered for i in answered) / max(len(answered), 1)
            row["median_rel_error"] = float(np.median([i.error for i in answered] or [math.nan]))
        table[group] = row
    return table


def table_of(kit: str, figures: dict[str, Any]) -> str:
    """The figures of a kit for people."""
    lines = [f"{kit:16s}      n  answered  right  of those answered  interval covers"]
    for group, row in sorted(figures.items()):
        covers = f"{row['coverage_90']:15.3f}" if "coverage_90" in row else ""
        lines.append(
            f"  {group:16s}{row['n']:5d}{row['answered']:10.3f}{row['right']:7.3f}"
            f"{row['right_of_answered']:19.3f}  {covers}".rstrip()
        )
    return "\n".join(lines)
