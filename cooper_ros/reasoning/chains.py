"""Reasoning text and answers of the nano grammar: what the model writes, and sim teaches.

object chain: `<obj> mug u 42 v 17 d 1.35 x +0.12 y -0.30 l 38 r 47 t 10 b 25 </obj>`
- u, v: 00..99, percent of the image width / height of the median visible pixel (rounded down);
- d: z [m] such that the back-projection of (u, v, d) lies at the object's distance;
- x, y: that point's lateral and vertical metres in the camera optical frame.
- l, r, t, b: 00..99, percent of the image width / height (rounded down) between which 90 % of the
  visible pixels lie; written for questions about width and height, from version 2 on.
Without metric depth, or where only the place matters (counting), the chain ends after v.

Versions of the grammar, named by the manifest (`ModelSpec.grammar`):
1: `<think> <obj> mug ... </obj> no can </think>`: what is seen, then what is missing.
2: `<think> seen <obj> mug ... </obj> absent can </think>`: for every name of the question, in its
   order, first whether it is there. Counting says `seen` once, before the entries.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cooper_ros.core.geometry import back_project
from cooper_ros.core.query import Query
from cooper_ros.core.types import NAN, Intrinsics, Kind

NONE = "none"
YES = "yes"
NO = "no"
SEEN = "seen"
ABSENT = "absent"

GRAMMARS = (1, 2)
"""Versions of the grammar."""

Edges = tuple[int, int, int, int]
"""Left, right, top and bottom edge in percent of the image size, 0..99."""


@dataclass(frozen=True, slots=True)
class ChainObject:
    """One object of the reasoning text; u, v in percent (0..99), d, x, y in metres or NaN.

    `edges`: left, right, top, bottom in percent (0..99), None where they are not written.
    """

    label: str
    u: int
    v: int
    d_m: float = NAN
    x_m: float = NAN
    y_m: float = NAN
    edges: Edges | None = None

    @property
    def distance_m(self) -> float:
        """Euclidean distance [m] of the written point, NaN if it has no depth."""
        return math.sqrt(self.d_m**2 + self.x_m**2 + self.y_m**2)


def percent(pixel: float, size: int) -> int:
    """Pixel coordinate as percent of the image size, rounded down, 0..99."""
    return min(99, max(0, math.floor(100.0 * pixel / size)))


EDGE_NAMES = ("l", "r", "t", "b")


def edge_length(low: int, high: int, pixels: int, focal_px: float, d_m: float) -> float:
    """Length [m] between two edges in percent of an image side of `pixels`, at depth `d_m` [m]."""
    return (high - low) / 100 * pixels / focal_px * d_m


def _signed(value: float) -> str:
    text = f"{value:+.2f}"
    return "+0.00" if text == "-0.00" else text


def object_chain(
    label: str,
    u: int,
    v: int,
    d_m: float = NAN,
    x_m: float = NAN,
    y_m: float = NAN,
    edges: Edges | None = None,
) -> str:
    """`<obj> mug u 42 v 17 d 1.35 x +0.12 y -0.30 </obj>`; numbers that are NaN are left out."""
    text = f"<obj> {label} u {u:02d} v {v:02d}"
    if math.isfinite(d_m):
        text += f" d {d_m:.2f}"
    if math.isfinite(x_m) and math.isfinite(y_m):
        text += f" x {_signed(x_m)} y {_signed(y_m)}"
    if edges is not None:
        text += "".join(
            f" {name} {edge:02d}" for name, edge in zip(EDGE_NAMES, edges, strict=True)
        )
    return text + " </obj>"


def chain_object(
    label: str, anchor: Sequence[float], intrinsics: Intrinsics, *, with_depth: bool = True
) -> ChainObject:
    """A chain entry from `geometry.object_anchor` (u [px], v [px], z [m])."""
    u, v, z = anchor
    place = (percent(u, intrinsics.width), percent(v, intrinsics.height))
    if not with_depth or not math.isfinite(z):
        return ChainObject(label, *place)
    x, y, _ = back_project(intrinsics, u, v, z)
    return ChainObject(label, *place, z, x, y)


def render_chain(item: ChainObject) -> str:
    """Text of one chain entry."""
    return object_chain(
        item.label, item.u, item.v, item.d_m, item.x_m, item.y_m, item.edges
    )


_CHAIN = re.compile(
    r"<obj>\s+([a-z]+)\s+u\s+(\d{1,2})\s+v\s+(\d{1,2})"
    r"(?:\s+d\s+(\d+\.\d+))?(?:\s+x\s+([+-]\d+\.\d+)\s+y\s+([+-]\d+\.\d+))?"
    r"(?:\s+l\s+(\d{1,2})\s+r\s+(\d{1,2})\s+t\s+(\d{1,2})\s+b\s+(\d{1,2}))?\s+</obj>"
)


def parse_chains(text: str) -> tuple[ChainObject, ...]:
    """The well-formed object chains of a text of any version, in order; malformed ones are
    skipped."""
    found = []
    for label, u, v, *numbers in _CHAIN.findall(text):
        d, x, y = (float(number) if number else NAN for number in numbers[:3])
        left, right, top, bottom = numbers[3:]
        edges = (int(left), int(right), int(top), int(bottom)) if left else None
        found.append(ChainObject(label, int(u), int(v), d, x, y, edges))
    return tuple(found)


def format_metres(value_m: float) -> str:
    """`1.42 m`: two decimals and the unit."""
    text = f"{value_m:.2f}"
    return ("0.00" if text == "-0.00" else text) + " m"


def format_value(query: Query, value: float) -> str:
    """Answer text of a value: metres, yes / no, an integer, or the chosen name; NaN is `none`."""
    if math.isnan(value):
        return NONE
    if query.kind in (Kind.DISTANCE, Kind.SIZE):
        return format_metres(value)
    if query.kind is Kind.BOOLEAN:
        return YES if value else NO
    if query.kind is Kind.CHOICE:
        return query.objects[int(value)]
    return str(int(value))


def think(inner: str) -> str:
    """`<think> ... </think>`."""
    return f"<think> {inner} </think>"


def answer(inner: str) -> str:
    """`<answer> ... </answer>`."""
    return f"<answer> {inner} </answer>"


def missing_chain(label: str, grammar: int = 1) -> str:
    """What stands for an object that is not in view: `no mug`, from version 2 on `absent mug`."""
    return f"{NO if grammar == 1 else ABSENT} {label}"


def free_chain(distance_m: float) -> str:
    """What stands for the free space ahead: `d 1.35`."""
    return f"d {distance_m:.2f}"


def final_turn(
    query: Query,
    value: float,
    objects: Sequence[ChainObject] = (),
    missing: Sequence[str] = (),
    grammar: int = 1,
) -> str:
    """The last turn: `<think> chains </think> <answer> 1.42 m </answer>`.

    `objects`: the chain entries in the order of the question (counting: left to right);
    `missing`: class names asked for but not in view. With something missing the answer is `none`,
    except for presence (`no`) and counting (`0`), where the value says it already. Raises
    ValueError for a grammar that does not exist.
    """
    if grammar not in GRAMMARS:
        raise ValueError(f"grammar must be one of {GRAMMARS}, got {grammar}")
    free = [free_chain(value)] if query.family == "free" and math.isfinite(value) else []
    if grammar == 1:
        parts = [*map(render_chain, objects), *free, *map(missing_chain, missing)]
    else:
        parts = free or _entries(query, objects, missing)
    if missing and query.family not in ("presence", "count"):
        value = NAN
    inner = " ".join(parts) if parts else NONE
    return f"{think(inner)} {answer(format_value(query, value))}"


def _entries(query: Query, objects: Sequence[ChainObject], missing: Sequence[str]) -> list[str]:
    """Entries of version 2: name by name in the order of the question."""
    chains = [render_chain(item) for item in objects]
    if query.family == "count":
        return [SEEN, *chains] if chains else [missing_chain(label, 2) for label in missing]
    parts: list[str] = []
    left = list(missing)
    for name in query.objects:
        if name in left:
            left.remove(name)
            parts.append(missing_chain(name, 2))
        elif chains:
            parts += [SEEN, chains.pop(0)]
    return parts
