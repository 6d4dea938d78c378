"""Procedural furniture: tables, seats, beds, cabinets and shelves.

Models face -y, so that their back (y max) goes against a wall.
"""
from __future__ import annotations

import numpy as np

from cooper_ros.sim import textures as tx
from cooper_ros.sim.mesh import (
    Board, Model, Surface, box, cylinder, lathe, rod, rotation_x, sphere,
)

Rng = np.random.Generator

STYLES: dict[str, tuple[str, ...]] = {
    "table": ("legs", "coffee", "desk", "round", "trestle"),
    "chair": ("legs", "padded", "office", "stool", "shell"),
    "sofa": ("block", "soft", "corner", "legs"),
    "bed": ("panel", "low", "double", "daybed"),
    "cabinet": ("doors", "drawers", "wardrobe", "bedside", "sideboard"),
    "shelf": ("open", "backed", "narrow", "ladder"),
}
"""Styles per class. The last one of each class is never used in training scenes."""


def _material(rng: Rng, kinds: tuple[str, ...] = ("wood", "wood", "plain")) -> Surface:
    kind = kinds[rng.integers(len(kinds))]
    if kind == "plain":
        base = [(0.93, 0.93, 0.92), (0.12, 0.12, 0.13), (0.6, 0.6, 0.6)][rng.integers(3)]
        first = tx.around(rng, base, 0.06) if rng.random() < 0.7 else tx.colour(rng)
        return tx.surface(rng, "plain", first, first * 0.93)
    return tx.surface(rng, kind)


def _fabric(rng: Rng) -> Surface:
    first = tx.colour(rng, (0.05, 0.6), (0.15, 0.85))
    kind = str(rng.choice(["fabric", "fabric", "plain", "stripe", "check"], p=[.4, .2, .25, .1, .05]))
    return tx.surface(rng, kind, first, first * rng.uniform(0.7, 0.95), 0.05)


def _four_legs(half_x: float, half_y: float, height: float, thick: float, round_leg: bool) -> list:
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
    top, legs = _material(rng), _material(rng, ("wood", "plain", "plain"))
    if style == "round":
        r = rng.uniform(0.4, 0.65)
        model.add(top, cylinder(r, t, (0, 0, h - t), 28))
        foot = [cylinder(0.05, h - t, sides=10),
                lathe([(0.3, 0), (0.3, 0.02), (0.06, 0.06)], 16)]
        model.add(legs, *foot)
        model.boards.append(Board(0, 0, h, 0.68 * r, 0.68 * r))
        return model
    model.add(top, box((w, d, t), (0, 0, h - t), repeat=rng.uniform(0.7, 1.6), steps=3))
    thick = rng.uniform(0.016, 0.04)
    inset_x, inset_y = w / 2 - thick - 0.02, d / 2 - thick - 0.02
    if style == "desk":
        side = rng.choice([-1, 1])
        model.add(legs, box((0.4, d * 0.9, h - t), (side * (w / 2 - 0.22), 0.0, 0)),
                  box((0.03, d * 0.9, h - t), (-side * (w / 2 - 0.04), 0, 0)))
        front = tx.metal(rng)
        for level in range(3):
            z = 0.1 + level * (h - t - 0.14) / 3
            model.add(front, box((0.14, 0.02, 0.02), (side * (w / 2 - 0.22), -d * 0.46, z + 0.1)))
    elif style == "trestle":
        pieces = []
        for s in (-1, 1):
            x = s * (w / 2 - 0.2)
            pieces += [rod((x, -inset_y, 0), (x, 0, h - t), 0.022, 8),
                       rod((x, inset_y, 0), (x, 0, h - t), 0.022, 8)]
        model.add(legs, *pieces)
    else:
        model.add(legs, *_four_legs(inset_x, inset_y, h - t, thick, rng.random() < 0.4))
        if rng.random() < 0.5:
            apron = 0.07
            model.add(legs, *[box((2 * inset_x, 0.02, apron), (0, s * inset_y, h - t - apron))
                              for s in (-1, 1)])
        if style == "coffee" and rng.random() < 0.5:
            model.add(legs, box((w * 0.9, d * 0.85, 0.02), (0, 0, 0.12)))
    model.boards.append(Board(0, 0, h, w / 2 - 0.05, d / 2 - 0.05))
    return model


