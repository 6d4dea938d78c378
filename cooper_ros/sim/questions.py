"""Spatial questions about a rendered frame, with their exact answers.

Wording, chains and answer texts come from `reasoning.grammar`, numbers from the frame's object
table (`truth.object_table`), so that training, evaluation and the node mean the same thing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.classes import CLASS_NAMES, STUFF
from cooper_ros.core.query import FAMILIES, HEIGHT, MAX_COUNT, WIDTH, Query
from cooper_ros.reasoning.grammar import (
    ChainObject,
    Edges,
    final_turn,
    percent,
    phrasing_count,
    render_question,
)
from cooper_ros.sim.truth import COLUMNS

THINGS: tuple[str, ...] = tuple(name for name in CLASS_NAMES if name not in STUFF)

WEIGHTS: dict[str, float] = {
    "distance": 2.5,
    "between": 1.5,
    "nearer": 0.8,
    "farther": 0.8,
    "left": 0.8,
    "right": 0.8,
    "front": 0.8,
    "behind": 0.8,
    "count": 1.3,
    "width": 0.9,
    "height": 0.9,
    "reachable": 0.9,
    "free": 0.7,
    "presence": 1.0,
}
"""How often a family is drawn when all are possible."""

CLEAR_FRACTION = 0.01
CLEAR_FRACTION_NEAR = 0.004
NEAR_M = 2.0
"""A thing is asked about when it fills 1 % of the image, or 0.4 % within 2 m."""

COUNT_FRACTION = 0.004
"""Counting is asked only where every instance fills at least this share."""

NONE_SHARE = 0.08
"""Share of questions about something that is not in view."""

SIDE_MARGIN = 0.03
"""Least difference of image position (share of the width) for left and right."""

ORDER_MARGIN = 0.1
"""Least relative difference of distance for nearer, farther, in front of and behind."""

_COLUMN = {name: index for index, name in enumerate(COLUMNS)}


@dataclass(frozen=True)
class Question:
    """A question and its truth.

    `chain`, `answer`: inner texts of the think and answer tags; `value`: metres, count, 0 / 1 or
    index of the chosen object as in `core.measure`, NaN for "none"; `objects`: rows of the object
    table in the order of the question (counting: left to right); `query`: the parsed question.
    """

    family: str
    text: str
    chain: str
    answer: str
    value: float
    objects: tuple[int, ...]
    query: Query


class _Frame:
    """Who is who in one object table."""

    def __init__(
        self,
        objects: NDArray[np.float32],
        free_space_m: float,
        none_share: float = NONE_SHARE,
        absent_odds: Mapping[str, float] | None = None,
    ) -> None:
        self.none_share = none_share
        self.table = np.asarray(objects, np.float64).reshape(-1, len(COLUMNS))
        self.free_space_m = free_space_m
        self.labels = [CLASS_NAMES[int(row[_COLUMN["class_id"]])] for row in self.table]
        self.absent = [name for name in THINGS if name not in self.labels]
        odds = np.array([(absent_odds or {}).get(name, 1.0) for name in self.absent])
        self.absent_shares = odds / odds.sum() if absent_odds and self.absent else None
        clear = [self._is_clear(row) for row in range(len(self.table))]
        self.unique = [
            row
            for row, label in enumerate(self.labels)
            if self.labels.count(label) == 1 and clear[row]
        ]
        self.clear_rows = [row for row, yes in enumerate(clear) if yes]

    def get(self, row: int, name: str) -> float:
        return float(self.table[row, _COLUMN[name]])

    def _is_clear(self, row: int) -> bool:
        fraction, distance = self.get(row, "fraction"), self.get(row, "distance")
        return fraction >= CLEAR_FRACTION or (fraction >= CLEAR_FRACTION_NEAR and distance < NEAR_M)

    def point(self, row: int) -> NDArray[np.float64]:
        first = _COLUMN["point_x"]
        return self.table[row, first : first + 3]

    def chain(
        self, row: int, with_depth: bool = True, with_edges: bool = False
    ) -> ChainObject:
        u, v = (percent(self.get(row, name), 1) for name in ("u", "v"))
        if not with_depth:
            return ChainObject(self.labels[row], u, v)
        z, x, y = (self.get(row, name) for name in ("z", "x", "y"))
        edges = self.edges(row) if with_edges else None
        return ChainObject(self.labels[row], u, v, z, x, y, edges)

    def edges(self, row: int) -> Edges | None:
        shares = [self.get(row, name) for name in ("left", "right", "top", "bottom")]
        if not all(map(math.isfinite, shares)):
            return None
        left, right, top, bottom = (percent(share, 1) for share in shares)
        return left, right, top, bottom


@dataclass
class _Draft:
    """What a family's sampler decides: slots, rows, truth, and what is missing."""

    names: tuple[str, ...]
    rows: tuple[int, ...]
    value: float
    radius_m: float = math.nan
    missing: tuple[str, ...] = ()


