"""Text in pictures: a TrueType font (Aileron, CC0, which Pillow brings), on a filled ground."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]
Box = tuple[int, int, int, int]  # left, top, width, height [px]
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


def text_size(picture_height: int) -> int:
    """Size of letters [px] that can be read in a picture of this height, shown at half size too."""
    return int(np.clip(round(picture_height / 26), 11, 48))


def extent(text: str, size: int, padding: int = 0) -> tuple[int, int]:
    """Width and height [px] of a text in letters of this size, with a margin all around."""
    height, width = _coverage(printable(text), size).shape
    return width + 2 * padding, height + 2 * padding


def write(
    picture: Picture,
    text: str,
    x: int,
    y: int,
    size: int,
    colour: Colour = WHITE,
    ground: Colour | None = None,
    padding: int = 0,
) -> Box:
    """Write a text with its top left corner at (x, y) [px]; changes the picture.

    `ground`: fills the text's box, `padding` [px] wider on every side; None keeps the picture.
    Returns the box. What lies outside the picture is cut off.
    """
    width, height = extent(text, size, padding)
    rows = slice(max(y, 0), max(min(y + height, picture.shape[0]), 0))
    columns = slice(max(x, 0), max(min(x + width, picture.shape[1]), 0))
    coverage = np.pad(_coverage(printable(text), size), padding)
    coverage = coverage[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x]
    if coverage.size:
        part = picture[rows, columns]
        if ground is not None:
            part[:] = _mixture(colour, ground)[coverage]
        else:
            share = coverage[..., None].astype(np.float32) / 255.0
            part[:] = np.round(part * (1.0 - share) + np.array(colour, np.float32) * share)
    return x, y, width, height


def readable_on(ground: Colour) -> Colour:
    """Black or white, whichever stands out from the ground."""
    red, green, blue = ground
    return BLACK if 0.299 * red + 0.587 * green + 0.114 * blue > 130 else WHITE


def printable(text: str) -> str:
    """One line that any font takes: names come from files of others."""
    return " ".join(text.split()).encode("utf-8", "replace").decode("utf-8")


@lru_cache(maxsize=64)
def _mixture(colour: Colour, ground: Colour) -> NDArray[np.uint8]:
    """Colours uint8 [256, 3] by how much of a pixel is covered by a letter."""
    share = np.linspace(0.0, 1.0, 256, dtype=np.float32)[:, None]
    mixed = np.array(ground, np.float32) * (1.0 - share) + np.array(colour, np.float32) * share
    return np.round(mixed).astype(np.uint8)


@lru_cache(maxsize=16)
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)  # type: ignore[return-value]


@lru_cache(maxsize=256)
def _coverage(text: str, size: int) -> NDArray[np.uint8]:
    """How much of each pixel the letters cover, 0 to 255; the same height for every text.

    Put together from words: names and distances come again, if not in the same company.
    """
    words = [_word(word, size) for word in text.split(" ")]
    gap = np.zeros((words[0].shape[0], max(round(_font(size).getlength(" ")), 1)), np.uint8)
    return np.hstack([words[0], *(part for word in words[1:] for part in (gap, word))])


@lru_cache(maxsize=4096)
def _word(text: str, size: int) -> NDArray[np.uint8]:
    font = _font(size)
    ascent, descent = font.getmetrics()
    width = max(int(np.ceil(font.getlength(text))), 1)
    image = Image.new("L", (width, ascent + descent))
    ImageDraw.Draw(image).text((0, 0), text, fill=255, font=font)
    return np.asarray(image)
