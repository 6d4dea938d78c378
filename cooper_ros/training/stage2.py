"""Stage 2: interleaved reasoning on the model's own and on true maps, all questions behind one
prefix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from cooper_ros.model.autoencoder import pack_latents
from cooper_ros.runtime.fused import FusedSettings

from .answer_passes import AnswerPasses
from .device import put, rand
from .frames import FrameBatch, FrameStore, fit, flip, jitter
from .fused import fused_context, fused_features, one_hot
from .maps import every
from .parts import Figures, part
from .pointing import PointingHead, cells_of, pointing_loss
from .precision import autocast
from .slots import SlotMaker
from .stage1 import Cache, MapStage
from .writing import (
    ARITHMETIC_SHARES,
    FrameText,
    QuestionSource,
    SlotWriter,
    WritingAhead,
    Written,
    fitted_intrinsics,
    transform_rows,
)

SEGMENTATION_MISSING = 0.08
"""Share of frames whose fused context holds the depth alone: the turn that asks for classes."""

OWN_SHARE = 0.6
"""Share of frames whose context holds the model's own maps, instead of true ones."""

PLANNED = 2
"""Separates the numbers of plans from those of losses."""

POINTING_LAYER = 2
"""Layer of the head that points: early enough for the layers behind it to read what it found."""


@dataclass(frozen=True)
class StepPlan:
    """What a step shows, drawn on the host: frames of the store, whether they are mirrored, where
    the model's own maps stand, the factor of all lengths, where the segmentation was not drawn."""

    step: int
    seed: int
    index: Tensor
    mirrored: bool
    own: NDArray[np.bool_]
    scale: NDArray[np.float32]
    missing: NDArray[np.bool_]
    frames: tuple[FrameText, ...]


