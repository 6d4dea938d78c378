"""Connected components, fragments, and segments at another size."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cooper_ros.core import geometry
from cooper_ros.core.classes import CLASS_NAMES
from cooper_ros.core.errors import InvalidImageError
from cooper_ros.core.segments import build_segmentation, resize_segmentation, segments_from_labels


def build(scene, **options):
    return build_segmentation(
        scene.labels,
        scene.score,
        CLASS_NAMES,
        depth=scene.depth,
        intrinsics=scene.intrinsics,
        **options,
    )


def test_one_segment_per_object_and_per_stuff_class(scene):
    mug = scene.put("mug", 10, 40, 8, 8, 1.5)
    scene.put("chair", 60, 30, 12, 20, 2.5)
    result = build(scene)
    assert [s.label for s in result.segments] == ["floor", "wall", "chair", "mug"]
    assert [s.instance for s in result.segments] == [0, 0, 1, 2]
    segment = result.of_class("mug")[0]
    assert segment.box == (10, 40, 8, 8) and segment.pixel_count == 64
    assert segment.score == pytest.approx(0.5)
    assert np.array_equal(result.mask(segment), mug)
    distance = geometry.object_distance(scene.depth, mug, scene.intrinsics)
    assert segment.distance_m == pytest.approx(distance)
    point = geometry.object_point(scene.depth, mug, scene.intrinsics)
    assert segment.position == pytest.approx(point)


def test_stuff_in_two_places_is_one_segment(scene):
    scene.put("door", 40, 0, 10, 36, 3.9)  # splits the wall
    walls = build(scene).of_class("wall")
    assert len(walls) == 1 and walls[0].pixel_count == 36 * 86


def test_instances_are_numbered_left_to_right(scene):
    for x, y in ((70, 40), (10, 60), (40, 50)):
        scene.put("ball", x, y, 6, 6, 2.0)
    balls = build(scene).of_class("ball")
    assert [ball.box[0] for ball in balls] == [10, 40, 70]
    assert [ball.instance for ball in balls] == [1, 2, 3]


def test_pieces_close_by_are_one_object_far_pieces_are_two(scene):
    scene.put("ball", 10, 50, 6, 6, 2.0)
    scene.put("ball", 18, 50, 6, 6, 2.0)  # 2 px apart
    scene.put("ball", 27, 50, 6, 6, 2.0)  # 3 px further
    balls = build(scene).of_class("ball")
    assert [ball.box for ball in balls] == [(10, 50, 14, 6), (27, 50, 6, 6)]


def test_pieces_close_by_at_different_distances_are_two(scene):
    scene.put("ball", 10, 50, 6, 6, 1.0)
    scene.put("ball", 18, 50, 6, 6, 2.0)
    assert len(build(scene).of_class("ball")) == 2
    scene.depth[:] = 2.0
    assert len(build(scene).of_class("ball")) == 1


def test_specks_are_no_objects_but_fragments_count(scene):
    scene.put("bottle", 40, 20, 2, 3, 1.0)  # 6 px, alone
    scene.put("mug", 10, 40, 8, 8, 1.5)
    scene.put("mug", 19, 41, 1, 4, 1.5)  # 4 px beside the mug
    result = build(scene)
    assert not result.of_class("bottle")
    mugs = result.of_class("mug")
    assert len(mugs) == 1 and mugs[0].pixel_count == 68
    speck = result.instances[result.labels == CLASS_NAMES.index("bottle")]
    assert (speck == 0).all()


def test_touching_diagonally_is_connected(scene):
    scene.put("book", 10, 40, 5, 5, 1.5)
    scene.put("book", 15, 45, 5, 5, 1.5)
    assert len(build(scene).of_class("book")) == 1


def test_without_metric_depth_distances_are_unknown(scene):
    scene.put("mug", 10, 40, 8, 8, 1.5)
    for depth, intrinsics in ((None, scene.intrinsics), (scene.depth, None)):
        _, segments = segments_from_labels(
            scene.labels, None, depth, intrinsics, CLASS_NAMES
        )
        mug = segments[-1]
        assert mug.label == "mug" and math.isnan(mug.distance_m) and math.isnan(mug.score)
        assert all(math.isnan(value) for value in mug.position)


def test_sizes_must_agree(scene):
    with pytest.raises(InvalidImageError, match="sizes"):
        segments_from_labels(
            scene.labels, None, scene.depth[:10], scene.intrinsics, CLASS_NAMES
        )


@pytest.mark.parametrize("size", [(640, 480), (100, 75), (48, 36)])
def test_resized_segments_describe_the_resized_ids(scene, size):
    scene.put("mug", 10, 40, 8, 8, 1.5)
    scene.put("chair", 60, 30, 12, 20, 2.5)
    scene.put("ball", 30, 50, 6, 6, 2.0)
    small = build(scene)
    result = resize_segmentation(small, *size)
    assert result.labels.shape == result.instances.shape == result.score.shape == size[::-1]
    assert [s.label for s in result.segments] == [s.label for s in small.segments]
    for segment, before in zip(result.segments, small.segments, strict=True):
        rows, columns = np.nonzero(result.mask(segment))
        x, y, width, height = segment.box
        assert (x, y) == (columns.min(), rows.min())
        assert (width, height) == (np.ptp(columns) + 1, np.ptp(rows) + 1)
        assert segment.pixel_count == len(rows)
        assert segment.distance_m == before.distance_m
