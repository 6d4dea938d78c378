"""Procedural lamps, plants and bins."""

from __future__ import annotations

import numpy as np

from cooper_ros.sim import textures as tx
from cooper_ros.sim.mesh import (
    Mesh,
    Model,
    both_sides,
    box,
    cylinder,
    lathe,
    rod,
    rotation_x,
    rotation_z,
    sphere,
)

Rng = np.random.Generator

STYLES: dict[str, tuple[str, ...]] = {
    "lamp": ("floor", "table", "desk", "globe", "tripod"),
    "plant": ("blades", "bush", "tree", "cactus", "fern"),
    "bin": ("bucket", "pedal", "swing", "mesh"),
}
"""Styles per class. The last one of each class is never used in training scenes."""


def lamp(rng: Rng, style: str, on_floor: bool = True) -> Model:
    """A lamp: 1.2 to 1.8 m on the floor, 0.3 to 0.6 m on a table."""
    h = rng.uniform(1.25, 1.8) if on_floor else rng.uniform(0.3, 0.55)
    s = 1.0 if on_floor else 0.5
    model, pole = Model("lamp"), tx.metal(rng)
    glow = float(rng.uniform(0.4, 1.0)) if rng.random() < 0.6 else 0.1
    shade = tx.flat(
        tx.around(rng, (0.95, 0.88, 0.72), 0.08) if rng.random() < 0.7 else tx.vivid(rng),
        emission=glow,
    )
    if style == "desk":
        model.add(pole, cylinder(0.18 * s, 0.03 * s, sides=14))
        elbow, end = (0.0, 0.25 * h, 0.62 * h), (0.0, -0.12 * h, 0.93 * h)
        model.add(pole, rod((0, 0, 0), elbow, 0.016 * s, 7), rod(elbow, end, 0.016 * s, 7))
        cone = lathe([(0.16 * s, 0), (0.16 * s, 0.005), (0.05 * s, 0.22 * s)], 14)
        model.add(tx.flat(tx.vivid(rng)), cone.moved((0, -0.16 * h, 0.84 * h), rotation_x(-0.3)))
        model.add(
            tx.flat((1, 0.95, 0.8), emission=1.0), sphere(0.08 * s, (0, -0.16 * h, 0.84 * h), 8, 6)
        )
        return model
    r = rng.uniform(0.16, 0.25) * (1.0 if on_floor else 0.55)
    shade_h = r * rng.uniform(1.0, 1.7)
    if style == "tripod":
        model.add(
            tx.surface(rng, "wood"),
            *[
                rod(
                    (0.26 * s * np.cos(a), 0.26 * s * np.sin(a), 0.01),
                    (0, 0, h - shade_h),
                    0.016 * s,
                    6,
                )
                for a in np.arange(3) * 2 * np.pi / 3
            ],
        )
    elif style == "table":
        model.add(
            tx.surface(rng, "plain", tx.vivid(rng)),
            lathe([(0.5 * r, 0), (0.7 * r, 0.2 * h), (0.4 * r, 0.5 * h), (0.1 * r, 0.7 * h)], 14),
        )
        model.add(pole, rod((0, 0, 0), (0, 0, h - shade_h), 0.012, 6))
    else:
        model.add(
            pole,
            cylinder(0.14 * s, 0.025 * s, sides=14),
            rod((0, 0, 0), (0, 0, h - shade_h * 0.5), 0.014 * s, 7),
        )
    if style == "globe":
        model.add(shade, sphere(r * 0.8, (0, 0, h - r * 0.8), 16, 10))
    else:
        top = rng.uniform(0.55, 1.0) * r
        model.add(shade, lathe([(r, h - shade_h), (r, h - shade_h), (top, h), (top, h)], 18))
    return model


def _leaf(length: float, width: float, bend: float, turn: float, lift: float) -> Mesh:
    t = np.linspace(0, 1, 5)
    half = width / 2 * np.sin(np.pi * np.clip(t * 0.9 + 0.08, 0, 1))
    reach = length * t
    z = reach * np.sin(lift) - bend * length * t**2
    x = reach * np.cos(lift)
    vertices = np.concatenate([np.stack([x, half, z], 1), np.stack([x, -half, z], 1)])
    faces = []
    for k in range(4):
        faces += [[k, k + 6, k + 1], [k, k + 5, k + 6]]
    uv = np.stack([np.tile(t, 2), np.repeat([0.0, 1.0], 5)], 1)
    return both_sides(Mesh(vertices, np.array(faces, np.int32), uv)).moved(
        (0, 0, 0), rotation_z(turn)
    )


