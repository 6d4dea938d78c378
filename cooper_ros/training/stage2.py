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
from cooper_ros.runtime.fused import FusedSettings

from .answer_passes import AnswerPasses
from .device import draw, draw_indices, draw_seed, rand
from .frames import FrameBatch, FrameStore, fit, flip, jitter
from .fused import fused_context, fused_features, one_hot
from .maps import every
from .parts import part
from .pointing import PointFinder, PointingHead, cells_of, pointing_loss
from .precision import autocast
from .slots import SEES, Slot, SlotBatch, SlotMaker, collate_by_length
from .stage1 import Cache, MapStage

# Columns of a frame's object rows, see sim/shards.py
CLASS, INSTANCE, U, V, Z, X, Y, RANGE, WIDTH, HEIGHT = 1, 2, 4, 5, 6, 7, 8, 9, 10, 11
POINT = slice(12, 15)
LEFT, RIGHT = 15, 17


def transform_rows(rows: np.ndarray, mirrored: bool, scale: float, width: int) -> np.ndarray:
    """Object rows of a mirrored and scaled frame."""
    out = rows.copy()
    if mirrored:
        out[:, U] = (width - 1) / width - out[:, U]
        out[:, [LEFT, RIGHT]] = (width - 1) / width - out[:, [RIGHT, LEFT]]
        out[:, X] = -out[:, X]
        out[:, POINT.start] = -out[:, POINT.start]
    out[:, [Z, X, Y, RANGE, WIDTH, HEIGHT]] *= scale
    out[:, POINT] *= scale
    return out


SEGMENTATION_MISSING = 0.08
"""Share of frames whose fused context holds the depth alone: the turn that asks for classes."""

FUSED_SEES = {"answer": 2, "direct": 1, "depth": 1, "segmentation": 2, "arithmetic": 1}
"""Prefix blocks that each kind of slot sees where the maps are one block."""

POINTING_LAYER = 2
"""Layer of the head that points: early enough for the layers behind it to read what it found."""

ARITHMETIC_SHARES = (1.0, 0.35)
"""Share of frames with a slot of pure arithmetic, in the first and in the second half: until it is
learnt, a depth that was read well becomes a wrong answer; then reading needs the time more."""


QuestionSource = Callable[[np.ndarray, float, np.random.Generator, int], Sequence[Any]]


