"""The object table against the definitions in core.geometry."""

from __future__ import annotations

import numpy as np

from cooper_ros.core import geometry
from cooper_ros.core.classes import STUFF_IDS
from cooper_ros.sim import camera
from cooper_ros.sim.scene import Scene
from cooper_ros.sim.truth import COLUMNS, MIN_FRACTION, object_table, visible_edges

SIZE = (192, 144)


def edges_one_by_one(mask):
    """Left, right, top, bottom by the words of their definition."""
    found = []
    for places, size in zip(np.nonzero(mask)[::-1], mask.shape[::-1], strict=True):
        tenth = [p for p in range(size) if (places <= p).sum() >= 0.05 * len(places)]
        behind = [p for p in range(size) if (places >= p).sum() >= 0.05 * len(places)]
        found += [tenth[0] / size, behind[-1] / size]
    return found


def test_rows_equal_core_geometry(renderer):
    rows = 0
    for pose, view in Scene(4, "test", size=SIZE).views(renderer, 3):
        k, gravity = camera.intrinsics(pose.hfov_deg, *SIZE), camera.gravity(pose)
        table = object_table(view.depth, view.classes, view.instances, k, gravity, frame=9)
        for row in table:
            value = dict(zip(COLUMNS, row, strict=True))
            mask = view.instances == int(value["instance"])
            assert set(view.classes[mask]) == {int(value["class_id"])}
            u, v, z = geometry.object_anchor(view.depth, mask, k)
            width, height, known = geometry.object_extent(view.depth, mask, k, gravity)
            assert known and value["frame"] == 9
            assert np.isclose(value["u"] * SIZE[0], u) and np.isclose(value["v"] * SIZE[1], v)
            assert np.isclose(value["z"], z)
            assert np.isclose(value["distance"], geometry.object_distance(view.depth, mask, k))
            assert np.allclose([value["width"], value["height"]], [width, height], atol=1e-6)
            point = [value["point_x"], value["point_y"], value["point_z"]]
            assert np.allclose(point, geometry.object_point(view.depth, mask, k))
            anchor = np.linalg.norm([value["x"], value["y"], value["z"]])
            assert np.isclose(anchor, value["distance"], rtol=1e-5)
            assert np.isclose(value["fraction"], mask.mean())
            edges = [value[name] for name in ("left", "right", "top", "bottom")]
            assert np.allclose(edges, edges_one_by_one(mask), atol=1e-6)
            rows += 1
        visible = np.unique(view.instances)
        expected = {
            number
            for number in visible
            if number and (view.instances == number).mean() >= MIN_FRACTION
        }
        assert {int(n) for n in table[:, 2]} == expected
        assert not set(table[:, 1].astype(int)) & set(STUFF_IDS)
        assert np.all(np.diff(table[:, COLUMNS.index("distance")]) >= 0)
    assert rows >= 6


def test_no_object_gives_an_empty_table():
    k = camera.intrinsics(60.0, 8, 6)
    zeros = np.zeros((6, 8), np.uint8)
    table = object_table(np.ones((6, 8), np.float32), zeros, zeros, k, None)
    assert table.shape == (0, len(COLUMNS))


def test_edges_leave_out_what_sticks_out_and_turn_with_the_picture():
    labels = np.zeros((10, 40), np.uint8)
    labels[2:8, 10:30] = 3
    labels[5, 30:36] = 3  # a handle: 6 of 126 pixels
    labels[0, 39] = 7
    edges = visible_edges(labels, np.array([7, 3, 9]))
    assert np.allclose(edges[0], [39 / 40, 0, 39 / 40, 0])
    assert np.allclose(edges[1], [11 / 40, 2 / 10, 29 / 40, 7 / 10])
    assert np.isnan(edges[2]).all()
    turned = visible_edges(labels[:, ::-1], np.array([3]))[0]
    assert np.allclose(turned[[0, 2]], 39 / 40 - edges[1, [2, 0]])
    assert visible_edges(labels, np.zeros(0, int)).shape == (0, 4)
