"""Autoencoder training: depth and palette pictures through the latent and back."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cooper_ros.model.modeling import CooperModel

from .device import autocast, rand, randn
from .frames import FrameStore, sample_batch
from .maps import MapCodecs, MapMetrics, class_weights, depth_loss


class AutoencoderStage:
    """Reconstruct map pictures; a little noise on the latents makes the decoder forgiving.

    The noise has the size of the errors that one-step generation makes, so that a slightly wrong
    latent
    decodes to a slightly wrong picture. A second term holds encoder and decoder close to linear:
    the latent of a blend of two pictures is the blend of their latents, and decodes to the blend.
    One-step generation predicts the middle of what it thinks possible; in a latent space that is
    bent, the middle of two classes decodes to a third.
    """

    def __init__(
        self,
        model: CooperModel,
        store: FrameStore,
        val: FrameStore,
        codecs: MapCodecs,
        batch: int = 32,
        size: tuple[int, int] = (128, 96),
        noise: float = 0.3,
        blend: float = 1.0,
    ) -> None:
        self.model, self.store, self.val, self.codecs = model, store, val, codecs
        self.batch, self.size, self.noise, self.blend = batch, size, noise, blend
        for p in model.parameters():
            p.requires_grad_(False)
        for p in model.autoencoder.parameters():
            p.requires_grad_(True)
        self.weights = class_weights(store.class_frequency(len(codecs.colours)))

    def refresh(self) -> None:
        """Take in new shards."""
        self.store.refresh()

    def pictures(self, b: object) -> tuple[Tensor, Tensor, Tensor]:
        """Depth pictures, palette pictures and the class ids behind them, at map size."""
        log = self.codecs.log_depth(b.depth, 2)  # type: ignore[attr-defined]
        classes = b.classes[:, 1::2, 1::2]  # type: ignore[attr-defined]
        return (
            self.codecs.depth_picture(log),
            self.codecs.class_picture(b.classes, 2),  # type: ignore[attr-defined]
            classes,
        )

    def loss(
        self, step: int, progress: float, g: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Depth L1 and gradients, palette L1 and cross-entropy, latent size."""
        b = sample_batch(self.store, self.batch, g, *self.size, augment=False)
        depth, palette, classes = self.pictures(b)
        x = torch.cat([depth, palette])
        # Pairs of depth and pairs of palette pictures; half as many blends as pictures.
        n = len(x)
        share = rand(n // 2, 1, 1, 1, g=g)
        mixed = torch.lerp(x[0::2], x[1::2], share)
        with autocast():
            both = self.model.autoencoder.encode(torch.cat([x, mixed])).float()
            z, z_mixed = both[:n], both[n:]
            # unit-size latents: without a pull to the sphere noise could be outgrown
            scale = z.pow(2).mean((1, 2, 3), keepdim=True).sqrt()
            z_blend = torch.lerp(z[0::2], z[1::2], share)
            noisy = torch.cat([z + self.noise * randn(z.shape, g), z_blend])
            y = self.model.autoencoder.decode(noisy).float()
        y, y_blend = y[:n], y[n:]
        e_bent = (z_mixed - z_blend).abs().mean() + (y_blend - mixed).abs().mean()
        yd, ys = y.chunk(2)
        half = (self.codecs.high - self.codecs.low) / 2
        e_depth = depth_loss(yd.mean(1) * half, depth[:, 0] * half, torch.ones(()))
        e_equal = (yd - yd.mean(1, keepdim=True)).abs().mean()
        e_class = F.cross_entropy(self.codecs.class_logits(ys), classes, weight=self.weights)
        e_colour = (ys - palette).abs().mean()
        pull = (scale.log() ** 2).mean()
        total = e_depth + 0.5 * e_equal + 0.3 * e_class + 0.5 * e_colour + 0.1 * pull
        total = total + self.blend * e_bent
        return total, {
            "samples": self.batch,
            "depth": float(e_depth.detach()),
            "class": float(e_class.detach()),
            "colour": float(e_colour.detach()),
            "bent": float(e_bent.detach()),
            "size": float(scale.detach().mean()),
        }

    def evaluate(self) -> dict[str, float]:
        """Ceiling of the codec: metrics of reconstructed truth."""
        metrics = MapMetrics(len(self.codecs.colours))
        for i in range(0, min(len(self.val), 160), 16):
            b = self.val.batch(torch.arange(i, min(i + 16, len(self.val))))
            depth, palette, _ = self.pictures(b)
            y = self.model.autoencoder.decode(
                self.model.autoencoder.encode(torch.cat([depth, palette]))
            )
            yd, ys = y.chunk(2)
            log = F.interpolate(
                self.codecs.read_depth(yd)[:, None], scale_factor=2, mode="bilinear"
            )
            cls = F.interpolate(
                self.codecs.class_logits(ys), scale_factor=2, mode="nearest"
            ).argmax(1)
            metrics.add(log[:, 0], cls, b.depth, b.classes, b.instances)
        return metrics.result()

    @torch.no_grad()
    def normalise(self) -> None:
        """Set shift and scale so that latents have mean 0 and standard deviation 1."""
        auto = self.model.autoencoder
        auto.shift, auto.scale = 0.0, 1.0
        values = []
        for i in range(0, min(len(self.val), 160), 16):
            depth, palette, _ = self.pictures(
                self.val.batch(torch.arange(i, min(i + 16, len(self.val))))
            )
            values.append(auto.encode(torch.cat([depth, palette])).flatten())
        z = torch.cat(values)
        auto.shift, auto.scale = round(float(z.mean()), 5), round(1 / float(z.std()), 5)
        self.model.config.autoencoder.update(shift_factor=auto.shift, scale_factor=auto.scale)
