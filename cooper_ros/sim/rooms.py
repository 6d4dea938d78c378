"""What a room is made of: placed models, and how models are chosen."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cooper_ros.sim.assets import AssetSet, cached_model
from cooper_ros.sim.mesh import Model
from cooper_ros.sim.shapes import procedural

Rng = np.random.Generator


@dataclass
class Placement:
    """A model in the room: position of its origin (m), turn about z (rad), part colour factors."""

    model: Model
    position: tuple[float, float, float]
    yaw: float
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @property
    def label(self) -> str:
        return self.model.label


@dataclass
class Room:
    """A closed room centred at the origin, and what stands in it (metres)."""

    half_x: float
    half_y: float
    height: float
    stuff: list[Placement] = field(default_factory=list)
    objects: list[Placement] = field(default_factory=list)
    occupied: list[tuple[float, float, float, float]] = field(default_factory=list)
    """Circles (x, y, radius, height) that furniture covers on the floor."""
    targets: list[tuple[float, float, float]] = field(default_factory=list)
    """Centres of small objects, for cameras to look at."""
    wall_spans: list[list[tuple[float, float, float, float]]] = field(
        default_factory=lambda: [[], [], [], []]
    )
    """Per wall: (centre, half width, low, high) of what is already there."""


STRETCH = 0.2
"""Width, depth and height of a training model vary by this share: few models, many shapes."""


def model_share(count: int) -> float:
    """How often a class with `count` model files takes one instead of a procedural shape."""
    return 0.5 * count / (count + 2)


class ModelChooser:
    """Chooses models for one room, and their colours."""

    def __init__(self, rng: Rng, split: str, assets: AssetSet) -> None:
        self.rng = rng
        self.split = split
        self.assets = assets

    def model(self, label: str, on_floor: bool = True) -> tuple[Model, bool]:
        """A model of the class, and whether it comes from a file."""
        model, from_file = self._model(label, on_floor)
        if self.split == "train":
            model = model.stretched(self.rng.uniform(1 - STRETCH, 1 + STRETCH, 3))
        return model, from_file

    def _model(self, label: str, on_floor: bool) -> tuple[Model, bool]:
        files = self.assets.of(label)
        if files and self.rng.random() < model_share(len(files)):
            path = files[self.rng.integers(len(files))]
            model = cached_model(path)
            small = float(max(model.size)) < 0.75
            if label not in ("lamp", "plant", "box", "vase") or on_floor != small:
                return model, True
        return procedural(self.rng, label, self.split, on_floor), False

    def tint(self, from_file: bool) -> tuple[float, float, float]:
        """Colour variation; models from files repeat, so they get more of it."""
        if not from_file:
            return (1.0, 1.0, 1.0)
        value = np.clip(self.rng.uniform(0.75, 1.15) + self.rng.normal(0, 0.1, 3), 0.4, 1.3)
        return (float(value[0]), float(value[1]), float(value[2]))
