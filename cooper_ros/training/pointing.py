"""Pointing loss: the word that names a place looks at the object whose place it is.

A small model that reads maps learns *where* last: with true maps in the context, v2's written
places lay beside the object in three of four answers. In training alone, one attention head of one
layer is pulled, at the tokens before a place or a depth is written, to the cells of that object.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.models.qwen2.modeling_qwen2 import apply_rotary_pos_emb

from cooper_ros.core.classes import CLASS_NAMES
from cooper_ros.sim.truth import COLUMNS

OPENERS = ("u", "d")
"""Words behind which the next number is read at the object."""

CLASS, INSTANCE, U, V = (COLUMNS.index(n) for n in ("class_id", "instance", "u", "v"))
NEAREST = 0.03
"""Largest distance (share of the picture) of a written place from its object in the table."""


@dataclass(frozen=True)
class Point:
    """A token of a slot and the object that it should look at (row of the frame's table)."""

    token: int
    row: int


class PointFinder:
    """Finds the tokens of a slot that name a place.

    Args:
        encode: text to ids, one word each for the words of a chain and for digits.
    """

    def __init__(self, encode: Any) -> None:
        def word(text: str) -> int:
            (found,) = encode(text)
            return int(found)

        self.start, self.end = word("<obj>"), word("</obj>")
        self.openers = {word(name) for name in OPENERS}
        self.u, self.v = word("u"), word("v")
        self.digits = {word(str(k)): k for k in range(10)}
        self.names = {word(name): k for k, name in enumerate(CLASS_NAMES)}

    def find(self, ids: Sequence[int], rows: np.ndarray) -> list[Point]:
        """Points of a slot's ids; `rows`: the frame's object table."""
        points: list[Point] = []
        for start in (i for i, t in enumerate(ids) if t == self.start):
            end = next((i for i in range(start, len(ids)) if ids[i] == self.end), len(ids))
            inside = list(ids[start:end])
            row = self._row(inside, rows)
            if row is not None:
                points += [Point(start + i, row) for i, t in enumerate(inside) if t in self.openers]
        return points

    def _row(self, inside: Sequence[int], rows: np.ndarray) -> int | None:
        label = self.names.get(inside[1]) if len(inside) > 1 else None
        place = [self._percent(inside, word) for word in (self.u, self.v)]
        if label is None or None in place or not len(rows):
            return None
        written = (np.array(place, float) + 0.5) / 100
        gap = np.abs(rows[:, [U, V]] - written).max(1)
        gap[rows[:, CLASS] != label] = np.inf
        best = int(gap.argmin())
        return best if gap[best] < NEAREST else None

    def _percent(self, inside: Sequence[int], word: int) -> int | None:
        if word not in inside:
            return None
        at = list(inside).index(word)
        digits = [self.digits.get(t) for t in inside[at + 1 : at + 3]]
        if len(digits) < 2 or None in digits:
            return None
        return 10 * int(digits[0] or 0) + int(digits[1] or 0)


def cells_of(masks: Tensor, cell: int) -> Tensor:
    """Object masks ``[M, h, w]`` to the share of each cell ``[M, N]``, adding up to 1 (0 where a
    mask is empty)."""
    share = F.avg_pool2d(masks.float()[:, None], cell).flatten(1)
    return share / share.sum(1, keepdim=True).clamp(min=1e-6)


class PointingHead:
    """Attention of one head of one layer while a pass runs.

    Args:
        layer: a ``MoTLayer`` of the decoder; ``head``: query head (default: the last).
    """

    def __init__(self, layer: Any, head: int = -1) -> None:
        self.attention = layer.self_attn
        self.head = head % self.attention.heads
        self.inputs: tuple[Any, ...] = ()

    def __enter__(self) -> PointingHead:
        self.handle = self.attention.register_forward_pre_hook(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self.handle.remove()
        self.inputs = ()

    def _note(self, _: Any, inputs: tuple[Any, ...]) -> None:
        self.inputs = inputs

    def log_attention(self, slots: Tensor, tokens: Tensor) -> Tensor:
        """Log attention ``[M, P + T]`` of M tokens of the noted pass (understanding tokens behind
        a cache): row ``slots`` of the batch, token ``tokens`` of the row."""
        und, _, cos, sin, bias, past_k, _ = self.inputs
        a, e = self.attention, self.attention.head_dim
        group = self.head // (a.heads // a.kv_heads)
        q, k, _ = a._project(und, "")
        q, k = apply_rotary_pos_emb(q, k, cos.to(q.dtype), sin.to(q.dtype))
        q = q[slots, self.head, tokens].float() * e**-0.5
        k = torch.cat([past_k[:, group].to(k.dtype), k[:, group]], 1)[slots].float()
        seen = bias.expand(len(und), -1, und.shape[1], -1)[slots, 0, tokens]
        return torch.log_softmax(torch.einsum("me,mte->mt", q, k) + seen, -1)


def pointing_loss(log_attention: Tensor, target: Tensor, first: int) -> Tensor:
    """Cross-entropy of the attention against cells ``[M, N]`` that stand at keys ``first ...``.

    Empty targets take no part.
    """
    n = target.shape[1]
    present = target.sum(1) > 0
    error = -(target * log_attention[:, first : first + n]).sum(1)
    # a target spread over several cells cannot be met below its own entropy
    floor = -(target * target.clamp(min=1e-9).log()).sum(1)
    return ((error - floor) * present).sum() / present.sum().clamp(min=1)