def chair(rng: Rng, style: str) -> Model:
    """A chair or stool; the sitter faces -y."""
    w, d, seat = rng.uniform(0.38, 0.5), rng.uniform(0.38, 0.5), rng.uniform(0.42, 0.5)
    back = rng.uniform(0.36, 0.55)
    model = Model("chair")
    frame = _material(rng)
    pad = _fabric(rng) if rng.random() < 0.6 else frame
    if style == "stool":
        r, seat = rng.uniform(0.15, 0.2), rng.uniform(0.44, 0.78)
        model.add(pad, cylinder(r, 0.05, (0, 0, seat - 0.05), 16))
        model.add(frame, *[rod((r * 0.75 * np.cos(a), r * 0.75 * np.sin(a), seat - 0.05),
                               (r * np.cos(a), r * np.sin(a), 0.0), 0.014, 7)
                           for a in np.arange(4) * np.pi / 2 + 0.4])
        return model
    if style == "office":
        pad = _fabric(rng)
        black = tx.flat((0.08, 0.08, 0.09))
        model.add(pad, box((w, d, 0.08), (0, 0, seat - 0.08)),
                  box((w * 0.92, 0.06, back + 0.1), (0, d / 2, seat + 0.06)))
        model.add(black, cylinder(0.03, seat - 0.15, (0, 0, 0.08), 8),
                  box((0.05, 0.03, 0.2), (0, d / 2 + 0.03, seat - 0.06)),
                  *[rod((0, 0, 0.1), (0.29 * np.cos(a), 0.29 * np.sin(a), 0.05), 0.02, 6)
                    for a in np.arange(5) * 2 * np.pi / 5],
                  *[sphere(0.03, (0.29 * np.cos(a), 0.29 * np.sin(a), 0.03), 6, 5)
                    for a in np.arange(5) * 2 * np.pi / 5])
        if rng.random() < 0.6:
            model.add(black, *[box((0.05, d * 0.6, 0.03), (s * w * 0.56, 0, seat + 0.2))
                               for s in (-1, 1)],
                      *[box((0.04, 0.05, 0.2), (s * w * 0.56, 0.05, seat)) for s in (-1, 1)])
        return model
    thick = rng.uniform(0.014, 0.024)
    model.add(frame, *_four_legs(w / 2 - thick, d / 2 - thick, seat - 0.03, thick,
                                 rng.random() < 0.5))
    cushion = 0.06 if style == "padded" else 0.03
    model.add(pad, box((w, d, cushion), (0, 0, seat - 0.03)))
    lean = rotation_x(-rng.uniform(0.05, 0.25))
    hinge = (0.0, d / 2 - 0.02, seat)
    if style == "shell":
        model.add(pad, box((w, 0.03, back), (0, 0, 0.0)).moved(hinge, lean),
                  *[box((0.03, d * 0.9, 0.2), (s * w / 2, 0, seat)) for s in (-1, 1)])
    elif style == "padded":
        model.add(pad, box((w * 0.95, 0.06, back), (0, 0, 0.02)).moved(hinge, lean))
    else:
        posts = [box((0.035, 0.03, back), (s * (w / 2 - 0.02), 0, 0)) for s in (-1, 1)]
        if rng.random() < 0.5:
            rails = [box((w - 0.04, 0.02, back * 0.18), (0, 0, back * z)) for z in (0.3, 0.55, 0.8)]
        else:
            rails = [box((0.03, 0.02, back * 0.85), (x, 0, 0)) for x in
                     np.linspace(-w / 3, w / 3, 4)]
            rails.append(box((w, 0.03, back * 0.18), (0, 0, back * 0.82)))
        model.add(frame, *[m.moved(hinge, lean) for m in posts + rails])
    return model


