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

_IRREGULAR: dict[str, str] = {
    "man": "men", "woman": "women", "child": "children", "mouse": "mice", "foot": "feet",
    "tooth": "teeth", "goose": "geese", "knife": "knives", "leaf": "leaves", "loaf": "loaves",
    "wolf": "wolves", "calf": "calves", "half": "halves", "sheep": "sheep", "aircraft": "aircraft",
    "luggage": "luggage", "person": "people", "shelf": "shelves", "bookshelf": "bookshelves",
}


def plural_of(name: str) -> str:
    """The plural of any name, of its last word where there are several."""
    if name in PLURALS:
        return PLURALS[name]
    head, _, last = name.rpartition(" ")
    many = _plural_of_word(last)
    return f"{head} {many}" if head else many


def _plural_of_word(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word  # "scissors", "skis"
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    if word.endswith("y") and word[-2:-1] not in ("", "a", "e", "i", "o", "u"):
        return word[:-1] + "ies"
    return word + "s"
