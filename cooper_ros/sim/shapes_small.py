"""Procedural small objects that are not vessels: books, laptops, boxes and balls."""

from __future__ import annotations

import numpy as np

from cooper_ros.sim import textures as tx
from cooper_ros.sim.mesh import (
    Model,
    Surface,
    box,
    ring,
    rotation_x,
    rotation_y,
    rotation_z,
    sphere,
)
from cooper_ros.sim.shapes_vessels import glaze

Rng = np.random.Generator

STYLES: dict[str, tuple[str, ...]] = {
    "book": ("thin", "thick", "upright", "stack"),
    "laptop": ("silver", "black", "white"),
    "box": ("carton", "printed", "gift", "crate"),
    "ball": ("plain", "stripe", "basket", "dots", "football"),
}
"""Styles per class. The last one of each class is never used in training scenes."""


def _one_book(
    model: Model, rng: Rng, size: tuple[float, float, float], z: float, turn: float = 0.0
) -> None:
    w, d, t = size
    cover = tx.surface(
        rng,
        str(rng.choice(["plain", "print", "label"])),
        tx.vivid(rng) if rng.random() < 0.7 else tx.colour(rng, (0, 0.5), (0.1, 1)),
        tx.colour(rng, (0, 0.6), (0.4, 1)),
        0.3,
    )
    turned = rotation_z(turn)
    hard = 0.12 * t
    model.add(
        cover,
        box((w, d, hard), (0, 0, 0), unit_uv=True).moved((0, 0, z), turned),
        box((w, d, hard), (0, 0, t - hard), unit_uv=True).moved((0, 0, z), turned),
        box((0.004, d, t), (-w / 2, 0, 0), unit_uv=True).moved((0, 0, z), turned),
    )
    model.add(
        tx.flat((0.93, 0.91, 0.84), 0.0),
        box((w * 0.96, d * 0.96, t - 2 * hard), (0, 0, hard)).moved((0, 0, z), turned),
    )


def book(rng: Rng, style: str) -> Model:
    """A book lying, standing, or a pile of books."""
    w, d = rng.uniform(0.12, 0.2), rng.uniform(0.18, 0.27)
    t = rng.uniform(0.012, 0.025) if style == "thin" else rng.uniform(0.025, 0.055)
    model = Model("book")
    if style == "stack":
        z = 0.0
        for _ in range(int(rng.integers(2, 4))):
            t = rng.uniform(0.015, 0.04)
            _one_book(
                model,
                rng,
                (w * rng.uniform(0.8, 1), d * rng.uniform(0.8, 1), t),
                z,
                rng.normal(0, 0.15),
            )
            z += t
        return model
    _one_book(model, rng, (w, d, t), 0.0)
    if style == "upright":
        for part in model.parts:
            part.mesh = part.mesh.moved((t / 2, 0, w / 2), rotation_y(-np.pi / 2))
    return model


def laptop(rng: Rng, style: str) -> Model:
    """An open laptop, 28 to 38 cm wide; the screen faces -y."""
    w = rng.uniform(0.28, 0.38)
    d, t = w * rng.uniform(0.64, 0.72), rng.uniform(0.014, 0.022)
    body = {"silver": (0.72, 0.73, 0.75), "black": (0.07, 0.07, 0.08), "white": (0.92, 0.92, 0.93)}[
        style
    ]
    case = tx.flat(tx.around(rng, body, 0.06), 0.4)
    model = Model("laptop")
    model.add(case, box((w, d, t)))
    keys = tx.surface(
        rng,
        "check",
        tx.around(rng, (0.06, 0.06, 0.07), 0.2),
        tx.around(rng, (0.16, 0.16, 0.17), 0.2),
        0.1,
    )
    model.add(keys, box((w * 0.88, d * 0.45, 0.002), (0, d * 0.14, t), unit_uv=True))
    model.add(
        tx.flat(np.array(case.colour) * 0.85), box((w * 0.28, d * 0.25, 0.0015), (0, -d * 0.3, t))
    )
    lean = rotation_x(-rng.uniform(0.05, 0.5))
    hinge = (0.0, d / 2 - 0.005, t)
    model.add(case, box((w, 0.008, d)).moved(hinge, lean))
    if rng.random() < 0.75:
        screen = Surface(image=tx.artwork(rng), emission=float(rng.uniform(0.3, 0.7)), specular=0.3)
    else:
        screen = tx.flat((0.03, 0.03, 0.04), 0.6)
    model.add(
        screen,
        box((w * 0.92, 0.004, d * 0.86), (0, -0.004, d * 0.07), unit_uv=True).moved(hinge, lean),
    )
    return model