def sofa(rng: Rng, style: str) -> Model:
    """A sofa for two to four people."""
    w, d, h = rng.uniform(1.4, 2.2), rng.uniform(0.78, 0.98), rng.uniform(0.72, 0.9)
    seat, arm = rng.uniform(0.38, 0.46), rng.uniform(0.1, 0.22)
    look = _fabric(rng)
    pillow = look if rng.random() < 0.6 else _fabric(rng)
    model = Model("sofa")
    foot = 0.14 if style == "legs" else 0.05
    model.add(look, box((w, d, seat - 0.14 - foot), (0, 0, foot), repeat=2),
              box((w, 0.22, h - foot), (0, d / 2 - 0.11, foot), repeat=2),
              *[box((arm, d, seat + rng.uniform(0.12, 0.2) - foot), (s * (w - arm) / 2, 0, foot),
                    repeat=2) for s in (-1, 1)])
    count = int(rng.integers(2, 4))
    each = (w - 2 * arm) / count
    for k in range(count):
        x = -w / 2 + arm + each * (k + 0.5)
        if style == "soft":
            model.add(pillow, sphere((each * 0.53, d * 0.42, 0.12), (x, -0.06, seat - 0.06), 12, 7),
                      sphere((each * 0.5, 0.14, 0.25), (x, d / 2 - 0.24, seat + 0.2), 12, 7))
        else:
            model.add(pillow, box((each - 0.015, d - 0.24, 0.15), (x, -0.11, seat - 0.15), repeat=2),
                      box((each - 0.02, 0.15, 0.34), (x, d / 2 - 0.26, seat), repeat=2))
    if style == "corner":
        side = rng.choice([-1, 1])
        model.add(pillow, box((0.8, 0.7, seat), (side * (w / 2 - 0.4), -d / 2 - 0.34, 0),
                              repeat=2))
    model.add(tx.flat((0.15, 0.1, 0.07)), *_four_legs(w / 2 - 0.08, d / 2 - 0.08, foot + 0.02, 0.025,
                                                      True))
    if rng.random() < 0.5:
        cushion = _fabric(rng)
        model.add(cushion, sphere((0.2, 0.08, 0.2),
                                  (rng.uniform(-0.3, 0.3) * w, d / 2 - 0.4, seat + 0.17), 8, 6))
    return model


