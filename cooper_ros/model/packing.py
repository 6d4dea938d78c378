"""Packed sequences: segments of text, vision and latent tokens, their positions and who sees whom.

A :class:`Layout` is built once and describes every sample of a batch that has the same shape. It
serves
the official packed forward (several samples in one row) and nano's batched frames (one frame per
row) alike.
Token order in the model is "understanding first, generation second"; the layout keeps the joint
order of the
sequence and the permutation between the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from .modeling import CooperModel
from .mot import rope_tables

MASKED = -30000.0  # additive mask value; representable in float16


@dataclass(frozen=True)
class Segment:
    """One run of tokens.

    Attributes:
        kind: ``text``, ``vision`` or ``latent``; the last two are enclosed in two marker tokens
        that are
            text tokens to the model and are counted in ``length``.
        start, length: place in the joint sequence.
        mode: ``causal``, ``full`` (bidirectional inside, seen by what follows) or ``noise``
            (bidirectional inside, seen by nobody else).
        sample: samples never see each other. branch, sees: a segment sees earlier segments of its
        own
            branch and of the branches it names.
        position: rotary position of the first token.
    """

    kind: str
    start: int
    length: int
    mode: str
    sample: int
    branch: int
    sees: frozenset[int]
    position: int


@dataclass
class Layout:
    """Sequence under construction; see :meth:`text`, :meth:`picture`."""

    segments: list[Segment] = field(default_factory=list)
    length: int = 0
    sample: int = 0

    def _add(
        self, kind: str, length: int, mode: str, branch: int, sees: Sequence[int], position: int
    ) -> Segment:
        s = Segment(
            kind,
            self.length,
            length,
            mode,
            self.sample,
            branch,
            frozenset(sees) | {branch},
            position,
        )
        self.segments.append(s)
        self.length += length
        return s

    def next_sample(self) -> None:
        """Start another sample in the same row."""
        self.sample += 1

    def text(
        self, length: int, position: int, branch: int = 0, sees: Sequence[int] = ()
    ) -> Segment:
        """``length`` text tokens (start and end included); positions advance by one each."""
        return self._add("text", length, "causal", branch, sees, position)

    def picture(
        self,
        kind: str,
        tokens: int,
        position: int,
        noisy: bool = False,
        branch: int = 0,
        sees: Sequence[int] = (),
    ) -> Segment:
        """``tokens`` vision or latent tokens plus two markers, all at one position."""
        return self._add(kind, tokens + 2, "noise" if noisy else "full", branch, sees, position)

    # --- what the model needs
    # ------------------------------------------------------------------------

    def positions(self) -> Tensor:
        """Rotary positions ``[N]`` in joint order."""
        out = torch.zeros(self.length, dtype=torch.long)
        for s in self.segments:
            span = (
                torch.arange(s.length)
                if s.kind == "text"
                else torch.zeros(s.length, dtype=torch.long)
            )
            out[s.start : s.start + s.length] = s.position + span
        return out

    def indexes(self, kind: str) -> Tensor:
        """Joint places of text tokens (markers included), vision tokens or latent tokens."""
        out: list[int] = []
        for s in self.segments:
            inner = range(s.start + 1, s.start + s.length - 1)
            if s.kind == "text":
                out += range(s.start, s.start + s.length) if kind == "text" else ()
            elif kind == "text":
                out += (s.start, s.start + s.length - 1)
            elif s.kind == kind:
                out += inner
        return torch.tensor(out, dtype=torch.long)

    def visibility(self) -> Tensor:
        """Boolean mask ``[N, N]`` (query, key) in joint order.

        Same sample, and the key's branch is one the query sees, and the key is not in another noisy
        segment, and (causal or same full or noisy segment).
        """
        seg = torch.zeros(self.length, dtype=torch.long)
        for i, s in enumerate(self.segments):
            seg[s.start : s.start + s.length] = i
        n = len(self.segments)
        allowed = torch.zeros(n, n, dtype=torch.bool)
        for i, q in enumerate(self.segments):
            for j, k in enumerate(self.segments):
                allowed[i, j] = (
                    q.sample == k.sample and k.branch in q.sees and (k.mode != "noise" or i == j)
                )
        place = torch.arange(self.length)
        causal = place[:, None] >= place[None, :]
        bidirectional = torch.tensor([s.mode != "causal" for s in self.segments])
        same = (seg[:, None] == seg[None, :]) & bidirectional[seg][:, None]
        return allowed[seg][:, seg] & (causal | same)


@dataclass(frozen=True)
class CompiledLayout:
    """A layout in the model's order (understanding group first), with its mask and rotary tables.

    ``text``, ``vision`` are places inside the understanding group, ``latent`` places inside the
    generation
    group; ``order`` maps model order to joint order.
    """

    text: Tensor
    vision: Tensor
    und_count: int
    gen_count: int
    order: Tensor
    positions: Tensor
    bias: Tensor
    cos: Tensor
    sin: Tensor
    segments: tuple[Segment, ...]

    def und_place(self, joint: Tensor) -> Tensor:
        """Places inside the understanding group of joint places."""
        inverse = torch.full((int(self.order.numel()),), -1, dtype=torch.long)
        inverse[self.order] = torch.arange(self.order.numel())
        return inverse[joint]

    def gen_place(self, joint: Tensor) -> Tensor:
        """Places inside the generation group of joint places."""
        return self.und_place(joint) - self.und_count


def compile_layout(
    layout: Layout, head_dim: int, theta: float, device: str = "cpu"
) -> CompiledLayout:
    """Permute a layout into model order and build its mask and rotary tables (float32)."""
    text, vision = layout.indexes("text"), layout.indexes("vision")
    und = torch.cat([text, vision]).sort().values
    gen = layout.indexes("latent")
    order = torch.cat([und, gen])
    place = torch.full((layout.length,), -1, dtype=torch.long)
    place[und] = torch.arange(len(und))
    positions = layout.positions()[order]
    visible = layout.visibility()[order][:, order]
    bias = torch.where(visible, 0.0, MASKED)[None, None]
    cos, sin = rope_tables(positions, head_dim, theta)
    return CompiledLayout(
        place[text].to(device),
        place[vision].to(device),
        len(und),
        len(gen),
        order,
        positions,
        bias.to(device),
        cos[None].to(device),
        sin[None].to(device),
        tuple(layout.segments),
    )


def packed_forward(
    model: CooperModel,
    layout: CompiledLayout,
    text_ids: Tensor,
    vision: Tensor | None,
    latents: Tensor | None,
    times: Tensor | None,
    latent_position_ids: Tensor | None,
) -> tuple[Tensor, Tensor | None]:
    """The training forward.

    Args:
        text_ids: ``[B, T]`` ids at ``layout.text``. vision: tokens ``[B, V, D]`` at
        ``layout.vision``.
        latents: noised latent tokens ``[B, M, c]``. times: ``[B, M]``, 0 for clean ones.
        latent_position_ids: ``[M]``.

    Returns:
        normed understanding states ``[B, U, D]`` (feed to ``model.logits``) and velocities ``[B,
        M, c]``.
    """
    emb = model.embed(text_ids)
    und = emb.new_zeros(emb.shape[0], layout.und_count, emb.shape[-1])
    und = und.index_copy(1, layout.text, emb)
    if vision is not None:
        und = und.index_copy(1, layout.vision, vision.to(und.dtype))
    gen = None
    if latents is not None and times is not None and latent_position_ids is not None:
        gen = model.latent_tokens(latents, times, latent_position_ids)
    h_und, h_gen, _, _ = model.language_model.model(und, gen, layout.cos, layout.sin, layout.bias)
    return h_und, None if h_gen is None else model.velocity(h_gen)


def noised(data: Tensor, noise: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
    """Rectified flow: ``x_t = (1 - t) data + t noise`` and the velocity ``noise - data``.

    ``times`` broadcast over the last axis (``[B, N]`` for ``[B, N, c]``).
    """
    t = times[..., None]
    return (1 - t) * data + t * noise, noise - data


def training_losses(
    hidden: Tensor,
    velocity: Tensor,
    model: CooperModel,
    ce_places: Tensor,
    labels: Tensor,
    target: Tensor,
    noisy_places: Tensor,
) -> tuple[Tensor, Tensor]:
    """Official losses, elementwise: cross-entropy per label ``[..]`` and squared velocity error.

    ``ce_places`` are places inside the understanding group whose state predicts ``labels``;
    ``noisy_places`` select latent tokens with t > 0.
    """
    logits = model.logits(hidden[:, ce_places])
    ce = F.cross_entropy(logits.flatten(0, 1).float(), labels.flatten(), reduction="none")
    mse = (velocity[:, noisy_places] - target[:, noisy_places]).float() ** 2
    return ce, mse


def shifted_time(logit: Tensor, shift: float) -> Tensor:
    """Training time: ``t = sigmoid(logit)``, then ``s t / (1 + (s - 1) t)``."""
    t = torch.sigmoid(logit)
    return shift * t / (1 + (shift - 1) * t)