def carton(rng: Rng, style: str, on_floor: bool = False) -> Model:
    """A box; 6 to 22 cm on a table, 20 to 55 cm on the floor."""
    low, high = (0.2, 0.5) if on_floor else (0.07, 0.2)
    w, d, h = rng.uniform(low, high, 3) * (1, 0.8, 0.8)
    h = max(h, 0.4 * w)
    model = Model("box")
    if style == "carton":
        brown = tx.around(rng, (0.68, 0.52, 0.35), 0.12)
        model.add(tx.surface(rng, "plain", brown, brown * 0.9, 0.05), box((w, d, h), repeat=3))
        tape = tx.flat(np.clip(brown * rng.uniform(1.1, 1.3), 0, 1))
        model.add(tape, box((w * 0.14, d + 0.002, h + 0.002)))
        if rng.random() < 0.4:
            model.add(
                tx.surface(rng, "print", np.array([0.95, 0.95, 0.93]), np.array([0.1, 0.1, 0.1])),
                box((w * 0.35, d + 0.003, h * 0.35), (w * 0.25, 0, h * 0.3), unit_uv=True),
            )
    elif style == "printed":
        look = tx.surface(
            rng,
            str(rng.choice(["print", "label", "blobs", "stripe"])),
            tx.vivid(rng),
            tx.colour(rng, (0, 0.9), (0.4, 1)),
        )
        model.add(look, box((w, d, h), unit_uv=True))
    elif style == "gift":
        model.add(glaze(rng, ("plain", "dots", "stripe", "check")), box((w, d, h), repeat=4))
        ribbon = tx.flat(tx.vivid(rng))
        model.add(
            ribbon,
            box((w * 0.12, d + 0.004, h + 0.004)),
            box((w + 0.004, d * 0.12, h + 0.004)),
            sphere((w * 0.14, w * 0.08, w * 0.06), (w * 0.1, 0, h + w * 0.04), 8, 6),
            sphere((w * 0.14, w * 0.08, w * 0.06), (-w * 0.1, 0, h + w * 0.04), 8, 6),
        )
    else:
        slat = tx.surface(rng, "wood")
        t = 0.02 if on_floor else 0.008
        pieces = [box((w, d, t))]
        for level in range(3):
            z, tall = h * (0.05 + 0.33 * level), h * 0.26
            pieces += [box((w, t, tall), (0, s * d / 2, z)) for s in (-1, 1)]
            pieces += [box((t, d, tall), (s * w / 2, 0, z)) for s in (-1, 1)]
        model.add(slat, *pieces)
    return model


def ball(rng: Rng, style: str, on_floor: bool = False) -> Model:
    """A ball, 6 to 28 cm in diameter, resting on the ground."""
    r = rng.uniform(0.09, 0.14) if on_floor else rng.uniform(0.03, 0.07)
    first, second = tx.vivid(rng), tx.colour(rng, (0, 0.9), (0.5, 1))
    model = Model("ball")
    turn = rotation_x(rng.uniform(0, 3.1)) @ rotation_z(rng.uniform(0, 6.2))
    if style == "basket":
        orange = tx.around(rng, (0.85, 0.4, 0.12), 0.08)
        model.add(
            tx.surface(rng, "dots", orange, orange * 0.93),
            sphere(r, sides=18, rings=11, repeat=(6, 4)).moved((0, 0, r), turn),
        )
        lines = [
            ring(r * 1.002, r * 0.02, 20, 4).moved((0, 0, 0), q)
            for q in (np.eye(3), rotation_x(np.pi / 2), rotation_y(np.pi / 2))
        ]
        model.add(tx.flat((0.06, 0.05, 0.05)), *[m.moved((0, 0, r), turn) for m in lines])
        return model
    kind = {"plain": "plain", "stripe": "stripe", "dots": "dots", "football": "check"}[style]
    if style == "football":
        first, second = np.array([0.95, 0.95, 0.95]), np.array([0.05, 0.05, 0.05])
    model.add(
        tx.surface(rng, kind, first, second if kind != "plain" else first * 0.9, 0.7),
        sphere(r, sides=18, rings=11, repeat=(2, 1)).moved((0, 0, r), turn),
    )
    return model