_Sampler = Callable[[_Frame, np.random.Generator], "_Draft | None"]


def _pick(rng: np.random.Generator, items: Sequence[int]) -> int:
    return int(items[int(rng.integers(len(items)))])


def _absent_name(frame: _Frame, rng: np.random.Generator) -> str | None:
    if frame.absent_shares is not None:
        return str(rng.choice(frame.absent, p=frame.absent_shares))
    return frame.absent[rng.integers(len(frame.absent))] if frame.absent else None


def _single(value: Callable[[_Frame, int], float], least: float = 0.0) -> _Sampler:
    def sample(frame: _Frame, rng: np.random.Generator) -> _Draft | None:
        name = _absent_name(frame, rng)
        if name and rng.random() < frame.none_share:
            return _Draft((name,), (), math.nan, missing=(name,))
        rows = [row for row in frame.unique if value(frame, row) > least]
        if not rows:
            return None
        row = _pick(rng, rows)
        return _Draft((frame.labels[row],), (row,), value(frame, row))

    return sample


def _pair(
    value: Callable[[_Frame, int, int], float],
    allowed: Callable[[_Frame, int, int], bool],
    balanced: bool,
) -> _Sampler:
    """Two different unique things; `balanced`: the value is 0 or 1, each half of the time."""

    def sample(frame: _Frame, rng: np.random.Generator) -> _Draft | None:
        if len(frame.unique) >= 1 and frame.absent and rng.random() < frame.none_share:
            row, name = _pick(rng, frame.unique), str(_absent_name(frame, rng))
            names = (frame.labels[row], name) if rng.random() < 0.5 else (name, frame.labels[row])
            return _Draft(names, (row,), math.nan, missing=(name,))
        pairs = [
            (a, b) for a in frame.unique for b in frame.unique if a < b and allowed(frame, a, b)
        ]
        if not pairs:
            return None
        a, b = pairs[int(rng.integers(len(pairs)))]
        if rng.random() < 0.5:
            a, b = b, a
        if balanced and value(frame, a, b) != float(rng.random() < 0.5):
            a, b = b, a
        return _Draft((frame.labels[a], frame.labels[b]), (a, b), value(frame, a, b))

    return sample


def _ordered(frame: _Frame, a: int, b: int) -> bool:
    first, second = frame.get(a, "distance"), frame.get(b, "distance")
    return abs(first - second) > ORDER_MARGIN * min(first, second)


def _sided(frame: _Frame, a: int, b: int) -> bool:
    return abs(frame.get(a, "u") - frame.get(b, "u")) > SIDE_MARGIN


def _nearer(frame: _Frame, a: int, b: int) -> bool:
    return frame.get(a, "distance") < frame.get(b, "distance")


def _count(frame: _Frame, rng: np.random.Generator) -> _Draft | None:
    name = _absent_name(frame, rng)
    if name and rng.random() < 0.12:
        return _Draft((name,), (), 0.0, missing=(name,))
    groups = {
        label: [row for row, other in enumerate(frame.labels) if other == label]
        for label in dict.fromkeys(frame.labels)
    }
    fair = [
        rows
        for rows in groups.values()
        if len(rows) <= MAX_COUNT
        and all(frame.get(row, "fraction") >= COUNT_FRACTION for row in rows)
    ]
    if not fair:
        return None
    several = [rows for rows in fair if len(rows) > 1]
    # ones are far more frequent than groups: prefer groups
    chosen = several if several and rng.random() < 0.7 else fair
    rows = sorted(chosen[rng.integers(len(chosen))], key=lambda row: frame.get(row, "u"))
    return _Draft((frame.labels[rows[0]],), tuple(rows), float(len(rows)))


def _reachable(frame: _Frame, rng: np.random.Generator) -> _Draft | None:
    draft = _single(lambda f, row: f.get(row, "distance"))(frame, rng)
    if draft is None:
        return None
    if draft.missing:
        draft.radius_m = round(float(rng.uniform(0.5, 3.0)), 1)
        return draft
    distance = draft.value
    wanted = rng.random() < 0.5
    factor = rng.uniform(1.1, 1.9) if wanted else rng.uniform(0.5, 0.9)
    draft.radius_m = max(round(distance * factor / 0.05) * 0.05, 0.1)
    draft.value = float(distance <= draft.radius_m)
    return draft


