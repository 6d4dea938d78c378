"""The passes of stage 2: maps in the context, question slots behind it, greedy turns."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cooper_ros.model.mot import rope_tables
from cooper_ros.model.packing import MASKED

from .parts import part
from .slots import SlotBatch
from .stage1 import Cache, FramePasses, grid_ids


class AnswerPasses:
    """The passes over maps in the context and over question slots."""

    def __init__(self, passes: FramePasses) -> None:
        self.passes, self.model = passes, passes.model

    def context(self, image: Cache, rows: int, columns: int, latents: Tensor) -> Cache:
        """Append both maps as clean latents (``[2B, N, c]``, depth first) to the picture's cache.

        Depth takes position 1 and sees the picture; segmentation takes position 2 and sees both.
        """
        k, v = image
        frames, past = k.shape[1], k.shape[3]
        n = rows * columns
        depth, segmentation = latents.chunk(2)
        m = self.model.embed(self.passes.prompts.markers).expand(frames, -1, -1)
        ids = grid_ids(rows, columns, self.model.config.max_latent_size).repeat(2)
        gen = self.model.latent_tokens(
            torch.cat([depth, segmentation], 1), torch.zeros(frames), ids
        )
        und = torch.cat([m, m], 1)
        second = torch.cat([torch.zeros(2), torch.ones(2), torch.zeros(n), torch.ones(n)])
        bias = torch.zeros(4 + 2 * n, past + 4 + 2 * n)
        bias[:, past:] = torch.where(second[:, None] < second[None, :], MASKED, 0.0)
        cos, sin = rope_tables(1 + second, self.model.config.head_dim, self.model.config.rope_theta)
        _, _, nk, nv = self.model.language_model.model(
            und, gen, cos[None], sin[None], bias[None, None], k, v
        )
        # put the rows of one map together, so that "the first two blocks" is a slice
        order = torch.cat(
            [
                torch.tensor([0, 1]),
                4 + torch.arange(n),
                torch.tensor([2, 3]),
                4 + n + torch.arange(n),
            ]
        )
        return torch.cat([k, nk[:, :, :, order]], 3), torch.cat([v, nv[:, :, :, order]], 3)

    def read(
        self, cache: Cache, slots: SlotBatch, block: int, hidden: Tensor | None = None
    ) -> Tensor:
        """Understanding states ``[N, T, D]`` of slots behind their frames' cache.

        Args:
            hidden: cache rows that a frame's slots do not see ``[B, P]``.
        """
        k, v = cache
        past, length = k.shape[3], slots.ids.shape[1]
        visible = torch.arange(past)[None] < (slots.sees * block)[:, None]
        if hidden is not None:
            visible = visible & ~(hidden[slots.frames] & slots.maps[:, None])
        bias = torch.zeros(len(slots.ids), 1, length, past + length)
        bias[..., :past] = torch.where(visible, 0.0, MASKED)[:, None, None]
        bias[..., past:] = torch.full((length, length), MASKED).triu(1)
        cos, sin = rope_tables(
            slots.positions, self.model.config.head_dim, self.model.config.rope_theta
        )
        with part("text"):
            states, _, _, _ = self.model.language_model.model(
                self.model.embed(slots.ids),
                None,
                cos,
                sin,
                bias,
                k[:, slots.frames],
                v[:, slots.frames],
            )
        assert states is not None
        return states

    @torch.no_grad()
    def decode(
        self,
        cache: Cache,
        leads: Sequence[Sequence[int]],
        sees: Sequence[int],
        block: int,
        eos: int,
        max_tokens: int = 120,
    ) -> list[list[int]]:
        """Greedy turns behind equal-frame prefixes; ``leads`` end with the text start of the
        turn."""
        k, v = cache
        n, past = len(leads), k.shape[3]
        width = max(len(x) for x in leads)
        # left padding, so that the next token is last in every row
        ids = torch.tensor([[eos] * (width - len(x)) + list(x) for x in leads])
        pad = torch.tensor([width - len(x) for x in leads])
        block_sees = torch.tensor(sees)
        seen = torch.where(torch.arange(past)[None] < (block_sees * block)[:, None], 0.0, MASKED)
        own = torch.where(torch.arange(width)[None] >= pad[:, None], 0.0, MASKED)
        causal = torch.full((width, width), MASKED).triu(1)
        bias = torch.cat(
            [seen[:, None].expand(-1, width, -1), (own[:, None] + causal[None]).clamp(min=MASKED)],
            2,
        )[:, None]
        positions = (block_sees - pad)[:, None] + torch.arange(width)[None]
        out: list[list[int]] = [[] for _ in range(n)]
        done = [False] * n
        keep = torch.cat([seen, own], 1)
        decoder = self.model.language_model.model
        for _ in range(max_tokens):
            cos, sin = rope_tables(
                positions, self.model.config.head_dim, self.model.config.rope_theta
            )
            hidden, _, nk, nv = decoder(self.model.embed(ids), None, cos, sin, bias, k, v)
            k, v = torch.cat([k, nk.to(k.dtype)], 3), torch.cat([v, nv.to(v.dtype)], 3)
            nxt = self.model.logits(hidden[:, -1]).argmax(-1)
            for i, t in enumerate(nxt.tolist()):
                if not done[i]:
                    done[i] = t == eos
                    if not done[i]:
                        out[i].append(t)
            if all(done):
                break
            ids, positions = nxt[:, None], positions[:, -1:] + 1
            keep = torch.cat([keep, torch.zeros(n, 1)], 1)
            bias = keep[:, None, None]
        return out
