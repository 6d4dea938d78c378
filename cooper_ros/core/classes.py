"""The object classes that the nano model knows, in the order of their ids."""
from __future__ import annotations

CLASS_NAMES: tuple[str, ...] = (
    "floor", "wall", "ceiling", "door", "window", "table", "chair", "sofa", "bed",
    "cabinet", "shelf", "lamp", "plant", "tv", "picture", "person", "robot", "bin",
    "box", "ball", "mug", "bottle", "bowl", "book", "vase", "laptop", "can",
)
"""Class names; the position in the tuple is the class id. The order is part of the model."""

CLASS_IDS: dict[str, int] = {name: index for index, name in enumerate(CLASS_NAMES)}

STUFF: tuple[str, ...] = ("floor", "wall", "ceiling")
"""Classes without instances."""

STUFF_IDS: tuple[int, ...] = tuple(CLASS_IDS[name] for name in STUFF)

SYNONYMS: dict[str, str] = {
    "cup": "mug", "couch": "sofa", "television": "tv", "screen": "tv", "computer": "laptop",
    "cupboard": "cabinet", "painting": "picture", "tin": "can", "trash": "bin",
}
"""Other words that a question may use for a class."""

PLURALS: dict[str, str] = {
    "shelf": "shelves", "person": "people", "box": "boxes",
    **{
        name: name + "s"
        for name in CLASS_NAMES
        if name not in ("shelf", "person", "box")
    },
}
"""Plural of every class name."""
