"""Procedural images for surfaces: masks that are computed once, mixed with two colours."""

from __future__ import annotations

import colorsys
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cooper_ros.sim.mesh import Surface

SIZE = 128
_VARIANTS = 12

Colour = NDArray[np.float64]


def colour(
    rng: np.random.Generator,
    saturation: tuple[float, float] = (0.1, 0.45),
    value: tuple[float, float] = (0.35, 0.9),
) -> Colour:
    """A random colour, RGB in [0, 1]."""
    return np.array(
        colorsys.hsv_to_rgb(rng.random(), rng.uniform(*saturation), rng.uniform(*value))
    )


def vivid(rng: np.random.Generator) -> Colour:
    """A random saturated colour."""
    return colour(rng, (0.5, 0.95), (0.4, 0.95))


def around(rng: np.random.Generator, base: tuple[float, float, float], spread: float) -> Colour:
    """A colour near `base`: brightness and hue jitter."""
    value = np.array(base) * rng.uniform(1 - 2 * spread, 1 + 2 * spread)
    return np.asarray(np.clip(value + rng.normal(0, spread / 3, 3), 0.02, 1.0))


def wood_colour(rng: np.random.Generator) -> Colour:
    """Brown of wood from pale birch to dark walnut."""
    return np.clip(
        np.array([0.66, 0.47, 0.30]) * rng.uniform(0.35, 1.35) + rng.normal(0, 0.025, 3), 0.03, 1
    )


def _noise(
    rng: np.random.Generator, octaves: int = 5, stretch: tuple[float, float] = (1, 1)
) -> NDArray[np.float64]:
    out = np.zeros((SIZE, SIZE))
    for octave in range(octaves):
        k = 2 ** (octave + 1)
        rows, columns = max(1, int(k * stretch[0])), max(1, int(k * stretch[1]))
        lattice = rng.random((rows, columns))
        y = np.linspace(0, rows, SIZE, endpoint=False)
        x = np.linspace(0, columns, SIZE, endpoint=False)
        y0, x0 = y.astype(int), x.astype(int)
        fy, fx = (y - y0)[:, None], (x - x0)[None]
        fy, fx = fy * fy * (3 - 2 * fy), fx * fx * (3 - 2 * fx)
        y1, x1 = (y0 + 1) % rows, (x0 + 1) % columns  # wraps, so that images tile
        out += (
            lattice[y0][:, x0] * (1 - fy) * (1 - fx)
            + lattice[y1][:, x0] * fy * (1 - fx)
            + lattice[y0][:, x1] * (1 - fy) * fx
            + lattice[y1][:, x1] * fy * fx
        ) / 2**octave
    return (out - out.min()) / (np.ptp(out) + 1e-9)


