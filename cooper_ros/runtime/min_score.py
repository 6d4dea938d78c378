"""Which of a map's objects are shown at all: a least score per class.

A drawn map shows many things that are not there, and most of them with a low score. The manifest's
`min_score` holds, per class, the score from which on at least half of the objects were right on
validation rooms: `{"mug": 0.31, "sofa": 0.12}`; classes that are not named have none.
`cooper eval calibrate` writes it. What is below is no object: not in segments, overlay and
markers, and not for questions. Pixels keep their class.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cooper_ros.core.classes import STUFF
from cooper_ros.core.errors import ModelFolderError, shown
from cooper_ros.core.types import Segmentation

KEY = "min_score"
FROM_MANIFEST = -1.0
MAX_CLASSES = 4096


@dataclass(frozen=True)
class MinScore:
    """`classes`: least score in [0, 1] by class name; `everything`: one for all classes instead,
    `FROM_MANIFEST` for none."""

    classes: Mapping[str, float] = field(default_factory=dict)
    everything: float = FROM_MANIFEST

    def of(self, label: str) -> float:
        """Least score of a class."""
        return self.classes.get(label, 0.0) if self.everything < 0.0 else self.everything

    def applied(
        self, segmentation: Segmentation, stuff: Collection[str] = STUFF
    ) -> Segmentation:
        """Without the objects below; `stuff` (floor, wall) is never hidden, nor is what has no
        score (NaN)."""
        kept = tuple(
            s
            for s in segmentation.segments
            if s.label in stuff or not s.score < self.of(s.label)
        )
        if len(kept) == len(segmentation.segments):
            return segmentation
        return replace(segmentation, segments=kept)

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> MinScore:
        """What a manifest says, nothing without the entry. Raises ModelFolderError when malformed.
        """
        section = manifest.get(KEY)
        if section is None:
            return cls()
        if not isinstance(section, dict) or len(section) > MAX_CLASSES:
            raise ModelFolderError(f"manifest: {KEY} must be scores by class, got {shown(section)}")
        for name, score in section.items():
            number = isinstance(score, (int, float)) and not isinstance(score, bool)
            if not (number and math.isfinite(score) and 0.0 <= score <= 1.0):
                raise ModelFolderError(
                    f"manifest: {KEY} of {shown(name)} must be between 0 and 1, got {shown(score)}"
                )
        return cls({str(name): float(score) for name, score in section.items()})
