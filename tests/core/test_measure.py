"""Measuring every question family on maps with known answers."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from cooper_ros.core import geometry
from cooper_ros.core.classes import CLASS_NAMES
from cooper_ros.core.errors import InvalidImageError
from cooper_ros.core.measure import measure, measure_maps, prominent
from cooper_ros.core.query import FAMILIES, Query
from cooper_ros.core.segments import build_segmentation
from cooper_ros.core.types import DepthMap, Kind, Segment, Status


@pytest.fixture
def room(scene):
    """A mug (1.5 m, left), a chair (2.5 m, right), two balls, and nothing else."""
    scene.masks = {
        "mug": scene.put("mug", 10, 40, 8, 8, 1.5),
        "chair": scene.put("chair", 60, 30, 12, 20, 2.5),
    }
    scene.put("ball", 30, 55, 5, 5, 2.0)
    scene.put("ball", 40, 55, 5, 5, 1.0)
    scene.segmentation = build_segmentation(
        scene.labels, scene.score, CLASS_NAMES, depth=scene.depth, intrinsics=scene.intrinsics
    )
    return scene


def ask(room, family, *objects, **options):
    query = Query(family, objects, options.pop("radius_m", math.nan))
    return measure(query, room.segmentation, room.depth, room.intrinsics, **options)


def test_metres_come_from_the_definitions(room):
    camera, depth = room.intrinsics, room.depth
    mug, chair = room.masks["mug"], room.masks["chair"]
    distance = ask(room, "distance", "mug")
    assert distance.value == pytest.approx(geometry.object_distance(depth, mug, camera))
    assert (distance.unit, distance.kind, distance.status) == ("m", Kind.DISTANCE, Status.OK)
    assert [item.label for item in distance.objects] == ["mug"]
    between = ask(room, "between", "mug", "chair")
    assert between.value == pytest.approx(geometry.distance_between(depth, mug, chair, camera))
    assert [item.label for item in between.objects] == ["mug", "chair"]
    width, height, _ = geometry.object_extent(depth, chair, camera)
    assert ask(room, "width", "chair").value == pytest.approx(width)
    assert ask(room, "height", "chair").value == pytest.approx(height)
    assert ask(room, "free").value == pytest.approx(geometry.free_space_ahead(depth, camera))


def test_stuff_can_be_measured(room):
    assert ask(room, "distance", "wall").value == pytest.approx(4.6, abs=0.2)


@pytest.mark.parametrize(
    ("family", "first", "second", "expected"),
    [
        ("nearer", "mug", "chair", 0),
        ("nearer", "chair", "mug", 1),
        ("farther", "mug", "chair", 1),
        ("farther", "chair", "mug", 0),
        ("left", "mug", "chair", 1),
        ("left", "chair", "mug", 0),
        ("right", "mug", "chair", 0),
        ("right", "chair", "mug", 1),
        ("front", "mug", "chair", 1),
        ("front", "chair", "mug", 0),
        ("behind", "mug", "chair", 0),
        ("behind", "chair", "mug", 1),
    ],
)
def test_relations(room, family, first, second, expected):
    result = ask(room, family, first, second)
    assert (result.status, result.value) == (Status.OK, expected)
    assert result.kind is FAMILIES[family].kind


def test_reachable(room):
    assert ask(room, "reachable", "mug", radius_m=2.0).value == 1
    assert ask(room, "reachable", "mug", radius_m=1.5).value == 0


def test_counting_and_presence(room):
    balls = ask(room, "count", "ball")
    assert balls.value == 2 and [item.box[0] for item in balls.objects] == [30, 40]
    assert ask(room, "count", "bed").value == 0
    nearest = ask(room, "presence", "ball")
    assert nearest.value == 1 and nearest.objects[0].box[0] == 40
    absent = ask(room, "presence", "bed")
    assert (absent.value, absent.status, absent.objects) == (0, Status.OK, ())


def test_two_of_a_name_are_ambiguous_with_candidates(room):
    result = ask(room, "distance", "ball")
    assert result.status is Status.AMBIGUOUS and math.isnan(result.value)
    distances = [item.distance_m for item in result.objects]
    assert len(distances) == 2 and distances == sorted(distances)
    assert "2 objects named 'ball'" in result.message
    assert ask(room, "between", "mug", "ball").status is Status.AMBIGUOUS


def test_a_stray_piece_is_no_object_but_a_far_one_is():
    """Equal pixels, four times the distance: sixteen times the surface."""
    near = Segment(20, 1, "mug", 0.9, (0, 0, 8, 8), 64, distance_m=1.0)
    far = Segment(20, 2, "mug", 0.9, (20, 0, 3, 2), 6, distance_m=3.0)
    stray = Segment(20, 3, "mug", 0.4, (40, 0, 3, 2), 6, distance_m=1.0)
    assert prominent([near, far, stray]) == [near, far]
    unknown = [near, Segment(20, 4, "mug", 0.4, (40, 0, 3, 2), 6)]
    assert prominent(unknown) == [near]
    assert prominent([stray]) == [stray] and prominent([]) == []


def test_absent_objects_are_not_visible(room):
    result = ask(room, "distance", "bed")
    assert result.status is Status.NOT_VISIBLE and math.isnan(result.value)
    assert "no bed" in result.message
    assert ask(room, "nearer", "bed", "mug").status is Status.NOT_VISIBLE


@pytest.mark.parametrize("missing", ["depth", "intrinsics"])
def test_without_scale_metres_are_refused_but_the_rest_works(room, missing):
    maps = {"depth": room.depth, "intrinsics": room.intrinsics, missing: None}

    def run(family, *objects):
        radius = 1.0 if family == "reachable" else math.nan
        return measure(Query(family, objects, radius), room.segmentation, **maps)

    for family, objects in (
        ("distance", ("mug",)),
        ("between", ("mug", "chair")),
        ("width", ("mug",)),
        ("reachable", ("mug",)),
        ("free", ()),
        ("nearer", ("mug", "chair")),
    ):
        result = run(family, *objects)
        assert result.status is Status.NOT_METRIC and math.isnan(result.value), family
        assert result.message
    assert run("left", "mug", "chair").value == 1
    assert run("count", "ball").value == 2
    assert run("presence", "mug").value == 1


def test_a_relative_depth_map_is_not_metric(room):
    depth_map = DepthMap(
        np.full_like(room.depth, np.nan), room.depth / 10.0, room.score, False,
        intrinsics=room.intrinsics,
    )
    query = Query("distance", ("mug",))
    assert measure_maps(query, room.segmentation, depth_map).status is Status.NOT_METRIC


def test_unknown_depth_on_the_object_gives_no_number(room):
    room.depth[room.masks["mug"]] = np.nan
    for family, objects in (("distance", ("mug",)), ("front", ("mug", "chair"))):
        result = ask(room, family, *objects)
        assert result.status is Status.NO_ANSWER and math.isnan(result.value)


def test_every_family_can_be_measured(room):
    for name, family in FAMILIES.items():
        objects = ("mug", "chair")[: family.object_count]
        assert ask(room, name, *objects, radius_m=1.0).status is Status.OK, name


def test_names_and_sizes_are_checked(room):
    assert ask(room, "distance", "elephant").status is Status.BAD_QUESTION
    with pytest.raises(InvalidImageError, match="sizes"):
        measure(Query("free"), room.segmentation, room.depth[:5], room.intrinsics)


def test_counting_within_a_radius_and_on_a_side(room):
    """Balls at 1 m (columns 40 to 44) and 2 m (30 to 34), the axis at 47.5, the mug at 10 to 17."""
    assert ask(room, "count", "ball", radius_m=1.5).value == 1
    assert ask(room, "count", "ball", radius_m=2.5).value == 2
    assert ask(room, "count", "ball", radius_m=0.5).value == 0
    assert ask(room, "presence", "ball", radius_m=1.5).value == 1
    assert ask(room, "presence", "chair", radius_m=1.5).value == 0

    def count(family, *objects, **query):
        query = Query(family, objects, **query)
        return measure(query, room.segmentation, room.depth, room.intrinsics)

    assert count("count", "ball", side="left").value == 2
    assert count("count", "ball", side="right").value == 0
    assert count("count", "ball", "mug", side="right").value == 2
    assert count("count", "ball", "mug", side="right", radius_m=1.5).value == 1
    assert count("presence", "chair", "mug", side="left").value == 0
    beside = count("count", "mug", "ball", side="left", picks=("", "nearest"))
    assert (beside.value, beside.status) == (1, Status.OK)
    assert count("count", "mug", "ball", side="left").status is Status.AMBIGUOUS
    assert count("count", "ball", "bed", side="left").status is Status.NOT_VISIBLE
    assert count("left", "mug").value == 1 and count("right", "mug").value == 0
    assert count("left", "chair").value == 0 and count("right", "chair").value == 1


def test_the_axis_of_the_camera_divides_left_and_right(room):
    moved = dataclasses.replace(room.intrinsics, cx=35.0)
    query = Query("count", ("ball",), side="left")
    assert measure(query, room.segmentation, room.depth, moved).value == 1
    assert measure(query, room.segmentation, room.depth, None).value == 2


def test_the_nearest_and_the_farthest_of_a_name(room):
    def distance(pick):
        query = Query("distance", ("ball",), picks=(pick,))
        return measure(query, room.segmentation, room.depth, room.intrinsics)

    near, far = distance("nearest"), distance("farthest")
    assert near.value < far.value and near.objects[0].box[0] == 40
    assert far.objects[0].box[0] == 30
    which = Query("farther", ("ball", "ball"), picks=("nearest", "farthest"))
    assert measure(which, room.segmentation, room.depth, room.intrinsics).value == 1
    absent = Query("distance", ("bed",), picks=("nearest",))
    assert measure(absent, room.segmentation, room.depth, room.intrinsics).status is (
        Status.NOT_VISIBLE
    )


def test_a_count_is_never_short_for_want_of_depth(room):
    """Without depth on one ball nobody knows how many are near."""
    room.depth[55:60, 30:35] = np.nan
    query = Query("count", ("ball",), 1.5)
    result = measure(query, room.segmentation, room.depth, room.intrinsics)
    assert result.status is Status.NO_ANSWER and "ball" in result.message
    refused = measure(query, room.segmentation, None, room.intrinsics)
    assert refused.status is Status.NOT_METRIC