@lru_cache(maxsize=1024)
def _mask(kind: str, variant: int) -> NDArray[np.float32]:
    """Mixing mask f32[SIZE, SIZE] in [0, 1]; a pure function of its arguments."""
    rng = np.random.default_rng([variant, *kind.encode()])
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    m: NDArray[Any]
    if kind == "plain":
        m = 0.3 * _noise(rng, 3)
    elif kind == "wood":
        m = 0.5 + 0.5 * np.sin(2 * np.pi * (6 * _noise(rng, 4, (0.5, 4)) + 4 * x))
    elif kind == "plank":
        k = 4
        row = (y * k).astype(int)
        seam = (((y * k) % 1) < 0.05) | (((x + 0.37 * row) % 1) < 0.012)
        m = np.clip(seam * 1.0 + 0.25 * _noise(rng, 4, (4, 0.5)) + 0.25 * rng.random(k)[row], 0, 1)
    elif kind == "tile":
        k = 4
        m = np.clip(
            ((((x * k) % 1) < 0.04) | (((y * k) % 1) < 0.04)) * 1.0 + 0.2 * _noise(rng), 0, 1
        )
    elif kind == "carpet":
        m = 0.7 * _noise(rng, 6) + 0.3 * rng.random((SIZE, SIZE))
    elif kind == "brick":
        k = 8
        row = (y * k).astype(int)
        m = np.clip(
            ((((x * k / 2 + 0.5 * (row % 2)) % 1) < 0.04) | (((y * k) % 1) < 0.08)) * 1.0
            + 0.2 * _noise(rng),
            0,
            1,
        )
    elif kind == "stripe":
        k = int(rng.integers(2, 9))
        m = (((x if variant % 2 else y) * k) % 1 > rng.uniform(0.35, 0.65)) * 1.0
    elif kind == "check":
        k = int(rng.integers(2, 7)) * 2
        m = (((x * k).astype(int) + (y * k).astype(int)) % 2) * 1.0
    elif kind == "dots":
        k = int(rng.integers(3, 7))
        m = (np.hypot((x * k) % 1 - 0.5, (y * k) % 1 - 0.5) < 0.28) * 1.0
    elif kind == "fabric":
        m = (
            0.5 * _noise(rng, 6)
            + 0.25 * ((x * 64).astype(int) % 2)
            + 0.25 * ((y * 64).astype(int) % 2)
        )
    elif kind == "blobs":
        m = (_noise(rng, 3) > 0.5) * 1.0
    elif kind == "label":
        band = np.abs(y - rng.uniform(0.4, 0.6)) < rng.uniform(0.14, 0.3)
        cells = rng.random((16, 16)) > 0.62
        m = band * (1 - 0.6 * cells.repeat(SIZE // 16, 0).repeat(SIZE // 16, 1))
    elif kind == "print":
        cells = rng.random((16, 16)) > 0.7
        m = cells.repeat(SIZE // 16, 0).repeat(SIZE // 16, 1) * (np.abs(y - 0.5) < 0.3)
    else:
        raise ValueError(f"unknown texture kind {kind!r}")
    return m.astype(np.float32)


def image(rng: np.random.Generator, kind: str, first: Colour, second: Colour) -> NDArray[np.uint8]:
    """u8[SIZE, SIZE, 3]: `first` where the mask of `kind` is 0, `second` where it is 1."""
    mask = _mask(kind, int(rng.integers(_VARIANTS)))[..., None]
    mixed = (first * (1 - mask) + second * mask) * 255
    return np.clip(mixed, 0, 255).astype(np.uint8)


def surface(
    rng: np.random.Generator,
    kind: str = "plain",
    first: Colour | None = None,
    second: Colour | None = None,
    gloss: float = 0.3,
) -> Surface:
    """A textured surface; missing colours are drawn to suit the kind."""
    if first is None:
        first = wood_colour(rng) if kind in ("wood", "plank") else colour(rng)
    if second is None:
        second = first * rng.uniform(0.6, 0.9)
    return Surface(
        image=image(rng, kind, first, second),
        specular=float(rng.random() * gloss),
        shininess=float(rng.random() * 0.6),
    )


def flat(
    value: Colour | tuple[float, float, float], gloss: float = 0.2, emission: float = 0.0
) -> Surface:
    """A surface of one colour."""
    r, g, b = (float(c) for c in np.clip(value, 0, 1))
    return Surface(colour=(r, g, b), specular=gloss, shininess=0.5, emission=emission)


def metal(rng: np.random.Generator) -> Surface:
    """Grey, black or brass metal."""
    base = ((0.75, 0.75, 0.77), (0.12, 0.12, 0.13), (0.45, 0.45, 0.47), (0.7, 0.6, 0.35))
    return flat(around(rng, base[rng.integers(4)], 0.08), gloss=0.6)


def artwork(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A picture: landscape, blobs or abstract patches, u8[SIZE, SIZE, 3]."""
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    style = rng.integers(3)
    if style == 0:
        horizon = rng.uniform(0.3, 0.7) + 0.15 * (_mask("carpet", int(rng.integers(12)))[0] - 0.5)
        sky = (y > horizon[None])[..., None]
        out = np.where(
            sky,
            colour(rng, (0.2, 0.6), (0.6, 1)) * (0.7 + 0.3 * y[..., None]),
            colour(rng, (0.3, 0.7), (0.25, 0.7)) * (0.6 + 0.5 * y[..., None]),
        )
    elif style == 1:
        out = image(rng, "blobs", vivid(rng), colour(rng)) / 255.0
        other = _mask("blobs", int(rng.integers(12)))[..., None]
        out = out * (1 - other) + vivid(rng) * other
    else:
        out = np.ones((SIZE, SIZE, 3)) * colour(rng, (0, 0.3), (0.6, 1))
        for _ in range(int(rng.integers(3, 8))):
            cx, cy, w, h = rng.random(2).tolist() + rng.uniform(0.05, 0.35, 2).tolist()
            inside = (np.abs(x - cx) < w) & (np.abs(y - cy) < h)
            if rng.random() < 0.5:
                inside = np.hypot((x - cx) / w, (y - cy) / h) < 1
            out[inside] = vivid(rng)
    return np.clip(out * 255, 0, 255).astype(np.uint8)


def sky(rng: np.random.Generator) -> NDArray[np.uint8]:
    """The bright view out of a window, u8[SIZE, SIZE, 3]."""
    y = np.linspace(0, 1, SIZE)[:, None, None]
    top = around(rng, (0.62, 0.78, 0.98), 0.1)
    low = around(rng, (0.93, 0.95, 0.97), 0.05)
    out = low + (top - low) * y * np.ones((1, SIZE, 1))
    clouds = _mask("carpet", int(rng.integers(_VARIANTS)))[..., None]
    out = out + 0.12 * clouds
    if rng.random() < 0.5:
        ground = rng.uniform(0.1, 0.45) + 0.1 * _mask("wood", int(rng.integers(12)))[0]
        green = around(rng, (0.35, 0.5, 0.3), 0.15)
        out = np.where((y[:, :, 0] < ground[None])[..., None], green * (0.7 + 0.4 * clouds), out)
    return np.clip(out * 255, 0, 255).astype(np.uint8)
