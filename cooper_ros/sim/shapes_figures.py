"""Procedural persons and robots. They face -y."""

from __future__ import annotations

import numpy as np

from cooper_ros.sim import textures as tx
from cooper_ros.sim.mesh import Model, box, cylinder, lathe, rod, rotation_x, sphere

Rng = np.random.Generator

STYLES: dict[str, tuple[str, ...]] = {
    "person": ("stand", "relaxed", "walk", "reach"),
    "robot": ("round", "mast", "humanoid", "dog"),
}
"""Styles per class. The last one of each class is never used in training scenes."""


_HAIR = ((0.08, 0.06, 0.05), (0.3, 0.18, 0.1), (0.75, 0.6, 0.35), (0.55, 0.55, 0.55))


def person(rng: Rng, style: str) -> Model:
    """A dressed adult or teenager, 1.5 to 1.9 m, facing -y."""
    s = rng.uniform(0.86, 1.08)
    skin = np.clip(np.array([0.86, 0.66, 0.52]) * rng.uniform(0.35, 1.12), 0.05, 1)
    shirt = tx.surface(
        rng,
        str(rng.choice(["plain", "plain", "stripe", "check", "print"])),
        tx.colour(rng, (0.05, 0.9), (0.15, 0.95)),
        None,
        0.05,
    )
    pants_colour = tx.colour(rng, (0.05, 0.6), (0.08, 0.55))
    pants = tx.surface(rng, "plain", pants_colour, pants_colour * 0.85, 0.05)
    shoe = tx.flat(tx.colour(rng, (0, 0.5), (0.03, 0.6)))
    hair = tx.flat(_HAIR[rng.integers(len(_HAIR))])
    face = tx.flat(skin, 0.05)
    wide = rng.uniform(0.9, 1.25)
    model = Model("person")
    stride = {"walk": 0.22, "reach": 0.05}.get(style, 0.0) * rng.choice([-1, 1])
    for side in (-1, 1):
        x, y = side * 0.095 * wide, side * stride
        hip, knee, ankle = (x, 0, 0.88), (x, y * 0.6 - 0.02, 0.47), (x, y, 0.09)
        model.add(pants, rod(hip, knee, 0.085 * wide, 9, 0.06), rod(knee, ankle, 0.06, 9, 0.045))
        model.add(shoe, sphere((0.05, 0.13, 0.05), (x, y - 0.05, 0.05), 8, 6))
        shoulder = (side * 0.19 * wide, 0.0, 1.4)
        if style == "relaxed":
            elbow, hand = (side * 0.27 * wide, 0.03, 1.13), (side * 0.14, -0.2, 1.02)
        elif style == "reach":
            elbow, hand = (side * 0.24 * wide, -0.2, 1.2), (side * 0.2, -0.45, 1.25)
        else:
            elbow, hand = (
                (side * 0.26 * wide, -y * 0.5 + 0.02, 1.12),
                (side * 0.27 * wide, -y - 0.05, 0.86),
            )
        long_sleeves = rng.random() < 0.6
        model.add(shirt, rod(shoulder, elbow, 0.055, 8, 0.045))
        model.add(shirt if long_sleeves else face, rod(elbow, hand, 0.043, 8, 0.034))
        model.add(face, sphere(0.045, hand, 8, 6))
    torso = [(0.15, 0.84), (0.165, 0.95), (0.145, 1.1), (0.19, 1.32), (0.16, 1.44), (0.06, 1.49)]
    model.add(shirt, lathe(torso, 14, repeat=(2, 2)).moved(scale=(wide, 0.62 * wide, 1)))
    model.add(
        face,
        rod((0, 0, 1.44), (0, 0, 1.56), 0.055, 8),
        sphere((0.085, 0.1, 0.12), (0, -0.01, 1.63), 12, 9),
    )
    model.add(hair, sphere((0.095, 0.105, 0.1), (0, 0.02, 1.67), 12, 8))
    if rng.random() < 0.35:
        model.add(hair, sphere((0.1, 0.06, 0.17), (0, 0.08, 1.56), 10, 7))
    for part in model.parts:
        part.mesh = part.mesh.moved(scale=s)
    return model


