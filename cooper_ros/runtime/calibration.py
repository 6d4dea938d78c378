"""Intervals of decoded lengths, from how wrong the model was on validation rooms.

The manifest's section `calibration` holds, per question family, half widths of ln(true / decoded)
for ranges of the decoded value: `{"level": 0.9, "families": {"distance": [[1.0, 0.21], ...]}}`,
each row an upper end [m] and the half width below it. `cooper eval calibrate` writes it. A model
without the section gives no intervals.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cooper_ros.core.errors import ModelFolderError
from cooper_ros.core.types import NAN


@dataclass(frozen=True)
class Calibration:
    """`families`: family -> rows (upper end of the decoded value [m], half width of the log)."""

    level: float
    families: Mapping[str, tuple[tuple[float, float], ...]]

    def bounds(self, family: str, value_m: float) -> tuple[float, float]:
        """(low, high) [m] around a decoded length; NaN for unknown families and values <= 0."""
        if not value_m > 0.0:
            return NAN, NAN
        for upper, half_width in self.families.get(family, ()):
            if value_m < upper:
                return value_m * math.exp(-half_width), value_m * math.exp(half_width)
        return NAN, NAN

    def to_dict(self) -> dict[str, Any]:
        """The manifest's section; an endless range ends at null."""
        rows = {
            family: [[upper if math.isfinite(upper) else None, round(half, 4)] for upper, half in r]
            for family, r in self.families.items()
        }
        return {"level": self.level, "families": rows}

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> Calibration | None:
        """The section of a manifest, None without one. Raises ModelFolderError when malformed."""
        section = manifest.get("calibration")
        if section is None:
            return None
        try:
            families = {
                str(family): tuple(
                    (math.inf if upper is None else float(upper), float(half))
                    for upper, half in rows
                )
                for family, rows in section["families"].items()
            }
            return cls(float(section["level"]), families)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelFolderError(f"manifest: calibration is malformed ({error!r})") from error