def _free(frame: _Frame, _: np.random.Generator) -> _Draft | None:
    if not math.isfinite(frame.free_space_m):
        return None
    return _Draft((), (), frame.free_space_m)


def _presence(frame: _Frame, rng: np.random.Generator) -> _Draft | None:
    if rng.random() < 0.5:
        name = _absent_name(frame, rng)
        return _Draft((name,), (), 0.0, missing=(name,)) if name else None
    if not frame.clear_rows:
        return None
    label = frame.labels[_pick(rng, frame.clear_rows)]
    row = frame.labels.index(label)  # the table is sorted by distance: the nearest one
    return _Draft((label,), (row,), 1.0)


SAMPLERS: dict[str, _Sampler] = {
    "distance": _single(lambda f, row: f.get(row, "distance")),
    "width": _single(lambda f, row: f.get(row, "width"), least=0.04),
    "height": _single(lambda f, row: f.get(row, "height"), least=0.04),
    "between": _pair(
        lambda f, a, b: float(np.linalg.norm(f.point(a) - f.point(b))), lambda f, a, b: True, False
    ),
    "nearer": _pair(lambda f, a, b: float(not _nearer(f, a, b)), _ordered, True),
    "farther": _pair(lambda f, a, b: float(_nearer(f, a, b)), _ordered, True),
    "front": _pair(lambda f, a, b: float(_nearer(f, a, b)), _ordered, True),
    "behind": _pair(lambda f, a, b: float(not _nearer(f, a, b)), _ordered, True),
    "left": _pair(lambda f, a, b: float(f.get(a, "u") < f.get(b, "u")), _sided, True),
    "right": _pair(lambda f, a, b: float(f.get(a, "u") > f.get(b, "u")), _sided, True),
    "count": _count,
    "reachable": _reachable,
    "free": _free,
    "presence": _presence,
}


def _chains(family: str, frame: _Frame, rows: Sequence[int], grammar: int) -> list[ChainObject]:
    """The entries: what a family needs; version 1 of the grammar spares the depth for counting
    alone."""
    depth = family != "count" if grammar == 1 else FAMILIES[family].needs_depth
    edges = grammar > 1 and family in (WIDTH, HEIGHT)
    return [frame.chain(row, depth, edges) for row in rows]


def _finish(
    family: str, frame: _Frame, draft: _Draft, rng: np.random.Generator, grammar: int
) -> Question:
    phrasing = int(rng.integers(phrasing_count(family)))
    text = render_question(family, draft.names, draft.radius_m, phrasing)
    query = Query(family, draft.names, draft.radius_m, text)
    chains = _chains(family, frame, draft.rows, grammar)
    turn = final_turn(query, draft.value, chains, draft.missing, grammar)
    thought, said = turn.split(" </think> ")
    value = math.nan if draft.missing and family not in ("presence", "count") else draft.value
    return Question(
        family,
        text,
        thought.removeprefix("<think> "),
        said.removeprefix("<answer> ").removesuffix(" </answer>"),
        value,
        draft.rows,
        query,
    )


def sample_questions(
    objects: NDArray[np.float32],
    free_space: float,
    rng: np.random.Generator,
    count: int,
    families: Sequence[str] | None = None,
    none_share: float = NONE_SHARE,
    absent_odds: Mapping[str, float] | None = None,
    grammar: int = 1,
) -> list[Question]:
    """Up to `count` different questions about one frame.

    `objects`: f32[M, len(COLUMNS)], the rows of `truth.object_table` of this frame, nearest first;
    `free_space`: metres; `families`: names from `core.query.FAMILIES`, all by default;
    `none_share`: share of the questions about something that is not in view; `absent_odds`: how
    often a name is drawn for it where it is not in view, equal for all by default; `grammar`:
    version of the reasoning text. The questions are the same in every version.
    Fewer questions come back when the frame does not offer enough. Raises KeyError for an
    unknown family.
    """
    names = list(families) if families is not None else list(FAMILIES)
    weights = np.array([WEIGHTS[name] for name in names])
    frame = _Frame(objects, free_space, none_share, absent_odds)
    questions: list[Question] = []
    seen: set[tuple[str, tuple[str, ...]]] = set()
    for _ in range(count * 4):
        if len(questions) == count:
            break
        family = names[int(rng.choice(len(names), p=weights / weights.sum()))]
        draft = SAMPLERS[family](frame, rng)
        if draft is None or (family, draft.names) in seen:
            continue
        seen.add((family, draft.names))
        questions.append(_finish(family, frame, draft, rng, grammar))
    return questions
