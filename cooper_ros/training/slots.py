"""Question slots: token ids, loss weights and visibility of what stage 2 trains on one frame.

A slot is one question with one turn of the model. Kinds:

* ``answer``: sees picture, depth and segmentation; writes the chain and the answer.
* ``direct``: sees the picture only, after the mode word.
* ``depth``, ``segmentation``: the turns that ask for the maps (they see what exists at that point).
* ``arithmetic``: place and depth of an imagined object are given; only what follows from them is
trained.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cooper_ros.core.classes import CLASS_NAMES
from cooper_ros.reasoning.chains import (
    ABSENT,
    SEEN,
    ChainObject,
    answer,
    edge_length,
    format_metres,
    render_chain,
    think,
)
from cooper_ros.reasoning.phrasings import render_question
from cooper_ros.reasoning.prompts import NANO_DEPTH_TURN, NANO_DIRECT, NANO_SEGMENTATION_TURN

from .device import put

SEES = {"answer": 3, "direct": 1, "depth": 1, "segmentation": 2, "arithmetic": 1}  # prefix blocks
_NUMBER = re.compile(r"\d+\.\d\d")
_PLACE = re.compile(r"\b[uvlrtb] \d\d")
_SEEING = re.compile(rf"\b(?:{SEEN}|{ABSENT})\b")
SEEING_WEIGHT = 5.0
"""Weight of `seen` and `absent`: one token of thirty settles the answer."""
SIZE_SHARE = 0.3
"""Share of arithmetic about widths and heights, from version 2 of the grammar on."""


class Encoder(Protocol):
    """Text to ids."""

    def encode(self, text: str) -> Sequence[int]:
        """Ids of a text, nothing added."""


@dataclass
class Slot:
    """Ids of the slot's text, and per id the weight of predicting the next one."""

    kind: str
    ids: list[int]
    weights: list[float]


def digit_weights(text: str, ids: Sequence[int], encoder: Encoder) -> list[float]:
    """Weight per token of ``text``: noise-like last digits count less, `seen` and `absent` more.

    Every digit is one token, so characters map to tokens by encoding the pieces between the marks.
    """
    marks = {m.end() - 1: (m.end(), 0.4) for m in _PLACE.finditer(text)}
    marks |= {m.end() - 1: (m.end(), 0.3) for m in _NUMBER.finditer(text)}
    marks |= {m.start(): (m.end(), SEEING_WEIGHT) for m in _SEEING.finditer(text)}
    weights: list[float] = []
    start = 0
    for mark, (end, weight) in sorted(marks.items()):
        weights += [1.0] * (len(encoder.encode(text[start:mark])))
        weights.append(weight)
        start = end
    weights += [1.0] * len(encoder.encode(text[start:]))
    return weights if len(weights) == len(ids) else [1.0] * len(ids)


class SlotMaker:
    """Builds slots; ``bos`` and ``eos`` enclose every text segment, ``grammar`` is the version of
    the reasoning text."""

    def __init__(self, encoder: Encoder, bos: int, eos: int, grammar: int = 1) -> None:
        self.encoder, self.bos, self.eos, self.grammar = encoder, bos, eos, grammar
        self.mode = [bos, *encoder.encode(NANO_DIRECT), eos]

    def make(self, kind: str, question: str, turn: str, given: str = "") -> Slot:
        """A slot whose turn is ``given`` (not trained) followed by ``turn``."""
        lead = self.mode if kind == "direct" else []
        lead = [*lead, self.bos, *self.encoder.encode(question), self.eos]
        known = self.encoder.encode(given) if given else []
        body = list(self.encoder.encode(turn))
        weights = digit_weights(turn, body, self.encoder)
        ids = [*lead, self.bos, *known, *body, self.eos]
        # position i predicts id i+1; the last id predicts nothing
        w = [0.0] * (len(lead) + len(known)) + weights + [1.0, 0.0]
        return Slot(kind, ids, w)

    def request(self, kind: str, question: str) -> Slot:
        """The turn that asks for a map."""
        return self.make(
            kind, question, NANO_DEPTH_TURN if kind == "depth" else NANO_SEGMENTATION_TURN
        )

    def arithmetic(
        self, intrinsics: Sequence[float], width: int, height: int, rng: np.random.Generator
    ) -> Slot:
        """Back-projection and range of an imagined object under the frame's intrinsics, or its
        width or height between given edges."""
        if self.grammar > 1 and rng.random() < SIZE_SHARE:
            return self._size(intrinsics, width, height, rng)
        item = _imagined(intrinsics, width, height, rng)
        question = f"how far is the {item.label} ?"
        return self._exercise(item, question, " x ", item.distance_m)

    def _size(
        self, intrinsics: Sequence[float], width: int, height: int, rng: np.random.Generator
    ) -> Slot:
        item = _imagined(intrinsics, width, height, rng)
        left, right, top, bottom = (
            edge for middle in (item.u, item.v) for edge in _around(middle, rng)
        )
        item = replace(item, edges=(left, right, top, bottom))
        fx, fy = (float(v) for v in intrinsics[:2])
        if rng.random() < 0.5:
            family, size = "width", edge_length(left, right, width, fx, item.d_m)
        else:
            family, size = "height", edge_length(top, bottom, height, fy, item.d_m)
        return self._exercise(item, render_question(family, [item.label]), " </obj>", size)

    def _exercise(self, item: ChainObject, question: str, cut: str, result: float) -> Slot:
        """A turn of which all before ``cut`` is given and what follows from it is trained."""
        lead = f"{SEEN} " if self.grammar > 1 else ""
        chain = lead + render_chain(item)
        at = chain.index(cut)
        given = "<think> " + chain[:at]
        rest = chain[at + 1 :] + " </think> " + answer(format_metres(result))
        assert think(chain) == given + " " + rest.split(" <answer>")[0]
        return self.make("arithmetic", question, rest, given)


