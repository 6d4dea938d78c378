"""Label figures against cases worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cooper_ros.evaluation.segmentation import (
    boundaries,
    boundary_f,
    class_iou,
    confusion_matrix,
    mean_iou,
    pixel_accuracy,
)

TRUTH = np.array([[0, 0, 1], [0, 1, 1]], np.uint8)
PREDICTED = np.array([[0, 1, 1], [2, 1, 255]], np.uint8)


def test_confusion_by_hand() -> None:
    confusion = confusion_matrix(PREDICTED, TRUTH, 4)
    wanted = np.zeros((4, 5), int)
    wanted[0, 0], wanted[0, 1], wanted[0, 2] = 1, 1, 1
    wanted[1, 1], wanted[1, 4] = 2, 1
    np.testing.assert_array_equal(confusion, wanted)
    assert pixel_accuracy(confusion) == pytest.approx(3 / 6)


def test_iou_counts_only_classes_of_the_truth() -> None:
    confusion = confusion_matrix(PREDICTED, TRUTH, 4)
    iou = class_iou(confusion)
    assert iou[0] == pytest.approx(1 / 3)
    assert iou[1] == pytest.approx(2 / 4)
    assert math.isnan(iou[2]) and math.isnan(iou[3])  # 2 was drawn, but is not there
    assert mean_iou(confusion) == pytest.approx((1 / 3 + 1 / 2) / 2)


def test_iou_against_sets() -> None:
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 6, (2, 40, 50))
    iou = class_iou(confusion_matrix(predicted, truth, 6))
    for k in range(6):
        both = np.logical_and(truth == k, predicted == k).sum()
        assert iou[k] == pytest.approx(both / np.logical_or(truth == k, predicted == k).sum())


def test_confusions_add_up() -> None:
    parts = [confusion_matrix(PREDICTED[row], TRUTH[row], 4) for row in (0, 1)]
    np.testing.assert_array_equal(sum(parts), confusion_matrix(PREDICTED, TRUTH, 4))


def test_empty_truth_is_unknown() -> None:
    assert math.isnan(mean_iou(np.zeros((3, 4), np.int64)))
    assert math.isnan(pixel_accuracy(np.zeros((3, 4), np.int64)))


def _square(x0: int, size: int = 20) -> np.ndarray:
    labels = np.zeros((60, 80), np.uint8)
    labels[20 : 20 + size, x0 : x0 + size] = 1
    return labels


def test_boundary_f_tolerates_small_shifts_only() -> None:
    truth = _square(30)
    assert boundary_f(truth, truth) == 1.0
    assert boundary_f(_square(32), truth, tolerance_px=2) == pytest.approx(1.0)
    assert boundary_f(_square(32), truth, tolerance_px=0) < 0.7
    assert boundary_f(_square(55), truth, tolerance_px=2) < 0.6


def test_boundary_f_without_boundaries() -> None:
    flat = np.zeros((10, 10), np.uint8)
    assert boundary_f(flat, flat) == 1.0
    assert boundary_f(flat, _square(30)[:10, :10]) == 1.0
    assert boundary_f(np.zeros((60, 80), np.uint8), _square(30)) == 0.0


def test_boundary_pixels() -> None:
    edge = boundaries(np.array([[0, 0, 1]], np.uint8))
    np.testing.assert_array_equal(edge, [[0, 1, 0]])
