"""Figures as text for people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

Rows = Sequence[Sequence[str]]


def number(value: float | None, digits: int = 3) -> str:
    """A figure; a dash where it is unknown, "inf" where most answers are missing."""
    if value is None or math.isnan(value):
        return "-"
    return "inf" if math.isinf(value) else f"{value:.{digits}f}"


def with_bounds(figures: Mapping[str, Any], key: str) -> str:
    """`0.134 [0.121, 0.148]`, the interval where there is one."""
    text = number(figures.get(key))
    bounds = figures.get("interval95", {}).get(key)
    if bounds is None or any(math.isnan(bound) for bound in bounds):
        return text
    return f"{text} [{number(bounds[0])}, {number(bounds[1])}]"


def align(header: Sequence[str], rows: Rows) -> str:
    """Columns of equal width: the first to the left, the others to the right."""
    table = [list(header), *[list(row) for row in rows]]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    lines = []
    for row in table:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def map_rows(figures: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """(header, rows) of maps: the model beside the mean depth map."""
    depth, segmentation, objects = (
        figures["depth"],
        figures["segmentation"],
        figures["objects"],
    )
    mean = figures["baselines"].get("mean_depth", {})
    base, base_objects = mean.get("depth", {}), mean.get("objects", {})
    rows = [
        ["depth AbsRel", with_bounds(depth, "absrel"), number(base.get("absrel"))],
        ["depth RMSE [m]", number(depth["rmse"]), number(base.get("rmse"))],
        ["depth delta1", with_bounds(depth, "delta1"), number(base.get("delta1"))],
        ["depth delta2", number(depth["delta2"]), number(base.get("delta2"))],
        ["depth delta3", number(depth["delta3"]), number(base.get("delta3"))],
        ["AbsRel, median-aligned", number(depth["median_aligned"]["absrel"]), "-"],
        ["AbsRel, scale+shift-aligned", number(depth["affine_aligned"]["absrel"]), "-"],
        ["segmentation mIoU", with_bounds(segmentation, "miou"), "-"],
        ["pixel accuracy", number(segmentation["pixel_accuracy"]), "-"],
        ["boundary F", number(segmentation["boundary_f"]), "-"],
        [
            f"object range error, true mask (n={objects['n']})",
            with_bounds(objects, "median_rel_error"),
            number(base_objects.get("median_rel_error")),
        ],
        [
            "object range within 20 %",
            with_bounds(objects, "within_20pct"),
            number(base_objects.get("within_20pct")),
        ],
    ]
    return ["maps", "model [95 %]", "mean depth map"], rows


def question_rows(figures: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """(header, rows) of question families: lengths by error and share within 20 %, the rest by
    accuracy; beside them the value measured on the maps, the model without maps, and the
    question alone."""
    header = ["questions", "n", "figure", "decoded [95 %]", "measured", "no maps", "question only"]
    rows = []
    others = [
        figures["measured"],
        figures["baselines"].get("direct", {}),
        figures["baselines"].get("question_only", {}),
    ]
    for family, found in figures["questions"].items():
        lengths = "median_rel_error" in found
        for index, key in enumerate(
            ("median_rel_error", "within_20pct") if lengths else ("accuracy",)
        ):
            name = {"median_rel_error": "median error", "within_20pct": "within 20 %"}.get(key, key)
            beside = [number(other.get(family, {}).get(key)) for other in others]
            first = [family, str(found["n"])] if index == 0 else ["", ""]
            rows.append([*first, name, with_bounds(found, key), *beside])
    return header, rows


def summary(figures: Mapping[str, Any]) -> str:
    """Everything `cooper eval sim` prints."""
    parts = [align(*map_rows(figures)), align(*question_rows(figures))]
    bins = figures["depth"]["bins"]
    parts.append(
        align(
            ["range", "share", "AbsRel", "delta1"],
            [
                [name, number(b["share"], 2), number(b["absrel"]), number(b["delta1"])]
                for name, b in bins.items()
            ],
        )
    )
    ratios = figures["baselines"].get("error_ratio", {})
    if ratios:
        shown = ", ".join(f"{name} {number(ratio, 2)}" for name, ratio in ratios.items())
        parts.append(f"error over that of a baseline that does not look: {shown}")
    parts += _probe_lines(figures["probes"])
    seconds = figures["seconds"]
    parts.append(
        f"median seconds: image to both maps {number(seconds['maps_median'])}, "
        f"answer {number(seconds['answer_median'])}"
    )
    return "\n\n".join(parts)


def _probe_lines(probes: Mapping[str, Any]) -> list[str]:
    lines = []
    scaled = probes.get("depth_scaled_by_1.5")
    if scaled:
        named = {**scaled, "interval95": {"median_factor": scaled["interval95"]}}
        lines.append(
            f"context depth x 1.5: decoded distance x {with_bounds(named, 'median_factor')} "
            f"(median of {scaled['scenes']} scenes)"
        )
    blank = probes.get("blank_image")
    if blank:
        lines.append(
            f"grey image: {number(blank['correct'])} of the answers are right; with the image "
            f"{number(blank['correct_with_image'])}, from the question alone "
            f"{number(blank['correct_question_only'])} ({blank['scenes']} scenes)"
        )
    return ["\n".join(lines)] if lines else []
