"""The HTML report of `cooper eval sim`: one file that needs nothing else."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cooper_ros.evaluation import report_charts as charts
from cooper_ros.evaluation.answers import Scored
from cooper_ros.evaluation.report_pictures import data_url, strip
from cooper_ros.evaluation.scenes import read_scene, scene_path
from cooper_ros.evaluation.sim import Options
from cooper_ros.evaluation.table import confidence_line, number, tables
from cooper_ros.evaluation.trial import SceneResult
from cooper_ros.runtime.pipeline import CooperPipeline

CASES = 3  # pictures of each kind
NAME = "report.html"
COLUMNS = (
    "image",
    "true depth",
    "generated depth",
    "its confidence",
    "true classes",
    "generated classes",
)
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1c2430;max-width:1240px;margin:2rem auto;
padding:0 1rem}
h1{font-size:1.6rem;margin-bottom:0}h2{font-size:1.15rem;margin-top:2.2rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .8rem;text-align:right;border-bottom:1px solid #e3e7ec;white-space:nowrap}
th:first-child,td:first-child{text-align:left}th{font-weight:600;color:#52606f}
.quiet{color:#6b7885;fill:#6b7885}.case{margin:1rem 0 1.6rem}
.case img{display:block;width:100%;max-width:1216px;border-radius:4px}
.case ul{margin:.4rem 0;padding-left:1.2rem}.bad{color:#b3261e}.good{color:#2c7a3f}
.columns{display:grid;grid-template-columns:repeat(6,1fr);max-width:1216px;color:#6b7885;
font-size:13px}
svg text{font-size:12px;fill:#1c2430}.bars rect{fill:#2563a8}
.curves line{stroke:#e3e7ec}.curves polyline{fill:none;stroke-width:2}
.legend span{margin-right:1.2rem}
"""


def write_report(
    folder: Path,
    figures: Mapping[str, Any],
    found: Sequence[SceneResult],
    options: Options,
    pictures: Path,
    log: Path | None = None,
) -> Path:
    """Write `report.html` into `folder` and return its path.

    Runs the model again on the shown cases, whose test pictures lie in `pictures`: generated maps
    are not kept during an evaluation.
    """
    parts = [
        _head(figures),
        *(_table(*entry) for entry in tables(figures)),
        f"<p>{html.escape(confidence_line(figures))}</p>",
        _note(),
        "<h2>IoU per class</h2>",
        charts.bars(figures["segmentation"]["iou"]),
    ]
    if log is not None:
        curve = charts.curves(charts.read_log(log))
        parts.append(f"<h2>Learning curve</h2>{curve or '<p>Too few evaluations to draw.</p>'}")
    parts += _cases(found, options, pictures)
    folder.mkdir(parents=True, exist_ok=True)
    title = html.escape(f"{figures['model']} in simulation")
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style><body>{''.join(parts)}</body></html>\n"
    )
    path = folder / NAME
    path.write_text(page, encoding="utf-8")
    return path


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


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<h2>{title}</h2><table><tr>{head}</tr>{body}</table>"


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
    names = "".join(f"<span>{column}</span>" for column in COLUMNS)
    for name, chosen in choose_cases(found).items():
        parts.append(f"<h2>{name.capitalize()} depth</h2>")
        for result in chosen:
            path = scene_path(folder, result.scene, options.views, options.size, options.split)
            item = read_scene(path, result.scene)[0]
            depth, segmentation = pipeline.see(item.frame).perceive()
            picture = data_url(strip(item, depth, segmentation))
            lines = "".join(_answer_line(record) for record in result.answers)
            parts.append(
                f'<div class="case"><div class="columns">{names}</div>'
                f'<img alt="room {result.scene}: image, true and generated maps" src="{picture}">'
                f'<span class="quiet">room {result.scene}, AbsRel {number(_absrel(result))}</span>'
                f"<ul>{lines}</ul></div>"
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
