"""Conformance checks of what only torch shows: tower features, posterior, packed training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from cooper_ros.evaluation.conformance import Ledger
from cooper_ros.model.modeling import CooperModel
from cooper_ros.model.packing import (
    Layout,
    Segment,
    compile_layout,
    noised,
    packed_forward,
    shifted_time,
    training_losses,
)
from cooper_ros.runtime.context import Engine
from cooper_ros.runtime.latents import grid_position_ids, pack_latents
from cooper_ros.runtime.pictures import prepare


@torch.inference_mode()
def check_internals(ledger: Ledger, engine: Engine, model: CooperModel) -> None:
    """Vision tower before the connector, and mean and log-variance of the autoencoder."""
    pixels = torch.from_numpy(ledger.expected("vit_pixels"))[None]
    positions = torch.from_numpy(ledger.expected("vit_position_ids"))
    ledger.close("vit_features", model.vit_model(pixels, positions)[0].numpy(), 1e-5)
    pixels = torch.from_numpy(ledger.expected("vae_pixels"))[None]
    vae: Any = model.autoencoder.vae
    posterior = vae.encode(pixels).latent_dist
    ledger.close("vae_moments", posterior.parameters.numpy())


@dataclass
class _Pack:
    """The samples of one packed row, built segment by segment on the model's `Layout`."""

    engine: Engine
    layout: Layout = field(default_factory=Layout)
    position: int = 0
    text_ids: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    ce_indexes: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=lambda: [0])

    def text(self, ids: Sequence[int], loss: bool = False) -> None:
        """A text segment from ids without markers; with loss, every next token is a label."""
        tokens = self.engine.spec.tokens
        full = [tokens.text_start, *ids, tokens.text_end]
        segment = self.layout.text(len(full), self.position)
        self.position += len(full)
        self.text_ids += full
        if loss:
            self.labels += full[1:]
            self.ce_indexes += range(segment.start, segment.start + len(full) - 1)

    def picture(self, kind: str, count: int, noisy: bool = False) -> None:
        """An image segment; the position does not advance behind a noisy one."""
        tokens = self.engine.spec.tokens
        self.layout.picture(kind, count, self.position, noisy)
        self.position += 0 if noisy else 1
        self.text_ids += [tokens.vision_start, tokens.vision_end]

    def next_sample(self) -> None:
        """Start another sample: positions from 0, attention separate."""
        self.layout.next_sample()
        self.starts.append(self.layout.length)
        self.position = 0

    def samples(self) -> list[list[Segment]]:
        """Segments by sample."""
        count = self.layout.sample + 1
        return [[s for s in self.layout.segments if s.sample == i] for i in range(count)]


def check_training(ledger: Ledger, engine: Engine, model: CooperModel) -> None:
    """One sample of stage 1 with an answer, and a pack of two samples with two noisy segments."""
    spec = engine.spec
    first = ledger.input("image")
    second = _resized_like(ledger.input("image2"), first)
    latents = [_latent(engine, image) for image in (first, second)]
    ledger.close("train_latents", np.concatenate(latents))
    pictures = prepare(spec, first)
    grid = [pictures.rows, pictures.columns]
    vision_count = len(ledger.expected("vit_position_ids"))
    latent_count = pictures.rows * pictures.columns
    texts = _texts(ledger.expected("train.text_ids"), spec.tokens.text_start, spec.tokens.text_end)
    ledger.input("train.order")
    pack = _Pack(engine)
    _stage1_sample(pack, texts, vision_count, latent_count)
    _compare_layout(ledger, "train", pack, grid)
    ledger.same("train.split_lens", [s.length for s in pack.layout.segments])
    ledger.same("train.attn_modes", [s.mode for s in pack.layout.segments])
    _compare_losses(ledger, "train", pack, engine, model, latents, 1.0)

    ledger.input("train2.order")
    texts = _texts(ledger.expected("train2.text_ids"), spec.tokens.text_start, spec.tokens.text_end)
    pack = _Pack(engine)
    _stage1_sample(pack, texts[:2], vision_count, latent_count)
    pack.next_sample()
    question, segmentation, depth, answer = texts[2:]
    pack.text(question)
    pack.picture("vision", vision_count)
    pack.text(segmentation)
    pack.picture("latent", latent_count, noisy=True)
    pack.text(depth)
    pack.picture("latent", latent_count, noisy=True)
    pack.text(answer, loss=True)
    _compare_layout(ledger, "train2", pack, grid)
    samples = pack.samples()
    ledger.same("train2.sample_lens", [sum(s.length for s in sample) for sample in samples])
    ledger.same("train2.split_lens", [[s.length for s in sample] for sample in samples])
    ledger.same("train2.attn_modes", [[s.mode for s in sample] for sample in samples])
    given = [latent[None] for latent in ledger.input("train2_latents")]
    shift = ledger.input("train2.timestep_shift")
    _compare_losses(ledger, "train2", pack, engine, model, given, shift)


