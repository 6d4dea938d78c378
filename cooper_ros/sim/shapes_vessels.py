"""Procedural vessels: mugs, bottles, bowls, vases and cans."""

from __future__ import annotations

import numpy as np

from cooper_ros.sim import textures as tx
from cooper_ros.sim.mesh import Model, Surface, cylinder, lathe, ring, rod, rotation_x, sphere

Rng = np.random.Generator

STYLES: dict[str, tuple[str, ...]] = {
    "mug": ("straight", "tapered", "round", "flared"),
    "bottle": ("wine", "water", "sauce", "jug", "flask"),
    "bowl": ("round", "wide", "footed", "straight"),
    "vase": ("belly", "slim", "trumpet", "square"),
    "can": ("soda", "food", "small", "tall"),
}
"""Styles per class. The last one of each class is never used in training scenes."""


def glaze(
    rng: Rng, kinds: tuple[str, ...] = ("plain", "plain", "stripe", "dots"), gloss: float = 0.7
) -> Surface:
    """Ceramics, plastic or paper: white, coloured or patterned."""
    kind = kinds[rng.integers(len(kinds))]
    choice = rng.random()
    if choice < 0.5:
        first = tx.vivid(rng)
    elif choice < 0.75:
        first = tx.around(rng, (0.9, 0.89, 0.86), 0.05)
    else:
        first = tx.colour(rng, (0.05, 0.5), (0.1, 0.9))
    second = tx.colour(rng, (0.1, 0.9), (0.3, 0.95)) if kind != "plain" else first * 0.92
    return tx.surface(rng, kind, first, second, gloss)


def mug(rng: Rng, style: str) -> Model:
    """A cup with a handle, 7 to 12 cm high."""
    r, h = rng.uniform(0.034, 0.048), rng.uniform(0.075, 0.115)
    wall = 0.88
    outer = {
        "straight": [(r, 0), (r, 0.0), (r, h)],
        "tapered": [(0.72 * r, 0), (0.72 * r, 0), (r, h)],
        "round": [(0.6 * r, 0), (0.95 * r, 0.2 * h), (1.06 * r, 0.5 * h), (0.9 * r, h)],
        "flared": [(0.6 * r, 0), (0.62 * r, 0.1 * h), (0.8 * r, 0.5 * h), (1.15 * r, h)],
    }[style]
    rim = outer[-1][0]
    profile = [*outer, (rim, h), (rim * wall, h), (rim * wall, h), (0.55 * r, 0.12 * h)]
    model = Model("mug")
    look = glaze(rng)
    model.add(look, lathe(profile, 18))
    size = h * rng.uniform(0.26, 0.34)
    handle = ring(size, 0.0055, 10, 6, (-np.pi / 2 - 0.2, np.pi / 2 + 0.2))
    middle = 0.75 * r if style == "flared" else 0.9 * r
    handle = handle.moved((middle, 0, 0.52 * h), rotation_x(np.pi / 2))
    model.add(Surface(colour=_mean(look), specular=0.4), handle)
    if rng.random() < 0.4:  # something to drink
        drink = tx.flat([(0.2, 0.1, 0.05), (0.55, 0.3, 0.1), (0.9, 0.88, 0.8)][rng.integers(3)])
        model.add(drink, cylinder(rim * wall * 0.93, 0.004, (0, 0, 0.8 * h), 14))
    return model


def _mean(look: Surface) -> tuple[float, float, float]:
    if look.image is None:
        return look.colour
    r, g, b = (float(c) / 255 for c in look.image[::16, ::16].reshape(-1, 3).mean(axis=0))
    return r, g, b


