"""Write the measured figures of docs/results/*.json into the README.

    python tools/render_results.py          # rewrite the section between the markers
    python tools/render_results.py --check  # exit 1 where the README differs

`eval_sim.json` is the last line of `cooper eval sim --json`, `bench*.json` that of `cooper bench`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
LENGTHS = ("distance", "between", "width", "height", "free")
ORDERS = ("nearer", "farther", "left", "right", "front", "behind")


def number(value: Any, digits: int = 2) -> str:
    """A figure, or a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def percent(value: Any) -> str:
    """A share in percent."""
    return "–" if value is None else f"{100 * value:.0f} %"


def maps_table(e: dict[str, Any]) -> list[str]:
    """Depth and segmentation beside the targets and the baseline that does not look."""
    mean = e["baselines"]["mean_depth"]
    low, high = e["depth"]["interval95"]["absrel"]
    rows = [
        ("depth AbsRel", f"{number(e['depth']['absrel'], 3)} [{low:.3f}, {high:.3f}]", "≤ 0.20",
         number(mean["depth"]["absrel"], 3)),
        ("depth delta1", number(e["depth"]["delta1"]), "≥ 0.70", number(mean["depth"]["delta1"])),
        ("AbsRel, median-aligned", number(e["depth"]["median_aligned"]["absrel"], 3), "", ""),
        ("segmentation mIoU (27 classes)", number(e["segmentation"]["miou"]), "≥ 0.45", ""),
        ("pixel accuracy", number(e["segmentation"]["pixel_accuracy"]), "", ""),
        ("range of an object, median error", percent(e["objects"]["median_rel_error"]), "",
         percent(mean["objects"]["median_rel_error"])),
    ]
    head = ["| maps | cooper-nano v0 | target | mean depth map of the training set |",
            "|---|---|---|---|"]
    return head + ["| " + " | ".join(r) + " |" for r in rows]


def pooled(part: dict[str, Any], families: tuple[str, ...]) -> float | None:
    """Accuracy over several families."""
    found = [part[f] for f in families if f in part and part[f]["n"]]
    total = sum(f["n"] for f in found)
    return sum(f["n"] * f["accuracy"] for f in found) / total if total else None


def question_table(e: dict[str, Any]) -> list[str]:
    """Decoded answers beside maps, the same model without maps, and the question alone."""
    parts = [e["questions"], e["measured"], e["baselines"]["direct"],
             e["baselines"]["question_only"]]
    lines = ["| questions | n | decoded | measured on its maps | without maps | question alone |",
             "|---|---|---|---|---|---|"]
    for family in LENGTHS:
        if family not in parts[0]:
            continue
        cells = [f"{percent(p[family]['median_rel_error'])}; {percent(p[family]['within_25pct'])}"
                 for p in parts]
        n = parts[0][family]["n"]
        lines.append(f"| {family}: median error; within 25 % | {n} | " + " | ".join(cells) + " |")
    for name, families in (("order and side", ORDERS), ("count", ("count",)),
                           ("within reach", ("reachable",)), ("presence", ("presence",))):
        n = sum(parts[0][f]["n"] for f in families if f in parts[0])
        cells = [percent(pooled(p, families)) for p in parts]
        lines.append(f"| {name}: accuracy | {n} | " + " | ".join(cells) + " |")
    return lines


def probe_lines(e: dict[str, Any]) -> list[str]:
    """What happens when the maps or the picture are changed."""
    scaled, blank = e["probes"]["depth_scaled_by_1.5"], e["probes"]["blank_image"]
    return [
        f"Depth map in the context times 1.5: decoded distances times "
        f"{number(scaled['median_factor'])} (median of {scaled['scenes']} rooms). Grey image: "
        f"{percent(blank['correct'])} of the answers are right, against "
        f"{percent(blank['correct_with_image'])} with the image and "
        f"{percent(blank['correct_question_only'])} from the question alone.",
    ]


def render() -> str:
    """The section's text."""
    e = json.loads((RESULTS / "eval_sim.json").read_text())
    lines = [f"`cooper eval sim --seed {e['seed']}`: {e['scenes']} unseen rooms, "
             f"{e['width']}x{e['height']} pictures, the committed model folder.", ""]
    lines += [*maps_table(e), "", *question_table(e), "", *probe_lines(e)]
    notes = RESULTS / "notes.md"
    if notes.exists():
        lines += ["", notes.read_text().strip()]
    return "\n".join(lines)


def main() -> int:
    """Rewrite or check the README."""
    path = ROOT / "README.md"
    text = path.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    new = before + BEGIN + "\n" + render() + "\n" + END + after
    if "--check" in sys.argv[1:]:
        return int(new != text)
    path.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