class AnswerStage:
    """Cross-entropy on turns; maps from truth or from the model, depth sometimes rescaled with the
    answers.

    Args:
        questions: ``(rows, free space, rng, count) -> questions`` with ``text`` and ``turn``.
        slots_per_frame: questions with maps, besides one direct slot and one more of either kind.
        replay: every ``replay``-th step also trains the maps, so that they do not drift; with the
        maps' own pictures where photos are among them.
        fused: how drawn maps enter the context as cells; None: as latents.
        pointing: weight of the pointing loss, 0 without.
        apart: part of the budget in which the text loss does not reach the picture's states.
        dropout: share of frames of whose picture the answers see only a part.
        seed: of the steps' frames and questions.
        ahead: processes that write them ahead; None: this one writes when a step needs it.
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
        seed: int = 0,
        ahead: WritingAhead | None = None,
    ) -> None:
        self.maps, self.store, self.maker = maps, store, maker
        self.model, self.passes = maps.model, AnswerPasses(maps.passes)
        self.batch, self.replay, self.seed, self.ahead = batch, replay, seed, ahead
        self.score, self.fused = score, fused
        self.apart, self.dropout, self.pointing = apart, dropout, pointing
        self.writer = SlotWriter(maker, questions, slots_per_frame, fused is not None)
        self.sees = self.writer.sees

    def refresh(self) -> None:
        """Take in new shards."""
        self.store.refresh()

    def next_room(self) -> int:
        """Number of the next room of a stream."""
        return self.store.next_room()

    def plan(self, step: int) -> StepPlan:
        """What a step shows; a function of seed, step and the frames that are there."""
        rng = np.random.default_rng([self.seed, step, PLANNED])
        n, (width, height) = self.batch, self.maps.sizes[-1][1:3]
        index = rng.integers(len(self.store), size=n)
        mirrored = bool(rng.random() < 0.5)
        scale = np.where(rng.random(n) < 0.5, np.exp(rng.random(n) - 0.5), 1.0).astype(np.float32)
        lacks = SEGMENTATION_MISSING if self.fused is not None else 0.0
        missing = rng.random(n) < lacks
        free = self.store.rooms_free_space(torch.from_numpy(index))
        frames = tuple(
            self._frame_text(int(i), f * float(s), mirrored, float(s), bool(m), (width, height))
            for i, f, s, m in zip(index, free, scale, missing, strict=True)
        )
        return StepPlan(
            step, int(rng.integers(2**31)), torch.from_numpy(index), mirrored,
            rng.random(n) < OWN_SHARE, scale, missing, frames,
        )  # fmt: skip

    def _frame_text(
        self,
        frame: int,
        free: float,
        mirrored: bool,
        scale: float,
        lacks: bool,
        size: tuple[int, int],
    ) -> FrameText:
        stored = (self.store.shape or size[::-1])[::-1]
        return FrameText(
            transform_rows(self.store.frame_objects[frame], mirrored, scale, size[0]),
            free,
            fitted_intrinsics(self.store.intrinsics[frame].tolist(), stored, size, mirrored),
            size,
            lacks,
        )

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

    def loss(self, step: int, progress: float, g: torch.Generator) -> tuple[Tensor, Figures]:
        """One batch of frames with their slots."""
        with part("data"):
            arithmetic = ARITHMETIC_SHARES[progress >= 0.5]
            plan, written = self._written(step, arithmetic)
            b = fit(self.store.batch(plan.index), *self.maps.sizes[-1][1:3])
            if plan.mirrored:
                b = flip(b)
            b.rgb = jitter(b.rgb, g)
        n = len(b.rgb)
        own, scale, missing = (
            put(torch.from_numpy(v)) for v in (plan.own, plan.scale, plan.missing)
        )
        rows_n, columns = self.maps.passes.grid(b)
        block = rows_n * columns + 2
        figures: Figures = {}
        total = torch.zeros(())
        replayed = bool(self.replay) and step % self.replay == 0
        here = replayed and self.maps.data.photos is None
        if replayed and not here:  # photos have no answers: the maps get pictures of their own
            total, figures = self.maps.loss(step, progress, g)
            figures.pop("samples")
        with autocast():
            with torch.set_grad_enabled(here or progress >= self.apart):
                cache = self.maps.passes.see(b)
            if here:
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
            text, more = self.text_loss(full, written, block, scale, hidden, b)
        return text + total, {
            "samples": n,
            **more,
            **{"map_" + k: v for k, v in figures.items()},
        }

    def _written(self, step: int, arithmetic: float) -> tuple[StepPlan, Written]:
        if self.ahead is not None:
            return self.ahead.next(self.plan, step, arithmetic)
        plan = self.plan(step)
        return plan, self.writer.write(plan.frames, plan.seed, arithmetic)

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
        written: Written,
        block: int,
        scale: Tensor,
        hidden: Tensor | None = None,
        b: FrameBatch | None = None,
    ) -> tuple[Tensor, Figures]:
        """Mean cross-entropy of all trained tokens of the slots, with the pointing loss; figures.

        `b` is what the pointing loss needs.
        """
        total = weights = torch.zeros(())
        pointed: list[Tensor] = []
        layers: Any = self.model.language_model.model.layers
        for number, arrays in enumerate(written.parts):
            slots = arrays.batch()
            with PointingHead(layers[POINTING_LAYER % len(layers)]) as head:
                states = self.passes.read(cache, slots, block, hidden)
                if self.pointing and written.points and b is not None:
                    pointed += self._pointing(head, written.points[number], b, block)
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
        figures: Figures = {"text": text.detach()}
        if pointed:
            point = torch.stack(pointed).mean()
            figures["pointing"] = point.detach()
            text = text + self.pointing * point
        return text, figures

    def _pointing(
        self, head: PointingHead, points: NDArray[np.int64], b: FrameBatch, block: int
    ) -> list[Tensor]:
        """Pointing loss of one part, as a list of none or one."""
        if not len(points):
            return []
        rows, tokens, frames, instance, label = put(torch.from_numpy(points)).unbind(1)
        factor = self.maps.passes.factor
        instances = every(b.instances, factor)[frames].long()
        classes = every(b.classes, factor)[frames]
        masks = (instances == instance[:, None, None]) & (classes == label[:, None, None])
        target = cells_of(masks, self.maps.passes.cell)
        attention = head.log_attention(rows, tokens)
        return [pointing_loss(attention, target, block + 1)]

    def evaluate(self) -> dict[str, float]:
        """Map metrics and, where a scorer was given, answers on the validation frames."""
        figures = self.maps.evaluate()
        if self.score is not None:
            figures.update(self.score(self))
        return figures
