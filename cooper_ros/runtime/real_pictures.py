"""What a model is worth on real pictures, and whether a picture is one for it.

Metres, intervals, confidence and least scores are fitted in simulated rooms. The manifest's section
`real_pictures`, which `cooper eval calibrate-real` writes, says how far they hold elsewhere:
measured on sets of real pictures, each judged by a fit that has not seen its set. A picture counts
as real when the mean of its vision tokens lies on the real side of a line between simulated rooms
and real pictures, or far from all simulated rooms. A model without the section takes every picture
for one of its training.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.errors import ModelFolderError, shown
from cooper_ros.runtime.backend import Float
from cooper_ros.runtime.min_score import MinScore

KEY = "real_pictures"
ALONE, ANCHORED = "alone", "anchored"
"""Confidence of metres that are the model's own, and of metres with anchors."""
RELATIVE_FACTOR = 1.5
"""Lengths that may be off by more than this factor say only what is nearer."""
MAX_WIDTH = 1 << 16
MAX_SETS = 1000
_RANGE_M = (0.1, 100.0)

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Likeness:
    """The line between simulated rooms and real pictures, for the mean of the vision tokens [D].

    `centre`, `spread` f64 [D] of simulated rooms; `direction` f64 [D]: what lies further along it
    than `least` is real; so is what is further than `farthest` (root mean square, in spreads) from
    the centre.
    """

    centre: Vector
    spread: Vector
    direction: Vector
    least: float
    farthest: float

    def scores(self, tokens: Float) -> tuple[float, float]:
        """(how far along the line, how far from all simulated rooms) of a mean of tokens [D]."""
        away = (tokens.astype(np.float64) - self.centre) / self.spread
        return float(away @ self.direction), float(np.sqrt(np.mean(away**2)))

    def unlike(self, tokens: Float | None) -> bool:
        """Whether a picture with this mean of vision tokens [D] is not like simulated rooms; True
        where it is not known."""
        if tokens is None:
            return True
        along, away = self.scores(tokens)
        return not (along <= self.least and away <= self.farthest)


@dataclass(frozen=True, eq=False)
class RealPictures:
    """What holds on real pictures. `half_width`: of ln(true / model) at `level` where metres have
    no anchor; `confidence`: (offset, slope) of the log odds of simulated confidence, by `ALONE` and
    `ANCHORED`; `min_score`: least scores by class; `sets`: what it was fitted on."""

    likeness: Likeness
    level: float
    half_width: float
    confidence: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    min_score: Mapping[str, float] = field(default_factory=dict)
    sets: tuple[str, ...] = ()

    @property
    def factor(self) -> float:
        """By how much a length without anchor may be off."""
        return math.exp(self.half_width)

    @property
    def caution(self) -> str:
        """What goes with a length that has no anchor, for people."""
        last = "only what is nearer and what is farther can be relied on: "
        if self.factor <= RELATIVE_FACTOR:
            last = ""
        return (
            "this picture is unlike those that metres were learned from: lengths may be off by a "
            f"factor of {self.factor:.1f}; {last}range points, the camera's height or "
            "~/calibrate_scale give metres"
        )

    def half_widths(self) -> tuple[tuple[float, float], ...]:
        """Rows for `ScaleReport`: the same at every depth."""
        near, far = _RANGE_M
        return (near, self.half_width), (far, self.half_width)

    def widened(self, value_m: float, low: float, high: float) -> tuple[float, float]:
        """The interval [m] of a length without anchor: at least as wide as real pictures ask."""
        if not value_m > 0.0:
            return low, high
        wide = value_m / self.factor, value_m * self.factor
        return float(np.nanmin([low, wide[0]])), float(np.nanmax([high, wide[1]]))

    def trusted(self, confidence: Float, kind: str) -> Float:
        """Confidence of simulated rooms as it is worth on real pictures; as it is where that was
        not fitted."""
        pair = self.confidence.get(kind)
        if pair is None:
            return confidence
        clipped = np.clip(confidence, 1e-6, 1.0 - 1e-6)  # NaN stays
        odds = np.float32(pair[0]) + np.float32(pair[1]) * np.log(clipped / (1.0 - clipped))
        return np.asarray(1.0 / (1.0 + np.exp(-odds)), np.float32)

    def stricter(self, least: MinScore) -> MinScore:
        """Least scores that hide what real pictures show wrongly too."""
        names = {*least.classes, *self.min_score}
        classes = {
            name: max(least.classes.get(name, 0.0), self.min_score.get(name, 0.0))
            for name in names
        }
        return replace(least, classes=classes)

    def to_dict(self) -> dict[str, Any]:
        """The manifest's section."""
        like = self.likeness
        return {
            "level": self.level,
            "half_width": round(self.half_width, 4),
            "confidence": {
                kind: [round(number, 4) for number in pair]
                for kind, pair in self.confidence.items()
            },
            "min_score": {name: round(score, 4) for name, score in self.min_score.items()},
            "sets": list(self.sets),
            "likeness": {
                "least": round(like.least, 5),
                "farthest": round(like.farthest, 5),
                **{
                    name: [float(f"{number:.5g}") for number in getattr(like, name)]
                    for name in ("centre", "spread", "direction")
                },
            },
        }

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any], width: int = 0) -> RealPictures | None:
        """The section of a manifest, None without one. `width`: of the model's vision tokens, 0
        where nobody knows. Raises ModelFolderError when malformed."""
        section = manifest.get(KEY)
        if section is None:
            return None
        try:
            return cls._read(section, width)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelFolderError(
                f"manifest: {KEY} is malformed ({shown(repr(error))}): run "
                "`cooper eval calibrate-real MODEL`"
            ) from error

    @classmethod
    def _read(cls, section: Any, width: int) -> RealPictures:
        like = section["likeness"]
        vectors = [_vector(like[name], width) for name in ("centre", "spread", "direction")]
        if len({len(vector) for vector in vectors}) != 1:
            raise ValueError("centre, spread and direction have different lengths")
        if not (vectors[1] > 0.0).all():
            raise ValueError("spread must be positive")
        centre, spread, direction = vectors
        least, farthest = _finite(like["least"]), _finite(like["farthest"])
        likeness = Likeness(centre, spread, direction, least, farthest)
        pairs = {str(kind): _pair(pair) for kind, pair in section.get("confidence", {}).items()}
        scores = MinScore.from_manifest({"min_score": section.get("min_score", {})})
        level, half_width = _finite(section["level"]), _finite(section["half_width"])
        if not 0.0 < level < 1.0 or not 0.0 <= half_width < 10.0:
            raise ValueError(f"level {level} or half_width {half_width} is out of range")
        sets = tuple(str(name) for name in section.get("sets", ())[:MAX_SETS])
        return cls(likeness, level, half_width, pairs, scores.classes, sets)


def _vector(values: Any, width: int) -> Vector:
    if not isinstance(values, list) or not 0 < len(values) <= MAX_WIDTH:
        raise ValueError("a list of numbers is missing")
    if width and len(values) != width:
        raise ValueError(f"{len(values)} numbers for vision tokens of {width}")
    return np.array([_finite(value) for value in values])


def _pair(values: Any) -> tuple[float, float]:
    offset, slope = values
    return _finite(offset), _finite(slope)


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is not finite")
    return number
