"""Scenes are pure functions of seed, split and assets, and splits share nothing."""

from __future__ import annotations

import numpy as np
import pytest

from cooper_ros.core.classes import CLASS_NAMES, STUFF
from cooper_ros.sim import catalogue
from cooper_ros.sim.assets import committed_assets
from cooper_ros.sim.layout import Decorator
from cooper_ros.sim.scene import FRAME_SIZE, SPLITS, Scene, scene_rng
from cooper_ros.sim.shapes import STYLES

SIZE = (192, 144)


def _rooms(split, assets, count):
    return [
        Decorator(scene_rng(seed, split, "room"), split, assets).room() for seed in range(count)
    ]


@pytest.fixture(scope="module")
def train_rooms(no_files):
    return _rooms("train", no_files, 24)


@pytest.fixture(scope="module")
def test_rooms(no_files):
    return _rooms("test", no_files, 24)


def test_same_seed_gives_the_same_frames(renderer):
    first, again = (list(Scene(7, "test", size=SIZE).samples(renderer, 2)) for _ in range(2))
    assert len(first) == len(again) == 2
    for a, b in zip(first, again, strict=True):
        for name in ("rgb", "depth", "classes", "instances", "intrinsics", "objects"):
            assert np.array_equal(getattr(a, name), getattr(b, name)), name
    other = next(iter(Scene(8, "test", size=SIZE).samples(renderer, 1)))
    assert not np.array_equal(first[0].rgb, other.rgb)


def test_a_frame_has_the_promised_shapes(renderer, no_files):
    sample = next(iter(Scene(3, "train", no_files, SIZE).samples(renderer, 1)))
    stored = (FRAME_SIZE[1], FRAME_SIZE[0])
    assert stored == (288, 384)
    assert sample.rgb.shape == (*stored, 3) and sample.rgb.dtype == np.uint8
    assert sample.depth.shape == sample.classes.shape == sample.instances.shape == stored
    fx, fy, cx, cy = sample.intrinsics
    assert fx == fy and (cx, cy) == ((stored[1] - 1) / 2, (stored[0] - 1) / 2)
    assert sample.free_space > 0


def test_splits_never_share_random_numbers():
    numbers = {
        tuple(scene_rng(seed, split, purpose).integers(0, 2**62, 2))
        for seed in range(20)
        for split in SPLITS
        for purpose in ("room", "light", "camera", "photo")
    }
    assert len(numbers) == 20 * len(SPLITS) * 4
    with pytest.raises(ValueError, match="split must be one of"):
        scene_rng(0, "testing", "room")


def test_training_never_sees_the_held_out_styles(train_rooms, test_rooms):
    held_out = {f"procedural/{label}/{styles[-1]}" for label, styles in STYLES.items()}
    used = {p.model.name for room in train_rooms for p in room.objects}
    # a screen's stand is a sideboard by choice; the sideboard style is no secret to tell apart
    used.discard("procedural/cabinet/sideboard")
    assert used and not used & held_out
    tested = {p.model.name for room in test_rooms for p in room.objects}
    assert len(tested & held_out) > len(held_out) / 3


def test_every_class_occurs(train_rooms):
    labels = {p.label for room in train_rooms for p in room.objects}
    assert labels == set(CLASS_NAMES) - set(STUFF)
    assert {p.label for p in train_rooms[0].stuff} == set(STUFF)


def test_things_stand_inside_the_room(test_rooms):
    for room in test_rooms:
        for placement in room.objects:
            x, y, z = placement.position
            assert abs(x) <= room.half_x + 0.01 and abs(y) <= room.half_y + 0.01
            assert -0.01 <= z and z + placement.model.bounds()[1][2] < room.height + 0.2
        assert all(0 <= t[2] < room.height for t in room.targets)


def test_committed_models_are_the_promised_classes():
    assets = committed_assets()
    assert len(assets.files) == len(catalogue.COMMITTED)
    assert {label for label, _ in assets.files} == set(catalogue.COMMITTED.values())
    assert sum(path.stat().st_size for _, path in assets.files) < 4e6


def test_training_excludes_the_committed_models():
    entries = catalogue.catalogue()
    if not entries:
        pytest.skip("the Debian package sweethome3d-furniture is not installed")
    kept_back = {entry.key.split("/")[1] for entry in entries if catalogue.is_committed(entry)}
    assert kept_back == set(catalogue.COMMITTED)


def test_notice_names_every_committed_model(root):
    notice = (root / "assets" / "NOTICE.md").read_text()
    for _, path in committed_assets().files:
        row = next(line for line in notice.splitlines() if f"| {path.name} |" in line)
        _, _, model, author, _, licence, stated, _ = (cell.strip() for cell in row.split("|"))
        assert model and author and stated and licence == "CC0 1.0"
