"""Lens models under the names that drivers and calibration tools give them, as OpenCV takes them.

All of "plumb_bob" and "rational_polynomial" is one model with more and more coefficients (k1, k2,
p1, p2, k3 | k4, k5, k6 | s1 to s4 | tx, ty), so the count says which; the fish-eye is another one.
"""

from __future__ import annotations

import re

from cooper_ros.core.errors import IntrinsicsError

PLUMB_BOB, RATIONAL, EQUIDISTANT = "plumb_bob", "rational_polynomial", "equidistant"

RADIAL_NAMES = (
    "", "plumb_bob", "radtan", "radial_tangential", "brown_conrady", "modified_brown_conrady",
    "brown", "opencv", "rational_polynomial", "rational", "radtan8", "thin_prism",
    "tilted_thin_prism",
)  # fmt: skip
FISHEYE_NAMES = (
    "equidistant", "fisheye", "equi", "kannala_brandt", "kannala_brandt4", "kb4", "opencv_fisheye",
)  # fmt: skip
NO_LENS_NAMES = ("none", "no_distortion", "undistorted", "rectified", "rectilinear", "perspective")

RADIAL_COUNTS = (5, 8, 12, 14)
FISHEYE_COUNT = 4
LEAST_COUNT = 4


def lens_of(name: str, coefficients: tuple[float, ...]) -> tuple[str, tuple[float, ...]]:
    """(model, coefficients) that OpenCV understands, of a camera_info's words and numbers.

    Trailing zeros do no harm and may be missing. All zeros mean no distortion whatever the name, as
    image_geometry has it. Raises IntrinsicsError for a model that is unknown or contradicts its
    number of coefficients.
    """
    if not any(value != 0.0 for value in coefficients):  # NaN is not zero
        return PLUMB_BOB, (0.0,) * len(coefficients[: RADIAL_COUNTS[0]])
    spelt = re.sub(r"[\s\-]+", "_", name.strip().lower())
    used = coefficients
    while used[-1] == 0.0:
        used = used[:-1]
    counts: tuple[int, ...] = RADIAL_COUNTS if spelt in RADIAL_NAMES else ()
    if spelt in FISHEYE_NAMES:
        counts = (FISHEYE_COUNT,)
    count = next((count for count in counts if len(used) <= count), 0)
    given = len(coefficients)
    complete = given in (LEAST_COUNT, *RADIAL_COUNTS) or len(used) < given
    if not count or given < LEAST_COUNT or not complete:
        raise IntrinsicsError(_problem(name, given, spelt in NO_LENS_NAMES))
    padded = used + (0.0,) * (count - len(used))
    if spelt in FISHEYE_NAMES:
        return EQUIDISTANT, padded
    return (PLUMB_BOB if count == RADIAL_COUNTS[0] else RATIONAL), padded


def _problem(name: str, count: int, no_lens: bool) -> str:
    if no_lens:
        return (
            f"camera_info says {name[:40]!r} and has {count} distortion coefficients that are not "
            "zero: correct the model's name, or the coefficients"
        )
    return (
        f"camera_info has {count} distortion coefficients of model {name[:40]!r}; known are "
        "plumb_bob (radtan) with 4 or 5, rational_polynomial with 8, 12 or 14, equidistant "
        "(fisheye) with 4: rectify the image, or correct the calibration"
    )
