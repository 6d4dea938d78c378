"""The data that travels through the package: frozen dataclasses of plain numpy.

Conventions for all of them: metres, seconds, pixels; an unknown number is NaN, never 0; integer
pixel coordinates are pixel centres (column 0 has u = 0); positions are in the camera optical frame
(x right, y down, z forward, REP-103); `stamp_ns` is the acquisition time of the image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.camera import Frame, Intrinsics

__all__ = [
    "NAN",
    "UNKNOWN_POINT",
    "AnsweredBy",
    "DepthMap",
    "Frame",
    "Intrinsics",
    "Kind",
    "ObjectReference",
    "Point3",
    "ReasoningStep",
    "ScaleReport",
    "ScaleSource",
    "Segment",
    "Segmentation",
    "SpatialAnswer",
    "Status",
    "StepType",
    "succeeded",
]

NAN = math.nan
Point3 = tuple[float, float, float]
UNKNOWN_POINT: Point3 = (NAN, NAN, NAN)
MODEL_SOURCE = "model"
"""`source` of what the model itself found and named."""

REGION, MASK, BOX = "region", "mask", "box"
"""`outline` of a segment: pixels of one class, the mask of one object, or the nearest surface in a
box that came without a mask."""


class ScaleSource(IntEnum):
    """Where the metric scale of a depth map comes from (constants of DepthInfo.msg)."""

    UNKNOWN = 0
    MODEL_PRIOR = 1
    CALIBRATED = 2
    ANCHORED = 3
    EXTERNAL = 4


class Kind(IntEnum):
    """What an answer's value means (KIND_ constants of SpatialAnswer.msg)."""

    TEXT = 0
    DISTANCE = 1
    SIZE = 2
    COUNT = 3
    BOOLEAN = 4
    CHOICE = 5
    POSITION = 6


class Status(IntEnum):
    """How a question ended (STATUS_ constants of SpatialAnswer.msg)."""

    UNKNOWN = 0
    OK = 1
    NO_ANSWER = 2
    UNPARSED = 3
    STALE = 4
    CANCELED = 5
    ERROR = 6
    AMBIGUOUS = 7
    NOT_VISIBLE = 8
    NO_IMAGE = 9
    NOT_METRIC = 10
    TIMEOUT = 11
    BAD_QUESTION = 12
    BUSY = 13
    DISAGREES = 14
    REMEMBERED = 15


def succeeded(status: Status, allow_memory: bool = False) -> bool:
    """Whether a robot may act on an answer of this status; remembered ones only where allowed."""
    return status is Status.OK or (allow_memory and status is Status.REMEMBERED)


class AnsweredBy(IntEnum):
    """Where the value of an answer comes from (ANSWERED_BY_ constants of SpatialAnswer.msg)."""

    UNKNOWN = 0
    MODEL = 1
    MEASURED = 2
    BOTH = 3


class StepType(IntEnum):
    """Type of one turn of the reasoning trace (constants of ReasoningStep.msg)."""

    UNKNOWN = 0
    THINK = 1
    DEPTH = 2
    SEGMENTATION = 3
    ANSWER = 4


