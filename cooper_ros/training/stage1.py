"""Stage 1: learn to draw depth and segmentation maps (rectified flow, mostly its one-step end)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cooper_ros.model.autoencoder import pack_latents, unpack_latents
from cooper_ros.model.modeling import CooperModel
from cooper_ros.model.mot import rope_tables
from cooper_ros.model.packing import MASKED
from cooper_ros.model.vision import EfficientNetLite

from .device import autocast, put, rand, randn
from .frames import FrameBatch, FrameStore, resize, sample_batch
from .maps import MapCodecs, MapMetrics, class_weights, depth_loss
from .readout import ReadOut, vary
from .setup import seen_layer

Cache = tuple[Tensor, Tensor]


def grid_ids(rows: int, columns: int, side: int) -> Tensor:
    """Position ids of a patch grid in a table of ``side`` x ``side``."""
    return (torch.arange(rows)[:, None] * side + torch.arange(columns)).flatten()


@dataclass
class Prompted:
    """Token ids that the frame passes need."""

    markers: Tensor  # [2] vision start and end
    depth: Tensor  # [P] depth prompt with text start and end
    segmentation: Tensor  # [P] segmentation prompt, of the same length


class FramePasses:
    """The model's passes over a batch of frames, as the runtime runs them.

    One prefix (picture) is shared; both maps are denoised as one batch of twice the frames, each
    behind its
    own prompt. Equal to the packed forward with one branch per map; a test holds that.
    """

    def __init__(self, model: CooperModel, prompts: Prompted) -> None:
        if len(prompts.depth) != len(prompts.segmentation):
            raise ValueError("depth and segmentation prompt must have equal length")
        self.model, self.prompts = model, prompts
        self.patch = int(model.config.vision["patch_size"])
        self.seen: Tensor | None = None

    def _rope(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        cos, sin = rope_tables(positions, self.model.config.head_dim, self.model.config.rope_theta)
        return cos[None], sin[None]

    def features(self, rgb: Tensor, ids: Tensor) -> Tensor:
        """Tower output ``[B, N, F]``; the convolutional part, where there is one, is frozen."""
        tower = self.model.vit_model
        if isinstance(tower, EfficientNetLite):
            with torch.no_grad():
                frozen = tower.features(rgb.contiguous(memory_format=torch.channels_last))
            return tower.encode(frozen, ids)
        return tower(rgb, ids)

    def see(self, b: FrameBatch, features: Tensor | None = None) -> Cache:
        """Prefix: the picture between its markers, position 0. Cache ``[L, B, G, N+2, E]``."""
        rows, columns = b.rgb.shape[-2] // self.patch, b.rgb.shape[-1] // self.patch
        ids = grid_ids(rows, columns, self.model.config.max_patches_per_side)
        if features is None:
            features = self.features(b.rgb, ids)
        x = self.model.vision_tokens(b.rgb, ids, b.rays(self.patch), features)
        m = self.model.embed(self.prompts.markers).expand(len(x), -1, -1).to(x.dtype)
        und = torch.cat([m[:, :1], x, m[:, 1:]], 1)
        cos, sin = self._rope(torch.zeros(und.shape[1]))
        decoder = self.model.language_model.model
        at = seen_layer(len(decoder.layers))
        hook = decoder.layers[at].register_forward_pre_hook(self._note_seen)
        _, _, k, v = decoder(und, None, cos, sin, torch.zeros(1))
        hook.remove()
        return k, v

    def _note_seen(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.seen = inputs[0][:, 1:-1]

    def draw(self, cache: Cache, rows: int, columns: int, x: Tensor, time: Tensor) -> Tensor:
        """Velocities ``[2B, N, c]`` (depth first) of noised latents ``x`` at times ``[2B]``."""
        k, v = cache
        frames = k.shape[1]
        both = torch.stack([self.prompts.depth, self.prompts.segmentation])
        text = self.model.embed(both).repeat_interleave(frames, 0)
        m = self.model.embed(self.prompts.markers).expand(2 * frames, -1, -1)
        und = torch.cat([text, m], 1)
        p, n, past = text.shape[1], rows * columns, k.shape[3]
        gen = self.model.latent_tokens(
            x, time, grid_ids(rows, columns, self.model.config.max_latent_size)
        )
        # The prompt is causal and does not see the map; markers and latents see everything.
        bias = torch.zeros(p + 2 + n, past + p + 2 + n)
        bias[:p, past:] = torch.full((p, p + 2 + n), MASKED).triu(1)
        cos, sin = self._rope(torch.cat([1 + torch.arange(p), torch.full((2 + n,), 1 + p)]))
        _, h, _, _ = self.model.language_model.model(
            und, gen, cos, sin, bias[None, None], k.repeat(1, 2, 1, 1, 1), v.repeat(1, 2, 1, 1, 1)
        )
        assert h is not None
        return self.model.velocity(h)

    def generate(
        self, cache: Cache, rows: int, columns: int, steps: int = 1, noise: Tensor | None = None
    ) -> Tensor:
        """Latent tokens ``[2B, N, c]`` by Euler steps from zero (or given) noise."""
        frames = cache[0].shape[1]
        x = torch.zeros(2 * frames, rows * columns, self.model.config.latent_token_size)
        if noise is not None:
            x = noise
        grid = torch.linspace(1, 0, steps + 1)
        for t, s in zip(grid[:-1], grid[1:], strict=True):
            velocity = self.draw(
                cache, rows, columns, x, torch.full((2 * frames,), float(t))
            ).float()
            x = x - velocity * (t - s)
        return x

    def pictures(self, tokens: Tensor, rows: int, columns: int) -> Tensor:
        """Decode latent tokens to pictures ``[.., 3, h, w]``."""
        latent = unpack_latents(tokens, self.model.config.latent_patch_size, rows, columns)
        return self.model.autoencoder.decode(latent)


class MapStage:
    """Losses of stage 1.

    L1 between the data that the velocity implies and the true latents; decoded pictures add
    log-depth L1 and
    palette cross-entropy on part of the batch. A share of samples sits at random times with noise,
    so that
    more steps stay possible.

    Args:
        sizes: picture sizes (width, height) by progress: ``[(from progress, width, height), ...]``.
    """

    def __init__(
        self,
        passes: FramePasses,
        store: FrameStore,
        val: FrameStore,
        codecs: MapCodecs,
        sizes: list[tuple[float, int, int, int]],
        decoded: float = 1.0,
        latent: float = 0.3,
        noisy: float = 0.1,
        auxiliary: bool = True,
    ) -> None:
        self.passes, self.model = passes, passes.model
        self.store, self.val, self.codecs, self.sizes = store, val, codecs, sizes
        self.decoded, self.noisy, self.latent = decoded, noisy, latent
        self.weights = class_weights(store.class_frequency(len(codecs.colours)))
        # Walls and floors are most pixels and the easy part: objects count more in the depth loss
        # too.
        self.depth_weights = self.weights.clamp(0.5, 3.0)
        self.read_out: ReadOut | None = None
        if auxiliary:  # keeps the picture's states readable, see readout.py
            self.read_out = ReadOut(self.model.config.hidden_size, codecs, self.weights)
            self.model.aux_maps = self.read_out

    def refresh(self) -> None:
        """Take in new shards."""
        self.store.refresh()

    def truth(self, b: FrameBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Log depth, class ids at map size, and true latent tokens ``[2B, N, c]``."""
        log = self.codecs.log_depth(b.depth, 2)
        classes = b.classes[:, 1::2, 1::2]
        with torch.no_grad():
            x = torch.cat([self.codecs.depth_picture(log), self.codecs.class_picture(b.classes, 2)])
            z = self.model.autoencoder.encode(x).float()
        return log, classes, pack_latents(z, self.model.config.latent_patch_size)

    def map_losses(
        self,
        b: FrameBatch,
        cache: Cache,
        g: torch.Generator,
    ) -> tuple[Tensor, dict[str, float], Tensor]:
        """Loss, figures and the implied latents (detached) of both maps."""
        rows, columns = b.rgb.shape[-2] // self.passes.patch, b.rgb.shape[-1] // self.passes.patch
        log, classes, data = self.truth(b)
        n = len(data)
        t = torch.where(
            rand(n, g=g) < self.noisy,
            rand(n, g=g) * 0.95 + 0.05,
            torch.ones(n),
        )
        noise = randn(data.shape, g) * (t < 1)[:, None, None]
        x = (1 - t)[:, None, None] * data + t[:, None, None] * noise
        velocity = self.passes.draw(cache, rows, columns, x, t).float()
        implied = x - t[:, None, None] * velocity
        e_latent = (implied - data).abs().flatten(1).mean(1)
        half = len(b.rgb)
        total = self.latent * (e_latent[:half].mean() + 0.6 * e_latent[half:].mean())
        figures: dict[str, float] = {}
        if self.read_out is not None and self.passes.seen is not None:
            e_seen, figures = self.read_out.loss(self.passes.seen, rows, columns, log, classes)
            total = total + e_seen
        figures |= {
            "latent_depth": float(e_latent[:half].detach().mean()),
            "latent_class": float(e_latent[half:].detach().mean()),
        }
        take = max(1, int(self.decoded * half))
        at = put(torch.randperm(half, generator=g, device="cpu")[:take])
        y = self.passes.pictures(implied[torch.cat([at, at + half])], rows, columns).float()
        yd, ys = y.chunk(2)
        span = (self.codecs.high - self.codecs.low) / 2
        predicted = (yd.mean(1) + 1) * span + self.codecs.low
        e_depth = depth_loss(predicted, log[at], self.depth_weights[classes[at]])
        e_class = F.cross_entropy(self.codecs.class_logits(ys), classes[at], weight=self.weights)
        figures.update(depth=float(e_depth.detach()), **{"class": float(e_class.detach())})
        return total + e_depth + 0.3 * e_class, figures, implied.detach()

    def size_at(self, progress: float) -> tuple[int, int, int]:
        """Width, height and batch size at this progress."""
        _, *now = [s for s in self.sizes if progress >= s[0]][-1]
        return now[0], now[1], now[2]

    def loss(
        self, step: int, progress: float, g: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """One batch."""
        width, height, batch = self.size_at(progress)
        b = sample_batch(self.store, batch, g, *vary(width, height, g))
        with autocast():
            cache = self.passes.see(b)
            total, figures, _ = self.map_losses(b, cache, g)
        return total, {"samples": batch, **figures}

    def predict(
        self,
        b: FrameBatch,
        steps: int = 1,
        noise: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Log depth and class ids at the batch's size."""
        rows, columns = b.rgb.shape[-2] // self.passes.patch, b.rgb.shape[-1] // self.passes.patch
        with autocast():
            cache = self.passes.see(b)
            tokens = self.passes.generate(cache, rows, columns, steps, noise)
            y = self.passes.pictures(tokens, rows, columns).float()
        yd, ys = y.chunk(2)
        size = b.depth.shape[-2:]
        log = F.interpolate(self.codecs.read_depth(yd)[:, None], size=size, mode="bilinear")[:, 0]
        # nearest, as the runtime enlarges labels: blending palette colours invents classes
        cls = F.interpolate(self.codecs.class_logits(ys), size=size, mode="nearest").argmax(1)
        return log, cls

    def evaluate(self) -> dict[str, float]:
        """Map metrics on the validation frames, at the largest size of the schedule so far."""
        metrics = MapMetrics(len(self.codecs.colours))
        last = self.sizes[-1]
        for i in range(0, len(self.val), 16):
            b = self.val.batch(torch.arange(i, min(i + 16, len(self.val))))
            if (last[1], last[2]) != (b.rgb.shape[-1], b.rgb.shape[-2]):
                b = resize(b, last[1], last[2])
            log, cls = self.predict(b)
            metrics.add(log, cls, b.depth, b.classes, b.instances)
        self.last_per_class = metrics.per_class()
        return metrics.result()
