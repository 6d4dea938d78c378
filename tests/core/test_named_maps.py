"""Boxes, labels and masks of others, on the depth at hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cooper_ros.core.box_surface import box_surface
from cooper_ros.core.measure import measure_maps
from cooper_ros.core.named_maps import UNNAMED, NamedBox, NamedImage, name_maps, without_doubles
from cooper_ros.core.query import Query
from cooper_ros.core.segments import build_segmentation
from cooper_ros.core.types import BOX, MASK, NAN, DepthMap, Intrinsics, ScaleSource, Status

CAMERA = Intrinsics.from_fov(60.0, 160, 120)
NAMES = ("drill", "vise")


def room() -> np.ndarray:
    """A wall at 3 m, a floor that comes nearer, a box at 1.5 m and one at 2 m; z [m]."""
    depth = np.full((120, 160), 3.0, np.float32)
    rows = np.arange(60, 120)
    depth[60:] = np.minimum(3.0, 60.0 / (rows - 38.0))[:, None]
    depth[40:80, 30:60] = 1.5
    depth[50:75, 110:130] = 2.0
    return depth


def depth_map(depth: np.ndarray, metric: bool = True) -> DepthMap:
    return DepthMap(
        depth, depth, depth, metric, ScaleSource.EXTERNAL, CAMERA, stamp_ns=7, frame_id="eye"
    )


def boxes(*items: tuple[int, float, tuple[int, int, int, int]]) -> tuple[NamedBox, ...]:
    return tuple(NamedBox(class_id, score, box, "/yolo") for class_id, score, box in items)


DRILL = (0, 0.9, (26, 36, 38, 48))
VISE = (1, 0.8, (107, 46, 26, 32))


def test_a_box_means_the_surface_in_it_and_not_what_is_around() -> None:
    found = name_maps(NamedImage(NAMES, boxes(DRILL, VISE)), depth_map(room()), (160, 120))
    drill, vise = sorted(found.segments, key=lambda s: s.class_id)
    assert (drill.label, drill.source, drill.outline) == ("drill", "/yolo", BOX)
    assert drill.distance_m == pytest.approx(1.5 * 1.06, rel=0.05)
    assert vise.distance_m == pytest.approx(2.0 * 1.06, rel=0.05)
    assert drill.box == DRILL[2] and drill.score == 0.9
    assert (found.stamp_ns, found.frame_id) == (7, "eye")
    assert found.mask(drill)[60, 45] and not found.mask(drill)[20, 80]
    query = Query("distance", ("drill",))
    measured = measure_maps(query, found, depth_map(room()))
    assert measured.status is Status.OK and measured.value == pytest.approx(drill.distance_m)


def test_a_box_whose_middle_is_background_means_what_stands_before_it() -> None:
    ring = np.full((120, 160), 4.0, np.float32)
    ring[30:90, 50:62] = ring[30:90, 98:110] = 2.0
    ring[30:42, 50:110] = 2.0
    index = box_surface(ring, (50, 30, 60, 60))
    assert np.median(ring.reshape(-1)[index]) == 2.0


def test_boxes_in_a_larger_picture_are_scaled() -> None:
    larger = (0, 0.9, tuple(4 * value for value in DRILL[2]))
    found = name_maps(NamedImage(NAMES, boxes(larger)), depth_map(room()), (640, 480))
    (drill,) = found.segments
    assert drill.distance_m == pytest.approx(1.5 * 1.06, rel=0.05)
    assert drill.box == larger[2] and found.full_size == (640, 480)


def test_without_depth_boxes_still_say_what_is_where() -> None:
    unknown = depth_map(np.full((120, 160), NAN, np.float32), metric=False)
    found = name_maps(NamedImage(NAMES, boxes(DRILL, VISE)), unknown, (160, 120))
    assert measure_maps(Query("left", ("drill", "vise")), found, unknown).value == 1.0
    distance = measure_maps(Query("distance", ("drill",)), found, unknown)
    assert distance.status is Status.NOT_METRIC


def test_labels_and_instance_masks_are_taken_as_they_are() -> None:
    labels = np.full((120, 160), UNNAMED, np.uint8)
    labels[40:80, 30:60] = labels[50:75, 110:130] = 0
    instances = np.zeros((120, 160), np.uint16)
    instances[40:80, 30:60], instances[50:75, 110:130] = 700, 12
    plain = NamedImage(NAMES, labels=labels, source="/labels")
    found = name_maps(plain, depth_map(room()), (160, 120))
    assert [s.label for s in found.segments] == ["drill", "drill"]
    assert {s.source for s in found.segments} == {"/labels"}
    masked = NamedImage(NAMES, labels=labels, instances=instances, source="/labels")
    found = name_maps(masked, depth_map(room()), (160, 120))
    assert sorted(s.pixel_count for s in found.segments) == [500, 1200]
    assert {s.outline for s in found.segments} == {MASK}


def test_a_box_of_what_the_labels_show_is_no_second_thing() -> None:
    labels = np.full((120, 160), UNNAMED, np.uint8)
    labels[40:80, 30:60] = 0
    given = NamedImage(NAMES, boxes(DRILL, VISE), labels, source="/labels")
    found = name_maps(given, depth_map(room()), (160, 120))
    assert sorted((s.label, s.source) for s in found.segments) == [
        ("drill", "/labels"),
        ("vise", "/yolo"),
    ]


def test_an_instance_mask_belongs_to_the_detection_with_its_number() -> None:
    masks = np.zeros((120, 160), np.uint16)
    masks[45:75, 35:55] = 3
    masks[40:45, 30:60] = 4
    item = NamedBox(0, 0.9, DRILL[2], "/yolo", instance=3)
    found = name_maps(
        NamedImage(NAMES, (item,), instances=masks), depth_map(room()), (160, 120)
    )
    (drill,) = found.segments
    assert drill.outline == MASK and drill.pixel_count == 600


def test_the_models_maps_show_where_nothing_else_is_named() -> None:
    names = ("floor", "mug", "drill")
    own = np.zeros((120, 160), np.uint8)
    own[40:80, 30:60] = own[50:75, 110:130] = 1
    score = np.ones((120, 160), np.float32)
    model = build_segmentation(own, score, names, depth=room(), intrinsics=CAMERA)
    item = (2, 0.9, DRILL[2])
    found = name_maps(NamedImage(names, boxes(item)), depth_map(room()), (160, 120), model)
    named = sorted((s.label, s.source) for s in found.segments)
    assert named == [("drill", "/yolo"), ("floor", "model"), ("mug", "model")]
    (mug,) = found.of_class("mug")
    assert mug.distance_m == pytest.approx(2.0 * 1.06, rel=0.05)
    assert len({s.instance for s in found.segments}) == 3


def test_a_nearer_thing_keeps_its_pixels() -> None:
    depth = room()
    depth[45:70, 50:70] = 1.0
    given = boxes(DRILL, (1, 0.9, (48, 43, 24, 29)))
    found = name_maps(NamedImage(NAMES, given), depth_map(depth), (160, 120))
    drill, vise = (found.of_class(name)[0] for name in NAMES)
    assert found.instances[55, 55] == vise.instance != drill.instance


def test_one_thing_detected_twice_is_one_thing() -> None:
    twice = boxes(DRILL, (0, 0.5, (27, 37, 37, 47)), (1, 0.7, DRILL[2]))
    assert without_doubles(twice) == [twice[0], twice[2]]


def test_small_things_of_a_detector_are_counted() -> None:
    small = (0, 0.4, (140, 20, 5, 5))
    found = name_maps(NamedImage(NAMES, boxes(DRILL, small)), depth_map(room()), (160, 120))
    assert measure_maps(Query("count", ("drill",)), found, depth_map(room())).value == 2.0


def test_a_box_without_any_depth_is_there_at_no_distance() -> None:
    depth = room()
    depth[30:90, 20:70] = np.nan
    found = name_maps(NamedImage(NAMES, boxes(DRILL, VISE)), depth_map(depth), (160, 120))
    assert measure_maps(Query("left", ("drill", "vise")), found, depth_map(depth)).value == 1.0
    distance = measure_maps(Query("distance", ("drill",)), found, depth_map(depth))
    assert distance.status is Status.NO_ANSWER and distance.value != distance.value


def test_a_thing_hidden_behind_the_box_of_another_has_no_made_up_place() -> None:
    hidden = (0, 0.9, (121, 55, 8, 8))
    given = NamedImage(NAMES, boxes(hidden, VISE))
    found = name_maps(given, depth_map(room()), (160, 120))
    mask = found.mask(found.of_class("drill")[0])
    nothing = replace(found, instances=np.where(mask, 0, found.instances))
    measured = measure_maps(Query("distance", ("drill",)), nothing, depth_map(room()))
    assert measured.status is Status.NO_ANSWER
    beside = measure_maps(Query("right", ("drill", "vise")), nothing, depth_map(room()))
    assert (beside.status, beside.value) == (Status.OK, 1.0)
