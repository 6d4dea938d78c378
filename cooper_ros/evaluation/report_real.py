"""The HTML reports of `cooper eval rgbd` and `cooper eval photos`."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.classes import CLASS_NAMES
from cooper_ros.core.codecs import sphere_palette
from cooper_ros.core.images import resize_labels
from cooper_ros.core.labelled_photos import UNKNOWN, LabelledPhotos
from cooper_ros.core.types import Frame, Segmentation
from cooper_ros.evaluation import report_charts as charts
from cooper_ros.evaluation import rgbd
from cooper_ros.evaluation.photos import photo_tables, right_of
from cooper_ros.evaluation.report_page import case, table, write_page
from cooper_ros.evaluation.report_pictures import (
    HEIGHT,
    WIDTH,
    Picture,
    beside,
    depth_picture,
    small,
    small_labels,
)
from cooper_ros.evaluation.rgbd_sets import RgbdPicture, SetCamera, named, pictures_of
from cooper_ros.evaluation.table import number
from cooper_ros.evaluation.trial import in_truth_ids
from cooper_ros.runtime.pipeline import CooperPipeline

POINTS = 16
RGBD_COLUMNS = ("image", "sensor", "as it is", "aligned", f"with {POINTS} points", "classes")
PHOTO_COLUMNS = ("photo", "labels", "classes", "right or wrong", "relative depth")
OF_A_SET, OF_PHOTOS = 1, 4
"""Pictures of each kind: best, median, worst."""
RIGHT, WRONG = (44, 122, 63), (179, 38, 30)


def write_rgbd_report(
    path: Path,
    figures: Mapping[str, Any],
    folders: Sequence[Path],
    given: SetCamera | None = None,
    model: str | None = None,
    backend: str = "auto",
) -> Path:
    """Write the report of `rgbd.evaluate_folders`, with the best, a middle and the worst picture
    of every set by its aligned error; runs the model again on those."""
    pipeline = CooperPipeline.open(model, backend)
    title = f"{figures['model']} on real RGB-D pictures"
    parts = [
        f"<h1>{html.escape(title)}</h1>"
        f'<p class="quiet">{figures["frames"]} pictures of {len(figures["sets"])} sets, '
        f"{figures['draws']} sets of points per picture.</p>",
        table("Depth", *rgbd.rgbd_rows(figures)),
        '<p class="quiet">grey: the same model on a grey picture. constant: the true median, or '
        "that of the points. interpolation: of the points, without any camera. Colours of depth: "
        "red 0.3 m, blue 8 m, black unknown.</p>",
    ]
    for name, folder in named(folders).items():
        each = figures["sets"][name]["each"]
        errors = {one: f["affine"]["model"]["absrel"] for one, f in each.items()}
        chosen = spread(errors, OF_A_SET)
        parts.append(f"<h2>{html.escape(name)}</h2>")
        for picture in pictures_of(folder, given):
            if picture.name in chosen:
                metric = number(each[picture.name]["metric"]["model"]["absrel"])
                text = (
                    f"{picture.name}: AbsRel {metric} as it is, "
                    f"{number(errors[picture.name])} aligned ({chosen[picture.name]} of the set)"
                )
                shown = _rgbd_strip(pipeline, picture)
                parts.append(case(RGBD_COLUMNS, shown, f"{name} {picture.name}", text))
    parts.append(_legend())
    return write_page(path, title, parts)


def _rgbd_strip(pipeline: CooperPipeline, picture: RgbdPicture) -> Picture:
    context = pipeline.see(picture.frame)
    depth, nominal = context.depth(), context.nominal_depth()
    prior = pipeline.spec.depth.scale_prior()
    seen = rgbd.Seen(picture, nominal, nominal, prior, pipeline.spec.depth.metric)
    found = rgbd.shown(seen, POINTS)
    maps = [picture.truth, depth.depth, found["affine"], found["points"]]
    parts = [small(picture.frame.rgb), *(small(depth_picture(one)) for one in maps)]
    if pipeline.spec.segmentation is not None:
        parts.append(_classes(context.segmentation()))
    return beside(parts)


def write_photo_report(
    path: Path,
    figures: Mapping[str, Any],
    folder: Path,
    model: str | None = None,
    backend: str = "auto",
) -> Path:
    """Write the report of `photos.evaluate_folder`, with the best, middle and worst photos by pixel
    accuracy; runs the model again on those."""
    pipeline = CooperPipeline.open(model, backend)
    title = f"{figures['model']} on real photos"
    parts = [
        f"<h1>{html.escape(title)}</h1>"
        f'<p class="quiet">{figures["photos"]} photos of split {html.escape(figures["split"])}, '
        f"{figures['labelled_pixels']} labelled pixels. Brackets: 95 % bootstrap intervals over "
        "photos.</p>",
        *(table(*entry) for entry in photo_tables(figures)),
        "<h2>IoU per class</h2>",
        charts.bars(figures["iou"]),
        "<h2>Photos</h2>",
    ]
    chosen = spread({name: -value for name, value in figures["each"].items()}, OF_PHOTOS)
    found = {}
    for name, picture, labels in LabelledPhotos(folder, figures["split"]).each():
        if name in chosen:
            shown = _photo_strip(pipeline, picture, labels)
            text = f"{name}: {figures['each'][name]:.0%} of the labelled pixels ({chosen[name]})"
            found[name] = case(PHOTO_COLUMNS, shown, f"photo {name}", text)
    parts += [found[name] for name in chosen]  # best first
    parts.append(_legend())
    return write_page(path, title, parts)


def _photo_strip(
    pipeline: CooperPipeline, picture: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> Picture:
    context = pipeline.see(Frame(picture))
    depth, segmentation = context.perceive()
    right = right_of(segmentation, labels)
    marks = np.zeros((*right.shape, 3), np.uint8)
    marks[right == 1], marks[right == 0] = RIGHT, WRONG
    wanted = np.where(labels >= len(CLASS_NAMES), np.uint8(UNKNOWN), labels)
    near = 0.3 * (8.0 / 0.3) ** depth.relative  # the colours of depth, from near to far
    marks = marks[_indices(right.shape)]
    parts = [small(picture), small_labels(wanted), _classes(segmentation), marks]
    return beside([*parts, small(depth_picture(near))])


def _indices(shape: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns that show a picture of this shape at the report's size."""
    numbers = np.arange(shape[0] * shape[1]).reshape(shape)
    rows = np.asarray(resize_labels(numbers, WIDTH, HEIGHT), np.int64)
    return rows // shape[1], rows % shape[1]


def _classes(segmentation: Segmentation) -> Picture:
    return small_labels(in_truth_ids(segmentation.labels, segmentation.names))


def spread(values: Mapping[str, float], count: int) -> dict[str, str]:
    """The `count` names with the smallest, middle and largest values: what each of them is."""
    known = sorted((name for name in values if math.isfinite(values[name])), key=values.__getitem__)
    middle = max((len(known) - count) // 2, 0)
    kinds = {
        "best": known[:count],
        "middle": known[middle : middle + count],
        "worst": known[len(known) - min(count, len(known)) :],
    }
    chosen: dict[str, str] = {}
    for kind, names in kinds.items():
        for name in names:
            chosen.setdefault(name, kind)
    return chosen


def _legend() -> str:
    colours = ((sphere_palette(len(CLASS_NAMES)) * 0.5 + 0.5) * 255).astype(int)
    spans = "".join(
        f'<span style="color:rgb({r},{g},{b})">&#9632; {name}</span> '
        for name, (r, g, b) in zip(CLASS_NAMES, colours, strict=True)
    )
    return f'<p class="legend">{spans}</p>'
