"""How sure the model is of its depth, pixel by pixel: the probability of an error below 25 %.

A logistic regression on what a generated map shows of its own quality: how far away a pixel is
drawn, whether the three channels agree, edges, and, where the segmentation of the same frame was
drawn too, how clear its colour is and which class it is. `cooper eval calibrate` fits it on
validation rooms and writes it into the manifest's section `calibration.depth_confidence`; a map is
then as often within 25 % of the truth as its confidence says. A model without the section has
uncalibrated confidence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.codecs import ClassReading
from cooper_ros.core.errors import ModelFolderError
from cooper_ros.runtime.backend import Float
from cooper_ros.runtime.pictures import unit_range
from cooper_ros.runtime.spec import ModelSpec

RANGE_KNOTS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
WITH_CLASSES, DEPTH_ONLY = "depth_and_classes", "depth"
_ROUGH_SIGMA_PX = 3.0


def feature_names(spec: ModelSpec, classes: bool) -> tuple[str, ...]:
    """Names of `features`, in order."""
    names = tuple(f"range_{knot:g}" for knot in RANGE_KNOTS)
    names += ("spread", "edge", "rough", "row", "middle")
    if classes and spec.segmentation is not None:
        names += ("clear", "saturated", *(f"is_{name}" for name in spec.segmentation.names))
    return names


def features(
    spec: ModelSpec,
    depth: Float,
    segmentation: Float | None,
    reading: ClassReading | None = None,
) -> Float:
    """f32 [n, h, w] of generated pictures [3, h, w] in [-1, 1]; `segmentation` may be missing.
    `reading`: its classes and scores, where the model gave them.

    range_*: hat functions of the coded depth (they add up to 1); spread: between the channels;
    edge: largest step of the coded depth in 3x3 pixels; rough: its deviation around; row: 0 at the
    top, 1 at the bottom; middle: the map's median; clear: score of the class; saturated: length of
    its colour; is_*: the class.
    """
    code = spec.depth.codec().relative(depth)
    height, width = code.shape
    unit = unit_range(depth)
    knots = np.asarray(RANGE_KNOTS, np.float32)
    hats = np.clip(1.0 - np.abs(code[None] - knots[:, None, None]) / (knots[1] - knots[0]), 0, 1)
    down, across = np.gradient(code)
    edge = cv2.dilate(np.hypot(down, across), np.ones((3, 3), np.uint8))
    mean = cv2.GaussianBlur(code, (0, 0), _ROUGH_SIGMA_PX)
    power = cv2.GaussianBlur(code * code, (0, 0), _ROUGH_SIGMA_PX)
    rows = np.linspace(0.0, 1.0, height, dtype=np.float32)[:, None]
    parts: list[NDArray[Any]] = [
        *hats,
        np.sqrt(unit.max(axis=0) - unit.min(axis=0)),
        np.sqrt(edge),
        np.sqrt(np.sqrt(np.maximum(power - mean * mean, 0.0))),
        np.broadcast_to(rows, (height, width)),
        np.full((height, width), np.median(code)),
    ]
    if segmentation is not None and spec.segmentation is not None:
        labels, score = reading or spec.segmentation.codec().decode(segmentation)
        parts += [score, np.sqrt((segmentation**2).sum(axis=0))]
        parts += [labels == index for index in range(len(spec.segmentation.names))]
    return np.stack(parts).astype(np.float32)


@dataclass(frozen=True, eq=False)
class DepthConfidence:
    """Fitted weights by kind of input (`depth`, `depth_and_classes`), in order of `features`.

    `within`: relative error whose probability the confidence is.
    """

    within: float
    weights: Mapping[str, tuple[tuple[str, float], ...]]

    def score(
        self,
        spec: ModelSpec,
        depth: Float,
        segmentation: Float | None,
        reading: ClassReading | None = None,
    ) -> Float | None:
        """Confidence f32 [h, w] in [0, 1] of generated pictures; None where nothing was fitted.

        Raises ModelFolderError when the weights belong to other features (another version).
        """
        both = segmentation is not None and WITH_CLASSES in self.weights
        pairs = self.weights.get(WITH_CLASSES if both else DEPTH_ONLY)
        if pairs is None:
            return None
        names = feature_names(spec, both)
        if tuple(name for name, _ in pairs) != names:
            raise ModelFolderError(
                "manifest: calibration.depth_confidence was fitted for other features: run "
                "`cooper eval calibrate MODEL` again"
            )
        values = features(spec, depth, segmentation if both else None, reading)
        logit = np.tensordot(np.array([w for _, w in pairs], np.float32), values, axes=1)
        return np.asarray(1.0 / (1.0 + np.exp(-logit)), np.float32)

    def to_dict(self) -> dict[str, Any]:
        """The manifest's section."""
        fits = {
            kind: {name: round(weight, 4) for name, weight in pairs}
            for kind, pairs in self.weights.items()
        }
        return {"within": self.within, "weights": fits}

    @classmethod
    def from_dict(cls, section: Mapping[str, Any]) -> DepthConfidence:
        """Inverse of `to_dict`. Raises KeyError, TypeError, ValueError when malformed."""
        weights = {
            str(kind): tuple((str(name), _finite(weight)) for name, weight in pairs.items())
            for kind, pairs in section["weights"].items()
        }
        return cls(float(section["within"]), weights)


def _finite(value: Any) -> float:
    number = float(value)
    if not np.isfinite(number):
        raise ValueError(f"weight {value!r} is not finite")
    return number


def named(names: Sequence[str], weights: Sequence[float]) -> tuple[tuple[str, float], ...]:
    """Weights beside the names of their features."""
    return tuple((name, float(weight)) for name, weight in zip(names, weights, strict=True))
