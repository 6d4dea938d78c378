"""Pieces of one class that are, or are not, one object."""

from __future__ import annotations

import numpy as np
import pytest

from cooper_ros.core.segments import segments_from_labels
from cooper_ros.core.types import Intrinsics

NAMES = ("floor", "table", "chair")
K = Intrinsics.from_fov(60.0, 96, 72)


def _tables(labels: np.ndarray, depth: np.ndarray) -> int:
    score = np.ones(labels.shape, np.float32)
    _, segments = segments_from_labels(labels, score, depth, K, NAMES, stuff=("floor",))
    return sum(segment.label == "table" for segment in segments)


def _scene(middle: int, middle_m: float, right_m: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Two tables' worth of pixels with something 20 px wide between them."""
    labels = np.zeros((72, 96), np.uint8)
    depth = np.full((72, 96), 5.0, np.float32)
    for x0, z in ((20, 2.0), (56, right_m)):
        labels[30:50, x0 : x0 + 16], depth[30:50, x0 : x0 + 16] = 1, z
    labels[25:60, 36:56], depth[25:60, 36:56] = middle, middle_m
    return labels, depth


def test_object_behind_something_nearer_is_one() -> None:
    assert _tables(*_scene(2, 1.0)) == 1


@pytest.mark.parametrize(
    ("middle", "middle_m", "right_m"),
    [(0, 5.0, 2.0), (2, 3.0, 2.0), (2, 1.0, 3.0)],
    ids=["background between", "what is between is farther", "other distance"],
)
def test_two_objects_stay_two(middle: int, middle_m: float, right_m: float) -> None:
    assert _tables(*_scene(middle, middle_m, right_m)) == 2


@pytest.mark.parametrize(("z", "count"), [(2.2, 1), (4.0, 2)])
def test_small_piece_belongs_to_the_large_one_at_its_distance(z: float, count: int) -> None:
    labels, depth = _scene(0, 5.0)
    labels[:, 56:], depth[:, 56:] = 0, 5.0
    labels[60:64, 60:66], depth[60:64, 60:66] = 1, z
    assert _tables(labels, depth) == count


def test_without_depth_pieces_stay_apart() -> None:
    labels, _ = _scene(2, 1.0)
    score = np.ones(labels.shape, np.float32)
    _, segments = segments_from_labels(labels, score, None, None, NAMES, stuff=("floor",))
    assert sum(segment.label == "table" for segment in segments) == 2
