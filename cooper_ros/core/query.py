"""What a question asks: the family, the objects, and the kind and unit of its answer."""

from __future__ import annotations

from dataclasses import dataclass

from cooper_ros.core.types import NAN, Kind

DISTANCE = "distance"
BETWEEN = "between"
NEARER = "nearer"
FARTHER = "farther"
LEFT = "left"
RIGHT = "right"
FRONT = "front"
BEHIND = "behind"
COUNT = "count"
WIDTH = "width"
HEIGHT = "height"
REACHABLE = "reachable"
FREE = "free"
PRESENCE = "presence"


@dataclass(frozen=True, slots=True)
class Family:
    """Properties of a question family: object slots, answer kind, unit ("m" or "")."""

    name: str
    object_count: int
    kind: Kind
    unit: str = ""
    needs_depth: bool = True


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(DISTANCE, 1, Kind.DISTANCE, "m"),
        Family(BETWEEN, 2, Kind.DISTANCE, "m"),
        Family(NEARER, 2, Kind.CHOICE),
        Family(FARTHER, 2, Kind.CHOICE),
        Family(LEFT, 2, Kind.BOOLEAN, needs_depth=False),
        Family(RIGHT, 2, Kind.BOOLEAN, needs_depth=False),
        Family(FRONT, 2, Kind.BOOLEAN),
        Family(BEHIND, 2, Kind.BOOLEAN),
        Family(COUNT, 1, Kind.COUNT, needs_depth=False),
        Family(WIDTH, 1, Kind.SIZE, "m"),
        Family(HEIGHT, 1, Kind.SIZE, "m"),
        Family(REACHABLE, 1, Kind.BOOLEAN),
        Family(FREE, 0, Kind.DISTANCE, "m"),
        Family(PRESENCE, 1, Kind.BOOLEAN, needs_depth=False),
    )
}

MAX_COUNT = 6  # answers and chains list at most this many instances


NEAREST = "nearest"
FARTHEST = "farthest"


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed question.

    `objects`: class names in the order of the question; `radius_m`: [m], NaN where none is given;
    `text`: the question in the training alphabet (what a word-level model is fed), "" where no
    model was taught such a question. Beyond what models are taught:
    - `picks`: for each object NEAREST, FARTHEST or "" (there should be only one);
    - COUNT and PRESENCE of what lies within `radius_m`, or on the `side` (LEFT or RIGHT) of
      `objects[1]`, of the camera's axis where there is no second object;
    - LEFT and RIGHT with one object: beside the camera's axis;
    - `asked_unit`: symbol of the unit that the text of the answer is wanted in, "" for metres.
    """

    family: str
    objects: tuple[str, ...] = ()
    radius_m: float = NAN
    text: str = ""
    picks: tuple[str, ...] = ()
    side: str = ""
    asked_unit: str = ""

    @property
    def kind(self) -> Kind:
        """Kind of the answer's value."""
        return FAMILIES[self.family].kind

    @property
    def unit(self) -> str:
        """Unit of the answer's value, "" for numbers without one."""
        return FAMILIES[self.family].unit

    @property
    def restricted(self) -> bool:
        """Whether only what lies within a radius or on a side is counted."""
        within = self.radius_m == self.radius_m and self.family != REACHABLE
        return within or (bool(self.side) and self.family in (COUNT, PRESENCE))

    @property
    def needs_metres(self) -> bool:
        """Whether the answer depends on lengths in metres."""
        return self.unit == "m" or self.radius_m == self.radius_m

    @property
    def taught(self) -> bool:
        """Whether the text of a word-level model can express the question; else it is measured."""
        complete = len(self.objects) == FAMILIES[self.family].object_count
        return complete and not self.restricted and not any(self.picks)
