"""Image files as people have them: turned, deep, float, large, damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from cooper_ros.core.errors import InvalidImageError
from cooper_ros.core.image_files import read_image_file
from cooper_ros.core.pictures import WORK_PIXELS

RAMP = np.linspace(0.0, 1.0, 40 * 60).reshape(40, 60)


def corners() -> np.ndarray:
    """A picture whose quarters are all different: upright it is 60 wide and 40 high."""
    rgb = np.zeros((40, 60, 3), np.uint8)
    rgb[:20, :30], rgb[:20, 30:] = (240, 20, 20), (20, 240, 20)
    rgb[20:, :30], rgb[20:, 30:] = (20, 20, 240), (240, 240, 240)
    return rgb


AS_STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[::-1],
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: a.swapaxes(0, 1)[:, ::-1],
}
"""Upright -> what a camera stores that says this EXIF orientation."""


def save(path: Path, values: np.ndarray, orientation: int = 1, **options: Any) -> Path:
    image = Image.fromarray(np.ascontiguousarray(AS_STORED[orientation](values)))
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(path, exif=exif, **options)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff"])
def test_pictures_are_turned_as_they_say(tmp_path: Path, suffix: str, orientation: int) -> None:
    path = save(tmp_path / f"turned{suffix}", corners(), orientation)
    found = read_image_file(path)
    assert found.size == (60, 40) and found.grey_range is None
    upper, lower = found.rgb[5:15, 5:25], found.rgb[25:35, 5:25]
    np.testing.assert_allclose(upper.astype(int).mean((0, 1)), (240, 20, 20), atol=6)
    np.testing.assert_allclose(lower.astype(int).mean((0, 1)), (20, 20, 240), atol=6)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize(
    ("suffix", "values", "limits"),
    [
        (".png", (RAMP * 4095).astype(np.uint16), (0.0, 4095.0)),
        (".tiff", (RAMP * 4095).astype(np.uint16), (0.0, 4095.0)),
        (".tiff", RAMP.astype(np.float32), (0.0, 1.0)),
        (".tiff", (RAMP * 255).astype(np.uint8), None),
    ],
)
def test_grey_is_turned_too(
    tmp_path: Path, suffix: str, values: np.ndarray, limits: Any, orientation: int
) -> None:
    found = read_image_file(save(tmp_path / f"deep{suffix}", values, orientation))
    assert found.size == (60, 40) and found.grey_range == limits
    assert found.rgb[0, 0, 0] == 0 and found.rgb[-1, -1, 0] == 255


@pytest.mark.parametrize(
    ("suffix", "values", "limits"),
    [
        (".png", (RAMP * 1023).astype(np.uint16), (0.0, 1023.0)),
        (".tiff", (RAMP * 16383).astype(np.uint16), (0.0, 16383.0)),
        (".png", (RAMP * 65535).astype(np.uint16), (0.0, 65535.0)),
        (".tiff", RAMP.astype(np.float32), (0.0, 1.0)),
        (".tiff", (RAMP * 255).astype(np.float32), (0.0, 255.0)),
        (".tiff", (RAMP * 65535).astype(np.int32), (0.0, 65535.0)),
    ],
)
def test_the_range_that_is_used_is_found(
    tmp_path: Path, suffix: str, values: np.ndarray, limits: tuple[float, float]
) -> None:
    path = tmp_path / f"grey{suffix}"
    Image.fromarray(values).save(path)
    found = read_image_file(path)
    assert found.grey_range == limits
    assert found.rgb.min() == 0 and found.rgb.max() >= 250
    middle = found.rgb[20, 0, 0] / 255.0
    assert middle == pytest.approx(float(RAMP[20, 0]), abs=0.04)


@pytest.mark.parametrize(
    ("suffix", "dtype", "top"), [(".png", np.uint16, 4095), (".tiff", np.uint16, 65535),
                                 (".tiff", np.float32, 1.0)]
)  # fmt: skip
def test_deep_colours_keep_their_hue(
    tmp_path: Path, suffix: str, dtype: Any, top: float
) -> None:
    rgb = (corners() / 255.0 * top).astype(dtype)
    path = tmp_path / f"colour{suffix}"
    assert cv2.imwrite(str(path), rgb[..., ::-1])
    found = read_image_file(path)
    np.testing.assert_allclose(found.rgb.astype(int), corners(), atol=15)
    assert found.size == (60, 40) and found.grey_range is not None


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("mode.tiff" if mode in ("CMYK", "YCbCr") else "mode.png")
    Image.fromarray(corners()).convert(mode).save(path)
    assert read_image_file(path).rgb.shape == (40, 60, 3)


def test_large_files_are_made_smaller_and_jpeg_while_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane = np.full((3000, 4000), 60, np.uint8)
    plane[:, :2000] = 220
    path = tmp_path / "large.jpg"
    save(path, plane, 6)
    loaded: list[tuple[int, int]] = []
    convert = Image.Image.convert

    def watched(self: Any, *arguments: Any, **options: Any) -> Any:
        loaded.append(self.size)
        return convert(self, *arguments, **options)

    monkeypatch.setattr(Image.Image, "convert", watched)
    found = read_image_file(path)
    assert found.size == (4000, 3000)
    assert 0.5 * WORK_PIXELS < found.rgb.shape[0] * found.rgb.shape[1] <= WORK_PIXELS
    assert found.rgb[10, 10, 0] > 200 and found.rgb[10, -10, 0] < 80
    assert max(w * h for w, h in loaded) <= 4 * WORK_PIXELS


def test_what_is_too_large_or_damaged_is_named(tmp_path: Path) -> None:
    path = tmp_path / "claims.png"
    Image.fromarray(corners()).save(path)
    data = bytearray(path.read_bytes())
    data[16:24] = (17_000).to_bytes(4, "big") * 2
    path.write_bytes(data)
    with pytest.raises(InvalidImageError, match=r"claims.png.*(256 megapixels|cannot be read)"):
        read_image_file(path)
    cut = tmp_path / "cut.jpg"
    save(cut, corners())
    cut.write_bytes(cut.read_bytes()[:300])
    for broken, content in ((cut, None), (tmp_path / "tiff.tiff", b"II*\0rubbish"),
                            (tmp_path / "text.png", b"hello")):  # fmt: skip
        if content:
            broken.write_bytes(content)
        with pytest.raises(InvalidImageError, match=broken.name):
            read_image_file(broken)
