"""Errors of label maps: confusion matrix, IoU, boundary F."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.integer]

BOUNDARY_TOLERANCE = 0.0075  # of the image diagonal, as in the Berkeley boundary benchmark


def confusion_matrix(predicted: Labels, truth: Labels, classes: int) -> NDArray[np.int64]:
    """int64 [classes, classes + 1]: rows are truth, columns predictions.

    The last column counts predictions outside 0..classes-1 (names the truth does not have). Truth
    ids outside the range are ignored. Raises ValueError when shapes differ.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"predicted labels are {predicted.shape}, truth is {truth.shape}")
    inside = (truth >= 0) & (truth < classes)
    t, p = truth[inside].astype(np.int64), predicted[inside].astype(np.int64)
    p = np.where((p >= 0) & (p < classes), p, classes)
    flat = np.bincount(t * (classes + 1) + p, minlength=classes * (classes + 1))
    return flat.reshape(classes, classes + 1)


def class_iou(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """IoU per class, f64 [classes]; NaN for classes that the truth does not contain."""
    classes = confusion.shape[0]
    hit = np.diag(confusion[:, :classes]).astype(np.float64)
    truth = confusion.sum(axis=1)
    union = truth + confusion[:, :classes].sum(axis=0) - hit
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(truth > 0, hit / union, math.nan)


def mean_iou(confusion: NDArray[np.int64]) -> float:
    """Mean IoU over the classes present in the truth."""
    values = class_iou(confusion)
    return float(np.nanmean(values)) if np.isfinite(values).any() else math.nan


def pixel_accuracy(confusion: NDArray[np.int64]) -> float:
    """Share of pixels with the right class."""
    total = int(confusion.sum())
    return float(np.trace(confusion[:, : confusion.shape[0]]) / total) if total else math.nan


def boundaries(labels: Labels) -> NDArray[np.uint8]:
    """1 where the right or lower neighbour has another label: uint8 [H, W]."""
    edge = np.zeros(labels.shape, np.uint8)
    edge[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    edge[:-1] |= labels[:-1] != labels[1:]
    return edge


def boundary_f(predicted: Labels, truth: Labels, tolerance_px: float | None = None) -> float:
    """F measure of class boundaries: harmonic mean of precision and recall.

    A boundary pixel is a hit when the other map has one within `tolerance_px` (default 0.75 % of
    the diagonal). 1.0 when neither map has a boundary, 0.0 when one of them has none.
    """
    if tolerance_px is None:
        tolerance_px = BOUNDARY_TOLERANCE * math.hypot(*truth.shape)
    found, wanted = boundaries(predicted), boundaries(truth)
    if not found.any() or not wanted.any():
        return 1.0 if not found.any() and not wanted.any() else 0.0
    radius = max(int(round(tolerance_px)), 0)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    precision = float((cv2.dilate(wanted, disc)[found > 0] > 0).mean())
    recall = float((cv2.dilate(found, disc)[wanted > 0] > 0).mean())
    return 2.0 * precision * recall / (precision + recall) if precision + recall else 0.0
