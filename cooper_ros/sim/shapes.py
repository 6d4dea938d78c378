"""One entry for all procedural models: class name and style to a `Model`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cooper_ros.sim import (
    shapes_decor,
    shapes_figures,
    shapes_furniture,
    shapes_seats,
    shapes_small,
    shapes_vessels,
    shapes_walls,
)
from cooper_ros.sim.mesh import Model

_MODULES = (
    shapes_furniture,
    shapes_seats,
    shapes_small,
    shapes_vessels,
    shapes_decor,
    shapes_figures,
    shapes_walls,
)

STYLES: dict[str, tuple[str, ...]] = {
    label: styles for module in _MODULES for label, styles in module.STYLES.items()
}

HELD_OUT_SHARE = 0.4
"""How often validation and test scenes use the style that training never shows."""

# functions that could not have the name of their class
_RENAMED = {"box": "carton", "bin": "bin_"}

_MAKERS: dict[str, Callable[..., Model]] = {
    label: getattr(module, _RENAMED.get(label, label))
    for module in _MODULES
    for label in module.STYLES
}

_SIZED = ("box", "ball", "lamp", "plant")


def pick_style(rng: np.random.Generator, label: str, split: str) -> str:
    """A style of the class: training never gets the last one, the other splits often do."""
    styles = STYLES[label]
    if split != "train" and rng.random() < HELD_OUT_SHARE:
        return styles[-1]
    return styles[rng.integers(len(styles) - 1)]


def procedural(
    rng: np.random.Generator,
    label: str,
    split: str,
    on_floor: bool = True,
    style: str | None = None,
) -> Model:
    """A random model of a class. `on_floor` picks the large kind of boxes, balls, lamps, plants."""
    style = style or pick_style(rng, label, split)
    maker = _MAKERS[label]
    model = maker(rng, style, on_floor) if label in _SIZED else maker(rng, style)
    model.name = f"procedural/{label}/{style}"
    return model
