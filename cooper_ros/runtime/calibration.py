"""What a model is worth where it was measured: intervals of lengths and confidence of depth.

The manifest's section `calibration` holds, per question family, rows of (decoded value, low, high)
[m]: `{"level": 0.9, "families": {"distance": [[1.0, 0.7, 1.3], ...]}}`, and the weights of
`runtime.confidence`. `cooper eval calibrate` writes it. A model without the section gives no
intervals.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cooper_ros.core.errors import ModelFolderError
from cooper_ros.core.types import NAN
from cooper_ros.runtime.confidence import DepthConfidence

Rows = tuple[tuple[float, float, float], ...]

MEASURED = "measured"
"""Name of the rows of distances measured on the maps, beside the question families."""


MAX_ROWS = 1000
"""Rows of one family."""


@dataclass(frozen=True)
class Calibration:
    """`families`: family -> rows (decoded value [m], low, high), values ascending; `depth`: the
    confidence of depth maps, None where it was not fitted."""

    level: float
    families: Mapping[str, Rows]
    depth: DepthConfidence | None = None

    def bounds(self, family: str, value_m: float) -> tuple[float, float]:
        """(low, high) [m] around a decoded length; NaN for unknown families and values <= 0.

        Between two rows the logarithms are interpolated. Below the first and above the last row
        the bound on that side scales with the value, the other stays. The value itself is
        always inside.
        """
        rows = self.families.get(family, ())
        if not (value_m > 0.0 and math.isfinite(value_m) and rows):
            return NAN, NAN
        decoded, low, high = np.log(np.asarray(rows, np.float64)).T
        x = math.log(value_m)
        below, above = min(x - decoded[0], 0.0), max(x - decoded[-1], 0.0)
        lower = math.exp(float(np.interp(x, decoded, low)) + below)
        upper = math.exp(float(np.interp(x, decoded, high)) + above)
        return min(lower, value_m), max(upper, value_m)

    def measured_half_widths(self) -> tuple[tuple[float, float], ...]:
        """Rows (distance [m], half width of the log) of distances measured on the maps, for
        `ScaleReport`; empty where they were not calibrated."""
        return tuple(
            (value, max(math.log(max(high, value) / value), math.log(value / min(low, value))))
            for value, low, high in self.families.get(MEASURED, ())
        )

    def to_dict(self) -> dict[str, Any]:
        """The manifest's section."""
        rows = {
            family: [[round(number, 4) for number in row] for row in r]
            for family, r in self.families.items()
        }
        section: dict[str, Any] = {"level": self.level, "families": rows}
        if self.depth is not None:
            section["depth_confidence"] = self.depth.to_dict()
        return section

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> Calibration | None:
        """The section of a manifest, None without one. Raises ModelFolderError when malformed."""
        section = manifest.get("calibration")
        if section is None:
            return None
        try:
            families = {str(name): _rows(rows) for name, rows in section["families"].items()}
            confidence = section.get("depth_confidence")
            depth = None if confidence is None else DepthConfidence.from_dict(confidence)
            level = float(section["level"])
            if not 0.0 < level < 1.0:
                raise ValueError(f"level {level} is not between 0 and 1")
            return cls(level, families, depth)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelFolderError(
                f"manifest: calibration is malformed ({error!r}): run `cooper eval calibrate MODEL`"
            ) from error


def _rows(rows: Any) -> Rows:
    found: list[tuple[float, float, float]] = []
    if len(rows) > MAX_ROWS:
        raise ValueError(f"{len(rows)} rows, more than {MAX_ROWS}")
    for value, low, high in rows:
        row = (float(value), float(low), float(high))
        if not 0.0 < row[1] <= row[2] < math.inf or not 0.0 < row[0] < math.inf:
            raise ValueError(f"row {row} is no interval of lengths")
        if found and row[0] <= found[-1][0]:
            raise ValueError(f"row {row} is not above the row before it")
        found.append(row)
    return tuple(found)
