"""Write the measured figures of docs/results/*.json into docs/evaluation.md.

    python tools/render_results.py          # rewrite the section between the markers
    python tools/render_results.py --check  # exit 1 where the page differs

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


def targets_table(e: dict[str, Any]) -> list[str]:
    """The project's targets beside what training reached, and baselines that do not look."""
    mean, alone, q = e["baselines"]["mean_depth"], e["baselines"]["question_only"], e["questions"]
    low, high = e["depth"]["interval95"]["absrel"]

    def within(part: dict[str, Any], family: str) -> str:
        return percent(part[family]["within_20pct"]) if family in part else "–"

    rows = [
        ("depth AbsRel", f"{number(e['depth']['absrel'], 3)} [{low:.3f}, {high:.3f}]", "0.13",
         "0.08", number(mean["depth"]["absrel"], 3)),
        ("depth delta1", number(e["depth"]["delta1"]), "0.84", "0.93",
         number(mean["depth"]["delta1"])),
        ("segmentation mIoU (27 classes)", number(e["segmentation"]["miou"]), "0.68", "0.80", ""),
        ("object depth error (median)", number(e["objects"]["median_rel_error"]), "0.15", "0.07",
         number(mean["objects"]["median_rel_error"])),
        ("distance to an object within 20 %", within(q, "distance"), "70 %", "88 %",
         within(alone, "distance")),
        ("between two objects within 20 %", within(q, "between"), "45 %", "65 %",
         within(alone, "between")),
        ("order and side questions", percent(pooled(q, ORDERS)), "88 %", "93 %",
         percent(pooled(alone, ORDERS))),
        ("count exact", percent(pooled(q, ("count",))), "60 %", "75 %",
         percent(pooled(alone, ("count",)))),
    ]
    head = ["| | cooper-nano v2, CPU-trained | target, CPU | GPU-trained | target, GPU | "
            "without looking |", "|---|---|---|---|---|---|"]
    lines = ["| " + " | ".join((n, v, c, "–", g, base)) + " |" for n, v, c, g, base in rows]
    more = (f"Also: AbsRel {number(e['depth']['median_aligned']['absrel'], 3)} when aligned by the "
            f"median, pixel accuracy {percent(e['segmentation']['pixel_accuracy'])}. No GPU was "
            "available: that column is empty. *Without looking*: mean depth map of the training "
            "set, and answers from the question alone.")
    return [*head, *lines, "", more]


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
    lines += [*targets_table(e), "", *question_table(e), "", *probe_lines(e)]
    notes = RESULTS / "notes.md"
    if notes.exists():
        lines += ["", notes.read_text().strip()]
    return "\n".join(lines)


def main() -> int:
    """Rewrite or check the page."""
    path = ROOT / "docs" / "evaluation.md"
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
