"""Procedural lamps, plants, bins, persons, robots, and what hangs on walls.

Wall models have their back at y = 0 and face -y; z = 0 is their lower edge.
"""
from __future__ import annotations

import numpy as np

from cooper_ros.sim import textures as tx
from cooper_ros.sim.mesh import (
    Mesh, Model, Surface, both_sides, box, cylinder, lathe, rod, rotation_x, rotation_z, sphere,
)

Rng = np.random.Generator

STYLES: dict[str, tuple[str, ...]] = {
    "lamp": ("floor", "table", "desk", "globe", "tripod"),
    "plant": ("blades", "bush", "tree", "cactus", "fern"),
    "bin": ("bucket", "pedal", "swing", "mesh"),
    "person": ("stand", "relaxed", "walk", "reach"),
    "robot": ("round", "mast", "humanoid", "dog"),
    "door": ("flat", "panel", "glazed", "double"),
    "window": ("cross", "double", "plain", "blind"),
    "picture": ("framed", "canvas", "passepartout"),
    "tv": ("wall", "stand", "small"),
}
"""Styles per class. The last one of each class is never used in training scenes."""


def lamp(rng: Rng, style: str, on_floor: bool = True) -> Model:
    """A lamp: 1.2 to 1.8 m on the floor, 0.3 to 0.6 m on a table."""
    h = rng.uniform(1.25, 1.8) if on_floor else rng.uniform(0.3, 0.55)
    s = 1.0 if on_floor else 0.5
    model, pole = Model("lamp"), tx.metal(rng)
    glow = float(rng.uniform(0.4, 1.0)) if rng.random() < 0.6 else 0.1
    shade = tx.flat(tx.around(rng, (0.95, 0.88, 0.72), 0.08) if rng.random() < 0.7
                    else tx.vivid(rng), emission=glow)
    if style == "desk":
        model.add(pole, cylinder(0.18 * s, 0.03 * s, sides=14))
        elbow, end = (0.0, 0.25 * h, 0.62 * h), (0.0, -0.12 * h, 0.93 * h)
        model.add(pole, rod((0, 0, 0), elbow, 0.016 * s, 7), rod(elbow, end, 0.016 * s, 7))
        cone = lathe([(0.16 * s, 0), (0.16 * s, 0.005), (0.05 * s, 0.22 * s)], 14)
        model.add(tx.flat(tx.vivid(rng)), cone.moved((0, -0.16 * h, 0.84 * h), rotation_x(-0.3)))
        model.add(tx.flat((1, 0.95, 0.8), emission=1.0),
                  sphere(0.08 * s, (0, -0.16 * h, 0.84 * h), 8, 6))
        return model
    r = rng.uniform(0.16, 0.25) * (1.0 if on_floor else 0.55)
    shade_h = r * rng.uniform(1.0, 1.7)
    if style == "tripod":
        model.add(tx.surface(rng, "wood"), *[
            rod((0.26 * s * np.cos(a), 0.26 * s * np.sin(a), 0.01), (0, 0, h - shade_h),
                0.016 * s, 6) for a in np.arange(3) * 2 * np.pi / 3])
    elif style == "table":
        model.add(tx.surface(rng, "plain", tx.vivid(rng)),
                  lathe([(0.5 * r, 0), (0.7 * r, 0.2 * h), (0.4 * r, 0.5 * h), (0.1 * r, 0.7 * h)],
                        14))
        model.add(pole, rod((0, 0, 0), (0, 0, h - shade_h), 0.012, 6))
    else:
        model.add(pole, cylinder(0.14 * s, 0.025 * s, sides=14),
                  rod((0, 0, 0), (0, 0, h - shade_h * 0.5), 0.014 * s, 7))
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
    return both_sides(Mesh(vertices, np.array(faces, np.int32), uv)).moved((0, 0, 0),
                                                                           rotation_z(turn))