def _stage1_sample(pack: _Pack, texts: list[list[int]], vision: int, latent: int) -> None:
    prompt, answer = texts
    pack.picture("latent", latent)
    pack.picture("vision", vision)
    pack.text(prompt)
    pack.picture("latent", latent, noisy=True)
    pack.text(answer, loss=True)


def _compare_layout(ledger: Ledger, name: str, pack: _Pack, grid: list[int]) -> None:
    layout = pack.layout
    noisy = [
        index
        for segment in layout.segments
        if segment.mode == "noise"
        for index in range(segment.start + 1, segment.start + segment.length - 1)
    ]
    # The set lists markers in the order of their places; the layout groups by segment.
    order = layout.indexes("text").tolist()
    ledger.same(f"{name}.text_ids", pack.text_ids)
    ledger.same(f"{name}.text_indexes", sorted(order) if sorted(order) == order else [])
    ledger.same(f"{name}.position_ids", layout.positions().tolist())
    ledger.same(f"{name}.vae_indexes", layout.indexes("latent").tolist())
    ledger.same(f"{name}.vit_indexes", layout.indexes("vision").tolist())
    ledger.same(f"{name}.mse_indexes", noisy)
    ledger.same(f"{name}.ce_indexes", pack.ce_indexes)
    ledger.same(f"{name}.labels", pack.labels)
    ledger.same(f"{name}.latent_hw", grid)


@torch.inference_mode()
def _compare_losses(
    ledger: Ledger,
    name: str,
    pack: _Pack,
    engine: Engine,
    model: CooperModel,
    latents: list[NDArray[np.float32]],
    shift: float,
) -> None:
    spec = engine.spec
    logits = torch.tensor([float(logit) for logit in ledger.input(f"{name}.timestep_logits")])
    times = shifted_time(logits, shift)[None]
    data = _rows([pack_latents(latent, spec.latent_patch) for latent in latents])
    noise = torch.from_numpy(ledger.input(f"{name}_noise"))[None]
    mixed, target = noised(data, noise, times)
    layout = compile_layout(pack.layout, spec.head_dim, spec.rope_theta)
    rows, columns = ledger.expected(f"{name}.latent_hw")
    grid = np.tile(grid_position_ids(rows, columns, spec.latent_grid_side), len(latents))
    pixels = torch.from_numpy(ledger.expected("vit_pixels"))[None]
    vision = model.vision_tokens(pixels, torch.from_numpy(ledger.expected("vit_position_ids")))
    repeats = sum(segment.kind == "vision" for segment in pack.layout.segments)
    hidden, velocity = packed_forward(
        model,
        layout,
        torch.tensor([pack.text_ids]),
        vision.repeat(1, repeats, 1),
        mixed,
        times,
        torch.from_numpy(grid),
    )
    if velocity is None:
        raise ValueError("the packed forward gave no velocity")
    ce, mse = training_losses(
        hidden,
        velocity,
        model,
        layout.und_place(torch.tensor(pack.ce_indexes)),
        torch.tensor(pack.labels),
        target,
        torch.nonzero(times[0] > 0)[:, 0],
    )
    ledger.close(f"{name}_ce", ce.numpy())
    ledger.close(f"{name}_mse", mse[0].numpy())


def _rows(tokens: list[NDArray[np.float32]]) -> Tensor:
    return torch.from_numpy(np.concatenate(tokens))[None]


def _texts(ids: list[int], start: int, end: int) -> list[list[int]]:
    """The ids of each text segment, without markers and without the image markers between."""
    texts: list[list[int]] = []
    inside = False
    for index in ids:
        if index == start:
            texts.append([])
            inside = True
        elif index == end:
            inside = False
        elif inside:
            texts[-1].append(index)
    return texts


def _resized_like(image: NDArray[np.uint8], like: NDArray[np.uint8]) -> NDArray[np.uint8]:
    size = (like.shape[1], like.shape[0])
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


def _latent(engine: Engine, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    return engine.backend.autoencoder_encoder(prepare(engine.spec, image).map_pixels[None])
