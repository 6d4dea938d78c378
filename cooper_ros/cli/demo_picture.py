"""The demo's one picture: what the camera saw, the two maps, and the answers."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from cooper_ros.ros.overlay import Picture, depth_picture, put_text

WIDTH, HEIGHT = 640, 480


def _panel(picture: Picture, title: str) -> Picture:
    panel = cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(np.uint8)
    put_text(panel, title, 10, 24, 0.7)
    return panel


def _text_panel(lines: Sequence[str]) -> Picture:
    panel = np.full((HEIGHT, WIDTH, 3), 32, np.uint8)
    step = min(24, (HEIGHT - 30) // max(len(lines), 1))
    for index, line in enumerate(lines):
        put_text(panel, line, 12, 30 + index * step, 0.45)
    return panel


def make_picture(
    rgb: Picture, depth_m: NDArray[np.float32], overlay: Picture, lines: Sequence[str]
) -> Picture:
    """Four panels, uint8 [960, 1280, 3] RGB: input, depth, segmentation, text."""
    known = depth_m[np.isfinite(depth_m)]
    low, high = (np.percentile(known, (1, 99)) if known.size else (0.0, 1.0))
    depth = _panel(
        depth_picture(depth_m, float(low), float(high)), f"depth {low:.1f} to {high:.1f} m"
    )
    top = np.hstack([_panel(rgb, "camera"), depth])
    bottom = np.hstack([_panel(overlay, "segmentation"), _text_panel(lines)])
    return np.vstack([top, bottom])


def save_picture(path: str, picture: Picture) -> None:
    """Write RGB as PNG or JPEG, by the name's ending. Raises OSError when that fails."""
    if not cv2.imwrite(path, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
        raise OSError(f"cannot write the picture {path}")
