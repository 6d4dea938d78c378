"""A report: one HTML file that needs nothing else."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from pathlib import Path

from cooper_ros.evaluation.report_pictures import Picture, data_url

NAME = "report.html"
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
.columns{display:grid;grid-auto-flow:column;grid-auto-columns:1fr;max-width:1216px;color:#6b7885;
font-size:13px}
svg text{font-size:12px;fill:#1c2430}.bars rect{fill:#2563a8}
.curves line{stroke:#e3e7ec}.curves polyline{fill:none;stroke-width:2}
.legend span{margin-right:1.2rem}
"""


def report_file(path: Path) -> Path:
    """The file of a report that is to go to `path`, which may be a folder."""
    return path if path.suffix.lower() in (".html", ".htm") else path / NAME


def write_page(path: Path, title: str, parts: Iterable[str]) -> Path:
    """Write the parts as a page to `report_file(path)`, and return that."""
    file = report_file(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style><body>{''.join(parts)}</body></html>\n",
        encoding="utf-8",
    )
    return file


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A heading and a table."""
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<h2>{html.escape(title)}</h2><table><tr>{head}</tr>{body}</table>"


def case(columns: Sequence[str], picture: Picture, alt: str, text: str, more: str = "") -> str:
    """One row of pictures under the names of its columns, with a line of text; `more` is HTML."""
    names = "".join(f"<span>{html.escape(column)}</span>" for column in columns)
    return (
        f'<div class="case"><div class="columns">{names}</div>'
        f'<img alt="{html.escape(alt, quote=True)}" src="{data_url(picture)}">'
        f'<span class="quiet">{html.escape(text)}</span>{more}</div>'
    )