def _imagined(
    intrinsics: Sequence[float], width: int, height: int, rng: np.random.Generator
) -> ChainObject:
    """An object anywhere in the picture."""
    fx, fy, cx, cy = (float(v) for v in intrinsics)
    label = CLASS_NAMES[int(rng.integers(3, len(CLASS_NAMES)))]
    u, v = int(rng.integers(100)), int(rng.integers(100))
    d = math.exp(rng.uniform(math.log(0.3), math.log(7.5)))
    d = round(d, 2)
    x = ((u + 0.5) / 100 * width - 0.5 - cx) / fx * d
    y = ((v + 0.5) / 100 * height - 0.5 - cy) / fy * d
    return ChainObject(label, u, v, d, x, y)


def _around(middle: int, rng: np.random.Generator) -> tuple[int, int]:
    """Two edges in percent with a middle between them, small things more often than large ones."""
    half = math.exp(rng.uniform(math.log(1.5), math.log(40.0)))
    return max(0, math.floor(middle - half)), min(99, math.floor(middle + half))


@dataclass
class SlotBatch:
    """Padded slots of some frames.

    ids ``[N, T]``, labels ``[N, T]``, weights ``[N, T]``, positions ``[N, T]``, sees ``[N]``
    (number of prefix blocks visible), frames ``[N]`` (index of the slot's frame in its batch),
    direct ``[N]`` (answered from the picture alone), maps ``[N]`` (sees drawn maps).
    """

    ids: Tensor
    labels: Tensor
    weights: Tensor
    positions: Tensor
    sees: Tensor
    frames: Tensor
    direct: Tensor
    maps: Tensor


@dataclass(frozen=True)
class SlotArrays:
    """A `SlotBatch` on the host, without positions: ids i64[N,T], labels i64[N,T], weights
    f32[N,T], sees, frames i64[N], direct, maps bool[N]."""

    ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    weights: NDArray[np.float32]
    sees: NDArray[np.int64]
    frames: NDArray[np.int64]
    direct: NDArray[np.bool_]
    maps: NDArray[np.bool_]

    def batch(self) -> SlotBatch:
        """On the device that computes. Each prefix block takes one rotary position."""
        moved = [put(torch.from_numpy(getattr(self, f.name))) for f in fields(self)]
        ids, labels, weights, sees, frames, direct, maps = moved
        positions = sees[:, None] + torch.arange(ids.shape[1])[None]
        return SlotBatch(ids, labels, weights, positions, sees, frames, direct, maps)


def padded(
    slots: Sequence[Slot], pad: int, frames: Sequence[int], sees: Mapping[str, int] = SEES
) -> SlotArrays:
    """Slots padded to one length; ``sees``: how many prefix blocks each kind sees."""
    length = max(len(s.ids) for s in slots)
    n = len(slots)
    ids = np.full((n, length), pad, np.int64)
    labels = np.full((n, length), pad, np.int64)
    weights = np.zeros((n, length), np.float32)
    for i, s in enumerate(slots):
        k = len(s.ids)
        ids[i, :k] = s.ids
        labels[i, : k - 1] = ids[i, 1:k]
        weights[i, :k] = s.weights
    return SlotArrays(
        ids,
        labels,
        weights,
        np.array([sees[s.kind] for s in slots], np.int64),
        np.array(frames, np.int64),
        np.array([s.kind == "direct" for s in slots]),
        np.array([s.kind == "answer" for s in slots]),
    )


def collate(
    slots: Sequence[Slot], pad: int, frames: Sequence[int], sees: Mapping[str, int] = SEES
) -> SlotBatch:
    """Pad slots to one length, on the device that computes."""
    return padded(slots, pad, frames, sees).batch()


def arrays_by_length(
    slots: Sequence[Slot],
    pad: int,
    per_frame: int,
    parts: int = 3,
    sees: Mapping[str, int] = SEES,
) -> list[SlotArrays]:
    """Slots (row-major by frame) in parts of like length: half of a single batch is padding."""
    order = sorted(range(len(slots)), key=lambda i: len(slots[i].ids))
    size = -(-len(order) // parts)
    chunks = [order[i : i + size] for i in range(0, len(order), size)]
    return [padded([slots[i] for i in c], pad, [i // per_frame for i in c], sees) for c in chunks]
