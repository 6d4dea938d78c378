"""Stage 2: interleaved reasoning on the model's own and on true maps, all questions behind one
prefix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cooper_ros.model.autoencoder import pack_latents
from cooper_ros.model.mot import rope_tables
from cooper_ros.model.packing import MASKED

from .device import draw, draw_indices, draw_seed, rand
from .frames import FrameBatch, FrameStore, fit, flip, jitter
from .precision import autocast
from .slots import Slot, SlotBatch, SlotMaker, collate_by_length
from .stage1 import Cache, FramePasses, MapStage, grid_ids

# Columns of a frame's object rows, see sim/shards.py
CLASS, U, V, Z, X, Y, RANGE, WIDTH, HEIGHT = 1, 4, 5, 6, 7, 8, 9, 10, 11
POINT = slice(12, 15)


def transform_rows(rows: np.ndarray, mirrored: bool, scale: float, width: int) -> np.ndarray:
    """Object rows of a mirrored and scaled frame."""
    out = rows.copy()
    if mirrored:
        out[:, U] = (width - 1) / width - out[:, U]
        out[:, X] = -out[:, X]
        out[:, POINT.start] = -out[:, POINT.start]
    out[:, [Z, X, Y, RANGE, WIDTH, HEIGHT]] *= scale
    out[:, POINT] *= scale
    return out


ARITHMETIC_SHARES = (1.0, 0.35)
"""Share of frames with a slot of pure arithmetic, in the first and in the second half: until it is
learnt, a depth that was read well becomes a wrong answer; then reading needs the time more."""


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

    def read(self, cache: Cache, slots: SlotBatch, block: int) -> Tensor:
        """Understanding states ``[N, T, D]`` of slots behind their frames' cache."""
        k, v = cache
        past, length = k.shape[3], slots.ids.shape[1]
        visible = torch.arange(past)[None] < (slots.sees * block)[:, None]
        bias = torch.zeros(len(slots.ids), 1, length, past + length)
        bias[..., :past] = torch.where(visible, 0.0, MASKED)[:, None, None]
        bias[..., past:] = torch.full((length, length), MASKED).triu(1)
        cos, sin = rope_tables(
            slots.positions, self.model.config.head_dim, self.model.config.rope_theta
        )
        hidden, _, _, _ = self.model.language_model.model(
            self.model.embed(slots.ids),
            None,
            cos,
            sin,
            bias,
            k[:, slots.frames],
            v[:, slots.frames],
        )
        assert hidden is not None
        return hidden

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


QuestionSource = Callable[[np.ndarray, float, np.random.Generator, int], Sequence[Any]]


