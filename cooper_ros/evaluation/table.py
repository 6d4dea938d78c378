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


def range_rows(figures: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """(header, rows) of depth errors by true range."""
    names = ("absrel", "rmse", "delta1", "delta2", "delta3")
    rows = [
        [name, number(found["share"], 2), *(number(found[key]) for key in names)]
        for name, found in figures["depth"]["bins"].items()
    ]
    return ["true depth", "pixels", "AbsRel", "RMSE [m]", "delta1", "delta2", "delta3"], rows


def detail_rows(figures: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """(header, rows) of what else an answer is worth: read at all, wrongly refused, agreement of
    text and maps, 90 % interval (share covered, width / value), "none" where that is right."""
    header = ["answers", "read", "refused", "agree", "covered", "width", "absent", "said so"]
    header.append("seconds")
    rows = []
    for family, found in figures["questions"].items():
        shares = [number(found[key], 2) for key in ("parse_rate", "refused", "agree")]
        interval = [number(found.get(key), 2) for key in ("coverage_90", "width_90")]
        absent = [str(found["absent_n"]), number(found["absent_refused"], 2)]
        rows.append([family, *shares, *interval, *absent, number(found["seconds_median"], 2)])
    return header, rows


def robot_rows(figures: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """(header, rows) of what a robot gets: share answered of what is there, how right the answers
    are, and the share of questions about absent things that are answered as if they were there."""
    header = ["what a robot gets", "n", "answered", "of these right", "median error", "absent"]
    header.append("falsely OK")
    rows = []
    for family, found in figures.get("robot", {}).items():
        rows.append(
            [
                family,
                str(found["n"]),
                with_bounds(found, "answered"),
                with_bounds(found, "correct"),
                number(found["median_rel_error"]),
                str(found["absent_n"]),
                with_bounds(found, "false_ok"),
            ]
        )
    return header, rows


def coverage_rows(figures: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """(header, rows) of the coverage of 90 % intervals by true range: share (questions)."""
    found = {
        family: part["coverage_bins"]
        for family, part in figures["questions"].items()
        if part.get("coverage_bins")
    }
    bins = list(dict.fromkeys(name for part in found.values() for name in part))
    rows = []
    for family, part in found.items():
        cells = [part.get(name) for name in bins]
        texts = [f"{number(c['coverage_90'], 2)} ({c['n']})" if c else "-" for c in cells]
        rows.append([family, *texts])
    return ["90 % interval covers", *bins], rows


def reliability_rows(figures: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """(header, rows) of the confidence of depth beside how often it was right."""
    found = figures["depth"].get("reliability") or {"bins": {}, "within": math.nan}
    rows = [
        [name, number(b["share"], 2), number(b["confidence"], 2), number(b["right"], 2)]
        for name, b in found["bins"].items()
    ]
    right = f"error < {100 * found['within']:.0f} %" if rows else "right"
    return ["depth confidence", "pixels", "said", right], rows


def confidence_line(figures: Mapping[str, Any]) -> str:
    """One line about the confidence of depth."""
    depth = figures["depth"]
    error = depth.get("reliability", {}).get("ece", math.nan)
    return (
        f"depth confidence: calibration error {number(error)}; AbsRel of the surer half of the "
        f"pixels {number(depth['absrel_confident_half'])}, of the other half "
        f"{number(depth['absrel_other_half'])}"
    )


def tables(figures: Mapping[str, Any]) -> list[tuple[str, list[str], list[list[str]]]]:
    """Every table of an evaluation: (title, header, rows); those without rows are left out."""
    from cooper_ros.evaluation.targets import target_rows

    found = [
        ("Maps", *map_rows(figures)),
        ("Questions", *question_rows(figures)),
        ("What a robot gets", *robot_rows(figures)),
        ("Answers in detail", *detail_rows(figures)),
        ("Intervals by true range", *coverage_rows(figures)),
        ("Depth by range", *range_rows(figures)),
        ("Confidence of depth", *reliability_rows(figures)),
        ("Targets", *target_rows(figures)),
    ]
    return [entry for entry in found if entry[2]]


def summary(figures: Mapping[str, Any]) -> str:
    """Everything `cooper eval sim` prints."""
    parts = [align(header, rows) for _, header, rows in tables(figures)]
    parts.append(confidence_line(figures))
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
