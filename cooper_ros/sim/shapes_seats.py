"""Procedural chairs, sofas and beds. They face -y."""

from __future__ import annotations

import numpy as np

from cooper_ros.sim import textures as tx
from cooper_ros.sim.mesh import Model, box, cylinder, rod, rotation_x, sphere
from cooper_ros.sim.shapes_furniture import board, fabric, four_legs

Rng = np.random.Generator

STYLES: dict[str, tuple[str, ...]] = {
    "chair": ("legs", "padded", "office", "stool", "shell"),
    "sofa": ("block", "soft", "corner", "legs"),
    "bed": ("panel", "low", "double", "daybed"),
}
"""Styles per class. The last one of each class is never used in training scenes."""


def chair(rng: Rng, style: str) -> Model:
    """A chair or stool; the sitter faces -y."""
    w, d, seat = rng.uniform(0.38, 0.5), rng.uniform(0.38, 0.5), rng.uniform(0.42, 0.5)
    back = rng.uniform(0.36, 0.55)
    model = Model("chair")
    frame = board(rng)
    pad = fabric(rng) if rng.random() < 0.6 else frame
    if style == "stool":
        r, seat = rng.uniform(0.15, 0.2), rng.uniform(0.44, 0.78)
        model.add(pad, cylinder(r, 0.05, (0, 0, seat - 0.05), 16))
        model.add(
            frame,
            *[
                rod(
                    (r * 0.75 * np.cos(a), r * 0.75 * np.sin(a), seat - 0.05),
                    (r * np.cos(a), r * np.sin(a), 0.0),
                    0.014,
                    7,
                )
                for a in np.arange(4) * np.pi / 2 + 0.4
            ],
        )
        return model
    if style == "office":
        pad = fabric(rng)
        black = tx.flat((0.08, 0.08, 0.09))
        model.add(
            pad,
            box((w, d, 0.08), (0, 0, seat - 0.08)),
            box((w * 0.92, 0.06, back + 0.1), (0, d / 2, seat + 0.06)),
        )
        model.add(
            black,
            cylinder(0.03, seat - 0.15, (0, 0, 0.08), 8),
            box((0.05, 0.03, 0.2), (0, d / 2 + 0.03, seat - 0.06)),
            *[
                rod((0, 0, 0.1), (0.29 * np.cos(a), 0.29 * np.sin(a), 0.05), 0.02, 6)
                for a in np.arange(5) * 2 * np.pi / 5
            ],
            *[
                sphere(0.03, (0.29 * np.cos(a), 0.29 * np.sin(a), 0.03), 6, 5)
                for a in np.arange(5) * 2 * np.pi / 5
            ],
        )
        if rng.random() < 0.6:
            model.add(
                black,
                *[box((0.05, d * 0.6, 0.03), (s * w * 0.56, 0, seat + 0.2)) for s in (-1, 1)],
                *[box((0.04, 0.05, 0.2), (s * w * 0.56, 0.05, seat)) for s in (-1, 1)],
            )
        return model
    thick = rng.uniform(0.014, 0.024)
    model.add(
        frame, *four_legs(w / 2 - thick, d / 2 - thick, seat - 0.03, thick, rng.random() < 0.5)
    )
    cushion = 0.06 if style == "padded" else 0.03
    model.add(pad, box((w, d, cushion), (0, 0, seat - 0.03)))
    lean = rotation_x(-rng.uniform(0.05, 0.25))
    hinge = (0.0, d / 2 - 0.02, seat)
    if style == "shell":
        model.add(
            pad,
            box((w, 0.03, back), (0, 0, 0.0)).moved(hinge, lean),
            *[box((0.03, d * 0.9, 0.2), (s * w / 2, 0, seat)) for s in (-1, 1)],
        )
    elif style == "padded":
        model.add(pad, box((w * 0.95, 0.06, back), (0, 0, 0.02)).moved(hinge, lean))
    else:
        posts = [box((0.035, 0.03, back), (s * (w / 2 - 0.02), 0, 0)) for s in (-1, 1)]
        if rng.random() < 0.5:
            rails = [box((w - 0.04, 0.02, back * 0.18), (0, 0, back * z)) for z in (0.3, 0.55, 0.8)]
        else:
            rails = [
                box((0.03, 0.02, back * 0.85), (x, 0, 0)) for x in np.linspace(-w / 3, w / 3, 4)
            ]
            rails.append(box((w, 0.03, back * 0.18), (0, 0, back * 0.82)))
        model.add(frame, *[m.moved(hinge, lean) for m in posts + rails])
    return model