class AnswerStage:
    """Cross-entropy on turns; maps from truth or from the model, depth sometimes rescaled with the
    answers.

    Args:
        questions: ``(rows, free space, rng, count) -> questions`` with ``text`` and ``turn``.
        slots_per_frame: questions with maps, besides one direct slot and one more of either kind.
        replay: every ``replay``-th step also trains the maps, so that they do not drift.
    """

    def __init__(
        self,
        maps: MapStage,
        store: FrameStore,
        maker: SlotMaker,
        questions: QuestionSource,
        batch: int = 12,
        slots_per_frame: int = 4,
        replay: int = 3,
        score: Any = None,
    ) -> None:
        self.maps, self.store, self.maker, self.questions = maps, store, maker, questions
        self.model, self.passes = maps.model, AnswerPasses(maps.passes)
        self.batch, self.slots_per_frame, self.replay = batch, slots_per_frame, replay
        self.score = score

    def refresh(self) -> None:
        """Take in new shards."""
        self.store.refresh()

    def next_room(self) -> int:
        """Number of the next room of a stream."""
        return self.store.next_room()

    def frame_slots(
        self,
        rows: np.ndarray,
        free: float,
        intrinsics: Sequence[float],
        size: tuple[int, int],
        rng: np.random.Generator,
        arithmetic: float = ARITHMETIC_SHARES[0],
    ) -> list[Slot]:
        """Slots of one frame: answers, one direct, sometimes arithmetic (always where a frame has
        too few questions); a map request replaces one sometimes."""
        wanted = self.slots_per_frame + 1 + (rng.random() >= arithmetic)
        items = list(self.questions(rows, free, rng, wanted))
        slots: list[Slot] = []
        for i, q in enumerate(items):
            kind = "direct" if i == len(items) - 1 else "answer"
            if i == 0 and rng.random() < 0.3:
                slots.append(
                    self.maker.request("depth" if rng.random() < 0.5 else "segmentation", q.text)
                )
            else:
                slots.append(self.maker.make(kind, q.text, q.turn))
        while len(slots) < self.slots_per_frame + 2:
            slots.append(self.maker.arithmetic(intrinsics, *size, rng))
        return slots

    def context_latents(
        self, b: FrameBatch, own: Tensor, scale: Tensor, g: torch.Generator, predicted: Tensor
    ) -> Tensor:
        """Latents that go into the context: the model's where ``own``, and depth times
        ``scale``."""
        codecs, half = self.maps.codecs, len(b.rgb)
        rows, columns = self.maps.passes.grid(b)
        log, _, true = self.maps.truth(b)
        patch = self.model.config.latent_patch_size
        depth = torch.where(own[:, None, None], predicted[:half], true[:half])
        segmentation = torch.where(own[:, None, None], predicted[half:], true[half:])
        scaled = (scale != 1).nonzero()[:, 0]
        if len(scaled):  # only a rescaled depth must be drawn anew
            with torch.no_grad():
                shown = codecs.read_depth(
                    self.maps.passes.pictures(predicted[:half][scaled], rows, columns).float()
                )
                base = torch.where(own[scaled, None, None], shown, log[scaled])
                base = base + scale[scaled].log()[:, None, None]
                z = self.model.autoencoder.encode(codecs.depth_picture(base)).float()
            depth = depth.index_copy(0, scaled, pack_latents(z, patch))
        return torch.cat([depth, segmentation])

    def loss(
        self, step: int, progress: float, g: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """One batch of frames with their slots."""
        b = self.store.batch(draw_indices(len(self.store), self.batch, g))
        b = fit(b, *self.maps.sizes[-1][1:3])
        if draw(g) < 0.5:
            b = flip(b)
        b.rgb = jitter(b.rgb, g)
        n, height, width = len(b.rgb), b.rgb.shape[-2], b.rgb.shape[-1]
        rng = np.random.default_rng(draw_seed(g))
        own = rand(n, g=g) < 0.6
        scale = torch.where(
            rand(n, g=g) < 0.5,
            (rand(n, g=g) - 0.5).exp(),
            torch.ones(n),
        )
        free_space = self.store.rooms_free_space(b.index)
        scales, intrinsics = scale.tolist(), b.intrinsics.tolist()
        slots: list[Slot] = []
        for i in range(n):
            frame, s = int(b.index[i]), scales[i]
            rows = transform_rows(self.store.frame_objects[frame], b.flipped, s, width)
            free = free_space[i] * s
            slots += self.frame_slots(
                rows, free, intrinsics[i], (width, height), rng, ARITHMETIC_SHARES[progress >= 0.5]
            )
        parts = collate_by_length(slots, self.maker.eos, len(slots) // n)
        rows_n, columns = self.maps.passes.grid(b)
        figures: dict[str, float] = {}
        total = torch.zeros(())
        with autocast():
            cache = self.maps.passes.see(b)
            if self.replay and step % self.replay == 0:
                keep = self.maps.noisy
                self.maps.noisy = 0.0
                total, figures, predicted = self.maps.map_losses(b, cache, g)
                self.maps.noisy = keep
            else:
                with torch.no_grad():
                    predicted = self.maps.passes.generate(cache, rows_n, columns)
            latents = self.context_latents(b, own, scale, g, predicted.float())
            full = self.passes.context(cache, rows_n, columns, latents)
            text = self.text_loss(full, parts, rows_n * columns + 2, scale)
        return text + total, {
            "samples": n,
            "text": float(text.detach()),
            **{"map_" + k: v for k, v in figures.items()},
        }

    def text_loss(
        self, cache: Cache, parts: Sequence[SlotBatch], block: int, scale: Tensor
    ) -> Tensor:
        """Mean cross-entropy of all trained tokens of the slots."""
        total = weights = torch.zeros(())
        for part in parts:
            hidden = self.passes.read(cache, part, block)
            # Direct slots see a picture that contradicts a rescaled depth map: train them on true
            # scale only.
            blind = part.direct & (scale[part.frames] != 1)
            weight = torch.where(blind[:, None], 0.0, part.weights)
            trained = weight > 0
            logits = self.model.logits(hidden[trained]).float()
            ce = F.cross_entropy(logits, part.labels[trained], reduction="none")
            total = total + (ce * weight[trained]).sum()
            weights = weights + weight[trained].sum()
        return total / weights.clamp(min=1e-6)

    def evaluate(self) -> dict[str, float]:
        """Map metrics and, where a scorer was given, answers on the validation frames."""
        figures = self.maps.evaluate()
        if self.score is not None:
            figures.update(self.score(self))
        return figures