@dataclass(frozen=True, slots=True)
class ScaleReport:
    """Where the metres of a depth map come from and how far to trust them (mirrors DepthInfo.msg).

    Published depth = `scale` * (model depth) ** `exponent` + `shift_m`. `half_widths`: rows (depth
    [m], half width of ln(true / published) of the 90 % interval), by rising depth, empty where
    nothing is known. `age_s`: time between the anchors and the image. `message` is for people.
    `completion_rmse_m`: residual of the anchors after completion, leave-one-out, NaN without.
    """

    source: ScaleSource = ScaleSource.UNKNOWN
    method: str = "none"
    scale: float = NAN
    exponent: float = NAN
    shift_m: float = NAN
    rmse_m: float = NAN
    anchor_count: int = 0
    anchor_sources: tuple[str, ...] = ()
    inlier_share: float = NAN
    half_widths: tuple[tuple[float, float], ...] = ()
    age_s: float = 0.0
    message: str = ""
    completion_rmse_m: float = NAN

    def metres(self, nominal: NDArray[np.floating]) -> NDArray[np.floating]:
        """Depth of the model's code in published metres; NaN where it would not be positive."""
        with np.errstate(invalid="ignore", divide="ignore"):
            depth = self.scale * nominal**self.exponent + self.shift_m
            return np.where(depth > 0.0, depth, np.nan)

    def half_width(self, depth_m: float) -> float:
        """Half width of ln(true / published) at this depth [m]; NaN if unknown."""
        if not self.half_widths or not depth_m > 0.0:
            return NAN
        depths, widths = zip(*self.half_widths, strict=True)
        return float(np.interp(math.log(depth_m), np.log(depths), widths))

    def bounds(self, length_m: float, depth_m: float = NAN) -> tuple[float, float]:
        """(low, high) [m]: the 90 % interval of a length seen at `depth_m` (default: its own)."""
        width = self.half_width(depth_m if depth_m == depth_m else length_m)
        return length_m * math.exp(-width), length_m * math.exp(width)

    def length_bounds(
        self, length_m: float, distances_m: Sequence[float], widths: Sequence[float] = ()
    ) -> tuple[float, float]:
        """(low, high) [m] of a length on or between objects at these distances [m]. `widths`: half
        width of ln(true / published) of each, NaN or left out where only its distance counts.

        On one object (its size, its distance) an error of depth stretches the length as it does the
        distance. Between two, each may be off by its own interval along its line of sight: the
        length changes by the root of the squares of both, and never below 0.
        """
        known = [*widths, *[NAN] * len(distances_m)]
        own = [
            width if width == width else self.half_width(distance)
            for distance, width in zip(distances_m, known, strict=False)
        ]
        if len(distances_m) != 2:
            width = own[0] if own and own[0] == own[0] else self.half_width(length_m)
            return length_m * math.exp(-width), length_m * math.exp(width)
        off = [d * math.expm1(width) for d, width in zip(distances_m, own, strict=True)]
        together = math.hypot(*off)
        return max(length_m - together, 0.0), length_m + together

    @property
    def error_90(self) -> float:
        """Upper relative error of the 90 % interval, median over the known depths; NaN if none."""
        if not self.half_widths:
            return NAN
        return math.expm1(float(np.median([width for _, width in self.half_widths])))


@dataclass(frozen=True, slots=True, eq=False)
class DepthMap:
    """Depth along the optical axis (REP-118 z, not range) and what the model coded for it.

    `depth` f32 [H, W] metres, NaN where unknown (everywhere when not `metric`); `relative` f32
    [H, W] in [0, 1], 0 = near; `confidence` f32 [H, W] in [0, 1], NaN if the model gives none.
    `scale` says how the metres were found, None where the model's own were taken as they are.
    `confidence_method`: `error_below_25pct` (calibrated: the probability of that), `channel_spread`
    (how alike the model drew the three channels, uncalibrated) or `unknown`.
    Where anchors completed the depth, `half_width` f32 [H, W] is that of the 90 % interval of
    ln(true / depth) at each pixel; None: `scale` says it by depth alone. `sensed` bool [H, W]: what
    a sensor measured, where the model filled its holes; None: all pixels have `scale_source`.
    """

    depth: NDArray[np.float32]
    relative: NDArray[np.float32]
    confidence: NDArray[np.float32]
    metric: bool
    scale_source: ScaleSource = ScaleSource.UNKNOWN
    intrinsics: Intrinsics | None = None
    stamp_ns: int = 0
    frame_id: str = ""
    scale: ScaleReport | None = None
    confidence_method: str = "unknown"
    half_width: NDArray[np.float32] | None = None
    sensed: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """One connected region of a label map.

    `instance` is its value in `Segmentation.instances` (0 for stuff such as floor); `box` is
    (x, y, width, height) [px]; `distance_m` is the range to the visible surface and `position`
    the component-wise median of its points [m], both NaN without metric depth. An object that is
    followed over frames keeps its `track_id`; 0 = not followed. `source`: "model", or the topic
    that named it; `outline`: where its pixels come from, see `REGION`.
    """

    class_id: int
    instance: int
    label: str
    score: float
    box: tuple[int, int, int, int]
    pixel_count: int
    distance_m: float = NAN
    distance_stddev_m: float = NAN
    position: Point3 = UNKNOWN_POINT
    track_id: int = 0
    source: str = MODEL_SOURCE
    outline: str = REGION


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """Class ids per pixel and the regions they form.

    `labels` uint8 [H, W] class ids; `instances` uint16 [H, W], 0 = stuff or none; `names[i]` is the
    name of class i; `score` f32 [H, W] in [0, 1]. `image_size`: (width, height) [px] of the image
    in which boxes and pixel counts are, where that is larger than the maps; else (0, 0).
    """

    labels: NDArray[np.uint8]
    instances: NDArray[np.uint16]
    names: tuple[str, ...]
    score: NDArray[np.float32]
    segments: tuple[Segment, ...] = ()
    stamp_ns: int = 0
    frame_id: str = ""
    image_size: tuple[int, int] = (0, 0)

    @property
    def full_size(self) -> tuple[int, int]:
        """(width, height) [px] of the image in which the boxes are."""
        height, width = self.labels.shape
        return self.image_size if all(self.image_size) else (width, height)

    def mask(self, segment: Segment) -> NDArray[np.bool_]:
        """Bool [H, W] of the pixels of one of `segments`."""
        return (self.instances == segment.instance) & (self.labels == segment.class_id)

    def of_class(self, label: str) -> tuple[Segment, ...]:
        """Segments with this class name, in stored order."""
        return tuple(segment for segment in self.segments if segment.label == label)


