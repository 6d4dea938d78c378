"""The HTML report of `cooper eval sim`."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cooper_ros.evaluation import report_charts as charts
from cooper_ros.evaluation.answers import Scored
from cooper_ros.evaluation.report_page import case, table, write_page
from cooper_ros.evaluation.report_pictures import strip
from cooper_ros.evaluation.scenes import read_scene, scene_path
from cooper_ros.evaluation.sim import Options
from cooper_ros.evaluation.table import confidence_line, number, tables
from cooper_ros.evaluation.trial import SceneResult
from cooper_ros.runtime.pipeline import CooperPipeline

CASES = 3  # pictures of each kind
COLUMNS = (
    "image",
    "true depth",
    "generated depth",
    "its confidence",
    "true classes",
    "generated classes",
)


def write_report(
    folder: Path,
    figures: Mapping[str, Any],
    found: Sequence[SceneResult],
    options: Options,
    pictures: Path,
    log: Path | None = None,
) -> Path:
    """Write `report.html` into `folder` (or to that file, where it is one) and return its path.

    Runs the model again on the shown cases, whose test pictures lie in `pictures`: generated maps
    are not kept during an evaluation.
    """
    parts = [
        _head(figures),
        *(table(*entry) for entry in tables(figures)),
        f"<p>{html.escape(confidence_line(figures))}</p>",
        _note(),
        "<h2>IoU per class</h2>",
        charts.bars(figures["segmentation"]["iou"]),
    ]
    if log is not None:
        curve = charts.curves(charts.read_log(log))
        parts.append(f"<h2>Learning curve</h2>{curve or '<p>Too few evaluations to draw.</p>'}")
    parts += _cases(found, options, pictures)
    return write_page(folder, f"{figures['model']} in simulation", parts)


def choose_cases(found: Sequence[SceneResult], count: int = CASES) -> dict[str, list[SceneResult]]:
    """Scenes with the smallest, middle and largest depth AbsRel, no scene twice."""
    known = [result for result in found if math.isfinite(_absrel(result))]
    ordered = sorted(known, key=_absrel)
    count = min(count, len(ordered) // 3) or min(1, len(ordered))
    middle = (len(ordered) - count) // 2
    cases = {
        "best": ordered[:count],
        "median": ordered[middle : middle + count],
        "worst": ordered[len(ordered) - count :][::-1],
    }
    seen: set[int] = set()
    for name, chosen in cases.items():
        cases[name] = [result for result in chosen if result.scene not in seen]
        seen |= {result.scene for result in chosen}
    return cases


def _absrel(result: SceneResult) -> float:
    return result.depth[0]["metric"]["absrel"]


def _head(figures: Mapping[str, Any]) -> str:
    return (
        f"<h1>{html.escape(figures['model'])} in simulation</h1>"
        f'<p class="quiet">{figures["frames"]} pictures of {figures["scenes"]} unseen rooms '
        f"(split {figures['split']}, seed {figures['seed']}, world {figures['world']}), "
        f"{figures['width']}x{figures['height']}, {figures['asked']} questions, mode "
        f"{html.escape(figures['mode'])}. Brackets: 95 % bootstrap intervals over rooms.</p>"
    )


def _note() -> str:
    return (
        '<p class="quiet">decoded: read from the text that the model wrote. measured: the same '
        "quantity computed from the two generated maps. no maps: the same model, image only. "
        "question only: training medians and most frequent answers, no image. read: an answer in "
        "the taught form came. refused: the model said none where something is. absent: questions "
        "whose right answer is none. confidence: black 0, white 1.</p>"
    )


def _cases(found: Sequence[SceneResult], options: Options, folder: Path) -> list[str]:
    pipeline = CooperPipeline.open(options.model, options.backend)
    parts = []
    for name, chosen in choose_cases(found).items():
        parts.append(f"<h2>{name.capitalize()} depth</h2>")
        for result in chosen:
            path = scene_path(folder, result.scene, options.views, options.size, options.split)
            item = read_scene(path, result.scene)[0]
            depth, segmentation = pipeline.see(item.frame).perceive()
            lines = "".join(_answer_line(record) for record in result.answers)
            parts.append(
                case(
                    COLUMNS,
                    strip(item, depth, segmentation),
                    f"room {result.scene}: image, true and generated maps",
                    f"room {result.scene}, AbsRel {number(_absrel(result))}",
                    f"<ul>{lines}</ul>",
                )
            )
    return parts


def _answer_line(record: Scored) -> str:
    truth = number(record.truth, 2) if record.answerable else "none"
    style = "good" if record.correct else "bad"
    measured = "" if math.isnan(record.measured) else f", measured {number(record.measured, 2)}"
    return (
        f"<li>{html.escape(record.question)} "
        f'<b class="{style}">{html.escape(record.text or record.status)}</b> '
        f'<span class="quiet">truth {truth}{measured}</span></li>'
    )