def plant(rng: Rng, style: str, on_floor: bool = True) -> Model:
    """A potted plant: 0.5 to 1.7 m on the floor, 0.15 to 0.4 m on a table."""
    h = rng.uniform(0.5, 1.6) if on_floor else rng.uniform(0.18, 0.4)
    pot_h = h * rng.uniform(0.2, 0.32) if h < 1 else rng.uniform(0.25, 0.38)
    pot_r = pot_h * rng.uniform(0.45, 0.7)
    model = Model("plant")
    clay = (
        tx.around(rng, (0.7, 0.4, 0.27), 0.1)
        if rng.random() < 0.5
        else tx.colour(rng, (0, 0.5), (0.3, 0.95))
    )
    model.add(
        tx.surface(rng, "plain", clay, clay * 0.9),
        lathe(
            [
                (0.7 * pot_r, 0),
                (0.7 * pot_r, 0),
                (pot_r, pot_h),
                (pot_r, pot_h),
                (0.88 * pot_r, pot_h),
                (0.85 * pot_r, 0.9 * pot_h),
            ],
            16,
        ),
    )
    model.add(tx.flat((0.16, 0.1, 0.06)), cylinder(0.86 * pot_r, 0.01, (0, 0, 0.88 * pot_h), 12))
    green = tx.around(rng, (0.22, 0.5, 0.16), 0.2)
    look = tx.surface(rng, "carpet", green, green * 0.6, 0.2)
    top = h - pot_h
    leaves: list[Mesh] = []
    if style in ("blades", "fern"):
        count = int(rng.integers(14, 30))
        for _ in range(count):
            lift = rng.uniform(0.9, 1.5) if style == "blades" else rng.uniform(0.3, 1.3)
            bend = rng.uniform(0.0, 0.25) if style == "blades" else rng.uniform(0.3, 0.8)
            length = top * rng.uniform(0.7, 1.0)
            wide = length * rng.uniform(0.08, 0.2) if style == "blades" else length * 0.22
            leaves.append(
                _leaf(length, wide, bend, rng.uniform(0, 6.28), lift).moved((0, 0, 0.88 * pot_h))
            )
    elif style == "cactus":
        r = min(0.3 * top, 0.8 * pot_r)
        leaves.append(
            lathe([(0.7 * r, 0), (r, 0.3 * top), (r, 0.75 * top), (0.6 * r, 0.95 * top)], 8).moved(
                (0, 0, 0.88 * pot_h)
            )
        )
        for s in (-1, 1):
            if rng.random() < 0.6:
                z = pot_h + top * rng.uniform(0.3, 0.5)
                leaves += [
                    rod((0, 0, z), (s * 1.8 * r, 0, z + 0.1 * top), 0.4 * r, 7),
                    rod(
                        (s * 1.8 * r, 0, z + 0.1 * top),
                        (s * 1.8 * r, 0, z + 0.35 * top),
                        0.4 * r,
                        7,
                    ),
                ]
    else:
        stem = 0.35 * top if style == "bush" else 0.6 * top
        wood = tx.flat(tx.around(rng, (0.4, 0.27, 0.15), 0.1))
        model.add(wood, rod((0, 0, 0.8 * pot_h), (0, 0, pot_h + stem), 0.012 + 0.012 * h, 6))
        crown = (top - stem) / 2 + (0.1 * top if style == "bush" else 0.02)
        count = int(rng.integers(45, 80))
        direction = rng.normal(size=(count, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        length = max(0.05, 0.28 * top) * rng.uniform(0.6, 1.1)
        for unit in direction:
            start = unit * crown * rng.uniform(0.35, 0.75)
            start[2] += pot_h + top - crown - 0.03
            leaf = _leaf(
                length,
                length * rng.uniform(0.35, 0.6),
                rng.uniform(0.0, 0.5),
                float(np.arctan2(unit[1], unit[0])),
                float(np.arcsin(unit[2]) * 0.8),
            )
            leaves.append(leaf.moved(start))
    model.add(look, *leaves)
    return model


def bin_(rng: Rng, style: str) -> Model:
    """A waste bin, 0.25 to 0.75 m high."""
    h = rng.uniform(0.28, 0.7)
    r = h * rng.uniform(0.28, 0.4)
    base = [
        (0.2, 0.2, 0.22),
        (0.75, 0.76, 0.78),
        (0.15, 0.35, 0.7),
        (0.15, 0.5, 0.25),
        (0.85, 0.7, 0.1),
    ][rng.integers(5)]
    look = tx.flat(tx.around(rng, base, 0.08), 0.5)
    dark = tx.flat((0.05, 0.05, 0.06))
    model = Model("bin")
    if style == "bucket":
        model.add(
            look,
            lathe(
                [
                    (0.75 * r, 0),
                    (0.75 * r, 0),
                    (r, h),
                    (r, h),
                    (0.94 * r, h),
                    (0.94 * r, h),
                    (0.72 * r, 0.1 * h),
                ],
                18,
            ),
        )
        model.add(
            tx.flat((0.9, 0.9, 0.92) if rng.random() < 0.5 else (0.06, 0.06, 0.07)),
            cylinder(0.88 * r, 0.01, (0, 0, h * rng.uniform(0.3, 0.85)), 14),
        )
    elif style == "pedal":
        model.add(look, cylinder(r, 0.86 * h, (0, 0, 0.04 * h), 18))
        model.add(
            dark,
            cylinder(1.02 * r, 0.04 * h, sides=18),
            box((0.3 * r, 0.3 * r, 0.03), (0, -r * 1.1, 0.01)),
            lathe([(1.03 * r, 0.9 * h), (1.03 * r, 0.93 * h), (0.8 * r, h)], 18),
        )
    elif style == "swing":
        model.add(look, box((1.7 * r, 1.3 * r, 0.72 * h)))
        model.add(
            dark if rng.random() < 0.5 else look,
            box((1.75 * r, 1.35 * r, 0.05 * h), (0, 0, 0.72 * h)),
            box((1.5 * r, 0.02, 0.26 * h)).moved((0, -0.5 * r, 0.75 * h), rotation_x(-0.6)),
            box((1.5 * r, 0.02, 0.26 * h)).moved((0, 0.5 * r, 0.75 * h), rotation_x(0.6)),
        )
    else:
        wire = tx.surface(rng, "check", np.array(look.colour), np.array(look.colour) * 0.3)
        model.add(
            wire,
            lathe(
                [(0.75 * r, 0), (0.75 * r, 0), (r, h), (r, h), (0.95 * r, h), (0.7 * r, 0.05 * h)],
                18,
                repeat=(4, 3),
            ),
        )
    return model
