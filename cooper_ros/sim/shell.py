"""The empty room: floor, walls, ceiling and skirting."""

from __future__ import annotations

import numpy as np

from cooper_ros.sim import textures as tx
from cooper_ros.sim.mesh import Model, box, grid, rotation_x, rotation_z
from cooper_ros.sim.rooms import Placement, Room


def add_shell(room: Room, rng: np.random.Generator) -> None:
    """Add floor, ceiling and four walls to an empty room."""
    x, y, h = room.half_x, room.half_y, room.height
    kind = str(rng.choice(["wood", "plank", "plank", "tile", "carpet"]))
    first = tx.colour(rng, (0, 0.35), (0.3, 0.85)) if kind in ("tile", "carpet") else None
    floor = Model("floor")
    floor.add(tx.surface(rng, kind, first), grid(2 * x, 2 * y, 12, rng.uniform(0.4, 0.9)))
    ceiling = Model("ceiling")
    white = tx.around(rng, (0.93, 0.93, 0.92), 0.04)
    over = (
        tx.surface(rng, "plain", white, white * 0.96, 0.0)
        if rng.random() < 0.85
        else tx.surface(rng, "plank")
    )
    ceiling.add(over, grid(2 * x, 2 * y, 8, 0.4).moved((0, 0, 0), rotation_x(np.pi)))
    paint = (
        tx.around(rng, (0.88, 0.86, 0.81), 0.07)
        if rng.random() < 0.65
        else tx.colour(rng, (0.08, 0.4), (0.45, 0.9))
    )
    kinds = ["plain", "carpet", "stripe", "brick", "plank"]
    wall_kind = str(rng.choice(kinds, p=[0.62, 0.15, 0.09, 0.09, 0.05]))
    shade = paint * rng.uniform(0.86, 0.97)
    look = tx.surface(rng, wall_kind, paint, shade, 0.05)
    other = look
    if rng.random() < 0.25:  # one wall in another colour
        paint = tx.colour(rng, (0.15, 0.5), (0.35, 0.85))
        other = tx.surface(rng, "plain", paint, paint * 0.95, 0.05)
    wall = Model("wall")
    repeat = rng.uniform(0.4, 0.9)
    for number in range(4):
        length = 2 * (x if number % 2 == 0 else y)
        distance = y if number % 2 == 0 else x
        upright = grid(length, h, 8, repeat).moved((0, 0, 0), rotation_x(np.pi / 2))
        turned = upright.moved((0, distance, h / 2)).moved(
            (0, 0, 0), rotation_z(-number * np.pi / 2)
        )
        wall.add(other if number == 0 else look, turned)
    if rng.random() < 0.7:
        skirting = tx.flat(
            tx.around(rng, (0.9, 0.9, 0.88), 0.05) if rng.random() < 0.6 else tx.wood_colour(rng)
        )
        tall = rng.uniform(0.05, 0.1)
        wall.add(
            skirting,
            *[box((2 * x, 0.015, tall), (0, s * (y - 0.0075), 0)) for s in (-1, 1)],
            *[box((0.015, 2 * y, tall), (s * (x - 0.0075), 0, 0)) for s in (-1, 1)],
        )
    room.stuff += [
        Placement(floor, (0, 0, 0), 0.0),
        Placement(ceiling, (0, 0, h), 0.0),
        Placement(wall, (0, 0, 0), 0.0),
    ]
