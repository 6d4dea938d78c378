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

from .batches import Mixture
from .device import rand, randn
from .frames import FrameBatch, FrameStore, resize
from .latents import LatentCache
from .maps import MapCodecs, MapMetrics, class_loss, class_weights, depth_loss
from .parts import Figures, part
from .photos import PhotoStore, photo_figures
from .precision import autocast
from .readout import ReadOut, vary
from .setup import seen_layer
from .tower import FrozenTower

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
        config = model.config
        self.patch = int(config.vision["patch_size"])
        self.cell = config.latent_patch_size * config.autoencoder_downsample
        """Pixels of a map picture along one side of a token."""
        if self.patch % self.cell:
            raise ValueError(f"a patch of {self.patch} pixels holds no whole cells of {self.cell}")
        self.factor = self.patch // self.cell
        """Pixels of the picture per pixel of a map, along one side."""
        self.seen: Tensor | None = None
        self.tuned = False
        """Whether the tower's convolutions have been changing."""
        tower = model.vit_model
        if isinstance(tower, EfficientNetLite):
            self.frozen = FrozenTower(tower)

    def grid(self, b: FrameBatch) -> tuple[int, int]:
        """Rows and columns of tokens."""
        return b.rgb.shape[-2] // self.patch, b.rgb.shape[-1] // self.patch

    def small(self, b: FrameBatch, codecs: MapCodecs) -> tuple[Tensor, Tensor]:
        """Log depth and class ids ``[B, h, w]`` at map size."""
        return codecs.small(b.depth, b.classes, self.factor)

    def _rope(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        cos, sin = rope_tables(positions, self.model.config.head_dim, self.model.config.rope_theta)
        return cos[None], sin[None]

    def features(self, rgb: Tensor, ids: Tensor) -> Tensor:
        """Tower output ``[B, N, F]``; the convolutional part, where there is one, is frozen unless
        `tuned`."""
        tower = self.model.vit_model
        if isinstance(tower, EfficientNetLite) and not self.tuned:
            with part("tower"):
                frozen = self.frozen(rgb)
            return tower.encode(frozen, ids)
        return tower(rgb, ids)

    def see(self, b: FrameBatch, features: Tensor | None = None) -> Cache:
        """Prefix: the picture between its markers, position 0. Cache ``[L, B, G, N+2, E]``."""
        rows, columns = self.grid(b)
        ids = grid_ids(rows, columns, self.model.config.max_patches_per_side)
        if features is None:
            features = self.features(b.rgb, ids)
        with part("see"):
            return self._see(b, ids, features)

    def _see(self, b: FrameBatch, ids: Tensor, features: Tensor) -> Cache:
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

    def draw(
        self,
        cache: Cache,
        rows: int,
        columns: int,
        x: Tensor,
        time: Tensor,
        without_depth: int = 0,
    ) -> Tensor:
        """Velocities ``[M, N, c]`` (depth first) of noised latents ``x`` at times ``[M]``.

        M is twice the frames, less the last ``without_depth`` ones, whose depth is not drawn.
        """
        with part("draw"):
            return self._draw(cache, rows, columns, x, time, without_depth)

    def _draw(
        self, cache: Cache, rows: int, columns: int, x: Tensor, time: Tensor, without_depth: int
    ) -> Tensor:
        k, v = cache
        frames = k.shape[1]
        deep = frames - without_depth
        both = (self.prompts.depth, self.prompts.segmentation)
        text = torch.cat(
            [
                self.model.embed(ids).expand(count, -1, -1)
                for ids, count in zip(both, (deep, frames), strict=True)
            ]
        )
        m = self.model.embed(self.prompts.markers).expand(deep + frames, -1, -1)
        und = torch.cat([text, m], 1)
        p, n, past = text.shape[1], rows * columns, k.shape[3]
        gen = self.model.latent_tokens(
            x, time, grid_ids(rows, columns, self.model.config.max_latent_size)
        )
        # The prompt is causal and does not see the map; markers and latents see everything.
        bias = torch.zeros(p + 2 + n, past + p + 2 + n)
        bias[:p, past:] = torch.full((p, p + 2 + n), MASKED).triu(1)
        cos, sin = self._rope(torch.cat([1 + torch.arange(p), torch.full((2 + n,), 1 + p)]))
        past_k, past_v = torch.cat([k[:, :deep], k], 1), torch.cat([v[:, :deep], v], 1)
        _, h, _, _ = self.model.language_model.model(
            und, gen, cos, sin, bias[None, None], past_k, past_v
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
        return self.model.autoencoder.picture(self.coarse(tokens, rows, columns))

    def coarse(self, tokens: Tensor, rows: int, columns: int) -> Tensor:
        """The decoder's states of latent tokens, at half the size of a map."""
        latent = unpack_latents(tokens, self.model.config.latent_patch_size, rows, columns)
        with part("decode"):
            return self.model.autoencoder.coarse(latent)

    def class_logits(self, coarse: Tensor, codecs: MapCodecs) -> Tensor:
        """Class logits ``[.., K, h, w]`` of the decoder's states of segmentation maps: the class
        head's scores, or how near the painted colours are where a model has none."""
        auto = self.model.autoencoder
        with part("decode"):
            if auto.class_head is not None:
                return auto.scores(coarse).float()
            return codecs.class_logits(auto.picture(coarse).float())


class MapStage:
    """Losses of stage 1.

    L1 between the data that the velocity implies and the true latents; decoded pictures add
    log-depth L1 and cross-entropy of the class scores. A share of samples sits at random times
    with noise, so that more steps stay possible. True latents of part of the batch are decoded
    too: the decoder must not forget what they mean.

    Args:
        sizes: picture sizes (width, height) by progress: ``[(from progress, width, height), ...]``.
    """

    def __init__(
        self,
        passes: FramePasses,
        data: Mixture,
        val: FrameStore,
        codecs: MapCodecs,
        sizes: list[tuple[float, int, int, int]],
        latent: float = 0.3,
        noisy: float = 0.1,
        anchored: float = 0.25,
        auxiliary: bool = True,
        val_photos: PhotoStore | None = None,
    ) -> None:
        self.passes, self.model = passes, passes.model
        self.data, self.store, self.val = data, data.store, val
        self.codecs, self.sizes, self.val_photos = codecs, sizes, val_photos
        self.noisy, self.latent, self.anchored = noisy, latent, anchored
        self.weights = class_weights(data.store.class_frequency(len(codecs.colours)))
        # Walls and floors are most pixels and the easy part: objects count more in the depth loss
        # too.
        self.depth_weights = self.weights.clamp(0.5, 3.0)
        self.true_latents = LatentCache(self._encode)
        self.read_out: ReadOut | None = None
        if auxiliary:  # keeps the picture's states readable, see readout.py
            self.read_out = ReadOut(self.model.config.hidden_size, codecs, self.weights)
            self.model.aux_maps = self.read_out

    def refresh(self) -> None:
        """Take in new shards."""
        self.store.refresh()

    def next_room(self) -> int:
        """Number of the next room of a stream."""
        return self.store.next_room()

    @torch.no_grad()
    def _encode(self, log: Tensor, classes: Tensor) -> Tensor:
        """True latent tokens ``[B, 2, N, c]`` (depth, segmentation) of maps ``[B, h, w]``."""
        x = torch.cat([self.codecs.depth_picture(log), self.codecs.class_picture(classes, 1)])
        with part("encode"), autocast():
            z = self.model.autoencoder.encode(x).float()
        tokens = pack_latents(z, self.model.config.latent_patch_size)
        return torch.stack(tokens.chunk(2), 1)

    def truth(self, b: FrameBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Log depth, class ids at map size, and true latent tokens ``[2B, N, c]``."""
        log, classes = self.passes.small(b, self.codecs)
        z = self.true_latents.of(self.store, b, log, classes)
        return log, classes, torch.cat([z[:, 0], z[:, 1]])

    def map_losses(
        self, b: FrameBatch, cache: Cache, g: torch.Generator, photos: int = 0
    ) -> tuple[Tensor, Figures, Tensor]:
        """Loss, figures and the implied latents (detached) of both maps: depth of all pictures
        but the last ``photos``, segmentation of all."""
        rows, columns = self.passes.grid(b)
        frames = len(b.rgb) - photos
        log, classes, data = self._with_photos(b, frames)
        n = len(data)
        simulated = torch.arange(n) < 2 * frames
        t = torch.where(
            (rand(n, g=g) < self.noisy) & simulated, rand(n, g=g) * 0.95 + 0.05, torch.ones(n)
        )
        noise = randn(data.shape, g) * (t < 1)[:, None, None]
        x = (1 - t)[:, None, None] * data + t[:, None, None] * noise
        velocity = self.passes.draw(cache, rows, columns, x, t, photos).float()
        implied = x - t[:, None, None] * velocity
        e_latent = (implied - data).abs().flatten(1).mean(1)[: 2 * frames]
        total = self.latent * (e_latent[:frames].mean() + 0.6 * e_latent[frames:].mean())
        figures: Figures = {}
        if self.read_out is not None and self.passes.seen is not None:
            e_seen, figures = self.read_out.loss(
                self.passes.seen, rows, columns, log, classes, self.data.nameable(), photos
            )
            total = total + e_seen
        figures |= {
            "latent_depth": e_latent[:frames].detach().mean(),
            "latent_class": e_latent[frames:].detach().mean(),
        }
        drawn, more = self.decoded_losses(implied, log, classes, rows, columns, photos)
        figures |= more
        kept = max(1, int(self.anchored * frames)) if self.anchored else 0
        if kept:
            true = torch.cat([data[:kept], data[frames : frames + kept]])
            anchor, found = self.decoded_losses(true, log[:kept], classes[:kept], rows, columns)
            total = total + self.anchored * anchor
            figures |= {"true_" + k: v for k, v in found.items()}
        return total + drawn, figures, implied.detach()

    def _with_photos(self, b: FrameBatch, frames: int) -> tuple[Tensor, Tensor, Tensor]:
        """Log depth and classes of all pictures; latents: depth and segmentation of simulated
        frames, zeros for the segmentation of photos."""
        if frames == len(b.rgb):
            return self.truth(b)
        log, classes = self.passes.small(b, self.codecs)
        z = self.true_latents.of(self.store, b, log[:frames], classes[:frames])
        nothing = torch.zeros(len(b.rgb) - frames, *z.shape[2:])
        return log, classes, torch.cat([z[:, 0], z[:, 1], nothing])

    def decoded_losses(
        self,
        tokens: Tensor,
        log: Tensor,
        classes: Tensor,
        rows: int,
        columns: int,
        photos: int = 0,
    ) -> tuple[Tensor, Figures]:
        """Depth and class loss of latents behind the decoder."""
        frames = len(classes) - photos
        coarse = self.passes.coarse(tokens, rows, columns)
        with part("decode"):
            yd = self.model.autoencoder.picture(coarse[:frames]).float()
        span = (self.codecs.high - self.codecs.low) / 2
        predicted = (yd.mean(1) + 1) * span + self.codecs.low
        weight = self.depth_weights[classes[:frames]]
        e_depth = depth_loss(predicted, log[:frames], weight)
        logits = self.passes.class_logits(coarse[frames:], self.codecs)
        e_class = class_loss(logits, classes, self.weights, self.data.nameable(), photos)
        return e_depth + 0.3 * e_class, {
            "depth": e_depth.detach(),
            "class": e_class.detach(),
        }

    def size_at(self, progress: float) -> tuple[int, int, int]:
        """Width, height and batch size at this progress."""
        _, *now = [s for s in self.sizes if progress >= s[0]][-1]
        return now[0], now[1], now[2]

    def loss(self, step: int, progress: float, g: torch.Generator) -> tuple[Tensor, Figures]:
        """One batch."""
        width, height, batch = self.size_at(progress)
        b = self.data.sample(batch, g, *vary(width, height, g, self.passes.patch))
        with autocast():
            cache = self.passes.see(b)
            total, figures, _ = self.map_losses(b, cache, g, self.data.photos_of(batch))
        return total, {"samples": batch, **figures}

    def predict(
        self,
        b: FrameBatch,
        steps: int = 1,
        noise: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Log depth and class ids at the batch's size."""
        rows, columns = self.passes.grid(b)
        with autocast():
            cache = self.passes.see(b)
            tokens = self.passes.generate(cache, rows, columns, steps, noise)
        return self.decode(tokens, rows, columns, b.depth.shape[-2:])

    def decode(
        self, tokens: Tensor, rows: int, columns: int, size: tuple[int, ...]
    ) -> tuple[Tensor, Tensor]:
        """Log depth and class ids ``[B, H, W]`` of latent tokens ``[2B, N, c]``."""
        with autocast():
            deep, segments = self.passes.coarse(tokens, rows, columns).chunk(2)
            yd = self.model.autoencoder.picture(deep).float()
            logits = self.passes.class_logits(segments, self.codecs)
        log = F.interpolate(self.codecs.read_depth(yd)[:, None], size=size, mode="bilinear")[:, 0]
        # nearest, as the runtime enlarges labels: blending scores over an edge invents classes
        cls = F.interpolate(logits, size=size, mode="nearest").argmax(1)
        return log, cls

    def evaluate(self) -> dict[str, float]:
        """Map metrics on the validation frames and photos, at the largest size of the schedule;
        `true_*` of true maps through the codec, `seen_*` of the read-out beside it."""
        drawn, codec, seen = (MapMetrics(len(self.codecs.colours)) for _ in range(3))
        _, width, height, _ = self.sizes[-1]
        for i in range(0, len(self.val), 16):
            b = resize(self.val.batch(torch.arange(i, min(i + 16, len(self.val)))), width, height)
            truth = (b.depth, b.classes, b.instances)
            drawn.add(*self.predict(b), *truth)
            if self.read_out is not None and self.passes.seen is not None:
                size = b.depth.shape[-2:]
                read = self.read_out.predict(self.passes.seen, *self.passes.grid(b), size)
                seen.add(*read, *truth)
            small = self.passes.small(b, self.codecs)
            z = self._encode(*small)
            tokens = torch.cat([z[:, 0], z[:, 1]])
            codec.add(*self.decode(tokens, *self.passes.grid(b), b.depth.shape[-2:]), *truth)
        self.last_per_class = drawn.per_class()
        figures = drawn.result()
        for name, metrics in (("true", codec), ("seen", seen)):
            if metrics.absrel:
                found = metrics.result()
                figures |= {f"{name}_{k}": found[k] for k in ("absrel", "miou", "small_miou")}
        return figures | photo_figures(self.val_photos, self.predict, width, height)
