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
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from cooper_ros.core.classes import CLASS_NAMES
from cooper_ros.reasoning.chains import ChainObject, answer, format_metres, render_chain, think
from cooper_ros.reasoning.prompts import NANO_DEPTH_TURN, NANO_DIRECT, NANO_SEGMENTATION_TURN

from .device import put

SEES = {"answer": 3, "direct": 1, "depth": 1, "segmentation": 2, "arithmetic": 1}  # prefix blocks
_NUMBER = re.compile(r"\d+\.\d\d")
_PLACE = re.compile(r"[uv] \d\d")


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
    """Weight per token of ``text``: noise-like last digits count less.

    Every digit is one token, so characters map to tokens by encoding the pieces between the marks.
    """
    low: set[int] = {m.end() - 1 for m in _NUMBER.finditer(text)}
    soft = {m.end() - 1 for m in _PLACE.finditer(text)}
    weights: list[float] = []
    start = 0
    for mark in sorted(low | soft):
        weights += [1.0] * (len(encoder.encode(text[start:mark])))
        weights.append(0.3 if mark in low else 0.4)
        start = mark + 1
    weights += [1.0] * len(encoder.encode(text[start:]))
    return weights if len(weights) == len(ids) else [1.0] * len(ids)


class SlotMaker:
    """Builds slots; ``bos`` and ``eos`` enclose every text segment."""

    def __init__(self, encoder: Encoder, bos: int, eos: int) -> None:
        self.encoder, self.bos, self.eos = encoder, bos, eos
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
        """Back-projection and range of an imagined object under the frame's intrinsics."""
        fx, fy, cx, cy = (float(v) for v in intrinsics)
        label = CLASS_NAMES[int(rng.integers(3, len(CLASS_NAMES)))]
        u, v = int(rng.integers(100)), int(rng.integers(100))
        d = math.exp(rng.uniform(math.log(0.3), math.log(7.5)))
        d = round(d, 2)
        x = ((u + 0.5) / 100 * width - 0.5 - cx) / fx * d
        y = ((v + 0.5) / 100 * height - 0.5 - cy) / fy * d
        item = ChainObject(label, u, v, d, x, y)
        chain = render_chain(item)
        cut = chain.index(" x ")
        given = "<think> " + chain[:cut]
        rest = chain[cut + 1 :] + " </think> " + answer(format_metres(item.distance_m))
        assert think(chain) == given + " " + rest.split(" <answer>")[0]
        return self.make("arithmetic", f"how far is the {label} ?", rest, given)


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


def collate(
    slots: Sequence[Slot],
    pad: int,
    frames: Sequence[int],
    sees: Mapping[str, int] = SEES,
) -> SlotBatch:
    """Pad slots to one length. Each prefix block takes one rotary position; ``sees``: how many of
    them each kind sees."""
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
    blocks = torch.tensor([sees[s.kind] for s in slots])
    return SlotBatch(
        put(torch.from_numpy(ids)),
        put(torch.from_numpy(labels)),
        put(torch.from_numpy(weights)),
        blocks[:, None] + torch.arange(length)[None],
        blocks,
        torch.tensor(frames),
        torch.tensor([s.kind == "direct" for s in slots]),
        torch.tensor([s.kind == "answer" for s in slots]),
    )


def collate_by_length(
    slots: Sequence[Slot],
    pad: int,
    per_frame: int,
    parts: int = 3,
    sees: Mapping[str, int] = SEES,
) -> list[SlotBatch]:
    """Slots (row-major by frame) in parts of like length: half of a single batch is padding."""
    order = sorted(range(len(slots)), key=lambda i: len(slots[i].ids))
    size = -(-len(order) // parts)
    chunks = [order[i : i + size] for i in range(0, len(order), size)]
    return [
        collate([slots[i] for i in c], pad, [i // per_frame for i in c], sees) for c in chunks
    ]