def plant(rng: Rng, style: str, on_floor: bool = True) -> Model:
    """A potted plant: 0.5 to 1.7 m on the floor, 0.15 to 0.4 m on a table."""
    h = rng.uniform(0.5, 1.6) if on_floor else rng.uniform(0.18, 0.4)
    pot_h = h * rng.uniform(0.2, 0.32) if h < 1 else rng.uniform(0.25, 0.38)
    pot_r = pot_h * rng.uniform(0.45, 0.7)
    model = Model("plant")
    clay = tx.around(rng, (0.7, 0.4, 0.27), 0.1) if rng.random() < 0.5 \
        else tx.colour(rng, (0, 0.5), (0.3, 0.95))
    model.add(tx.surface(rng, "plain", clay, clay * 0.9),
              lathe([(0.7 * pot_r, 0), (0.7 * pot_r, 0), (pot_r, pot_h), (pot_r, pot_h),
                     (0.88 * pot_r, pot_h), (0.85 * pot_r, 0.9 * pot_h)], 16))
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
            leaves.append(_leaf(length, wide, bend, rng.uniform(0, 6.28), lift)
                          .moved((0, 0, 0.88 * pot_h)))
    elif style == "cactus":
        r = min(0.3 * top, 0.8 * pot_r)
        leaves.append(lathe([(0.7 * r, 0), (r, 0.3 * top), (r, 0.75 * top), (0.6 * r, 0.95 * top)],
                            8).moved((0, 0, 0.88 * pot_h)))
        for s in (-1, 1):
            if rng.random() < 0.6:
                z = pot_h + top * rng.uniform(0.3, 0.5)
                leaves += [rod((0, 0, z), (s * 1.8 * r, 0, z + 0.1 * top), 0.4 * r, 7),
                           rod((s * 1.8 * r, 0, z + 0.1 * top), (s * 1.8 * r, 0, z + 0.35 * top),
                               0.4 * r, 7)]
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
            leaf = _leaf(length, length * rng.uniform(0.35, 0.6), rng.uniform(0.0, 0.5),
                         float(np.arctan2(unit[1], unit[0])), float(np.arcsin(unit[2]) * 0.8))
            leaves.append(leaf.moved(start))
    model.add(look, *leaves)
    return model


def bin_(rng: Rng, style: str) -> Model:
    """A waste bin, 0.25 to 0.75 m high."""
    h = rng.uniform(0.28, 0.7)
    r = h * rng.uniform(0.28, 0.4)
    base = [(0.2, 0.2, 0.22), (0.75, 0.76, 0.78), (0.15, 0.35, 0.7), (0.15, 0.5, 0.25),
            (0.85, 0.7, 0.1)][rng.integers(5)]
    look = tx.flat(tx.around(rng, base, 0.08), 0.5)
    dark = tx.flat((0.05, 0.05, 0.06))
    model = Model("bin")
    if style == "bucket":
        model.add(look, lathe([(0.75 * r, 0), (0.75 * r, 0), (r, h), (r, h), (0.94 * r, h),
                               (0.94 * r, h), (0.72 * r, 0.1 * h)], 18))
        model.add(tx.flat((0.9, 0.9, 0.92) if rng.random() < 0.5 else (0.06, 0.06, 0.07)),
                  cylinder(0.88 * r, 0.01, (0, 0, h * rng.uniform(0.3, 0.85)), 14))
    elif style == "pedal":
        model.add(look, cylinder(r, 0.86 * h, (0, 0, 0.04 * h), 18))
        model.add(dark, cylinder(1.02 * r, 0.04 * h, sides=18),
                  box((0.3 * r, 0.3 * r, 0.03), (0, -r * 1.1, 0.01)),
                  lathe([(1.03 * r, 0.9 * h), (1.03 * r, 0.93 * h), (0.8 * r, h)], 18))
    elif style == "swing":
        model.add(look, box((1.7 * r, 1.3 * r, 0.72 * h)))
        model.add(dark if rng.random() < 0.5 else look,
                  box((1.75 * r, 1.35 * r, 0.05 * h), (0, 0, 0.72 * h)),
                  box((1.5 * r, 0.02, 0.26 * h)).moved((0, -0.5 * r, 0.75 * h), rotation_x(-0.6)),
                  box((1.5 * r, 0.02, 0.26 * h)).moved((0, 0.5 * r, 0.75 * h), rotation_x(0.6)))
    else:
        wire = tx.surface(rng, "check", np.array(look.colour), np.array(look.colour) * 0.3)
        model.add(wire, lathe([(0.75 * r, 0), (0.75 * r, 0), (r, h), (r, h), (0.95 * r, h),
                               (0.7 * r, 0.05 * h)], 18, repeat=(4, 3)))
    return model