def bottle(rng: Rng, style: str) -> Model:
    """A bottle, 17 to 34 cm high, with cap and label."""
    h = rng.uniform(0.19, 0.33)
    r = h * rng.uniform(0.12, 0.17)
    neck = {
        "wine": [
            (r, 0),
            (r, 0),
            (r, 0.58 * h),
            (0.9 * r, 0.66 * h),
            (0.4 * r, 0.78 * h),
            (0.36 * r, 0.94 * h),
        ],
        "water": [
            (0.92 * r, 0),
            (r, 0.03 * h),
            (0.93 * r, 0.3 * h),
            (r, 0.5 * h),
            (0.95 * r, 0.68 * h),
            (0.4 * r, 0.88 * h),
            (0.4 * r, 0.94 * h),
        ],
        "sauce": [
            (r, 0),
            (1.1 * r, 0.1 * h),
            (0.95 * r, 0.4 * h),
            (r, 0.62 * h),
            (0.5 * r, 0.72 * h),
            (0.3 * r, 0.86 * h),
            (0.25 * r, 0.95 * h),
        ],
        "jug": [
            (1.15 * r, 0),
            (1.3 * r, 0.05 * h),
            (1.3 * r, 0.6 * h),
            (0.6 * r, 0.76 * h),
            (0.5 * r, 0.93 * h),
        ],
        "flask": [
            (0.8 * r, 0),
            (0.85 * r, 0.02 * h),
            (0.85 * r, 0.8 * h),
            (0.6 * r, 0.86 * h),
            (0.6 * r, 0.93 * h),
        ],
    }[style]
    palettes = {
        "wine": [(0.05, 0.16, 0.07), (0.16, 0.05, 0.04), (0.25, 0.3, 0.08)],
        "water": [(0.55, 0.72, 0.85), (0.75, 0.86, 0.9), (0.35, 0.6, 0.45)],
        "sauce": [(0.75, 0.08, 0.05), (0.9, 0.75, 0.1), (0.3, 0.12, 0.05)],
        "jug": [(0.92, 0.92, 0.9), (0.2, 0.4, 0.8), (0.85, 0.5, 0.1)],
        "flask": [(0.2, 0.22, 0.25), (0.15, 0.45, 0.4), (0.7, 0.2, 0.3), (0.75, 0.75, 0.77)],
    }[style]
    glass = (
        tx.around(rng, palettes[rng.integers(len(palettes))], 0.1)
        if rng.random() < 0.75
        else tx.vivid(rng)
    )
    model = Model("bottle")
    model.add(tx.flat(glass, gloss=0.8), lathe(neck, 16))
    model.add(
        tx.flat(tx.vivid(rng) if rng.random() < 0.6 else tx.colour(rng, (0, 0.2), (0.05, 1))),
        cylinder(neck[-1][0] * 1.15, 0.075 * h, (0, 0, 0.925 * h), 12),
    )
    if style != "flask" and rng.random() < 0.8:
        low, high = (0.15, 0.5) if style != "sauce" else (0.12, 0.4)
        wide = max(p[0] for p in neck if p[1] < 0.66 * h) * 1.015
        paper = tx.colour(rng, (0, 0.6), (0.5, 1))
        look = tx.surface(rng, "print", paper, tx.vivid(rng), 0.1)
        model.add(look, lathe([(wide, low * h), (wide, high * h)], 16, repeat=(2, 1)))
    return model


