"""The demo's one picture: what the camera saw, the objects and depth found, and the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cooper_ros.ros import lettering
from cooper_ros.ros.lettering import Colour, Picture
from cooper_ros.ros.overlay import depth_legend, depth_picture

WIDTH, HEIGHT = 640, 480
TITLE_SIZE, ROW_SIZE = 17, 15
GROUND: Colour = (29, 34, 41)
INK: Colour = (230, 233, 238)
QUIET: Colour = (147, 160, 176)
MARKS: dict[bool | None, Colour] = {
    True: (91, 201, 140),
    False: (240, 113, 108),
    None: (147, 160, 176),
}
"""Colour of a right, a wrong, and no answer."""

MARGIN, MARK = 14, 9
ANSWER_X, TRUE_X = 372, 500
"""Columns of the table, from the panel's left edge [px]."""


@dataclass(frozen=True)
class Row:
    """A line of the table: what was asked and said, what is true, and whether that is right."""

    question: str
    answer: str
    truth: str
    right: bool | None


def make_picture(
    rgb: Picture,
    depth_m: NDArray[np.float32],
    overlay: Picture,
    rows: Sequence[Row],
    summary: str = "",
) -> Picture:
    """Four titled panels, uint8 [H, 1280, 3] RGB: camera, objects, depth with legend, answers."""
    known = depth_m[np.isfinite(depth_m)]
    low, high = (np.percentile(known, (1, 99)) if known.size else (0.0, 1.0))
    depth = _fit(depth_picture(depth_m, float(low), float(high)))
    legend = depth_legend(WIDTH, float(low), float(high), TITLE_SIZE)
    left = [_title("camera"), _fit(rgb), _title("depth found"), depth, legend]
    table = _table(rows, summary, HEIGHT + legend.shape[0])
    right = [_title("objects found"), _fit(overlay), _title("questions"), table]
    return np.hstack([np.vstack(left), np.vstack(right)])


def _fit(picture: Picture) -> Picture:
    resized = cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return resized.astype(np.uint8, copy=False)


def _panel(height: int) -> Picture:
    return np.full((height, WIDTH, 3), GROUND, np.uint8)


def _title(text: str) -> Picture:
    panel = _panel(lettering.extent(text, TITLE_SIZE)[1] + 12)
    lettering.write(panel, text, MARGIN, 6, TITLE_SIZE, INK)
    return panel


def _table(rows: Sequence[Row], summary: str, height: int) -> Picture:
    panel = _panel(height)
    lines = _wrapped(summary, WIDTH - 2 * MARGIN)
    row_height = lettering.extent("0", ROW_SIZE)[1]
    foot = len(lines) * row_height + 16
    step = min(row_height + 12, (height - foot - 8) // (len(rows) + 1))
    for x, text in ((MARGIN + 20, "question"), (ANSWER_X, "answer"), (TRUE_X, "true")):
        lettering.write(panel, text, x, 4, ROW_SIZE, QUIET)
    for number, row in enumerate(rows, start=1):
        y = 4 + number * step
        middle = y + row_height // 2
        cv2.circle(panel, (MARGIN + 5, middle), MARK // 2 + 1, MARKS[row.right], -1, cv2.LINE_AA)
        cells = ((MARGIN + 20, row.question, ANSWER_X), (ANSWER_X, row.answer, TRUE_X),
                 (TRUE_X, row.truth, WIDTH))  # fmt: skip
        for x, text, end in cells:
            ink = MARKS[row.right] if text is row.answer else INK
            lettering.write(panel, _shortened(text, end - x - 8), x, y, ROW_SIZE, ink)
    for number, line in enumerate(lines):
        lettering.write(panel, line, MARGIN, height - foot + 8 + number * row_height, ROW_SIZE, INK)
    return panel


def _wrapped(text: str, width: int) -> list[str]:
    """The text in lines that are no wider than that [px]."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and lettering.extent(longer, ROW_SIZE)[0] <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _shortened(text: str, width: int) -> str:
    """The text, cut with dots where it is wider than that [px]."""
    if lettering.extent(text, ROW_SIZE)[0] <= width:
        return text
    while text and lettering.extent(text + "...", ROW_SIZE)[0] > width:
        text = text[:-1]
    return text + "..."


def save_picture(path: str, picture: Picture) -> None:
    """Write RGB as PNG or JPEG, by the name's ending. Raises OSError when that fails."""
    if not cv2.imwrite(path, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
        raise OSError(f"cannot write the picture {path}")
