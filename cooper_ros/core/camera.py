"""A camera image and the intrinsics that turn its pixels into rays.

Integer pixel coordinates are pixel centres: column 0 has u = 0 (as in ROS and OpenCV).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.errors import IntrinsicsError, InvalidImageError


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
        if (width, height) == (self.width, self.height):
            return self
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
    """One camera image: `rgb` uint8 [H, W, 3], `intrinsics` of that size.

    `image_size`: (width, height) [px] of the camera's image where `rgb` is a smaller copy of it,
    (0, 0) where it is the image itself. Boxes and pixels that people give or get are in the
    camera's pixels. `grey_range`: the values of a deep grey image that became black and white.
    """

    rgb: NDArray[np.uint8]
    intrinsics: Intrinsics | None = None
    stamp_ns: int = 0
    frame_id: str = ""
    image_size: tuple[int, int] = (0, 0)
    grey_range: tuple[float, float] | None = None

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

    @property
    def full_size(self) -> tuple[int, int]:
        """(width, height) [px] of the camera's image."""
        return self.image_size if all(self.image_size) else (self.width, self.height)

    @property
    def is_reduced(self) -> bool:
        """Whether `rgb` is a smaller copy of the camera's image."""
        return self.full_size != (self.width, self.height)

    @property
    def full_intrinsics(self) -> Intrinsics | None:
        """Intrinsics of the camera's image."""
        return self.intrinsics.scaled(*self.full_size) if self.intrinsics is not None else None
