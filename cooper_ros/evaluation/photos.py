"""Classes on real photos against their labels, through the runtime as a robot runs it.

Photos have no camera and labels only in places. Every labelled pixel counts once: it is right when
the model calls it what the label does, or, where the label says "none of these", when the model
calls it none of the classes that labels can name. IoU is taken over all labelled pixels, and mIoU
is the mean of the nameable classes that occur.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.classes import CLASS_NAMES
from cooper_ros.core.errors import CooperError
from cooper_ros.core.images import nearest_index
from cooper_ros.core.labelled_photos import (
    OCCURS_PIXELS,
    UNKNOWN,
    UNNAMED,
    LabelledPhotos,
    nameable_ids,
)
from cooper_ros.core.types import Frame, Segmentation
from cooper_ros.evaluation.bootstrap import interval
from cooper_ros.evaluation.table import align, number, with_bounds
from cooper_ros.evaluation.trial import in_truth_ids
from cooper_ros.runtime.pipeline import CooperPipeline

WORST, MISTAKES = 6, 3
NONE = "none of these"

Labels = NDArray[np.uint8]
Matrix = NDArray[np.int64]
Looker = Callable[[NDArray[np.uint8]], Segmentation]


def looker(pipeline: CooperPipeline) -> Looker:
    """What a model calls the pixels of a picture without camera. Raises CooperError for a model
    without class names."""
    if pipeline.spec.segmentation is None:
        raise CooperError(f"model {pipeline.model_id} has no class names")
    return lambda picture: pipeline.see(Frame(picture)).segmentation()


def _compared(found: Segmentation, labels: Labels) -> tuple[Matrix, Matrix]:
    """(what the labels say, what the model said) int64 [h, w] at the size of the labels: class ids,
    C for "none of the nameable classes", and the labels' `UNKNOWN`."""
    height, width = found.labels.shape
    rows, columns = nearest_index(labels.shape[0], height), nearest_index(labels.shape[1], width)
    said = in_truth_ids(found.labels, found.names)[np.ix_(rows, columns)]
    count = len(CLASS_NAMES)
    truth = np.where(labels == UNNAMED, count, labels).astype(np.int64)
    wrong = truth[(truth > count) & (truth != UNKNOWN)]
    if wrong.size:
        raise CooperError(f"a label is class {wrong.max()}, the last one is {count - 1}")
    return truth, np.where(np.isin(said, nameable_ids()), said, count).astype(np.int64)


def confusion_of(found: Segmentation, labels: Labels) -> Matrix:
    """int64 [C + 1, C + 1] of one photo, rows are labels, columns what the model said; the last of
    both is "none of the nameable classes". `labels` [h, w] may have another size than the photo.
    Raises CooperError for labels that are no class."""
    truth, said = _compared(found, labels)
    known = truth != UNKNOWN
    count = len(CLASS_NAMES)
    flat = np.bincount(truth[known] * (count + 1) + said[known], minlength=(count + 1) ** 2)
    return flat.reshape(count + 1, count + 1)


def right_of(found: Segmentation, labels: Labels) -> NDArray[np.int8]:
    """1 where the model is right, 0 where not, -1 where nobody knows: int8 [h, w]."""
    truth, said = _compared(found, labels)
    return np.where(truth == UNKNOWN, -1, truth == said).astype(np.int8)


def iou_of(confusion: Matrix) -> dict[str, float]:
    """IoU of the nameable classes that occur, by name."""
    hit = np.diag(confusion).astype(np.float64)
    union = confusion.sum(0) + confusion.sum(1) - hit
    occurs = [i for i in nameable_ids() if confusion[i].sum() >= OCCURS_PIXELS]
    return {CLASS_NAMES[i]: float(hit[i] / union[i]) for i in occurs}


def accuracy_of(confusion: Matrix) -> float:
    """Share of the labelled pixels that are right; NaN without any."""
    total = int(confusion.sum())
    return float(np.trace(confusion) / total) if total else float("nan")


