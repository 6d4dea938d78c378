"""Depth figures on real RGB-D pictures: `color_NAME.jpg|png` beside `depth_NAME.png`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.errors import CooperError, IntrinsicsError, InvalidImageError
from cooper_ros.core.types import Frame, Intrinsics
from cooper_ros.evaluation.bootstrap import mean_of
from cooper_ros.evaluation.depth import METRICS, align_affine, align_median, depth_errors
from cooper_ros.evaluation.table import align, number

READINGS = ("metric", "median_aligned", "affine_aligned")
SUFFIXES = (".jpg", ".jpeg", ".png")


def parse_intrinsics(text: str) -> tuple[float, float, float, float]:
    """`fx,fy,cx,cy` as numbers. Raises IntrinsicsError."""
    try:
        fx, fy, cx, cy = (float(part) for part in text.split(","))
    except ValueError as error:
        raise IntrinsicsError(f"--intrinsics needs fx,fy,cx,cy, got {text!r}") from error
    return fx, fy, cx, cy


def pairs(folder: Path) -> list[tuple[str, Path, Path]]:
    """(name, colour file, depth file) of a folder. Raises CooperError when there are none."""
    found = []
    for colour in sorted(folder.glob("color_*")):
        depth = folder / f"depth_{colour.stem.removeprefix('color_')}.png"
        if colour.suffix.lower() in SUFFIXES and depth.is_file():
            found.append((colour.stem.removeprefix("color_"), colour, depth))
    if not found:
        raise CooperError(f"{folder} holds no color_NAME.jpg with its depth_NAME.png")
    return found


def read_pair(
    colour: Path, depth: Path, k: tuple[float, float, float, float], depth_scale: float
) -> tuple[Frame, NDArray[np.float32]]:
    """(frame, depth f32 [H, W] in metres, NaN = no measurement). Raises InvalidImageError."""
    bgr = cv2.imread(str(colour), cv2.IMREAD_COLOR)
    raw = cv2.imread(str(depth), cv2.IMREAD_UNCHANGED)
    if bgr is None or raw is None or raw.ndim != 2:
        raise InvalidImageError(f"{colour} or {depth} is not a readable colour / depth picture")
    if raw.shape != bgr.shape[:2]:
        raise InvalidImageError(
            f"{depth} is {raw.shape[1]}x{raw.shape[0]}, {colour} is {bgr.shape[1]}x{bgr.shape[0]}: "
            "depth must be registered to colour"
        )
    height, width = raw.shape
    frame = Frame(np.ascontiguousarray(bgr[..., ::-1]), Intrinsics(*k, width, height))
    metres = raw.astype(np.float32) * np.float32(depth_scale)
    return frame, np.where(raw > 0, metres, np.float32(np.nan))


def evaluate_folder(
    folder: Path,
    k: tuple[float, float, float, float],
    depth_scale: float = 0.001,
    *,
    model: str | None = None,
    backend: str = "auto",
) -> dict[str, Any]:
    """Figures per picture and their mean, for the metric map, the aligned ones, and a constant.

    `constant`: a map that is the true median everywhere, the least that an aligned map must beat.
    """
    from cooper_ros.runtime.pipeline import CooperPipeline

    pipeline = CooperPipeline.open(model, backend)
    pictures: dict[str, dict[str, dict[str, float]]] = {}
    for name, colour, depth in pairs(folder):
        frame, truth = read_pair(colour, depth, k, depth_scale)
        predicted = pipeline.see(frame).depth()
        pictures[name] = picture_figures(predicted.depth, predicted.relative, truth)
    mean = {
        reading: {
            metric: mean_of([[found[reading][metric]] for found in pictures.values()])
            for metric in METRICS
        }
        for reading in (*READINGS, "constant")
    }
    return {"model": pipeline.model_id, "frames": len(pictures), "depth": mean, "each": pictures}


def picture_figures(
    metric: NDArray[np.float32], relative: NDArray[np.float32], truth: NDArray[np.float32]
) -> dict[str, dict[str, float]]:
    """`depth_errors` of one picture for every reading."""
    source = metric if np.isfinite(metric).any() else relative
    middle = float(np.nanmedian(truth)) if np.isfinite(truth).any() else math.nan
    return {
        "metric": depth_errors(metric, truth),
        "median_aligned": depth_errors(align_median(source, truth), truth),
        "affine_aligned": depth_errors(align_affine(source, truth), truth),
        "constant": depth_errors(np.full_like(truth, middle), truth),
    }


def rgbd_table(figures: Mapping[str, Any]) -> str:
    """The table for people."""
    rows = []
    for name, found in {**figures["each"], "mean": figures["depth"]}.items():
        for reading in (*READINGS, "constant"):
            one = found[reading]
            cells = [number(one[metric]) for metric in ("absrel", "rmse", "delta1", "delta2")]
            rows.append([f"{name} {reading.replace('_', '-')}", *cells])
    return align(["picture", "AbsRel", "RMSE [m]", "delta1", "delta2"], rows)