def bowl(rng: Rng, style: str) -> Model:
    """An open bowl, 12 to 30 cm wide."""
    r = rng.uniform(0.06, 0.14)
    h = (
        r
        * {"round": 0.75, "wide": 0.45, "footed": 0.7, "straight": 0.6}[style]
        * rng.uniform(0.85, 1.15)
    )
    outer = {
        "round": [(0.4 * r, 0), (0.75 * r, 0.25 * h), (0.95 * r, 0.65 * h), (r, h)],
        "wide": [(0.45 * r, 0), (0.7 * r, 0.2 * h), (r, h)],
        "footed": [(0.42 * r, 0), (0.36 * r, 0.15 * h), (0.75 * r, 0.4 * h), (r, h)],
        "straight": [(0.85 * r, 0), (0.9 * r, 0.1 * h), (r, h)],
    }[style]
    inner = [(0.95 * r, h), (0.95 * r, h), (0.82 * r, 0.62 * h), (0.5 * r, 0.3 * h)]
    model = Model("bowl")
    model.add(glaze(rng), lathe([*outer, (r, h), *inner], 20))
    if rng.random() < 0.35:  # fruit
        for _ in range(int(rng.integers(2, 5))):
            fruit = [(0.8, 0.15, 0.1), (0.9, 0.55, 0.1), (0.5, 0.7, 0.15)][rng.integers(3)]
            a, d = rng.uniform(0, 6.28), rng.uniform(0.15, 0.4) * r
            model.add(
                tx.flat(fruit),
                sphere(0.3 * r, (d * np.cos(a), d * np.sin(a), 0.35 * h + 0.3 * r), 10, 7),
            )
    return model


def vase(rng: Rng, style: str) -> Model:
    """A vase, 18 to 45 cm high, sometimes with dry branches."""
    h = rng.uniform(0.18, 0.42)
    r = h * rng.uniform(0.22, 0.34)
    outer = {
        "belly": [
            (0.5 * r, 0),
            (0.9 * r, 0.2 * h),
            (r, 0.42 * h),
            (0.6 * r, 0.72 * h),
            (0.38 * r, 0.86 * h),
            (0.55 * r, h),
        ],
        "slim": [
            (0.45 * r, 0),
            (0.5 * r, 0.1 * h),
            (0.62 * r, 0.6 * h),
            (0.4 * r, 0.9 * h),
            (0.45 * r, h),
        ],
        "trumpet": [(0.55 * r, 0), (0.35 * r, 0.12 * h), (0.45 * r, 0.5 * h), (0.95 * r, h)],
        "square": [(0.75 * r, 0), (0.75 * r, 0.0), (0.85 * r, h)],
    }[style]
    rim = outer[-1][0]
    sides = 4 if style == "square" else 18
    model = Model("vase")
    profile = [*outer, (rim, h), (rim * 0.88, h), (rim * 0.8, 0.85 * h), (0.25 * r, 0.6 * h)]
    model.add(glaze(rng, ("plain", "plain", "stripe", "blobs", "wood")), lathe(profile, sides))
    if rng.random() < 0.3:
        twig = tx.flat(tx.around(rng, (0.55, 0.42, 0.25), 0.1))
        rods = []
        for _ in range(int(rng.integers(3, 7))):
            a, spread = rng.uniform(0, 6.28), rng.uniform(0.1, 0.5) * h
            top = (spread * np.cos(a), spread * np.sin(a), h * rng.uniform(1.3, 1.8))
            rods.append(rod((0, 0, 0.6 * h), top, 0.0035, 5))
        model.add(twig, *rods)
    return model


def can(rng: Rng, style: str) -> Model:
    """A tin can, standing, with silver rims."""
    r, h = {
        "soda": (0.033, 0.117),
        "food": (0.0375, 0.11),
        "small": (0.042, 0.07),
        "tall": (0.027, 0.15),
    }[style]
    r, h = r * rng.uniform(0.93, 1.1), h * rng.uniform(0.93, 1.1)
    model = Model("can")
    first, second = tx.vivid(rng), tx.colour(rng, (0, 0.9), (0.3, 1))
    look = tx.surface(
        rng, str(rng.choice(["label", "print", "stripe", "plain"])), first, second, 0.8
    )
    tin = tx.flat((0.78, 0.78, 0.8), 0.8)
    edge = 0.06 * h
    model.add(look, lathe([(r, edge), (r, h - edge)], 18))
    model.add(
        tin,
        lathe([(0.86 * r, 0), (r * 1.0, edge)], 18),
        lathe(
            [(r, h - edge), (0.86 * r, h), (0.86 * r, h), (0.8 * r, h), (0.78 * r, h - 0.03 * h)],
            18,
        ),
    )
    return model