def robot(rng: Rng, style: str) -> Model:
    """A mobile robot: low and round, with a mast, humanoid, or four-legged."""
    shell = tx.flat(
        [(0.92, 0.92, 0.93), (0.1, 0.1, 0.11), (0.8, 0.4, 0.08), (0.2, 0.35, 0.7)][rng.integers(4)],
        0.5,
    )
    dark, glow = tx.flat((0.06, 0.06, 0.07), 0.5), tx.flat((0.1, 0.7, 0.95), emission=0.9)
    model = Model("robot")
    if style == "humanoid":
        s = rng.uniform(0.7, 1.15)
        model.add(
            shell,
            sphere((0.13, 0.12, 0.15), (0, 0, 1.12)),
            lathe([(0.1, 0.5), (0.16, 0.62), (0.19, 0.88), (0.08, 0.97)], 12),
        )
        model.add(
            dark,
            sphere((0.1, 0.06, 0.09), (0, -0.075, 1.13)),
            lathe([(0.25, 0), (0.27, 0.1), (0.14, 0.2), (0.1, 0.5)], 14),
        )
        model.add(glow, *[sphere(0.02, (x, -0.13, 1.15), 6, 5) for x in (-0.045, 0.045)])
        for side in (-1, 1):
            elbow = (side * 0.3, -0.02, 0.66)
            model.add(
                shell,
                rod((side * 0.2, 0, 0.86), elbow, 0.045, 8),
                rod(elbow, (side * 0.24, -0.2, 0.55), 0.038, 8),
            )
        for part in model.parts:
            part.mesh = part.mesh.moved(scale=s)
        return model
    if style == "dog":
        model.add(shell, box((0.26, 0.62, 0.16), (0, 0, 0.36)))
        model.add(
            dark,
            box((0.16, 0.14, 0.13), (0, -0.38, 0.38)),
            *[
                rod((sx * 0.16, sy * 0.25, 0.42), (sx * 0.17, sy * 0.25 + 0.12, 0.2), 0.035, 7)
                for sx in (-1, 1)
                for sy in (-1, 1)
            ],
        )
        model.add(
            shell,
            *[
                rod((sx * 0.17, sy * 0.25 + 0.12, 0.2), (sx * 0.17, sy * 0.25, 0.02), 0.022, 7)
                for sx in (-1, 1)
                for sy in (-1, 1)
            ],
        )
        return model
    r = rng.uniform(0.17, 0.27)
    h = rng.uniform(0.12, 0.3)
    if rng.random() < 0.6:
        model.add(shell, cylinder(r, h, (0, 0, 0.04), 20))
    else:
        model.add(shell, box((2 * r, 2.2 * r, h), (0, 0, 0.06)))
    model.add(
        dark,
        *[
            cylinder(0.07, 0.04).moved((s * r, 0, 0.07), rotation_x(0)).moved((0, 0, 0))
            for s in (-0.8, 0.8)
        ],
        cylinder(0.05, 0.06, (0, -0.3 * r, 0.04 + h), 12),
        cylinder(r * 0.97, 0.04, sides=18),
    )
    model.add(glow, box((r, 0.01, 0.02), (0, -r * 0.99, 0.04 + 0.6 * h)))
    if style == "mast":
        top = rng.uniform(0.65, 1.2)
        model.add(dark, *[rod((x, 0.1, h), (x, 0.1, top), 0.018, 7) for x in (-0.08, 0.08)])
        model.add(
            shell,
            box((0.3, 0.04, 0.22), (0, 0.06, top)),
            cylinder(0.7 * r, 0.03, (0, 0, 0.5 * (h + top)), 16),
        )
        model.add(
            glow if rng.random() < 0.5 else dark, box((0.26, 0.01, 0.18), (0, 0.035, top + 0.02))
        )
    return model
