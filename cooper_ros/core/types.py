"""The data that travels through the package: frozen dataclasses of plain numpy.

Conventions for all of them: metres, seconds, pixels; an unknown number is NaN, never 0; integer
pixel coordinates are pixel centres (column 0 has u = 0); positions are in the camera optical frame
(x right, y down, z forward, REP-103); `stamp_ns` is the acquisition time of the image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.errors import IntrinsicsError, InvalidImageError

NAN = math.nan
Point3 = tuple[float, float, float]
UNKNOWN_POINT: Point3 = (NAN, NAN, NAN)


class ScaleSource(IntEnum):
    """Where the metric scale of a depth map comes from (constants of DepthInfo.msg)."""

    UNKNOWN = 0
    MODEL_PRIOR = 1
    CALIBRATED = 2
    ANCHORED = 3


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


class StepType(IntEnum):
    """Type of one turn of the reasoning trace (constants of ReasoningStep.msg)."""

    UNKNOWN = 0
    THINK = 1
    DEPTH = 2
    SEGMENTATION = 3
    ANSWER = 4


@dataclass(frozen=True, slots=True)
class Intrinsics:
    """Pinhole intrinsics [px] with optional lens distortion in OpenCV / CameraInfo order.

    `distortion_model`: a name of sensor_msgs/distortion_models ("plumb_bob",
    "rational_polynomial", "equidistant"). Distortion coefficients act on normalised coordinates
    and therefore survive `scaled` and `cropped` unchanged.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int
    distortion: tuple[float, ...] = ()
    distortion_model: str = "plumb_bob"

    @classmethod
    def from_fov(cls, hfov_deg: float, width: int, height: int) -> Intrinsics:
        """Square pixels, centred, with the given horizontal field of view [deg]."""
        if not 0.0 < hfov_deg < 180.0:
            raise IntrinsicsError(
                f"horizontal field of view must be between 0 and 180 degrees, got {hfov_deg}"
            )
        focal = 0.5 * width / math.tan(math.radians(hfov_deg) / 2.0)
        return cls(focal, focal, (width - 1) / 2.0, (height - 1) / 2.0, int(width), int(height))

    @property
    def is_valid(self) -> bool:
        """True when finite, with positive focal lengths and size."""
        numbers = (self.fx, self.fy, self.cx, self.cy, *self.distortion)
        return (
            all(math.isfinite(value) for value in numbers)
            and self.fx > 0.0
            and self.fy > 0.0
            and self.width > 0
            and self.height > 0
        )

    @property
    def is_distorted(self) -> bool:
        """True when any distortion coefficient is not zero."""
        return any(value != 0.0 for value in self.distortion)

    @property
    def hfov_deg(self) -> float:
        """Horizontal field of view [deg] of the undistorted pinhole."""
        return math.degrees(
            math.atan((self.cx + 0.5) / self.fx)
            + math.atan((self.width - 0.5 - self.cx) / self.fx)
        )

    def require_valid(self) -> Intrinsics:
        """Return self; raise IntrinsicsError that names the values when they cannot be used."""
        if not self.is_valid:
            raise IntrinsicsError(
                f"intrinsics are not usable (fx={self.fx}, fy={self.fy}, cx={self.cx}, "
                f"cy={self.cy}, size {self.width}x{self.height}): publish a calibrated camera_info"
            )
        return self

    def scaled(self, width: int, height: int) -> Intrinsics:
        """Intrinsics of the same image resized to `width` x `height`.

        Pixel centres are integers, so an edge-aligned resize maps u to (u + 0.5) s - 0.5.
        """
        if self.width <= 0 or self.height <= 0 or width <= 0 or height <= 0:
            raise IntrinsicsError(
                f"cannot scale intrinsics of a {self.width}x{self.height} image to {width}x{height}"
            )
        sx, sy = width / self.width, height / self.height
        return Intrinsics(
            self.fx * sx,
            self.fy * sy,
            (self.cx + 0.5) * sx - 0.5,
            (self.cy + 0.5) * sy - 0.5,
            int(width),
            int(height),
            self.distortion,
            self.distortion_model,
        )

    def cropped(self, x0: int, y0: int, width: int, height: int) -> Intrinsics:
        """Intrinsics of the window with top-left pixel (x0, y0)."""
        return Intrinsics(
            self.fx,
            self.fy,
            self.cx - x0,
            self.cy - y0,
            int(width),
            int(height),
            self.distortion,
            self.distortion_model,
        )

    def matrix(self) -> NDArray[np.float64]:
        """K as float64 [3, 3]."""
        return np.array(
            [[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]], np.float64
        )


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One camera image: `rgb` uint8 [H, W, 3]."""

    rgb: NDArray[np.uint8]
    intrinsics: Intrinsics | None = None
    stamp_ns: int = 0
    frame_id: str = ""

    def __post_init__(self) -> None:
        rgb: Any = self.rgb
        if not isinstance(rgb, np.ndarray) or rgb.dtype != np.uint8:
            found = getattr(rgb, "dtype", type(rgb).__name__)
            raise InvalidImageError(f"a frame needs uint8 RGB, got {found}")
        if rgb.ndim != 3 or rgb.shape[2] != 3 or min(rgb.shape[:2]) < 1:
            raise InvalidImageError(f"a frame needs shape [H, W, 3], got {list(rgb.shape)}")
        size = self.intrinsics
        if size is not None and (size.width, size.height) != (rgb.shape[1], rgb.shape[0]):
            raise IntrinsicsError(
                f"intrinsics are for {size.width}x{size.height}, the image is "
                f"{rgb.shape[1]}x{rgb.shape[0]}: use Intrinsics.scaled or the matching camera_info"
            )

    @property
    def width(self) -> int:
        """Columns [px]."""
        return int(self.rgb.shape[1])

    @property
    def height(self) -> int:
        """Rows [px]."""
        return int(self.rgb.shape[0])


@dataclass(frozen=True, slots=True, eq=False)
class DepthMap:
    """Depth along the optical axis (REP-118 z, not range) and what the model coded for it.

    `depth` f32 [H, W] metres, NaN where unknown (everywhere when not `metric`); `relative` f32
    [H, W] in [0, 1], 0 = near; `confidence` f32 [H, W] in [0, 1], NaN if the model gives none.
    """

    depth: NDArray[np.float32]
    relative: NDArray[np.float32]
    confidence: NDArray[np.float32]
    metric: bool
    scale_source: ScaleSource = ScaleSource.UNKNOWN
    intrinsics: Intrinsics | None = None
    stamp_ns: int = 0
    frame_id: str = ""


@dataclass(frozen=True, slots=True)
class Segment:
    """One connected region of a label map.

    `instance` is its value in `Segmentation.instances` (0 for stuff such as floor); `box` is
    (x, y, width, height) [px]; `distance_m` is the range to the visible surface and `position`
    the component-wise median of its points [m], both NaN without metric depth.
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


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """Class ids per pixel and the regions they form.

    `labels` uint8 [H, W] class ids; `instances` uint16 [H, W], 0 = stuff or none; `names[i]` is the
    name of class i; `score` f32 [H, W] in [0, 1].
    """

    labels: NDArray[np.uint8]
    instances: NDArray[np.uint16]
    names: tuple[str, ...]
    score: NDArray[np.float32]
    segments: tuple[Segment, ...] = ()
    stamp_ns: int = 0
    frame_id: str = ""

    def mask(self, segment: Segment) -> NDArray[np.bool_]:
        """Bool [H, W] of the pixels of one of `segments`."""
        return (self.instances == segment.instance) & (self.labels == segment.class_id)

    def of_class(self, label: str) -> tuple[Segment, ...]:
        """Segments with this class name, in stored order."""
        return tuple(segment for segment in self.segments if segment.label == label)


@dataclass(frozen=True, slots=True)
class ObjectReference:
    """An object that an answer or a measurement speaks of; fields as in `Segment`."""

    label: str
    class_id: int = -1
    instance: int = 0
    box: tuple[int, int, int, int] = (0, 0, 0, 0)
    position: Point3 = UNKNOWN_POINT
    distance_m: float = NAN
    score: float = NAN

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
    `low` and `high` bound `value` at the interval level of the model card, NaN if uncalibrated.
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

    @property
    def choice_index(self) -> int:
        """Index of the chosen object for KIND_CHOICE, -1 if none."""
        if self.kind is Kind.CHOICE and math.isfinite(self.value):
            return int(self.value)
        return -1
