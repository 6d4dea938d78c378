"""What a turn of the nano grammar will probably say next, so that one pass can check many tokens.

Most words of a reasoning text are settled by those before them: `u 42` is followed by `v`, and x, y
and the answer follow from u, v and d. A draft is a guess; the model is asked about all its tokens
at once and keeps those that it would have written itself (greedy speculative decoding, Leviathan et
al. 2023, with rules in place of a small model). The text is the same with and without drafts.

From version 2 of the grammar on nothing is guessed where `seen` or `absent` stands: that has to be
read from the picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from cooper_ros.core.geometry import back_project
from cooper_ros.core.query import (
    BEHIND,
    BETWEEN,
    COUNT,
    DISTANCE,
    FAMILIES,
    FARTHER,
    FREE,
    FRONT,
    HEIGHT,
    LEFT,
    NEARER,
    PRESENCE,
    REACHABLE,
    RIGHT,
    WIDTH,
    Query,
)
from cooper_ros.core.types import Intrinsics
from cooper_ros.reasoning.chains import (
    ABSENT,
    EDGE_NAMES,
    NO,
    NONE,
    SEEN,
    YES,
    ChainObject,
    edge_length,
    format_metres,
    parse_chains,
)
from cooper_ros.reasoning.phrasings import join_words, split_words

OPEN, CLOSE = ["<think>"], ["</think>", "<answer>"]
END = "</answer>"


@dataclass
class _Written:
    """What the tokens so far hold."""

    objects: list[ChainObject] = field(default_factory=list)
    missing: int = 0

    @property
    def entries(self) -> int:
        """Entries written: names settled, except when counting."""
        return len(self.objects) + self.missing


@dataclass(frozen=True)
class _Rules:
    """What a draft goes by: the question, the camera, the version of the grammar."""

    query: Query
    intrinsics: Intrinsics | None
    grammar: int

    @property
    def absent(self) -> str:
        """The word before a name that is not in view."""
        return NO if self.grammar == 1 else ABSENT

    @property
    def sized(self) -> bool:
        """Whether entries hold edges."""
        return self.grammar > 1 and self.query.family in (WIDTH, HEIGHT)


def draft(
    tokens: Sequence[str], query: Query, intrinsics: Intrinsics | None = None, grammar: int = 1
) -> list[str]:
    """Tokens that probably follow `tokens` of a final turn (see `chains.final_turn`).

    `intrinsics` are those of the picture that the model saw (any size). Ends where the next token
    has to be read from the picture, or with `</answer>`; empty where nothing can be said.
    """
    rules = _Rules(query, intrinsics, grammar)
    words = list(tokens)
    if not words:
        return [*OPEN, *_next_object(rules, _Written())]
    if "<answer>" in words:
        at = words.index("<answer>")
        guess, written = _answer(rules, _read(words[:at], rules)), words[at + 1 :]
        return _rest([*guess, END], written) if guess else _length(written)
    start = _last(words, "<obj>")
    if start is None or "</obj>" in words[start:]:
        return _between_objects(words, rules)
    return _inside_object(words[start + 1 :], rules, _read(words[:start], rules))


def rest_of(turn: str, tokens: Sequence[str]) -> list[str]:
    """What is left of a turn that is expected word by word; empty once the text differs."""
    expected = split_words(turn)
    return expected[len(tokens) :] if expected[: len(tokens)] == list(tokens) else []


def _last(words: Sequence[str], word: str) -> int | None:
    return max((i for i, w in enumerate(words) if w == word), default=None)


def _number(words: Sequence[str]) -> float:
    try:
        return float("".join(words))
    except ValueError:
        return math.nan


def _read(words: Sequence[str], rules: _Rules) -> _Written:
    """Objects written completely, and how many are said to be missing."""
    objects = parse_chains(join_words(words))
    return _Written(list(objects), sum(1 for w in words if w == rules.absent))


def _next_object(rules: _Rules, written: _Written) -> list[str]:
    """From the place behind the last entry: another entry as far as it is known, or the end."""
    query = rules.query
    if query.family == FREE:
        return ["d"]
    if written.entries < len(query.objects):
        if rules.grammar > 1:  # whether it is there has to be seen
            return []
        return ["<obj>", query.objects[written.entries], "u"]
    counted = rules.grammar > 1 and written.missing
    if query.family == COUNT and not counted:  # whether there is one more has to be seen
        return []
    return [*CLOSE, *_answer(rules, written), END]


def _between_objects(words: list[str], rules: _Rules) -> list[str]:
    """Behind `<think>`, an entry, or inside `no mug`, `seen` and `d 1.35`."""
    if "</think>" in words:
        return ["<answer>"]
    query, written = rules.query, _read(words, rules)
    last = words[-1]
    if rules.grammar > 1 and last == SEEN:
        name = query.objects[written.entries : written.entries + 1]
        return ["<obj>", *name, "u"] if name else []
    if last == rules.absent:
        name = query.objects[written.entries - 1 : written.entries]
        follows = _next_object(rules, written) if rules.grammar > 1 and name else []
        return [*name, *follows]
    if query.family == FREE and "d" in words:
        number = words[words.index("d") + 1 :]
        if "." not in number:
            return ["."] if number else []
        if len(number) - number.index(".") < 3:
            return []
        return [*CLOSE, *_metres(_number(number)), END]
    return _next_object(rules, written)


def _inside_object(fields: list[str], rules: _Rules, before: _Written) -> list[str]:
    """Behind `<obj>`: what the numbers so far settle."""
    if not fields:
        return []
    keys = (*"uvdxy", *EDGE_NAMES) if rules.sized else "uvdxy"
    at = {key: fields.index(key) for key in keys if key in fields}
    last = max(at, key=lambda key: at[key]) if at else ""
    number = fields[at[last] + 1 :] if at else []
    if last == "":
        return ["u"]
    if last == "u":
        return ["v"] if len(number) == 2 else []
    if last == "v":
        if len(number) < 2:
            return []
        depth = FAMILIES[rules.query.family].needs_depth
        return ["d"] if depth else _closed(fields, rules, before)
    if last == "d" and "." not in number:
        return ["."] if number else []
    if last == "d" and len(number) - number.index(".") < 3:
        return []
    # A draft ends behind a number whose last digit is a matter of rounding: what stands behind a
    # wrong token was computed for nothing.
    if last in EDGE_NAMES:
        return _behind_edge(last, number, fields, rules, before)
    x, y = _sideways(fields, at, rules.intrinsics)
    behind = EDGE_NAMES[0] if rules.sized else "</obj>"
    if last == "d":
        return ["x", *x, "y"]
    if last == "x":
        return _rest([*x, "y"], number) if len(number) < len(x) else ["y", *y, behind]
    if len(number) < len(y):
        return [*_rest(y, number), behind]
    return [behind] if rules.sized else _closed(fields, rules, before)


def _behind_edge(
    name: str, number: list[str], fields: list[str], rules: _Rules, before: _Written
) -> list[str]:
    """Behind an edge's two digits: the next edge, or what follows the entry."""
    if len(number) < 2:
        return []
    following = EDGE_NAMES[EDGE_NAMES.index(name) + 1 :]
    return [following[0]] if following else _closed(fields, rules, before)


