"""Small worlds for the simulator's tests. They need mujoco and a software OpenGL."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

pytest.importorskip("mujoco")

from cooper_ros.sim.assets import AssetSet
from cooper_ros.sim.mesh import Model, box, sphere
from cooper_ros.sim.render import Renderer
from cooper_ros.sim.rooms import Placement, Room
from cooper_ros.sim.shell import add_shell
from cooper_ros.sim.textures import flat
from cooper_ros.sim.world import World

SIZE = (192, 144)


@pytest.fixture(scope="session")
def no_files() -> AssetSet:
    """Procedural shapes alone: what a machine without the furniture package trains on."""
    return AssetSet("procedural", (), "none")


@pytest.fixture(scope="session")
def renderer() -> Iterator[Renderer]:
    with Renderer(*SIZE) as opened:
        yield opened


@pytest.fixture
def bare_world() -> Callable[..., World]:
    """A 4 x 4 x 2.5 m room with one mug-labelled solid: make(kind, size, position)."""

    def make(kind: str, size: float, position: tuple[float, float, float]) -> World:
        rng = np.random.default_rng(0)
        room = Room(2.0, 2.0, 2.5)
        add_shell(room, rng)
        model = Model("mug")
        solid = box((size, size, size)) if kind == "box" else sphere(size, sides=32, rings=25)
        model.add(flat((0.9, 0.1, 0.1)), solid)
        room.objects.append(Placement(model, position, 0.0))
        return World(room, rng, SIZE)

    return make