class AnswerStage:
    """Cross-entropy on turns; maps from truth or from the model, depth sometimes rescaled with the
    answers.

    Args:
        questions: ``(rows, free space, rng, count) -> questions`` with ``text`` and ``turn``.
        slots_per_frame: questions with maps, besides one direct slot and one more of either kind.
        replay: every ``replay``-th step also trains the maps, so that they do not drift.
        fused: how drawn maps enter the context as cells; None: as latents.
        pointing: weight of the pointing loss, 0 without.
        apart: part of the budget in which the text loss does not reach the picture's states.
        dropout: share of frames of whose picture the answers see only a part.
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
        fused: FusedSettings | None = None,
        pointing: float = 0.0,
        apart: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        self.maps, self.store, self.maker, self.questions = maps, store, maker, questions
        self.model, self.passes = maps.model, AnswerPasses(maps.passes)
        self.batch, self.slots_per_frame, self.replay = batch, slots_per_frame, replay
        self.score, self.fused = score, fused
        self.apart, self.dropout, self.pointing = apart, dropout, pointing
        self.sees = FUSED_SEES if fused is not None else SEES
        self.finder = PointFinder(maker.encoder.encode)

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
        segmentation_missing: bool = False,
    ) -> list[Slot]:
        """Slots of one frame: answers, one direct, sometimes arithmetic (always where a frame has
        too few questions); a map request replaces one sometimes. Where the segmentation was not
        drawn yet, every slot with maps asks for it."""
        wanted = self.slots_per_frame + 1 + (rng.random() >= arithmetic)
        items = list(self.questions(rows, free, rng, wanted))
        slots: list[Slot] = []
        for i, q in enumerate(items):
            kind = "direct" if i == len(items) - 1 else "answer"
            if segmentation_missing and kind == "answer":
                slots.append(self.maker.request("segmentation", q.text))
            elif self.fused is not None and i == 0 and rng.random() < 0.15:
                slots.append(self.maker.request("depth", q.text))
            elif self.fused is None and i == 0 and rng.random() < 0.3:
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

    def frame_features(
        self, b: FrameBatch, own: Tensor, scale: Tensor, predicted: Tensor, missing: Tensor
    ) -> Tensor:
        """Features of the maps' cells ``[B, N, F]``: the model's own maps where ``own``, else true
        ones; depth times ``scale``; no classes where the segmentation is ``missing``."""
        assert self.fused is not None
        codecs, half = self.maps.codecs, len(b.rgb)
        rows, columns = self.maps.passes.grid(b)
        log, classes = self.maps.passes.small(b, codecs)
        with torch.no_grad():
            deep, segments = self.maps.passes.coarse(predicted, rows, columns).chunk(2)
            drawn = codecs.read_depth(self.model.autoencoder.picture(deep).float())
            named = self.maps.passes.class_logits(segments, codecs).argmax(1)
        log = torch.where(own[:, None, None], drawn[:half], log) + scale.log()[:, None, None]
        classes = torch.where(own[:, None, None], named, classes)
        shares = one_hot(classes, self.fused.classes)
        shares = shares * (~missing)[:, None, None, None]
        return fused_features(self.fused, log, shares)

    def hidden_rows(self, count: int, past: int, block: int, g: torch.Generator) -> Tensor | None:
        """Picture tokens that the answers of a frame do not see ``[B, P]``: of some frames a
        random share, from none to all, so that the maps have to carry the answer."""
        if not self.dropout:
            return None
        chosen = rand(count, g=g) < self.dropout
        share = torch.where(chosen, rand(count, g=g), torch.zeros(count))
        hidden = rand(count, past, g=g) < share[:, None]
        hidden[:, block - 1 :] = False  # the end marker and all maps stay
        hidden[:, 0] = False
        return hidden

    def loss(
        self, step: int, progress: float, g: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """One batch of frames with their slots."""
        with part("data"):
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
        missing = torch.zeros(n, dtype=torch.bool)
        if self.fused is not None:
            missing = rand(n, g=g) < SEGMENTATION_MISSING
        free_space = self.store.rooms_free_space(b.index)
        scales, intrinsics = scale.tolist(), b.intrinsics.tolist()
        slots: list[Slot] = []
        tables: list[np.ndarray] = []
        for i, lacks in enumerate(missing.tolist()):
            frame, s = int(b.index[i]), scales[i]
            rows = transform_rows(self.store.frame_objects[frame], b.flipped, s, width)
            free = free_space[i] * s
            tables.append(rows)
            slots += self.frame_slots(
                rows, free, intrinsics[i], (width, height), rng,
                ARITHMETIC_SHARES[progress >= 0.5], lacks,
            )  # fmt: skip
        parts = collate_by_length(slots, self.maker.eos, len(slots) // n, sees=self.sees)
        rows_n, columns = self.maps.passes.grid(b)
        block = rows_n * columns + 2
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
            if progress < self.apart:
                cache = (cache[0].detach(), cache[1].detach())
            full = self.context(b, cache, own, scale, missing, predicted.float(), g)
            hidden = self.hidden_rows(n, full[0].shape[3], block, g)
            text, more = self.text_loss(full, parts, block, scale, hidden, b, tables)
        return text + total, {
            "samples": n,
            **more,
            **{"map_" + k: v for k, v in figures.items()},
        }

    def context(
        self,
        b: FrameBatch,
        cache: Cache,
        own: Tensor,
        scale: Tensor,
        missing: Tensor,
        predicted: Tensor,
        g: torch.Generator,
    ) -> Cache:
        """The picture's cache with the maps behind it."""
        rows, columns = self.maps.passes.grid(b)
        if self.fused is None:
            latents = self.context_latents(b, own, scale, g, predicted)
            return self.passes.context(cache, rows, columns, latents)
        features = self.frame_features(b, own, scale, predicted, missing)
        return fused_context(self.maps.passes, cache, features, rows, columns)

    def text_loss(
        self,
        cache: Cache,
        parts: Sequence[SlotBatch],
        block: int,
        scale: Tensor,
        hidden: Tensor | None = None,
        b: FrameBatch | None = None,
        tables: Sequence[np.ndarray] = (),
    ) -> tuple[Tensor, dict[str, float]]:
        """Mean cross-entropy of all trained tokens of the slots, with the pointing loss; figures.

        `b` and the object `tables` of its frames are what the pointing loss needs.
        """
        total = weights = torch.zeros(())
        pointed: list[Tensor] = []
        layers: Any = self.model.language_model.model.layers
        for slots in parts:
            with PointingHead(layers[POINTING_LAYER % len(layers)]) as head:
                states = self.passes.read(cache, slots, block, hidden)
                if self.pointing and self.fused is not None and b is not None:
                    pointed += self._pointing(head, slots, b, tables, block)
            # Direct slots see a picture that contradicts a rescaled depth map: train them on true
            # scale only.
            blind = slots.direct & (scale[slots.frames] != 1)
            weight = torch.where(blind[:, None], 0.0, slots.weights)
            trained = weight > 0
            logits = self.model.logits(states[trained]).float()
            ce = F.cross_entropy(logits, slots.labels[trained], reduction="none")
            total = total + (ce * weight[trained]).sum()
            weights = weights + weight[trained].sum()
        text = total / weights.clamp(min=1e-6)
        figures = {"text": float(text.detach())}
        if pointed:
            point = torch.stack(pointed).mean()
            figures["pointing"] = float(point.detach())
            text = text + self.pointing * point
        return text, figures

    def _pointing(
        self,
        head: PointingHead,
        slots: SlotBatch,
        b: FrameBatch,
        tables: Sequence[np.ndarray],
        block: int,
    ) -> list[Tensor]:
        """Pointing loss of one part, as a list of none or one."""
        found: list[tuple[int, int, int, int]] = []
        for at, frame in enumerate(slots.frames.tolist()):
            if bool(slots.maps[at]):
                points = self.finder.find(slots.ids[at].tolist(), tables[frame])
                found += [(at, point.token, frame, point.row) for point in points]
        if not found:
            return []
        rows, tokens, frames, _ = (torch.tensor(column) for column in zip(*found, strict=True))
        factor = self.maps.passes.factor
        instances = every(b.instances, factor)[frames].long()
        classes = every(b.classes, factor)[frames]
        of = [tables[frame][row] for _, _, frame, row in found]
        wanted = torch.tensor([[int(row[INSTANCE]), int(row[CLASS])] for row in of])
        masks = (instances == wanted[:, :1, None]) & (classes == wanted[:, 1:, None])
        target = cells_of(masks, self.maps.passes.cell)
        attention = head.log_attention(rows, tokens)
        return [pointing_loss(attention, target, block + 1)]

    def evaluate(self) -> dict[str, float]:
        """Map metrics and, where a scorer was given, answers on the validation frames."""
        figures = self.maps.evaluate()
        if self.score is not None:
            figures.update(self.score(self))
        return figures
