"""Procedural tables, cabinets and shelves.

Models face -y, so that their back (y max) goes against a wall.
"""

from __future__ import annotations

import numpy as np

from cooper_ros.sim import textures as tx
from cooper_ros.sim.mesh import Board, Mesh, Model, Surface, box, cylinder, lathe, rod

Rng = np.random.Generator

STYLES: dict[str, tuple[str, ...]] = {
    "table": ("legs", "coffee", "desk", "round", "trestle"),
    "cabinet": ("doors", "drawers", "wardrobe", "bedside", "sideboard"),
    "shelf": ("open", "backed", "narrow", "ladder"),
}
"""Styles per class. The last one of each class is never used in training scenes."""


def board(rng: Rng, kinds: tuple[str, ...] = ("wood", "wood", "plain")) -> Surface:
    """What furniture is made of: wood, or something painted."""
    kind = kinds[rng.integers(len(kinds))]
    if kind == "plain":
        base = [(0.93, 0.93, 0.92), (0.12, 0.12, 0.13), (0.6, 0.6, 0.6)][rng.integers(3)]
        first = tx.around(rng, base, 0.06) if rng.random() < 0.7 else tx.colour(rng)
        return tx.surface(rng, "plain", first, first * 0.93)
    return tx.surface(rng, kind)


def fabric(rng: Rng) -> Surface:
    """Upholstery."""
    first = tx.colour(rng, (0.05, 0.6), (0.15, 0.85))
    kind = str(
        rng.choice(["fabric", "fabric", "plain", "stripe", "check"], p=[0.4, 0.2, 0.25, 0.1, 0.05])
    )
    return tx.surface(rng, kind, first, first * rng.uniform(0.7, 0.95), 0.05)


def four_legs(
    half_x: float, half_y: float, height: float, thick: float, round_leg: bool
) -> list[Mesh]:
    """Legs at (+-half_x, +-half_y)."""
    spots = [(sx * half_x, sy * half_y) for sx in (-1, 1) for sy in (-1, 1)]
    if round_leg:
        return [cylinder(thick * 0.6, height, (x, y, 0), 8, top_radius=thick) for x, y in spots]
    return [box((2 * thick, 2 * thick, height), (x, y, 0)) for x, y in spots]


def table(rng: Rng, style: str) -> Model:
    """A table or desk, 0.36 to 0.78 m high."""
    w, d, h = rng.uniform(0.8, 1.7), rng.uniform(0.6, 0.95), rng.uniform(0.69, 0.78)
    if style == "coffee":
        w, d, h = rng.uniform(0.7, 1.2), rng.uniform(0.45, 0.7), rng.uniform(0.36, 0.5)
    t = rng.uniform(0.02, 0.05)
    model = Model("table")
    top, legs = board(rng), board(rng, ("wood", "plain", "plain"))
    if style == "round":
        r = rng.uniform(0.4, 0.65)
        model.add(top, cylinder(r, t, (0, 0, h - t), 28))
        foot = [cylinder(0.05, h - t, sides=10), lathe([(0.3, 0), (0.3, 0.02), (0.06, 0.06)], 16)]
        model.add(legs, *foot)
        model.boards.append(Board(0, 0, h, 0.68 * r, 0.68 * r))
        return model
    model.add(top, box((w, d, t), (0, 0, h - t), repeat=rng.uniform(0.7, 1.6), steps=3))
    thick = rng.uniform(0.016, 0.04)
    inset_x, inset_y = w / 2 - thick - 0.02, d / 2 - thick - 0.02
    if style == "desk":
        side = rng.choice([-1, 1])
        model.add(
            legs,
            box((0.4, d * 0.9, h - t), (side * (w / 2 - 0.22), 0.0, 0)),
            box((0.03, d * 0.9, h - t), (-side * (w / 2 - 0.04), 0, 0)),
        )
        front = tx.metal(rng)
        for level in range(3):
            z = 0.1 + level * (h - t - 0.14) / 3
            model.add(front, box((0.14, 0.02, 0.02), (side * (w / 2 - 0.22), -d * 0.46, z + 0.1)))
    elif style == "trestle":
        pieces = []
        for s in (-1, 1):
            x = s * (w / 2 - 0.2)
            pieces += [
                rod((x, -inset_y, 0), (x, 0, h - t), 0.022, 8),
                rod((x, inset_y, 0), (x, 0, h - t), 0.022, 8),
            ]
        model.add(legs, *pieces)
    else:
        model.add(legs, *four_legs(inset_x, inset_y, h - t, thick, rng.random() < 0.4))
        if rng.random() < 0.5:
            apron = 0.07
            model.add(
                legs,
                *[
                    box((2 * inset_x, 0.02, apron), (0, s * inset_y, h - t - apron))
                    for s in (-1, 1)
                ],
            )
        if style == "coffee" and rng.random() < 0.5:
            model.add(legs, box((w * 0.9, d * 0.85, 0.02), (0, 0, 0.12)))
    model.boards.append(Board(0, 0, h, w / 2 - 0.05, d / 2 - 0.05))
    return model


