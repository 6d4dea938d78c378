"""Autoencoder training: depth and palette pictures through the latent and back."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cooper_ros.model.modeling import CooperModel

from .device import rand, randn
from .frames import FrameBatch, FrameStore, resize, sample_batch
from .maps import MapCodecs, MapMetrics, class_weights, depth_loss
from .parts import Figures, part
from .precision import autocast


class AutoencoderStage:
    """Reconstruct map pictures; a little noise on the latents makes the decoder forgiving.

    The noise has the size of the errors that one-step generation makes, so that a slightly wrong
    latent decodes to a slightly wrong picture. A second term holds encoder and decoder close to
    linear: the latent of a blend of two pictures is the blend of their latents, and decodes to the
    blend. One-step generation predicts the middle of what it thinks possible; in a latent space
    that is bent, the middle of two classes decodes to a third. A model with class head reads
    classes from scores, where no third class lies between two, and needs little of it.

    Args:
        size: of the pictures (width, height); maps are smaller by ``factor``.
        noise: standard deviation on latents of unit size.
        blend: weight of the second term.
    """

    def __init__(
        self,
        model: CooperModel,
        store: FrameStore,
        val: FrameStore,
        codecs: MapCodecs,
        batch: int = 32,
        size: tuple[int, int] = (128, 96),
        noise: float | None = None,
        blend: float | None = None,
    ) -> None:
        self.model, self.store, self.val, self.codecs = model, store, val, codecs
        config = model.config
        cell = config.latent_patch_size * config.autoencoder_downsample
        self.factor = int(config.vision["patch_size"]) // cell
        scores = model.autoencoder.class_head is not None
        self.batch, self.size = batch, size
        self.noise = (0.15 if scores else 0.3) if noise is None else noise
        self.blend = (0.0 if scores else 1.0) if blend is None else blend
        for p in model.parameters():
            p.requires_grad_(False)
        for p in model.autoencoder.parameters():
            p.requires_grad_(True)
        self.weights = class_weights(store.class_frequency(len(codecs.colours)))

    def refresh(self) -> None:
        """Take in new shards."""
        self.store.refresh()

    def next_room(self) -> int:
        """Number of the next room of a stream."""
        return self.store.next_room()

    def pictures(self, b: FrameBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Depth pictures, palette pictures and the class ids behind them, at map size."""
        log, classes = self.codecs.small(b.depth, b.classes, self.factor)
        return self.codecs.depth_picture(log), self.codecs.class_picture(classes, 1), classes

    def loss(self, step: int, progress: float, g: torch.Generator) -> tuple[Tensor, Figures]:
        """Depth L1 and gradients, cross-entropy of the classes (and palette L1 where they are read
        from colours), latent size."""
        with part("data"):
            b = sample_batch(self.store, self.batch, g, *self.size, augment=False)
            depth, palette, classes = self.pictures(b)
        x = torch.cat([depth, palette])
        figures: Figures = {}
        with autocast(), part("codec"):
            z = self.model.autoencoder.encode(x).float()
            # unit-size latents: without a pull to the sphere noise could be outgrown
            scale = z.pow(2).mean((1, 2, 3), keepdim=True).sqrt()
            noisy = z + self.noise * randn(z.shape, g)
            e_bent = torch.zeros(())
            if self.blend:
                e_bent = self._bent(x, z, g)
            deep, segments = self.model.autoencoder.coarse(noisy).chunk(2)
            yd = self.model.autoencoder.picture(deep).float()
            total = self.blend * e_bent
            if self.model.autoencoder.class_head is not None:
                logits = self.model.autoencoder.scores(segments).float()
            else:
                ys = self.model.autoencoder.picture(segments).float()
                logits = self.codecs.class_logits(ys)
                e_colour = (ys - palette).abs().mean()
                total = total + 0.5 * e_colour
                figures["colour"] = e_colour.detach()
        if self.blend:
            figures["bent"] = e_bent.detach()
        half = (self.codecs.high - self.codecs.low) / 2
        e_depth = depth_loss(yd.mean(1) * half, depth[:, 0] * half, torch.ones(()))
        e_equal = (yd - yd.mean(1, keepdim=True)).abs().mean()
        e_class = F.cross_entropy(logits, classes, weight=self.weights)
        pull = (scale.log() ** 2).mean()
        total = total + e_depth + 0.5 * e_equal + 0.3 * e_class + 0.1 * pull
        return total, {
            "samples": self.batch,
            "depth": e_depth.detach(),
            "class": e_class.detach(),
            "size": scale.detach().mean(),
            **figures,
        }

    def _bent(self, x: Tensor, z: Tensor, g: torch.Generator) -> Tensor:
        """How far the latent of a blend is from the blend of latents, and its picture from the
        blend."""
        # Pairs of depth and pairs of palette pictures; half as many blends as pictures.
        share = rand(len(x) // 2, 1, 1, 1, g=g)
        mixed = torch.lerp(x[0::2], x[1::2], share)
        z_mixed = self.model.autoencoder.encode(mixed).float()
        z_blend = torch.lerp(z[0::2], z[1::2], share)
        y_blend = self.model.autoencoder.decode(z_blend).float()
        return (z_mixed - z_blend).abs().mean() + (y_blend - mixed).abs().mean()

    def evaluate(self) -> dict[str, float]:
        """Ceiling of the codec: metrics of reconstructed truth at the size of the pictures."""
        metrics = MapMetrics(len(self.codecs.colours))
        for i in range(0, min(len(self.val), 160), 16):
            b = self._validation(i)
            depth, palette, _ = self.pictures(b)
            auto = self.model.autoencoder
            deep, segments = auto.coarse(auto.encode(torch.cat([depth, palette]))).chunk(2)
            size = b.depth.shape[-2:]
            log = self.codecs.read_depth(auto.picture(deep).float())
            log = F.interpolate(log[:, None], size=size, mode="bilinear")[:, 0]
            if auto.class_head is not None:
                logits = auto.scores(segments).float()
            else:
                logits = self.codecs.class_logits(auto.picture(segments).float())
            cls = F.interpolate(logits, size=size, mode="nearest").argmax(1)
            metrics.add(log, cls, b.depth, b.classes, b.instances)
        return metrics.result()

    def _validation(self, start: int) -> FrameBatch:
        b = self.val.batch(torch.arange(start, min(start + 16, len(self.val))))
        return resize(b, *self.size)

    @torch.no_grad()
    def normalise(self) -> None:
        """Set shift and scale so that latents have mean 0 and standard deviation 1."""
        auto = self.model.autoencoder
        auto.shift, auto.scale = 0.0, 1.0
        values = []
        for i in range(0, min(len(self.val), 160), 16):
            depth, palette, _ = self.pictures(self._validation(i))
            values.append(auto.encode(torch.cat([depth, palette])).flatten())
        z = torch.cat(values)
        auto.shift, auto.scale = round(float(z.mean()), 5), round(1 / float(z.std()), 5)
        self.model.config.autoencoder.update(shift_factor=auto.shift, scale_factor=auto.scale)