def person(rng: Rng, style: str) -> Model:
    """A dressed adult or teenager, 1.5 to 1.9 m, facing -y."""
    s = rng.uniform(0.86, 1.08)
    skin = np.clip(np.array([0.86, 0.66, 0.52]) * rng.uniform(0.35, 1.12), 0.05, 1)
    shirt = tx.surface(rng, str(rng.choice(["plain", "plain", "stripe", "check", "print"])),
                       tx.colour(rng, (0.05, 0.9), (0.15, 0.95)), None, 0.05)
    pants_colour = tx.colour(rng, (0.05, 0.6), (0.08, 0.55))
    pants = tx.surface(rng, "plain", pants_colour, pants_colour * 0.85, 0.05)
    shoe, hair = tx.flat(tx.colour(rng, (0, 0.5), (0.03, 0.6))), tx.flat(
        [(0.08, 0.06, 0.05), (0.3, 0.18, 0.1), (0.75, 0.6, 0.35), (0.55, 0.55, 0.55)][rng.integers(4)])
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
            elbow, hand = (side * 0.26 * wide, -y * 0.5 + 0.02, 1.12), (side * 0.27 * wide,
                                                                        -y - 0.05, 0.86)
        long_sleeves = rng.random() < 0.6
        model.add(shirt, rod(shoulder, elbow, 0.055, 8, 0.045))
        model.add(shirt if long_sleeves else face, rod(elbow, hand, 0.043, 8, 0.034))
        model.add(face, sphere(0.045, hand, 8, 6))
    torso = [(0.15, 0.84), (0.165, 0.95), (0.145, 1.1), (0.19, 1.32), (0.16, 1.44), (0.06, 1.49)]
    model.add(shirt, lathe(torso, 14, repeat=(2, 2)).moved(scale=(wide, 0.62 * wide, 1)))
    model.add(face, rod((0, 0, 1.44), (0, 0, 1.56), 0.055, 8),
              sphere((0.085, 0.1, 0.12), (0, -0.01, 1.63), 12, 9))
    model.add(hair, sphere((0.095, 0.105, 0.1), (0, 0.02, 1.67), 12, 8))
    if rng.random() < 0.35:
        model.add(hair, sphere((0.1, 0.06, 0.17), (0, 0.08, 1.56), 10, 7))
    for part in model.parts:
        part.mesh = part.mesh.moved(scale=s)
    return model


