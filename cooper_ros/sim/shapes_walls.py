"""Procedural doors, windows, pictures and screens.

Their back is at y = 0, they face -y, and z = 0 is their lower edge.
"""

from __future__ import annotations

import numpy as np

from cooper_ros.sim import textures as tx
from cooper_ros.sim.mesh import Model, Surface, box, rod

Rng = np.random.Generator

STYLES: dict[str, tuple[str, ...]] = {
    "door": ("flat", "panel", "glazed", "double"),
    "window": ("cross", "double", "plain", "blind"),
    "picture": ("framed", "canvas", "passepartout"),
    "tv": ("wall", "stand", "small"),
}
"""Styles per class. The last one of each class is never used in training scenes."""


def door(rng: Rng, style: str) -> Model:
    """A closed door with frame, about 2 m high."""
    w, h = rng.uniform(0.75, 0.98), rng.uniform(1.95, 2.12)
    if style == "double":
        w *= 1.6
    base = tx.around(rng, (0.92, 0.91, 0.88), 0.04) if rng.random() < 0.45 else None
    kind = "plain" if base is not None or rng.random() < 0.35 else "wood"
    leaf = tx.surface(
        rng, kind, base if base is not None else (tx.colour(rng) if kind == "plain" else None)
    )
    frame = tx.flat(
        tx.around(rng, (0.9, 0.9, 0.88), 0.05) if rng.random() < 0.6 else tx.wood_colour(rng)
    )
    model = Model("door")
    model.add(leaf, box((w, 0.03, h), (0, -0.015, 0), steps=3))
    model.add(
        frame,
        *[box((0.08, 0.06, h + 0.08), (s * (w / 2 + 0.04), -0.03, 0)) for s in (-1, 1)],
        box((w, 0.06, 0.08), (0, -0.03, h)),
    )
    raised = tx.flat(_shade(leaf, rng.uniform(0.75, 0.92)))
    if style == "panel":
        for x in (-0.24, 0.24):
            for z, tall in ((0.12, 0.34), (0.54, 0.38)):
                model.add(raised, box((w * 0.34, 0.04, h * tall), (x * w, -0.02, z * h)))
    if style == "glazed":
        model.add(
            tx.flat((0.7, 0.8, 0.82), 0.6, emission=0.2),
            box((w * 0.6, 0.04, h * 0.45), (0, -0.02, h * 0.45)),
        )
    if style == "double":
        model.add(tx.flat((0.1, 0.1, 0.1)), box((0.012, 0.034, h), (0, -0.017, 0)))
    side = rng.choice([-1, 1]) * (0.42 if style != "double" else 0.05)
    model.add(
        tx.metal(rng),
        rod((side * w, -0.07, 1.02), (side * w * 0.75, -0.07, 1.02), 0.012, 6),
        box((0.03, 0.05, 0.14), (side * w, -0.045, 0.95)),
    )
    return model


def _shade(look: Surface, factor: float) -> np.ndarray:
    if look.image is None:
        return np.array(look.colour) * factor
    return look.image.reshape(-1, 3).mean(axis=0) / 255 * factor


def window(rng: Rng, style: str) -> Model:
    """A bright window with frame; stands on its sill height."""
    w, h = rng.uniform(0.7, 1.6), rng.uniform(0.8, 1.35)
    model = Model("window")
    model.add(
        Surface(image=tx.sky(rng), emission=float(rng.uniform(0.55, 1.0)), specular=0.0),
        box((w, 0.02, h), (0, -0.01, 0), unit_uv=True),
    )
    frame = tx.flat(
        tx.around(rng, (0.94, 0.94, 0.93), 0.03) if rng.random() < 0.7 else tx.wood_colour(rng)
    )
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
        model.add(
            tx.surface(rng, "stripe", tx.colour(rng, (0, 0.3), (0.6, 1))),
            box((w * 0.96, 0.02, h * 0.4), (0, -0.05, h * 0.58)),
        )
    return model


def picture(rng: Rng, style: str) -> Model:
    """A picture, 0.3 to 1.1 m wide."""
    w, h = rng.uniform(0.28, 0.95), rng.uniform(0.3, 0.75)
    model = Model("picture")
    art = Surface(image=tx.artwork(rng), specular=0.05)
    border = 0.0 if style == "canvas" else rng.uniform(0.02, 0.05)
    inner = border + (rng.uniform(0.04, 0.09) if style == "passepartout" else 0.0)
    if border:
        look = tx.flat(
            [(0.06, 0.06, 0.06), (0.75, 0.6, 0.3), (0.92, 0.92, 0.9), (0.4, 0.25, 0.14)][
                rng.integers(4)
            ]
        )
        model.add(look, box((w, 0.03, h), (0, -0.015, 0)))
    if inner > border:
        model.add(
            tx.flat((0.95, 0.94, 0.9)),
            box((w - 2 * border, 0.034, h - 2 * border), (0, -0.017, border)),
        )
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
    model.add(
        screen, box((w - 2 * edge, 0.012, h - 2 * edge), (0, -0.056, foot + edge), unit_uv=True)
    )
    if foot:
        model.add(
            case, box((0.06, 0.05, foot), (0, -0.03, 0)), box((0.4 * w, 0.2, 0.015), (0, -0.04, 0))
        )
    return model
