"""What happens while a question is being answered; the last event is the `SpatialAnswer`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cooper_ros.core.types import SpatialAnswer
from cooper_ros.reasoning.tags import MapKind

if TYPE_CHECKING:
    from cooper_ros.runtime.store import GeneratedMap


@dataclass(frozen=True)
class TurnText:
    """The model's text of a turn so far, tags included; `done` when the turn is complete."""

    turn: int
    text: str
    done: bool = False

    @property
    def settled(self) -> str:
        """The part of `text` that later texts of this turn begin with: all of it when it is done,
        else without the last two words. The next token may join them ("1", "1 .", "1.4") or
        complete a character. It may also get shorter again."""
        if self.done:
            return self.text
        last = self.text.rfind(" ")
        return self.text[: self.text.rfind(" ", 0, last) + 1] if last > 0 else ""


@dataclass(frozen=True)
class MapRequested:
    """The model asked for a map; it is made now unless the frame has it already."""

    turn: int
    kind: MapKind


@dataclass(frozen=True)
class MapReady:
    """The map is in the context. `cached`: it had been made for this frame before."""

    turn: int
    kind: MapKind
    cached: bool
    seconds: float
    made: GeneratedMap


@dataclass(frozen=True)
class Unmeasured:
    """The answer as the model wrote it; now it is compared with the maps, which may have to be made
    for that. Comes once, if the model got as far. A direct one about an image whose maps are there
    is compared already."""

    answer: SpatialAnswer


Event = TurnText | MapRequested | MapReady | Unmeasured | SpatialAnswer
