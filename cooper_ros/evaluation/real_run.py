"""Runs a model on simulated rooms and real sets, to fit what holds on real pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.anchors import Anchors
from cooper_ros.core.classes import CLASS_NAMES, STUFF
from cooper_ros.core.errors import CooperError
from cooper_ros.core.images import resize_labels
from cooper_ros.core.labelled_photos import NAMEABLE, UNKNOWN, LabelledPhotos
from cooper_ros.core.scale import MetricScaler
from cooper_ros.core.types import Frame, Intrinsics, Segmentation
from cooper_ros.evaluation import real_fit, scores
from cooper_ros.evaluation.completion import POINT_SIGMA, chance
from cooper_ros.evaluation.confidence import WITHIN
from cooper_ros.evaluation.real_fit import DepthSample, RealSet
from cooper_ros.evaluation.rgbd_sets import RgbdPicture, SetCamera, named, pictures_of
from cooper_ros.evaluation.table import align, number
from cooper_ros.evaluation.trial import in_truth_ids
from cooper_ros.runtime.frame_context import FrameContext
from cooper_ros.runtime.pipeline import CooperPipeline

PIXELS = 2000
POINTS = 64  # of the metres with anchors
PHOTOS = "photos"
PHOTO_FOV_DEG = 60.0
"""Every other photo is shown with a camera, as every other room is shown without: what tells
them apart is then not the camera."""
OBJECTS = tuple(name for name in NAMEABLE if name not in STUFF)

Seen = Callable[[Iterable[Any], str, int], Iterable[Any]]
"""Passes items on and shows progress: (items, what, how many)."""


def quietly(items: Iterable[Any], what: str, total: int) -> Iterable[Any]:
    """No progress."""
    return items


def opened(model: Path, backend: str = "auto", threads: int | None = None) -> CooperPipeline:
    """The model as simulation left it: no section for real pictures, no object hidden."""
    pipeline = CooperPipeline.open(model, backend, threads)
    pipeline.real = None
    pipeline.min_score = 0.0
    return pipeline


def mean_tokens(context: FrameContext) -> NDArray[np.float32]:
    """Mean [D] of the vision tokens of a picture."""
    if context.store.vision_mean is None:
        context.depth()
    assert context.store.vision_mean is not None
    return np.asarray(context.store.vision_mean, np.float32)


def room_tokens(pipeline: CooperPipeline, frames: Iterable[Frame]) -> NDArray[np.float64]:
    """f64 [n, D] of simulated rooms, every other one without its camera."""
    rows = [
        mean_tokens(pipeline.see(frame if rank % 2 == 0 else replace(frame, intrinsics=None)))
        for rank, frame in enumerate(frames)
    ]
    if len(rows) < 2 * real_fit.FOLDS:
        raise CooperError(f"{len(rows)} simulated rooms are too few to know them by")
    return np.asarray(rows, np.float64)


def rgbd_set(pipeline: CooperPipeline, pictures: Iterable[RgbdPicture]) -> RealSet:
    """What the fit needs of a set of RGB-D pictures."""
    found = RealSet()
    for picture in pictures:
        context = pipeline.see(picture.frame)
        found.tokens.append(mean_tokens(context))
        sample = depth_sample(context, picture)
        if sample is not None:
            found.depth.append(sample)
    return found


def depth_sample(context: FrameContext, picture: RgbdPicture) -> DepthSample | None:
    """Pixels of one picture that take no part as anchors; None where the sensor saw too few, and
    for models that are not in metres."""
    nominal, depth = context.nominal_depth(), context.depth()
    with np.errstate(invalid="ignore"):
        usable = picture.believed() & (nominal > 0.0) & np.isfinite(depth.confidence)
    rows, columns = np.nonzero(usable)
    order = chance(picture.name, 0).permutation(len(rows))
    chosen, others = order[:POINTS], order[POINTS : POINTS + PIXELS]
    if not len(others) or not depth.metric:
        return None
    at, rest = (rows[chosen], columns[chosen]), (rows[others], columns[others])
    v, u = at[0].astype(np.float64), at[1].astype(np.float64)
    known = picture.truth[at].astype(np.float64)
    anchors = Anchors(u, v, known, np.full(POINTS, POINT_SIGMA), "sensor")
    prior = context.spec.depth.scale_prior()
    state = MetricScaler(prior.space).fit(nominal, [anchors], picture.camera, prior).state
    truth = picture.truth[rest]
    return DepthSample(
        np.log(truth / nominal[rest]).astype(np.float32),
        depth.confidence[rest].astype(np.float32),
        np.abs(state.metres(nominal[rest]) - truth) < WITHIN * truth,
    )


def photo_set(pipeline: CooperPipeline, photos: Iterable[Sequence[Any]]) -> RealSet:
    """What the fit needs of labelled photos: (id, picture, labels) each."""
    found = RealSet()
    for rank, (_, picture, labels) in enumerate(photos):
        height, width = picture.shape[:2]
        camera = Intrinsics.from_fov(PHOTO_FOV_DEG, width, height) if rank % 2 else None
        context = pipeline.see(Frame(picture, camera))
        found.tokens.append(mean_tokens(context))
        if pipeline.spec.segmentation is not None:
            found.objects += photo_objects(rank, context.segmentation(), labels)
    return found


def photo_objects(
    rank: int, segmentation: Segmentation, labels: NDArray[np.uint8]
) -> list[scores.ScoredObject]:
    """The objects of a photo whose class labels can say."""
    height, width = segmentation.labels.shape
    said = np.asarray(resize_labels(labels, width, height), np.uint8)
    ids = in_truth_ids(segmentation.labels, segmentation.names)
    nameable = [CLASS_NAMES.index(name) for name in OBJECTS]
    known = (said != UNKNOWN) & np.isin(ids, nameable)
    found = scores.objects_of(rank, segmentation, said, CLASS_NAMES, known)
    return [one for one in found if one.label in OBJECTS]


def collect(
    pipeline: CooperPipeline,
    frames: Sequence[Frame] | Iterable[Frame],
    folders: Sequence[Path],
    photos: LabelledPhotos | None = None,
    given: SetCamera | None = None,
    *,
    rooms: int = 0,
    seen: Seen = quietly,
) -> tuple[NDArray[np.float64], dict[str, RealSet]]:
    """(mean tokens of simulated rooms, sets of real pictures by name)."""
    simulated = room_tokens(pipeline, seen(frames, "simulated rooms", rooms))
    sets = {}
    for name, folder in named(folders).items():
        pictures = list(pictures_of(folder, given))
        sets[name] = rgbd_set(pipeline, seen(pictures, name, len(pictures)))
    if photos is not None:
        sets[PHOTOS] = photo_set(pipeline, seen(photos.each(), PHOTOS, len(photos)))
    return simulated, sets


def calibrate(
    rooms: NDArray[np.float64], sets: Mapping[str, RealSet]
) -> tuple[Any, dict[str, Any]]:
    """(RealPictures, what it is worth on sets that took no part). Raises CooperError when fewer
    than two sets have depth: leaving one out leaves none."""
    if sum(bool(one.depth) for one in sets.values()) < 2:
        raise CooperError("two sets of RGB-D pictures are needed: each is judged without itself")
    objects = [one for each in sets.values() for one in each.objects]
    least = scores.fit(objects, OBJECTS) if objects else {}
    fitted = real_fit.fit(rooms, sets, least)
    measured = {
        "rooms": len(rooms),
        "rooms_taken_for_real": real_fit.false_alarms(rooms, sets),
        "left_out": real_fit.cross_validated(rooms, sets),
        "objects": scores.cross_validated(objects, OBJECTS) if objects else {},
    }
    return fitted, measured


def text(measured: Mapping[str, Any], least: Mapping[str, float]) -> str:
    """Tables for people."""
    head = ["set, by a fit without it", "pictures", "taken for real", "half width of ln"]
    head += ["covered by 90 %", "sure as in simulation", "sure", "right", "sure, anchored", "right"]
    rows = []
    for name, one in measured["left_out"].items():
        cells = [name, str(one["n"]), number(one["recognised"], 2)]
        cells += [number(one.get(key), 2) for key in ("half_width", "coverage")]
        alone, anchored = one.get("alone", {}), one.get("anchored", {})
        cells += [number(alone.get(key), 2) for key in ("simulated", "confidence", "right")]
        cells += [number(anchored.get(key), 2) for key in ("confidence", "right")]
        rows.append(cells)
    share = number(measured["rooms_taken_for_real"], 2)
    rows.append([f"simulated rooms ({measured['rooms']})", "", share, *["-"] * 7])
    parts = [align(head, rows)]
    if measured["objects"]:
        parts.append(scores.text(measured["objects"], dict(least)))
    return "\n\n".join(parts)
