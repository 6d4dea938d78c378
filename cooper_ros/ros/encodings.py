"""The image encodings this package reads, in one table.

Names follow sensor_msgs/image_encodings.hpp. A row says how the bytes of one picture row are laid
out and which OpenCV conversion leads to RGB. Conversions from YUV are those of ITU-R BT.601 with
limited range, as OpenCV and cv_bridge have them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.errors import InvalidImageError

ToRgb = Callable[[NDArray], NDArray]


@dataclass(frozen=True)
class Encoding:
    """How one encoding is stored.

    `channels` values of `dtype` per pixel; `rows_numerator / rows_denominator` stored rows per
    picture row (3/2 for NV12, whose chroma rows follow the luma rows); `even_width`, `even_height`:
    sub-sampled chroma needs them. `to_rgb` maps the stored array to uint8 [H, W, 3]; None when the
    encoding carries no colour or grey picture (raw numbers such as depth), and for `deep` grey,
    whose range has to be found first. `mixable`: pixels stand for themselves, so that the stored
    array can be made smaller as it is.
    """

    channels: int
    dtype: str
    to_rgb: ToRgb | None
    even_width: bool = False
    even_height: bool = False
    rows_numerator: int = 1
    rows_denominator: int = 1
    mixable: bool = True
    deep: bool = False

    @property
    def is_picture(self) -> bool:
        """Whether it can be shown."""
        return self.to_rgb is not None or self.deep

    def stored_rows(self, height: int) -> int:
        """Rows of `step` bytes that a picture of `height` rows occupies."""
        return height * self.rows_numerator // self.rows_denominator


def _cv(code: int) -> ToRgb:
    return lambda array: cv2.cvtColor(np.ascontiguousarray(array), code)


@dataclass(frozen=True, eq=False)
class Rgb:
    """A picture that was read: `rgb` uint8 [h, w, 3], the `size` (width, height) that it came in,
    and the values that became black and white where it was deep grey."""

    rgb: NDArray[np.uint8]
    size: tuple[int, int]
    grey_range: tuple[float, float] | None = None


def _packed(code: int) -> Encoding:
    return Encoding(2, "u1", _cv(code), even_width=True, mixable=False)


def _planar(code: int) -> Encoding:
    return Encoding(
        1, "u1", _cv(code), True, True, rows_numerator=3, rows_denominator=2, mixable=False
    )


def _bayer(code: int) -> Encoding:
    return Encoding(1, "u1", _cv(code), mixable=False)


# OpenCV names a Bayer pattern by the second row's second and third pixel, ROS by the first two
# rows: its BG is our RGGB, and so on. The same pairs as in cv_bridge.
ENCODINGS: dict[str, Encoding] = {
    "rgb8": Encoding(3, "u1", lambda array: array),
    "bgr8": Encoding(3, "u1", _cv(cv2.COLOR_BGR2RGB)),
    "8UC3": Encoding(3, "u1", _cv(cv2.COLOR_BGR2RGB)),  # OpenCV's own order
    "rgba8": Encoding(4, "u1", _cv(cv2.COLOR_RGBA2RGB)),
    "bgra8": Encoding(4, "u1", _cv(cv2.COLOR_BGRA2RGB)),
    "mono8": Encoding(1, "u1", _cv(cv2.COLOR_GRAY2RGB)),
    "8UC1": Encoding(1, "u1", _cv(cv2.COLOR_GRAY2RGB)),
    "mono16": Encoding(1, "u2", None, deep=True),
    "16UC1": Encoding(1, "u2", None),
    "32FC1": Encoding(1, "f4", None),
    "yuv422": _packed(cv2.COLOR_YUV2RGB_UYVY),
    "uyvy": _packed(cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": _packed(cv2.COLOR_YUV2RGB_YUY2),
    "yuyv": _packed(cv2.COLOR_YUV2RGB_YUY2),
    "nv12": _planar(cv2.COLOR_YUV2RGB_NV12),
    "nv21": _planar(cv2.COLOR_YUV2RGB_NV21),
    "bayer_rggb8": _bayer(cv2.COLOR_BayerBG2RGB),
    "bayer_bggr8": _bayer(cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg8": _bayer(cv2.COLOR_BayerGR2RGB),
    "bayer_grbg8": _bayer(cv2.COLOR_BayerGB2RGB),
}


PICTURES = tuple(sorted(name for name, row in ENCODINGS.items() if row.is_picture))
DEPTHS = ("32FC1", "16UC1", "mono16")
"""What a depth image may be: metres, or millimetres."""


def find_encoding(name: str, accepted: Iterable[str] = tuple(sorted(ENCODINGS))) -> Encoding:
    """Look up an encoding; raise InvalidImageError that lists those accepted at this place."""
    found = ENCODINGS.get(name)
    if found is None:
        shown = name if len(name) <= 40 else name[:40] + "..."
        raise InvalidImageError(
            f"image encoding {shown!r} is not supported; convert it to one of "
            f"{', '.join(accepted)}"
        )
    return found