def cabinet(rng: Rng, style: str) -> Model:
    """A closed cabinet with doors or drawers."""
    w, d, h = {
        "doors": (rng.uniform(0.7, 1.2), rng.uniform(0.38, 0.5), rng.uniform(0.8, 1.3)),
        "drawers": (rng.uniform(0.6, 1.1), rng.uniform(0.4, 0.52), rng.uniform(0.65, 1.1)),
        "wardrobe": (rng.uniform(0.8, 1.7), rng.uniform(0.5, 0.62), rng.uniform(1.7, 2.15)),
        "bedside": (rng.uniform(0.38, 0.52), rng.uniform(0.36, 0.45), rng.uniform(0.42, 0.62)),
        "sideboard": (rng.uniform(1.3, 1.9), rng.uniform(0.38, 0.46), rng.uniform(0.55, 0.8)),
    }[style]
    model, body = Model("cabinet"), board(rng)
    front = body if rng.random() < 0.5 else board(rng)
    foot = rng.uniform(0.03, 0.12)
    model.add(body, box((w, d, h - foot), (0, 0, foot), steps=2))
    model.add(tx.flat((0.1, 0.09, 0.08)), box((w * 0.94, d * 0.9, foot)))
    knob = tx.metal(rng)
    rows = {
        "doors": 1,
        "wardrobe": 1,
        "bedside": 2,
        "drawers": int(rng.integers(3, 6)),
        "sideboard": 1,
    }[style]
    columns = 1 if style in ("drawers", "bedside") else max(2, round(w / 0.5))
    cell_w, cell_h = w / columns, (h - foot) / rows
    gap = rng.uniform(0.008, 0.016)
    for row in range(rows):
        for column in range(columns):
            x, z = -w / 2 + cell_w * (column + 0.5), foot + cell_h * row
            model.add(
                front,
                box((cell_w - gap, 0.02, cell_h - gap), (x, -d / 2 - 0.01, z + gap / 2), steps=2),
            )
            if rows == 1:
                side = 1 if column % 2 == 0 else -1
                model.add(
                    knob,
                    box(
                        (0.018, 0.03, min(0.22, cell_h * 0.3)),
                        (x + side * cell_w * 0.4, -d / 2 - 0.03, z + cell_h * 0.45),
                    ),
                )
            else:
                model.add(
                    knob, box((cell_w * 0.3, 0.03, 0.018), (x, -d / 2 - 0.03, z + cell_h * 0.5))
                )
    if h < 1.4:
        model.boards.append(Board(0, 0, h, w / 2 - 0.04, d / 2 - 0.05))
    return model


def shelf(rng: Rng, style: str) -> Model:
    """An open shelf with 3 to 6 boards."""
    w, d, h = rng.uniform(0.7, 1.2), rng.uniform(0.26, 0.38), rng.uniform(0.9, 2.0)
    if style == "narrow":
        w = rng.uniform(0.38, 0.55)
    model, look = Model("shelf"), board(rng)
    t, levels = 0.022, max(3, round(h / rng.uniform(0.3, 0.42)) + 1)
    if style == "ladder":
        sides = [rod((s * w / 2, d * 0.6, h), (s * w / 2, -d / 2, 0), 0.02, 6) for s in (-1, 1)]
        sides += [rod((s * w / 2, d / 2, 0), (s * w / 2, d / 2, h), 0.018, 6) for s in (-1, 1)]
        model.add(tx.metal(rng), *sides)
    elif style == "open" and rng.random() < 0.4:
        model.add(
            tx.metal(rng),
            *[
                box((0.03, 0.03, h), (sx * (w / 2 - 0.015), sy * (d / 2 - 0.015), 0))
                for sx in (-1, 1)
                for sy in (-1, 1)
            ],
        )
    else:
        model.add(look, *[box((t, d, h), (s * (w - t) / 2, 0, 0)) for s in (-1, 1)])
    heights = np.linspace(0.06, h - t, levels)
    model.add(look, *[box((w, d, t), (0, 0, z), steps=1) for z in heights])
    if style == "backed":
        model.add(look if rng.random() < 0.5 else board(rng), box((w, 0.015, h), (0, d / 2, 0)))
    space = float(heights[1] - heights[0] - t)
    for z in heights:
        if z < 1.6:
            model.boards.append(
                Board(
                    0,
                    -0.02,
                    float(z) + t,
                    w / 2 - 0.04,
                    d / 2 - 0.03,
                    clearance=space if z < heights[-1] else 0.6,
                )
            )
    return model