@dataclass(frozen=True, slots=True)
class ObjectReference:
    """An object that an answer or a measurement speaks of; fields as in `Segment`.

    `source` is "" where nobody found it: a name of the request.
    """

    label: str
    class_id: int = -1
    instance: int = 0
    box: tuple[int, int, int, int] = (0, 0, 0, 0)
    position: Point3 = UNKNOWN_POINT
    distance_m: float = NAN
    score: float = NAN
    track_id: int = 0
    source: str = ""

    @classmethod
    def from_segment(cls, segment: Segment) -> ObjectReference:
        """The reference to a segment."""
        return cls(
            segment.label,
            segment.class_id,
            segment.instance,
            segment.box,
            segment.position,
            segment.distance_m,
            segment.score,
            segment.track_id,
            segment.source,
        )


@dataclass(frozen=True, slots=True)
class ReasoningStep:
    """One turn of the reasoning trace: model text without tags, or a generated map."""

    type: StepType
    text: str = ""
    token_count: int = 0
    seconds: float = NAN


@dataclass(frozen=True, slots=True)
class SpatialAnswer:
    """The answer to one question (mirrors SpatialAnswer.msg).

    `value` is read only from text the model wrote: metres for DISTANCE and SIZE, a number for
    COUNT, 0 or 1 for BOOLEAN, the index of the chosen object in the question for CHOICE, NaN
    otherwise. `measured` is the same quantity computed from the maps of the same frame, NaN if
    that was not possible; it never feeds into `value`. `agree` is False when either is NaN.
    `low` and `high` bound `value` at the interval level of the model card, NaN if uncalibrated;
    `measured_low` and `measured_high` bound `measured` (90 %), NaN if unknown. `gravity_known`:
    heights go along gravity, not along the image axes.
    `camera` names the camera where there are several. `question_understood`: the question in
    canonical words, "" if it was refused. `answered_by` says where `value` comes from;
    `memory_age_s` how long the object was not seen (0: it is in this image); `checked` whether the
    maps of the frame confirm that the things asked for are there.
    """

    question: str
    kind: Kind = Kind.TEXT
    status: Status = Status.UNKNOWN
    text: str = ""
    value: float = NAN
    unit: str = ""
    measured: float = NAN
    agree: bool = False
    low: float = NAN
    high: float = NAN
    confidence: float = NAN
    objects: tuple[ObjectReference, ...] = ()
    trace: tuple[ReasoningStep, ...] = ()
    scale_source: ScaleSource = ScaleSource.UNKNOWN
    stamp_ns: int = 0
    frame_id: str = ""
    model_id: str = ""
    message: str = ""
    seconds: float = NAN
    camera: str = ""
    measured_low: float = NAN
    measured_high: float = NAN
    gravity_known: bool = False
    question_understood: str = ""
    answered_by: AnsweredBy = AnsweredBy.UNKNOWN
    memory_age_s: float = 0.0
    checked: bool = False

    @property
    def choice_index(self) -> int:
        """Index of the chosen object for KIND_CHOICE, -1 if none."""
        if self.kind is Kind.CHOICE and math.isfinite(self.value):
            return int(self.value)
        return -1
