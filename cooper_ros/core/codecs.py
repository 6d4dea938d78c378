"""How depth and classes are coded as pictures: the models draw, these functions read.

Pictures are f32 [3, H, W] in [-1, 1]; single pictures only, no batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cooper_ros.core.errors import CooperError, InvalidImageError

Array = NDArray[np.float32]

CURVES = ("log", "linear")
DEFAULT_TEMPERATURE = 6.0


def _check_picture(picture: Array) -> None:
    if picture.ndim != 3 or picture.shape[0] != 3:
        raise InvalidImageError(f"a picture needs shape [3, H, W], got {list(picture.shape)}")


@dataclass(frozen=True, slots=True)
class DepthCodec:
    """Metres <-> grey picture. Near is -1 (black), far is +1 (white).

    `curve` "log": v = (ln d - ln min) / (ln max - ln min), relative error constant over the range;
    "linear": v = (d - min) / (max - min), the official stage-1 code. Picture = 2 v - 1 on all three
    channels.
    """

    min_m: float
    max_m: float
    curve: str = "log"

    def __post_init__(self) -> None:
        if self.curve not in CURVES:
            raise CooperError(f"depth curve must be one of {CURVES}, got {self.curve!r}")
        if not 0.0 < self.min_m < self.max_m:
            raise CooperError(
                f"depth range needs 0 < min < max [m], got {self.min_m} and {self.max_m}"
            )

    def code(self, depth: Array) -> Array:
        """Metres -> v in [0, 1], clamped to the range; NaN or <= 0 stays unknown (NaN)."""
        with np.errstate(invalid="ignore"):
            known = np.where(depth > 0, depth, np.float32(np.nan))
            clipped = np.clip(known, self.min_m, self.max_m).astype(np.float32)
            if self.curve == "log":
                low, high = np.log(self.min_m), np.log(self.max_m)
                value = (np.log(clipped) - low) / (high - low)
            else:
                value = (clipped - self.min_m) / (self.max_m - self.min_m)
        return np.asarray(value, np.float32)

    def metres(self, code: Array) -> Array:
        """v in [0, 1] -> metres, f32 of the same shape."""
        if self.curve == "log":
            low, high = np.log(self.min_m), np.log(self.max_m)
            return np.exp(code * np.float32(high - low) + np.float32(low)).astype(np.float32)
        return (code * np.float32(self.max_m - self.min_m) + np.float32(self.min_m)).astype(
            np.float32
        )

    def encode(self, depth: Array) -> Array:
        """Depth f32 [H, W] in metres -> picture f32 [3, H, W]; unknown depth gives NaN pixels."""
        grey = 2.0 * self.code(depth) - 1.0
        return np.repeat(grey[None].astype(np.float32), 3, axis=0)

    def relative(self, picture: Array) -> Array:
        """Picture -> v f32 [H, W] in [0, 1]: channel mean of the clamped picture."""
        _check_picture(picture)
        return np.clip(picture * 0.5 + 0.5, 0.0, 1.0).mean(axis=0, dtype=np.float32)

    def decode(self, picture: Array) -> Array:
        """Picture f32 [3, H, W] -> metres f32 [H, W]."""
        return self.metres(self.relative(picture))


ClassReading = tuple[NDArray[np.uint8], Array]
"""Classes uint8 [H, W] of a map and how probable each is, f32 [H, W] in (0, 1]."""


@dataclass(frozen=True, eq=False)
class PaletteCodec:
    """Class ids <-> colours: class i has `colours[i]`, f32 [N, 3] in [-1, 1].

    Reading: the nearest colour; score = softmax over classes of -temperature * squared distance.
    """

    names: tuple[str, ...]
    colours: Array
    temperature: float = DEFAULT_TEMPERATURE
    _norms: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        colours = np.ascontiguousarray(self.colours, np.float32)
        if colours.shape != (len(self.names), 3):
            raise CooperError(
                f"{len(self.names)} classes need colours of shape [{len(self.names)}, 3], "
                f"got {list(colours.shape)}"
            )
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "colours", colours)
        object.__setattr__(self, "_norms", (colours**2).sum(1))

    def encode(self, labels: NDArray[np.integer]) -> Array:
        """Labels [H, W] -> picture f32 [3, H, W]. Raises CooperError for an id without colour."""
        if labels.size and not 0 <= int(labels.min()) <= int(labels.max()) < len(self.names):
            raise CooperError(
                f"label ids must be 0..{len(self.names) - 1}, "
                f"got {int(labels.min())}..{int(labels.max())}"
            )
        return np.ascontiguousarray(self.colours[labels].transpose(2, 0, 1))

    def logits(self, picture: Array) -> Array:
        """-temperature * squared colour distance, f32 [N, H, W]."""
        _check_picture(picture)
        flat = picture.reshape(3, -1)
        squared = self._norms[:, None] - 2.0 * (self.colours @ flat) + (flat**2).sum(0)
        return (-np.float32(self.temperature) * squared).reshape(-1, *picture.shape[1:])

    def decode(self, picture: Array) -> ClassReading:
        """Picture -> (labels uint8 [H, W], score f32 [H, W] in (0, 1])."""
        return read_scores(self.logits(picture))


def read_scores(logits: Array) -> ClassReading:
    """Logits f32 [N, H, W] -> (labels uint8 [H, W], probability of the label f32 [H, W])."""
    labels = logits.argmax(axis=0)
    best = np.take_along_axis(logits, labels[None], axis=0)[0]
    score = 1.0 / np.exp(logits - best).sum(axis=0)
    return labels.astype(np.uint8), score.astype(np.float32)


def sphere_palette(count: int, seed: int = 0) -> Array:
    """`count` well separated colours on the unit sphere: f32 [count, 3].

    Points that repel each other (inverse distance), so that no colour lies between two others: a
    blurred edge between two classes must not look like a third. Same result for the same seed.
    """
    points = np.random.default_rng(seed).normal(size=(count, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    step = 0.5 / max(count, 1)
    for _ in range(600):
        offset = points[:, None] - points[None]
        distance = np.linalg.norm(offset, axis=2) + np.eye(count)
        force = (offset / distance[..., None] ** 3).sum(axis=1)
        points += step * force
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        step *= 0.997
    # Rounding makes the table independent of the last bits of a machine's arithmetic.
    return np.round(points, 4).astype(np.float32)


# The 11 anchor colours of ColorBrewer's "Spectral", red (near) to blue (far).
_SPECTRAL: Sequence[tuple[int, int, int]] = (
    (158, 1, 66),
    (213, 62, 79),
    (244, 109, 67),
    (253, 174, 97),
    (254, 224, 139),
    (255, 255, 191),
    (230, 245, 152),
    (171, 221, 164),
    (102, 194, 165),
    (50, 136, 189),
    (94, 79, 162),
)


@lru_cache(maxsize=1)
def _spectral_table() -> NDArray[np.uint8]:
    """uint8 [256, 3]: linear interpolation between the anchors, x255, truncated (float32)."""
    anchors = np.asarray(_SPECTRAL, np.float64) / 255.0
    places = np.linspace(0.0, 1.0, len(anchors)) * 255.0
    wanted = 255.0 * np.linspace(0.0, 1.0, 256)
    upper = np.clip(np.searchsorted(places, wanted), 1, len(anchors) - 1)
    share = (wanted - places[upper - 1]) / (places[upper] - places[upper - 1])
    table = share[:, None] * (anchors[upper] - anchors[upper - 1]) + anchors[upper - 1]
    return (np.clip(table, 0.0, 1.0).astype(np.float32) * np.float32(255.0)).astype(np.uint8)


def spectral_colormap(relative: ArrayLike) -> NDArray[np.uint8]:
    """Relative depth [H, W] in [0, 1] (0 = near) -> uint8 [3, H, W], red to blue.

    The colouring in which the official model takes a depth map back: 256 levels of the colour map
    "Spectral", no per-image normalisation. NaN is drawn as near.
    """
    value = np.nan_to_num(np.asarray(relative, np.float32), nan=0.0)
    index = np.clip((value * np.float32(256.0)).astype(np.int64), 0, 255)
    return np.ascontiguousarray(np.moveaxis(_spectral_table()[index], -1, 0))