def bed(rng: Rng, style: str) -> Model:
    """A single or double bed; the headboard is at y max."""
    w = rng.uniform(1.4, 1.8) if style == "double" else rng.uniform(0.85, 1.2)
    d, h = rng.uniform(1.92, 2.1), rng.uniform(0.42, 0.58)
    if style == "low":
        h = rng.uniform(0.3, 0.4)
    frame, model = _material(rng), Model("bed")
    sheet = tx.around(rng, (0.9, 0.89, 0.87), 0.05)
    model.add(frame, box((w + 0.06, d, h * 0.35), (0, 0, h * 0.2)),
              *_four_legs(w / 2 - 0.03, d / 2 - 0.06, h * 0.25, 0.035, False))
    model.add(tx.surface(rng, "fabric", sheet, sheet * 0.95), box((w, d - 0.05, h * 0.45),
                                                                  (0, 0, h * 0.55)))
    blanket = d * rng.uniform(0.5, 0.72)
    model.add(_fabric(rng), box((w + 0.05, blanket, h * 0.38), (0, -(d - blanket) / 2 - 0.01,
                                                               h * 0.66), repeat=1.5))
    for x in ((-0.25, 0.25) if w > 1.3 else (0.0,)):
        model.add(tx.flat(tx.around(rng, (0.92, 0.91, 0.9), 0.05)),
                  sphere((0.3 if w < 1.3 else 0.22 * w, 0.2, 0.09),
                         (x * w, d / 2 - 0.3, h + 0.05), 10, 6))
    head = rng.uniform(0.75, 1.1)
    if style == "daybed":
        model.add(frame, box((0.05, d, head * 0.8), (w / 2 + 0.03, 0, 0)))
    if style != "low" or rng.random() < 0.5:
        model.add(frame if rng.random() < 0.6 else _fabric(rng),
                  box((w + 0.08, 0.06, head), (0, d / 2, 0)))
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
    model, body = Model("cabinet"), _material(rng)
    front = body if rng.random() < 0.5 else _material(rng)
    foot = rng.uniform(0.03, 0.12)
    model.add(body, box((w, d, h - foot), (0, 0, foot), steps=2))
    model.add(tx.flat((0.1, 0.09, 0.08)), box((w * 0.94, d * 0.9, foot)))
    knob = tx.metal(rng)
    rows = {"doors": 1, "wardrobe": 1, "bedside": 2, "drawers": int(rng.integers(3, 6)),
            "sideboard": 1}[style]
    columns = 1 if style in ("drawers", "bedside") else max(2, round(w / 0.5))
    cell_w, cell_h = w / columns, (h - foot) / rows
    gap = rng.uniform(0.008, 0.016)
    for row in range(rows):
        for column in range(columns):
            x, z = -w / 2 + cell_w * (column + 0.5), foot + cell_h * row
            model.add(front, box((cell_w - gap, 0.02, cell_h - gap), (x, -d / 2 - 0.01,
                                                                      z + gap / 2), steps=2))
            if rows == 1:
                side = 1 if column % 2 == 0 else -1
                model.add(knob, box((0.018, 0.03, min(0.22, cell_h * 0.3)),
                                    (x + side * cell_w * 0.4, -d / 2 - 0.03, z + cell_h * 0.45)))
            else:
                model.add(knob, box((cell_w * 0.3, 0.03, 0.018), (x, -d / 2 - 0.03,
                                                                  z + cell_h * 0.5)))
    if h < 1.4:
        model.boards.append(Board(0, 0, h, w / 2 - 0.04, d / 2 - 0.05))
    return model


def shelf(rng: Rng, style: str) -> Model:
    """An open shelf with 3 to 6 boards."""
    w, d, h = rng.uniform(0.7, 1.2), rng.uniform(0.26, 0.38), rng.uniform(0.9, 2.0)
    if style == "narrow":
        w = rng.uniform(0.38, 0.55)
    model, look = Model("shelf"), _material(rng)
    t, levels = 0.022, max(3, round(h / rng.uniform(0.3, 0.42)) + 1)
    if style == "ladder":
        sides = [rod((s * w / 2, d * 0.6, h), (s * w / 2, -d / 2, 0), 0.02, 6) for s in (-1, 1)]
        sides += [rod((s * w / 2, d / 2, 0), (s * w / 2, d / 2, h), 0.018, 6) for s in (-1, 1)]
        model.add(tx.metal(rng), *sides)
    elif style == "open" and rng.random() < 0.4:
        model.add(tx.metal(rng), *[box((0.03, 0.03, h), (sx * (w / 2 - 0.015), sy * (d / 2 - 0.015),
                                                          0)) for sx in (-1, 1) for sy in (-1, 1)])
    else:
        model.add(look, *[box((t, d, h), (s * (w - t) / 2, 0, 0)) for s in (-1, 1)])
    heights = np.linspace(0.06, h - t, levels)
    model.add(look, *[box((w, d, t), (0, 0, z), steps=1) for z in heights])
    if style == "backed":
        model.add(look if rng.random() < 0.5 else _material(rng),
                  box((w, 0.015, h), (0, d / 2, 0)))
    space = float(heights[1] - heights[0] - t)
    for z in heights:
        if z < 1.6:
            model.boards.append(Board(0, -0.02, float(z) + t, w / 2 - 0.04, d / 2 - 0.03,
                                      clearance=space if z < heights[-1] else 0.6))
    return model