def _closed(fields: list[str], rules: _Rules, before: _Written) -> list[str]:
    """`</obj>` and what follows it."""
    after = _read(["<obj>", *fields, "</obj>"], rules)
    both = _Written([*before.objects, *after.objects], before.missing)
    return ["</obj>", *_next_object(rules, both)]


def _sideways(
    fields: list[str], at: dict[str, int], intrinsics: Intrinsics | None
) -> tuple[list[str], list[str]]:
    """x and y as the written u, v and d imply them."""
    u, v = (_number(fields[at[k] + 1 : at[k] + 3]) if k in at else math.nan for k in "uv")
    end = at.get("x", len(fields))
    d = _number(fields[at["d"] + 1 : end]) if "d" in at else math.nan
    if intrinsics is None or not all(map(math.isfinite, (u, v, d))):
        return ["+"], ["+"]
    pixel = [
        (value + 0.5) / 100 * size - 0.5
        for value, size in ((u, intrinsics.width), (v, intrinsics.height))
    ]
    x, y, _ = back_project(intrinsics, pixel[0], pixel[1], d)
    return _signed(x), _signed(y)


def _signed(value: float) -> list[str]:
    text = f"{value:+.2f}"
    return list("+0.00" if text == "-0.00" else text)


def _metres(value: float) -> list[str]:
    return split_words(format_metres(value)) if math.isfinite(value) else []


def _length(written: list[str]) -> list[str]:
    """What follows the digits of a length that has to be read: its point, or its unit."""
    if not written or not written[0].isdigit():
        return []
    if "." not in written:
        return ["."]
    return _rest(["m", END], written[written.index(".") + 3 :]) if len(written) > 3 else []


def _rest(guess: list[str], written: Sequence[str]) -> list[str]:
    """The guess behind as many tokens as were written, whether they agreed or not."""
    return guess[len(written) :]


def _size(item: ChainObject, rules: _Rules) -> list[str]:
    """Width or height as the written edges and d imply it; empty where they do not."""
    camera = rules.intrinsics
    if camera is None or item.edges is None:
        return []
    left, right, top, bottom = item.edges
    if rules.query.family == WIDTH:
        length = edge_length(left, right, camera.width, camera.fx, item.d_m)
    else:
        length = edge_length(top, bottom, camera.height, camera.fy, item.d_m)
    return _metres(length) if length > 0.0 else []


def _answer(rules: _Rules, written: _Written) -> list[str]:
    """The answer that follows from the entries; empty where it has to be read."""
    query, items = rules.query, written.objects
    family = query.family
    if family == PRESENCE:
        return [YES if items else NO]
    if family == COUNT:
        return [str(len(items))]
    if written.missing:
        return [NONE]
    if len(items) < FAMILIES[family].object_count:
        return []
    if family == DISTANCE:
        return _metres(items[0].distance_m)
    if family in (WIDTH, HEIGHT):
        return _size(items[0], rules)
    if family == BETWEEN:
        a, b = items[:2]
        return _metres(math.dist((a.x_m, a.y_m, a.d_m), (b.x_m, b.y_m, b.d_m)))
    if family == REACHABLE:
        return [YES if items[0].distance_m <= query.radius_m else NO]
    if family in (NEARER, FARTHER):
        first = items[0].distance_m < items[1].distance_m
        return [query.objects[0 if first == (family == NEARER) else 1]]
    if family in (LEFT, RIGHT):
        return [YES if (items[0].u < items[1].u) == (family == LEFT) else NO]
    if family in (FRONT, BEHIND):
        return [YES if (items[0].d_m < items[1].d_m) == (family == FRONT) else NO]
    return []
