"""Charts of the report as inline SVG: horizontal bars, and curves over samples seen."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

COLOURS = ("#2563a8", "#c2571a", "#3a7d44", "#8a3d8f", "#7a6a1f")
CURVES = (
    ("absrel", "depth AbsRel"),
    ("delta1", "depth delta1"),
    ("miou", "mIoU"),
    ("answer_median", "distance answers: median error"),
    ("answer_20", "distance answers within 20 %"),
)


def bars(values: Mapping[str, float], width: int = 460) -> str:
    """One bar per name, largest first; values in [0, 1]."""
    rows = []
    ordered = sorted(values.items(), key=lambda pair: -pair[1])
    for index, (name, value) in enumerate(ordered):
        y = index * 20
        length = max(0.0, min(1.0, value)) * (width - 150)
        rows.append(
            f'<text x="92" y="{y + 14}" text-anchor="end">{html.escape(name)}</text>'
            f'<rect x="100" y="{y + 3}" width="{length:.1f}" height="14" rx="2"/>'
            f'<text x="{106 + length:.1f}" y="{y + 14}" class="quiet">{value:.2f}</text>'
        )
    return f'<svg class="bars" viewBox="0 0 {width} {20 * len(rows)}" width="{width}">' + (
        "".join(rows) + "</svg>"
    )


def read_log(path: Path) -> list[dict[str, float]]:
    """The evaluation lines of a training log (`log.jsonl`), in order."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    return [line for line in lines if line.get("kind") == "eval"]


def curves(points: Sequence[Mapping[str, float]], width: int = 640, height: int = 240) -> str:
    """Figures in [0, 1] over samples seen, with a legend; "" with fewer than two points."""
    if len(points) < 2:
        return ""
    most = max(float(point["samples"]) for point in points)
    left, right, bottom = 36, width - 10, height - 24
    parts = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _height(tick, bottom)
        parts.append(f'<line x1="{left}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{left - 4}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    legend = []
    shown = [(key, text) for key, text in CURVES if any(key in point for point in points)]
    for (key, text), colour in zip(shown, COLOURS, strict=False):
        drawn = " ".join(
            f"{left + (right - left) * float(point['samples']) / most:.1f},"
            f"{_height(float(point[key]), bottom):.1f}"
            for point in points
            if key in point and math.isfinite(point[key])
        )
        parts.append(f'<polyline points="{drawn}" style="stroke:{colour}"/>')
        legend.append(f'<span style="color:{colour}">&#9632; {html.escape(text)}</span>')
    parts.append(
        f'<text x="{right}" y="{height - 6}" text-anchor="end">{most:,.0f} samples seen</text>'
    )
    chart = f'<svg class="curves" viewBox="0 0 {width} {height}" width="{width}">'
    return f'{chart}{"".join(parts)}</svg><p class="legend">{" ".join(legend)}</p>'


def _height(value: float, bottom: int) -> float:
    return bottom - (bottom - 8) * max(0.0, min(1.0, value))
