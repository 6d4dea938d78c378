"""What `perceive` and `ask` share: an image file and intrinsics become a `Frame`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cooper_ros.core.types import Frame, Intrinsics


def add_image_arguments(parser: argparse.ArgumentParser) -> None:
    """IMAGE, --intrinsics, --model, --backend, --threads."""
    parser.add_argument("image", metavar="IMAGE", help="PNG, JPEG, ... file; RGBA on white")
    parser.add_argument(
        "--intrinsics",
        metavar="FX,FY,CX,CY",
        help="calibration [px] of this image; without it there are no metres",
    )
    parser.add_argument("--model", help="model folder or name (default: cooper-nano)")
    parser.add_argument("--backend", default="auto", help="inference engine (default: auto)")
    parser.add_argument("--threads", type=int, help="threads of the engine (default: its choice)")


def read_frame(path: str | Path, intrinsics: str | None) -> Frame:
    """Read an image file. Raises InvalidImageError or IntrinsicsError naming the value."""
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    from cooper_ros.core.errors import InvalidImageError
    from cooper_ros.core.images import composite_on_white
    from cooper_ros.core.types import Frame

    path = Path(path)
    if not path.is_file():
        raise InvalidImageError(f"there is no image file {path}")
    try:
        with Image.open(path) as image:
            image.load()
            if "A" in image.getbands() or "transparency" in image.info:
                rgb = composite_on_white(np.asarray(image.convert("RGBA")))
            else:
                rgb = np.asarray(image.convert("RGB"))
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise InvalidImageError(f"{path} cannot be read as an image: {error}") from error
    height, width = rgb.shape[:2]
    parsed = parse_intrinsics(intrinsics, width, height) if intrinsics else None
    return Frame(np.ascontiguousarray(rgb), parsed, frame_id=path.name)


def parse_intrinsics(text: str, width: int, height: int) -> Intrinsics:
    """`fx,fy,cx,cy` [px]. Raises IntrinsicsError."""
    from cooper_ros.core.errors import IntrinsicsError
    from cooper_ros.core.types import Intrinsics

    try:
        fx, fy, cx, cy = (float(number) for number in text.split(","))
    except ValueError as error:
        raise IntrinsicsError(
            f"--intrinsics needs four numbers fx,fy,cx,cy in pixels, got {text!r}"
        ) from error
    return Intrinsics(fx, fy, cx, cy, width, height).require_valid()


def finite(value: float) -> float | None:
    """For json, which knows no NaN."""
    return value if value == value and abs(value) != float("inf") else None
