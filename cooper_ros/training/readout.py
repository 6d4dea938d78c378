"""Stage 1a, `see`: the picture's own states learn where things are, before anything is drawn.

A linear read-out of both maps, pixel by pixel, from the picture's states that enter the layers left
for drawing (``setup.seen_layer``). It exists in training only and is not part of the model. The
understanding expert learns this way in a third of the time per picture and in far fewer pictures
than through the attention of another expert and a decoder; drawing then means copying what is
already there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from .batches import Mixture
from .device import draw
from .frames import FrameBatch, FrameStore, resize
from .maps import MapCodecs, MapMetrics, class_loss, class_weights, depth_loss
from .parts import Figures
from .photos import PhotoStore, photo_figures
from .precision import autocast

if TYPE_CHECKING:
    from .stage1 import FramePasses

CELL = 8  # pixels of the map picture per token side
FILE = "read_out.safetensors"


class ReadOut(nn.Module):
    """Norm and one linear map: states ``[B, N, D]`` to log depth and class logits of their cell."""

    def __init__(self, hidden: int, codecs: MapCodecs, weights: Tensor) -> None:
        super().__init__()
        self.codecs = codecs
        self.norm = nn.RMSNorm(hidden)
        self.linear = nn.Linear(hidden, CELL * CELL * (1 + len(codecs.colours)))
        with torch.no_grad():
            self.linear.weight.mul_(0.1)
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, seen: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
        """Log depth ``[B, h, w]`` and class logits ``[B, C, h, w]`` at map size."""
        y = self.linear(self.norm(seen)).float().view(len(seen), rows, columns, CELL, CELL, -1)
        y = y.permute(0, 5, 1, 3, 2, 4).reshape(len(seen), -1, rows * CELL, columns * CELL)
        return y[:, 0], y[:, 1:]

    def predict(
        self, seen: Tensor, rows: int, columns: int, size: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """Log depth and class ids ``[B, H, W]`` at ``size``."""
        log, logits = self(seen, rows, columns)
        log = F.interpolate(log[:, None], size=tuple(size), mode="bilinear")[:, 0]
        return log, F.interpolate(logits, size=tuple(size), mode="nearest").argmax(1)

    def loss(
        self,
        seen: Tensor,
        rows: int,
        columns: int,
        log: Tensor,
        classes: Tensor,
        nameable: Tensor,
        photos: int = 0,
    ) -> tuple[Tensor, Figures]:
        """Depth and class loss against log depth and class ids ``[B, h, w]``; figures. The last
        ``photos`` pictures have no depth and labels in places."""
        depth, logits = self(seen, rows, columns)
        weights = self.get_buffer("weights")
        frames = len(classes) - photos
        weight = weights.clamp(0.5, 3.0)[classes[:frames]]
        e_depth = depth_loss(depth[:frames], log[:frames], weight)
        e_class = class_loss(logits, classes, weights, nameable, photos)
        return e_depth + 0.3 * e_class, {
            "seen_depth": e_depth.detach(),
            "seen_class": e_class.detach(),
        }

    def save(self, folder: Path) -> None:
        """Put the read-out beside a model, for the next stage."""
        save_file({n: t.contiguous() for n, t in self.state_dict().items()}, str(folder / FILE))

    def load(self, folder: Path) -> bool:
        """Take the read-out beside a model, if there is one of this shape."""
        if not (folder / FILE).exists():
            return False
        self.load_state_dict(load_file(str(folder / FILE)))
        return True


class SeeStage:
    """Losses of stage 1a: the read-out alone.

    Args:
        tune_tower: part of the budget behind which the tower's convolutions are trained too, slowly
        (1: never). Once what stands on them is right, they move little and forget little.
    """

    def __init__(
        self,
        passes: FramePasses,
        data: Mixture,
        val: FrameStore,
        codecs: MapCodecs,
        sizes: list[tuple[float, int, int, int]],
        val_photos: PhotoStore | None = None,
        tune_tower: float = 1.0,
    ) -> None:
        self.passes, self.model, self.tune_tower = passes, passes.model, tune_tower
        self.data, self.val, self.codecs, self.sizes = data, val, codecs, sizes
        self.val_photos = val_photos
        weights = class_weights(data.store.class_frequency(len(codecs.colours)))
        self.read_out = ReadOut(self.model.config.hidden_size, codecs, weights)
        self.model.aux_maps = self.read_out

    def refresh(self) -> None:
        """Take in new shards."""
        self.data.store.refresh()

    def next_room(self) -> int:
        """Number of the next room of a stream."""
        return self.data.store.next_room()

    def loss(self, step: int, progress: float, g: torch.Generator) -> tuple[Tensor, Figures]:
        """One batch."""
        _, width, height, batch = [s for s in self.sizes if progress >= s[0]][-1]
        b = self.data.sample(batch, g, *vary(width, height, g, self.passes.patch))
        rows, columns = self.passes.grid(b)
        log, classes = self.passes.small(b, self.codecs)
        self.passes.tuned = self.passes.tuned or progress >= self.tune_tower
        with autocast():
            self.passes.see(b)
            assert self.passes.seen is not None
            total, figures = self.read_out.loss(
                self.passes.seen, rows, columns, log, classes, self.data.nameable(),
                self.data.photos_of(batch),
            )  # fmt: skip
        return total, {"samples": batch, **figures}

    def predict(self, b: FrameBatch) -> tuple[Tensor, Tensor]:
        """Log depth and class ids of the read-out at the batch's size."""
        with autocast():
            self.passes.see(b)
            assert self.passes.seen is not None
            size = b.depth.shape[-2:]
            return self.read_out.predict(self.passes.seen, *self.passes.grid(b), size)

    def evaluate(self) -> dict[str, float]:
        """Map metrics of the read-out on the validation frames and photos."""
        metrics = MapMetrics(len(self.codecs.colours))
        _, width, height, _ = self.sizes[-1]
        for i in range(0, len(self.val), 16):
            b = resize(self.val.batch(torch.arange(i, min(i + 16, len(self.val)))), width, height)
            metrics.add(*self.predict(b), b.depth, b.classes, b.instances)
        self.last_per_class = metrics.per_class()
        return metrics.result() | photo_figures(self.val_photos, self.predict, width, height)


def vary(width: int, height: int, g: torch.Generator, patch: int) -> tuple[int, int]:
    """Another aspect ratio now and then (one batch in eight): cameras are not all 4:3."""
    r = draw(g)
    if r < 0.08:
        height = max(patch, height * 3 // 4 // patch * patch)
    elif r < 0.12:
        width = max(patch, width * 3 // 4 // patch * patch)
    return width, height