def sofa(rng: Rng, style: str) -> Model:
    """A sofa for two to four people."""
    w, d, h = rng.uniform(1.4, 2.2), rng.uniform(0.78, 0.98), rng.uniform(0.72, 0.9)
    seat, arm = rng.uniform(0.38, 0.46), rng.uniform(0.1, 0.22)
    look = fabric(rng)
    pillow = look if rng.random() < 0.6 else fabric(rng)
    model = Model("sofa")
    foot = 0.14 if style == "legs" else 0.05
    model.add(
        look,
        box((w, d, seat - 0.14 - foot), (0, 0, foot), repeat=2),
        box((w, 0.22, h - foot), (0, d / 2 - 0.11, foot), repeat=2),
        *[
            box(
                (arm, d, seat + rng.uniform(0.12, 0.2) - foot),
                (s * (w - arm) / 2, 0, foot),
                repeat=2,
            )
            for s in (-1, 1)
        ],
    )
    count = int(rng.integers(2, 4))
    each = (w - 2 * arm) / count
    for k in range(count):
        x = -w / 2 + arm + each * (k + 0.5)
        if style == "soft":
            model.add(
                pillow,
                sphere((each * 0.53, d * 0.42, 0.12), (x, -0.06, seat - 0.06), 12, 7),
                sphere((each * 0.5, 0.14, 0.25), (x, d / 2 - 0.24, seat + 0.2), 12, 7),
            )
        else:
            model.add(
                pillow,
                box((each - 0.015, d - 0.24, 0.15), (x, -0.11, seat - 0.15), repeat=2),
                box((each - 0.02, 0.15, 0.34), (x, d / 2 - 0.26, seat), repeat=2),
            )
    if style == "corner":
        side = rng.choice([-1, 1])
        model.add(pillow, box((0.8, 0.7, seat), (side * (w / 2 - 0.4), -d / 2 - 0.34, 0), repeat=2))
    model.add(
        tx.flat((0.15, 0.1, 0.07)), *four_legs(w / 2 - 0.08, d / 2 - 0.08, foot + 0.02, 0.025, True)
    )
    if rng.random() < 0.5:
        cushion = fabric(rng)
        model.add(
            cushion,
            sphere((0.2, 0.08, 0.2), (rng.uniform(-0.3, 0.3) * w, d / 2 - 0.4, seat + 0.17), 8, 6),
        )
    return model


def bed(rng: Rng, style: str) -> Model:
    """A single or double bed; the headboard is at y max."""
    w = rng.uniform(1.4, 1.8) if style == "double" else rng.uniform(0.85, 1.2)
    d, h = rng.uniform(1.92, 2.1), rng.uniform(0.42, 0.58)
    if style == "low":
        h = rng.uniform(0.3, 0.4)
    frame, model = board(rng), Model("bed")
    sheet = tx.around(rng, (0.9, 0.89, 0.87), 0.05)
    model.add(
        frame,
        box((w + 0.06, d, h * 0.35), (0, 0, h * 0.2)),
        *four_legs(w / 2 - 0.03, d / 2 - 0.06, h * 0.25, 0.035, False),
    )
    model.add(
        tx.surface(rng, "fabric", sheet, sheet * 0.95),
        box((w, d - 0.05, h * 0.45), (0, 0, h * 0.55)),
    )
    blanket = d * rng.uniform(0.5, 0.72)
    model.add(
        fabric(rng),
        box((w + 0.05, blanket, h * 0.38), (0, -(d - blanket) / 2 - 0.01, h * 0.66), repeat=1.5),
    )
    for x in (-0.25, 0.25) if w > 1.3 else (0.0,):
        model.add(
            tx.flat(tx.around(rng, (0.92, 0.91, 0.9), 0.05)),
            sphere(
                (0.3 if w < 1.3 else 0.22 * w, 0.2, 0.09), (x * w, d / 2 - 0.3, h + 0.05), 10, 6
            ),
        )
    head = rng.uniform(0.75, 1.1)
    if style == "daybed":
        model.add(frame, box((0.05, d, head * 0.8), (w / 2 + 0.03, 0, 0)))
    if style != "low" or rng.random() < 0.5:
        model.add(
            frame if rng.random() < 0.6 else fabric(rng), box((w + 0.08, 0.06, head), (0, d / 2, 0))
        )
    return model