def mistakes_of(confusion: Matrix) -> dict[str, dict[str, float]]:
    """For the classes with the lowest IoU: share of their pixels that were called right, and what
    most of the others were called."""
    names = (*CLASS_NAMES, NONE)
    worst = sorted(iou_of(confusion).items(), key=lambda pair: pair[1])[:WORST]
    found = {}
    for name, _ in worst:
        row = confusion[CLASS_NAMES.index(name)] / confusion[CLASS_NAMES.index(name)].sum()
        order = [i for i in np.argsort(-row, kind="stable") if names[i] != name and row[i] > 0.0]
        found[name] = {
            name: float(row[CLASS_NAMES.index(name)]),
            **{names[i]: float(row[i]) for i in order[:MISTAKES]},
        }
    return found


def evaluate(photos: LabelledPhotos, look: Looker) -> dict[str, Any]:
    """All figures; `each`: accuracy by photo. Brackets are 95 % bootstrap intervals over photos."""
    each = {name: confusion_of(look(picture), labels) for name, picture, labels in photos.each()}
    return figures_of(each)


def figures_of(each: Mapping[str, Matrix]) -> dict[str, Any]:
    """Figures of confusion matrices by photo."""
    rows = list(each.values())
    total = _sum(rows)
    iou = iou_of(total)
    statistics = {"miou": _miou, "pixel_accuracy": lambda some: accuracy_of(_sum(some))}
    count = len(CLASS_NAMES)
    used = np.flatnonzero(total.sum(0) + total.sum(1))
    names = (*CLASS_NAMES, NONE)
    return {
        "photos": len(each),
        "labelled_pixels": int(total.sum()),
        "miou": _miou(rows),
        "pixel_accuracy": accuracy_of(total),
        "interval95": {key: interval(rows, one) for key, one in statistics.items()},
        "constant": float(total.sum(1)[:count].max() / max(total.sum(), 1)),
        "iou": iou,
        "share": {name: float(total[CLASS_NAMES.index(name)].sum() / total.sum()) for name in iou},
        "mistakes": mistakes_of(total),
        "confusion": {
            names[i]: {names[j]: int(total[i, j]) for j in used if total[i, j]}
            for i in used
            if total[i].any()
        },
        "each": {name: accuracy_of(one) for name, one in each.items()},
    }


def _sum(rows: Iterable[Matrix]) -> Matrix:
    return np.sum(np.stack(list(rows)), axis=0)


def _miou(rows: Iterable[Matrix]) -> float:
    values = list(iou_of(_sum(rows)).values())
    return float(np.mean(values)) if values else float("nan")


def evaluate_folder(
    folder: Path, split: str = "val", *, model: str | None = None, backend: str = "auto"
) -> dict[str, Any]:
    """Figures of a folder's split, with `model` and `split`."""
    photos = LabelledPhotos(folder, split)
    pipeline = CooperPipeline.open(model, backend)
    found = evaluate(photos, looker(pipeline))
    return {"model": pipeline.model_id, "split": split, **found}


def photo_tables(
    figures: Mapping[str, Any],
) -> list[tuple[str, list[str], list[list[str]]]]:
    """(title, header, rows) of the tables for people."""
    whole = [
        ["mIoU of the classes that occur", with_bounds(figures, "miou"), "-"],
        ["pixel accuracy", with_bounds(figures, "pixel_accuracy"), number(figures["constant"])],
    ]
    classes = [
        [name, number(value, 2), number(figures["share"][name], 3)]
        for name, value in sorted(figures["iou"].items(), key=lambda pair: -pair[1])
    ]
    mistakes = [
        [name, *(f"{called} {share:.0%}" for called, share in row.items())]
        for name, row in figures["mistakes"].items()
    ]
    width = max((len(row) for row in mistakes), default=1)
    return [
        ("Photos", ["photos", "model [95 %]", "commonest class everywhere"], whole),
        ("Classes", ["class", "IoU", "share of labelled pixels"], classes),
        (
            "What the worst classes are called",
            ["class", "right", *["", "", ""][: max(width - 2, 0)]],
            [[*row, *[""] * (width - len(row))] for row in mistakes],
        ),
    ]


def photo_text(figures: Mapping[str, Any]) -> str:
    """The tables for people."""
    return "\n\n".join(align(head, rows) for _, head, rows in photo_tables(figures))
