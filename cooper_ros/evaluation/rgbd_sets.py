"""Sets of real RGB-D pictures: colour with registered depth beside it, and the camera they share.

A set is a folder in one of two layouts:

- `color_NAME.jpg|png` and `depth_NAME.png`, with `intrinsics.json` (fx, fy, cx, cy, and
  `depth_unit_m` where it is not 0.001), as `cooper data bag` writes it;
- as NYU Depth v2 is commonly unpacked: `rgb_NAME.jpg|png` with `sync_depth_NAME.png` or
  `NAME.jpg|png` with `NAME_depth.png` in any folder below, millimetres, camera of the data set.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.errors import CooperError, IntrinsicsError, InvalidImageError
from cooper_ros.core.types import Frame, Intrinsics

SUFFIXES = (".jpg", ".jpeg", ".png")
CAMERA_FILE = "intrinsics.json"
MILLIMETRE = 0.001
NEAR_M, FAR_M = 0.3, 8.0
"""Range in which sensors of these sets are believed and errors are measured."""

Array = NDArray[np.float32]


@dataclass(frozen=True)
class SetCamera:
    """The camera of a set [px] and metres per unit of its depth pictures. `size`: (width, height)
    that the numbers are for, (0, 0) where nobody said it."""

    fx: float
    fy: float
    cx: float
    cy: float
    unit_m: float = MILLIMETRE
    distortion: tuple[float, ...] = ()
    distortion_model: str = "plumb_bob"
    size: tuple[int, int] = (0, 0)

    def intrinsics(self, width: int, height: int) -> Intrinsics:
        """For pictures of this size. Raises IntrinsicsError when it is that of other pictures."""
        if all(self.size) and self.size != (width, height):
            raise IntrinsicsError(
                f"{CAMERA_FILE} is for {self.size[0]}x{self.size[1]} pictures, this one is "
                f"{width}x{height}"
            )
        return Intrinsics(
            self.fx,
            self.fy,
            self.cx,
            self.cy,
            width,
            height,
            self.distortion,
            self.distortion_model,
        )


NYU_CAMERA = SetCamera(518.86, 519.47, 325.58, 253.74)


@dataclass(frozen=True, eq=False)
class RgbdPicture:
    """One picture of a set and what the sensor saw: depth f32 [H, W] [m], NaN = no measurement."""

    name: str
    frame: Frame
    truth: Array

    @property
    def camera(self) -> Intrinsics:
        """Intrinsics of the picture."""
        assert self.frame.intrinsics is not None  # read_pair gives the camera that it was given
        return self.frame.intrinsics

    def believed(self) -> NDArray[np.bool_]:
        """Pixels [H, W] with a measurement between `NEAR_M` and `FAR_M`."""
        with np.errstate(invalid="ignore"):
            return np.asarray((self.truth > NEAR_M) & (self.truth < FAR_M))


def parse_intrinsics(text: str) -> SetCamera:
    """The camera `fx,fy,cx,cy`. Raises IntrinsicsError."""
    try:
        fx, fy, cx, cy = (float(part) for part in text.split(","))
    except ValueError as error:
        raise IntrinsicsError(f"--intrinsics needs fx,fy,cx,cy, got {text!r}") from error
    return SetCamera(fx, fy, cx, cy)


def listed(folder: Path) -> list[tuple[Path, Path]]:
    """(colour, depth) files of a set, in the order of names. Raises CooperError without any."""
    found = []
    for depth in sorted(folder.rglob("*.png")):
        for stem in _colour_stems(depth.stem):
            names = [depth.with_name(stem + suffix) for suffix in SUFFIXES]
            colour = next((path for path in names if path.is_file()), None)
            if colour is not None:
                found.append((colour, depth))
                break
    if not found:
        raise CooperError(
            f"{folder} holds no color_NAME.jpg with depth_NAME.png, no rgb_NAME.jpg with "
            "sync_depth_NAME.png and no NAME.jpg with NAME_depth.png"
        )
    return found


def _colour_stems(stem: str) -> list[str]:
    if stem.startswith("sync_depth_"):
        return ["rgb_" + stem.removeprefix("sync_depth_")]
    if stem.startswith("depth_"):
        return ["color_" + stem.removeprefix("depth_")]
    return [stem.removesuffix("_depth")] if stem.endswith("_depth") else []


def camera_of(folder: Path, given: SetCamera | None, nyu: bool = False) -> SetCamera:
    """The camera that the folder's file says, else the `given` one, else that of NYU Depth v2 if
    it is that. Raises CooperError when there is none."""
    path = folder / CAMERA_FILE
    if not path.is_file():
        camera = given or (NYU_CAMERA if nyu else None)
        if camera is None:
            raise CooperError(f"{path} is not there: write it (fx, fy, cx, cy), or --intrinsics")
        return camera
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        fx, fy, cx, cy = (float(read[key]) for key in ("fx", "fy", "cx", "cy"))
        return SetCamera(
            fx,
            fy,
            cx,
            cy,
            float(read.get("depth_unit_m", given.unit_m if given else MILLIMETRE)),
            tuple(float(number) for number in read.get("distortion", ())),
            str(read.get("distortion_model", "plumb_bob")),
            (int(read.get("width", 0)), int(read.get("height", 0))),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CooperError(f"{path} needs fx, fy, cx and cy as numbers: {error}") from error


def read_pair(colour: Path, depth: Path, camera: SetCamera) -> tuple[Frame, Array]:
    """(frame, depth f32 [H, W] in metres, NaN = no measurement). Raises InvalidImageError."""
    bgr = cv2.imread(str(colour), cv2.IMREAD_COLOR)
    raw = cv2.imread(str(depth), cv2.IMREAD_UNCHANGED)
    if bgr is None or raw is None or raw.ndim != 2:
        raise InvalidImageError(f"{colour} or {depth} is not a readable colour / depth picture")
    if raw.shape != bgr.shape[:2]:
        raise InvalidImageError(
            f"{depth} is {raw.shape[1]}x{raw.shape[0]}, {colour} is {bgr.shape[1]}x{bgr.shape[0]}: "
            "depth must be registered to colour"
        )
    height, width = raw.shape
    frame = Frame(np.ascontiguousarray(bgr[..., ::-1]), camera.intrinsics(width, height))
    metres = raw.astype(np.float32) * np.float32(camera.unit_m)
    return frame, np.where(raw > 0, metres, np.float32(np.nan))


def pictures_of(
    folder: Path, given: SetCamera | None = None, most: int | None = None
) -> Iterator[RgbdPicture]:
    """The pictures of a set, at most `most` of them (evenly chosen)."""
    files = listed(folder)
    camera = camera_of(folder, given, nyu=not files[0][1].stem.startswith("depth_"))
    if most is not None and len(files) > most:
        files = [files[i] for i in np.linspace(0, len(files) - 1, most).round().astype(int)]
    for colour, depth in files:
        frame, truth = read_pair(colour, depth, camera)
        yield RgbdPicture(colour.stem, frame, truth)


def named(folders: Sequence[Path]) -> dict[str, Path]:
    """The folders by short names for tables: the last part, all of it where that is taken."""
    found: dict[str, Path] = {}
    for folder in folders:
        short = folder.name or str(folder)
        found[short if short not in found else str(folder)] = folder
    return found
