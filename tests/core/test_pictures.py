"""Pictures of any size and depth: how they become 8 bits, what of them is empty, and windows."""

from __future__ import annotations

import numpy as np
import pytest

from cooper_ros.core.errors import InvalidImageError
from cooper_ros.core.pictures import (
    WORK_PIXELS,
    blank_problem,
    check_size,
    decoding_scale,
    grey_range,
    grey_to_8_bits,
    reduced,
    size_within,
    window,
)

RAMP = np.linspace(0.0, 1.0, 64 * 64).reshape(64, 64)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((RAMP * 255).astype(np.uint16), (0.0, 255.0)),
        ((RAMP * 1023).astype(np.uint16), (0.0, 1023.0)),
        ((RAMP * 4095).astype(np.uint16), (0.0, 4095.0)),
        ((RAMP * 16000).astype(np.uint16), (0.0, 16383.0)),
        ((RAMP * 65535).astype(np.uint16), (0.0, 65535.0)),
        ((RAMP * 60000).astype(np.int32), (0.0, 65535.0)),
        (RAMP.astype(np.float32), (0.0, 1.0)),
        ((RAMP * 255).astype(np.float32), (0.0, 255.0)),
        (np.full((4, 4), 9, np.uint16), (0.0, 255.0)),
        (np.full((4, 4), np.nan, np.float32), (0.0, 1.0)),
    ],
)
def test_the_bits_that_are_used(values: np.ndarray, expected: tuple[float, float]) -> None:
    assert grey_range(values) == expected


def test_a_thermal_picture_is_stretched_to_what_it_uses() -> None:
    celsius = 20.0 + 15.0 * RAMP
    kelvin = np.rint((celsius + 273.15) * 100).astype(np.uint16)  # as thermal cameras send it
    grey, (low, high) = grey_to_8_bits(kelvin)
    assert 29300 <= low < 29400 and 30750 < high <= 30815
    assert grey.min() == 0 and grey.max() == 255 and abs(int(grey[32, 0]) - 128) < 3
    below = grey_to_8_bits((celsius - 30.0).astype(np.float32))
    assert below[1][0] < 0.0 and below[0].max() == 255


def test_unknown_pixels_are_black() -> None:
    values = RAMP.astype(np.float32)
    values[3, 3] = np.nan
    assert grey_to_8_bits(values)[0][3, 3] == 0


@pytest.mark.parametrize(
    ("level", "expected"), [(0, "black"), (5, "black"), (255, "white"), (120, "one colour")]
)
def test_empty_pictures(level: int, expected: str) -> None:
    assert expected in blank_problem(np.full((40, 30, 3), level, np.uint8))


def test_a_dark_room_is_no_empty_picture() -> None:
    rgb = np.full((40, 30, 3), 3, np.uint8)
    rgb[10:20, 5:9] = 30
    assert blank_problem(rgb) == ""


def test_sizes() -> None:
    assert size_within(640, 480, WORK_PIXELS) == (640, 480)
    width, height = size_within(3840, 2160, WORK_PIXELS)
    assert 0.99 * WORK_PIXELS < width * height <= WORK_PIXELS
    assert width / height == pytest.approx(3840 / 2160, rel=2e-3)
    assert size_within(200_000_000, 1, WORK_PIXELS) == (WORK_PIXELS, 1)
    assert [decoding_scale(side, side, 1024 * 1024) for side in (1024, 2048, 4000, 8200)] == [
        1, 2, 2, 8,
    ]  # fmt: skip
    with pytest.raises(InvalidImageError, match="256 megapixels"):
        check_size(16001, 16000)
    check_size(16000, 16000)


def test_small_pictures_are_not_copied() -> None:
    small = np.zeros((48, 64, 3), np.uint8)
    assert reduced(small) is small
    half = reduced(np.arange(64 * 48, dtype=np.uint16).reshape(48, 64), 32 * 24)
    assert half.shape == (24, 32) and half.dtype == np.uint16
    assert half[0, 0] == pytest.approx(np.mean([0, 1, 64, 65]), abs=1)


def test_windows_of_smaller_maps() -> None:
    values = np.arange(6 * 8).reshape(6, 8)
    np.testing.assert_array_equal(window(values, (20, 10, 40, 20), (80, 60)), values[1:3, 2:6])
    assert window(values, (79, 59, 1, 1), (80, 60)).size == 1