def robot(rng: Rng, style: str) -> Model:
    """A mobile robot: low and round, with a mast, humanoid, or four-legged."""
    shell = tx.flat([(0.92, 0.92, 0.93), (0.1, 0.1, 0.11), (0.8, 0.4, 0.08),
                     (0.2, 0.35, 0.7)][rng.integers(4)], 0.5)
    dark, glow = tx.flat((0.06, 0.06, 0.07), 0.5), tx.flat((0.1, 0.7, 0.95), emission=0.9)
    model = Model("robot")
    if style == "humanoid":
        s = rng.uniform(0.7, 1.15)
        model.add(shell, sphere((0.13, 0.12, 0.15), (0, 0, 1.12)), lathe(
            [(0.1, 0.5), (0.16, 0.62), (0.19, 0.88), (0.08, 0.97)], 12))
        model.add(dark, sphere((0.1, 0.06, 0.09), (0, -0.075, 1.13)), lathe(
            [(0.25, 0), (0.27, 0.1), (0.14, 0.2), (0.1, 0.5)], 14))
        model.add(glow, *[sphere(0.02, (x, -0.13, 1.15), 6, 5) for x in (-0.045, 0.045)])
        for side in (-1, 1):
            elbow = (side * 0.3, -0.02, 0.66)
            model.add(shell, rod((side * 0.2, 0, 0.86), elbow, 0.045, 8),
                      rod(elbow, (side * 0.24, -0.2, 0.55), 0.038, 8))
        for part in model.parts:
            part.mesh = part.mesh.moved(scale=s)
        return model
    if style == "dog":
        model.add(shell, box((0.26, 0.62, 0.16), (0, 0, 0.36)))
        model.add(dark, box((0.16, 0.14, 0.13), (0, -0.38, 0.38)), *[
            rod((sx * 0.16, sy * 0.25, 0.42), (sx * 0.17, sy * 0.25 + 0.12, 0.2), 0.035, 7)
            for sx in (-1, 1) for sy in (-1, 1)])
        model.add(shell, *[rod((sx * 0.17, sy * 0.25 + 0.12, 0.2), (sx * 0.17, sy * 0.25, 0.02),
                               0.022, 7) for sx in (-1, 1) for sy in (-1, 1)])
        return model
    r = rng.uniform(0.17, 0.27)
    h = rng.uniform(0.12, 0.3)
    if rng.random() < 0.6:
        model.add(shell, cylinder(r, h, (0, 0, 0.04), 20))
    else:
        model.add(shell, box((2 * r, 2.2 * r, h), (0, 0, 0.06)))
    model.add(dark, *[cylinder(0.07, 0.04).moved((s * r, 0, 0.07), rotation_x(0)).moved(
        (0, 0, 0)) for s in (-0.8, 0.8)],
        cylinder(0.05, 0.06, (0, -0.3 * r, 0.04 + h), 12), cylinder(r * 0.97, 0.04, sides=18))
    model.add(glow, box((r, 0.01, 0.02), (0, -r * 0.99, 0.04 + 0.6 * h)))
    if style == "mast":
        top = rng.uniform(0.65, 1.2)
        model.add(dark, *[rod((x, 0.1, h), (x, 0.1, top), 0.018, 7) for x in (-0.08, 0.08)])
        model.add(shell, box((0.3, 0.04, 0.22), (0, 0.06, top)),
                  cylinder(0.7 * r, 0.03, (0, 0, 0.5 * (h + top)), 16))
        model.add(glow if rng.random() < 0.5 else dark,
                  box((0.26, 0.01, 0.18), (0, 0.035, top + 0.02)))
    return model


def door(rng: Rng, style: str) -> Model:
    """A closed door with frame, about 2 m high."""
    w, h = rng.uniform(0.75, 0.98), rng.uniform(1.95, 2.12)
    if style == "double":
        w *= 1.6
    base = tx.around(rng, (0.92, 0.91, 0.88), 0.04) if rng.random() < 0.45 else None
    kind = "plain" if base is not None or rng.random() < 0.35 else "wood"
    leaf = tx.surface(rng, kind, base if base is not None else
                      (tx.colour(rng) if kind == "plain" else None))
    frame = tx.flat(tx.around(rng, (0.9, 0.9, 0.88), 0.05) if rng.random() < 0.6
                    else tx.wood_colour(rng))
    model = Model("door")
    model.add(leaf, box((w, 0.03, h), (0, -0.015, 0), steps=3))
    model.add(frame, *[box((0.08, 0.06, h + 0.08), (s * (w / 2 + 0.04), -0.03, 0)) for s in (-1, 1)],
              box((w, 0.06, 0.08), (0, -0.03, h)))
    raised = tx.flat(_shade(leaf, rng.uniform(0.75, 0.92)))
    if style == "panel":
        for x in (-0.24, 0.24):
            for z, tall in ((0.12, 0.34), (0.54, 0.38)):
                model.add(raised, box((w * 0.34, 0.04, h * tall), (x * w, -0.02, z * h)))
    if style == "glazed":
        model.add(tx.flat((0.7, 0.8, 0.82), 0.6, emission=0.2),
                  box((w * 0.6, 0.04, h * 0.45), (0, -0.02, h * 0.45)))
    if style == "double":
        model.add(tx.flat((0.1, 0.1, 0.1)), box((0.012, 0.034, h), (0, -0.017, 0)))
    side = rng.choice([-1, 1]) * (0.42 if style != "double" else 0.05)
    model.add(tx.metal(rng), rod((side * w, -0.07, 1.02), (side * w * 0.75, -0.07, 1.02), 0.012, 6),
              box((0.03, 0.05, 0.14), (side * w, -0.045, 0.95)))
    return model


