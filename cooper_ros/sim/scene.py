"""A simulated room to take pictures of: a pure function of seed, split and asset set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core import geometry
from cooper_ros.core.images import nearest_index
from cooper_ros.sim import camera, photo, truth
from cooper_ros.sim.assets import AssetSet, assets_for
from cooper_ros.sim.layout import Decorator
from cooper_ros.sim.render import Geometry, Pose, Renderer
from cooper_ros.sim.rooms import Room
from cooper_ros.sim.world import SHADOW_SIZE, World

SPLITS = ("train", "val", "test")
RENDER_SIZE = (640, 480)
FRAME_SIZE = (384, 288)
MAX_TRIES_PER_VIEW = 4


def scene_rng(seed: int, split: str, purpose: str) -> np.random.Generator:
    """A generator for one purpose in one scene; splits and purposes never share numbers.

    Any whole number is a seed; those below zero count down from 2^64.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {split!r}")
    return np.random.default_rng([seed % 2**64, *f"{split}/{purpose}".encode()])


@dataclass
class Sample:
    """One training frame; see `shards` for units and shapes."""

    rgb: NDArray[np.uint8]
    depth: NDArray[np.float32]
    classes: NDArray[np.uint8]
    instances: NDArray[np.uint8]
    intrinsics: NDArray[np.float32]
    free_space: float
    objects: NDArray[np.float32]
    seed: int


class Scene:
    """A furnished room and its compiled world."""

    def __init__(
        self,
        seed: int,
        split: str,
        assets: AssetSet | None = None,
        size: tuple[int, int] = RENDER_SIZE,
        shadow_size: int = SHADOW_SIZE,
    ) -> None:
        self.seed, self.split = seed, split
        self.assets = assets or assets_for(split)
        self.size = size
        self.habits = camera.VARIED if split == "train" else camera.ROBOT
        self.room: Room = Decorator(scene_rng(seed, split, "room"), split, self.assets).room()
        self.world = World(self.room, scene_rng(seed, split, "light"), size, shadow_size)

    def views(self, renderer: Renderer, count: int) -> Iterator[tuple[Pose, Geometry]]:
        """Up to `count` views worth keeping; the renderer holds the view while it is consumed."""
        rng = scene_rng(self.seed, self.split, "camera")
        renderer.load(self.world)
        kept = 0
        for _ in range(count * MAX_TRIES_PER_VIEW):
            if kept == count:
                return
            pose = camera.sample_pose(self.room, rng, self.habits)
            renderer.look(pose)
            view = renderer.geometry()
            if camera.worth_keeping(view, self.habits):
                kept += 1
                yield pose, view

    def samples(self, renderer: Renderer, count: int) -> Iterator[Sample]:
        """Training frames of `FRAME_SIZE`: the object table comes from the full render."""
        rng = scene_rng(self.seed, self.split, "photo")
        width, height = self.size
        for pose, view in self.views(renderer, count):
            full = camera.intrinsics(pose.hfov_deg, width, height)
            stored = full.scaled(*FRAME_SIZE)
            objects = truth.object_table(
                view.depth, view.classes, view.instances, full, camera.gravity(pose)
            )
            rgb = photo.photograph(photo.reduce(renderer.colour(), *FRAME_SIZE), rng)
            # the nearest pixel, never an average: no depths between surfaces
            nearest = np.ix_(
                nearest_index(FRAME_SIZE[1], height), nearest_index(FRAME_SIZE[0], width)
            )
            yield Sample(
                rgb=rgb,
                depth=view.depth[nearest],
                classes=view.classes[nearest],
                instances=view.instances[nearest],
                intrinsics=np.array([stored.fx, stored.fy, stored.cx, stored.cy], np.float32),
                free_space=geometry.free_space_ahead(view.depth, full),
                objects=objects,
                seed=self.seed,
            )
