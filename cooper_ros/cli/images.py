"""What commands that look at image files share: a file and intrinsics become a `Frame`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

MAX_PICTURES = 16
"""Pictures that are taken of a folder."""
PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")

if TYPE_CHECKING:
    from cooper_ros.core.types import Frame, Intrinsics


def add_image_arguments(parser: argparse.ArgumentParser) -> None:
    """IMAGE, --intrinsics, --model, --backend, --threads."""
    parser.add_argument("image", metavar="IMAGE", help="PNG, JPEG, TIFF, ... file, any bit depth")
    parser.add_argument(
        "--intrinsics",
        metavar="FX,FY,CX,CY",
        help="calibration [px] of this image, upright; without it there are no metres",
    )
    parser.add_argument("--model", help="model folder or name (default: cooper-nano)")
    parser.add_argument("--backend", default="auto", help="inference engine (default: auto)")
    parser.add_argument("--threads", type=int, help="threads of the engine (default: its choice)")


def read_frame(path: str | Path, intrinsics: str | None) -> Frame:
    """Read an image file. Raises InvalidImageError or IntrinsicsError naming the value."""
    from cooper_ros.core.image_files import read_image_file
    from cooper_ros.core.types import Frame

    found = read_image_file(Path(path))
    parsed = parse_intrinsics(intrinsics, *found.size) if intrinsics else None
    if parsed is not None:
        parsed = parsed.scaled(found.rgb.shape[1], found.rgb.shape[0])
    return Frame(
        found.rgb,
        parsed,
        frame_id=Path(path).name,
        image_size=found.size,
        grey_range=found.grey_range,
    )


def read_pictures(folder: Path) -> list[Frame]:
    """The first pictures of a folder, by name, as frames of an unknown camera.

    Raises InvalidImageError where there is none, or one cannot be read.
    """
    from cooper_ros.core.errors import InvalidImageError

    paths = sorted(p for p in folder.glob("*") if p.suffix.lower() in PICTURES)[:MAX_PICTURES]
    if not paths:
        raise InvalidImageError(f"{folder} holds no picture ({', '.join(PICTURES)})")
    return [read_frame(path, None) for path in paths]


def picture_notes(frame: Frame) -> list[str]:
    """What a person should know about how the picture was read, sentence by sentence."""
    from cooper_ros.core.pictures import blank_problem

    notes = [blank_problem(frame.rgb)]
    if frame.grey_range is not None:
        low, high = frame.grey_range
        notes.append(f"values from {low:g} (black) to {high:g} (white) were read as a picture")
    return [note for note in notes if note]


def parse_intrinsics(text: str, width: int, height: int) -> Intrinsics:
    """`fx,fy,cx,cy` [px] of a picture of this size. Raises IntrinsicsError."""
    from cooper_ros.core.errors import IntrinsicsError
    from cooper_ros.core.types import Intrinsics

    try:
        fx, fy, cx, cy = (float(number) for number in text.split(","))
    except ValueError as error:
        raise IntrinsicsError(
            f"--intrinsics needs four numbers fx,fy,cx,cy in pixels, got {text!r}"
        ) from error
    intrinsics = Intrinsics(fx, fy, cx, cy, width, height).require_valid()
    if not (0.0 < cx < width - 1 and 0.0 < cy < height - 1):
        raise IntrinsicsError(
            f"--intrinsics: the principal point ({cx:g}, {cy:g}) is at or beyond the border of the "
            f"{width}x{height} image: are they of another resolution, or turned?"
        )
    return intrinsics


def finite(value: float) -> float | None:
    """For json, which knows no NaN."""
    return value if value == value and abs(value) != float("inf") else None