def _shade(look: Surface, factor: float) -> np.ndarray:
    if look.image is None:
        return np.array(look.colour) * factor
    return look.image.reshape(-1, 3).mean(axis=0) / 255 * factor


def window(rng: Rng, style: str) -> Model:
    """A bright window with frame; stands on its sill height."""
    w, h = rng.uniform(0.7, 1.6), rng.uniform(0.8, 1.35)
    model = Model("window")
    model.add(Surface(image=tx.sky(rng), emission=float(rng.uniform(0.55, 1.0)), specular=0.0),
              box((w, 0.02, h), (0, -0.01, 0), unit_uv=True))
    frame = tx.flat(tx.around(rng, (0.94, 0.94, 0.93), 0.03) if rng.random() < 0.7
                    else tx.wood_colour(rng))
    bar = rng.uniform(0.04, 0.08)
    pieces = [box((bar, 0.06, h + bar), (s * w / 2, -0.03, -bar / 2)) for s in (-1, 1)]
    pieces += [box((w, 0.06, bar), (0, -0.03, z)) for z in (-bar / 2, h - bar / 2)]
    if style in ("cross", "double"):
        pieces.append(box((bar, 0.05, h), (0, -0.025, 0)))
    if style == "cross":
        pieces.append(box((w, 0.05, bar * 0.7), (0, -0.025, h * rng.uniform(0.45, 0.7))))
    pieces.append(box((w + 0.16, 0.16, 0.03), (0, -0.08, -bar / 2 - 0.03)))
    model.add(frame, *pieces)
    if style == "blind":
        model.add(tx.surface(rng, "stripe", tx.colour(rng, (0, 0.3), (0.6, 1))),
                  box((w * 0.96, 0.02, h * 0.4), (0, -0.05, h * 0.58)))
    return model


def picture(rng: Rng, style: str) -> Model:
    """A picture, 0.3 to 1.1 m wide."""
    w, h = rng.uniform(0.28, 0.95), rng.uniform(0.3, 0.75)
    model = Model("picture")
    art = Surface(image=tx.artwork(rng), specular=0.05)
    border = 0.0 if style == "canvas" else rng.uniform(0.02, 0.05)
    inner = border + (rng.uniform(0.04, 0.09) if style == "passepartout" else 0.0)
    if border:
        look = tx.flat([(0.06, 0.06, 0.06), (0.75, 0.6, 0.3), (0.92, 0.92, 0.9),
                        (0.4, 0.25, 0.14)][rng.integers(4)])
        model.add(look, box((w, 0.03, h), (0, -0.015, 0)))
    if inner > border:
        model.add(tx.flat((0.95, 0.94, 0.9)), box((w - 2 * border, 0.034, h - 2 * border),
                                                  (0, -0.017, border)))
    model.add(art, box((w - 2 * inner, 0.038, h - 2 * inner), (0, -0.019, inner), unit_uv=True))
    return model


def tv(rng: Rng, style: str) -> Model:
    """A flat screen, 0.5 to 1.4 m wide; on a foot unless it hangs on the wall."""
    w = rng.uniform(0.75, 1.35) if style != "small" else rng.uniform(0.45, 0.65)
    h = w * rng.uniform(0.56, 0.62)
    model = Model("tv")
    foot = 0.0 if style == "wall" else rng.uniform(0.05, 0.12)
    case = tx.flat((0.05, 0.05, 0.055), 0.5)
    model.add(case, box((w, 0.05, h), (0, -0.03, foot)))
    if rng.random() < 0.45:
        screen = Surface(image=tx.artwork(rng), emission=float(rng.uniform(0.3, 0.8)), specular=0.2)
    else:
        screen = tx.flat(tx.around(rng, (0.04, 0.045, 0.055), 0.2), 0.9)
    edge = 0.02
    model.add(screen, box((w - 2 * edge, 0.012, h - 2 * edge), (0, -0.056, foot + edge),
                          unit_uv=True))
    if foot:
        model.add(case, box((0.06, 0.05, foot), (0, -0.03, 0)), box((0.4 * w, 0.2, 0.015),
                                                                    (0, -0.04, 0)))
    return model
