"""What a turn of the nano grammar will probably say next, so that one pass can check many tokens.

Most words of a reasoning text are settled by those before them: `u 42` is followed by `v`, and x, y
and the answer follow from u, v and d. A draft is a guess; the model is asked about all its tokens
at once and keeps those that it would have written itself (greedy speculative decoding, Leviathan et
al. 2023, with rules in place of a small model). The text is the same with and without drafts.
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
    LEFT,
    NEARER,
    PRESENCE,
    REACHABLE,
    RIGHT,
    Query,
)
from cooper_ros.core.types import Intrinsics
from cooper_ros.reasoning.chains import (
    NO,
    NONE,
    YES,
    ChainObject,
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


def draft(tokens: Sequence[str], query: Query, intrinsics: Intrinsics | None = None) -> list[str]:
    """Tokens that probably follow `tokens` of a final turn (see `chains.final_turn`).

    `intrinsics` are those of the picture that the model saw (any size). Ends where the next token
    has to be read from the picture, or with `</answer>`; empty where nothing can be said.
    """
    depth = FAMILIES[query.family].needs_depth
    words = list(tokens)
    if not words:
        return [*OPEN, *_next_object(query, _Written())]
    if "<answer>" in words:
        at = words.index("<answer>")
        guess, written = _answer(query, _read(words[:at])), words[at + 1 :]
        return _rest([*guess, END], written) if guess else _length(written)
    start = _last(words, "<obj>")
    if start is None or "</obj>" in words[start:]:
        return _between_objects(words, query)
    fields = words[start + 1 :]
    return _inside_object(fields, query, _read(words[:start]), depth, intrinsics)


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


def _read(words: Sequence[str]) -> _Written:
    """Objects written completely, and how many are said to be missing."""
    objects = parse_chains(join_words(words))
    return _Written(list(objects), sum(1 for w in words if w == NO))


def _next_object(query: Query, written: _Written) -> list[str]:
    """From the place behind the last entry: another entry as far as it is known, or the end."""
    if query.family == FREE:
        return ["d"]
    count = len(written.objects) + written.missing
    if count < len(query.objects):
        return ["<obj>", query.objects[count], "u"]
    if query.family == COUNT:  # whether there is one more has to be seen
        return []
    return [*CLOSE, *_answer(query, written), END]


def _between_objects(words: list[str], query: Query) -> list[str]:
    """Behind `<think>`, an entry, or inside `no mug` and `d 1.35`."""
    if "</think>" in words:
        return ["<answer>"]
    written = _read(words)
    last = words[-1]
    if last == NO:
        known = len(written.objects) + written.missing - 1
        return list(query.objects[known : known + 1])
    if query.family == FREE and "d" in words:
        number = words[words.index("d") + 1 :]
        if "." not in number:
            return ["."] if number else []
        if len(number) - number.index(".") < 3:
            return []
        return [*CLOSE, *_metres(_number(number)), END]
    return _next_object(query, written)


def _inside_object(
    fields: list[str], query: Query, before: _Written, depth: bool, intrinsics: Intrinsics | None
) -> list[str]:
    """Behind `<obj>`: what the numbers so far settle."""
    if not fields:
        return []
    at = {key: fields.index(key) for key in "uvdxy" if key in fields}
    last = max(at, key=lambda key: at[key]) if at else ""
    number = fields[at[last] + 1 :] if at else []
    if last == "":
        return ["u"]
    if last == "u":
        return ["v"] if len(number) == 2 else []
    if last == "v":
        if len(number) < 2:
            return []
        return ["d"] if depth else _closed(fields, query, before)
    if last == "d" and "." not in number:
        return ["."] if number else []
    if last == "d" and len(number) - number.index(".") < 3:
        return []
    # A draft ends behind a number whose last digit is a matter of rounding: what stands behind a
    # wrong token was computed for nothing.
    x, y = _sideways(fields, at, intrinsics)
    if last == "d":
        return ["x", *x, "y"]
    if last == "x":
        return _rest([*x, "y"], number) if len(number) < len(x) else ["y", *y, "</obj>"]
    if len(number) < len(y):
        return [*_rest(y, number), "</obj>"]
    return _closed(fields, query, before)


def _closed(fields: list[str], query: Query, before: _Written) -> list[str]:
    """`</obj>` and what follows it."""
    after = _read(["<obj>", *fields, "</obj>"])
    both = _Written([*before.objects, *after.objects], before.missing)
    return ["</obj>", *_next_object(query, both)]


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


def _answer(query: Query, written: _Written) -> list[str]:
    """The answer that follows from the entries; empty where it has to be read."""
    items, family = written.objects, query.family
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
