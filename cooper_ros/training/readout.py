"""Stage 1a, `see`: the picture's own states learn where things are, before anything is drawn.

A linear read-out of both maps, pixel by pixel, from the picture's states that enter the layers left
for drawing (``setup.seen_layer``). It exists in training only and is not part of the model. The
understanding expert learns this way in a third of the time per picture and in far fewer pictures
than through the attention of another expert and a decoder; drawing then means copying what is
already there.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from .device import autocast, draw
from .frames import FrameStore, resize, sample_batch
from .maps import MapCodecs, MapMetrics, class_weights, depth_loss

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

    def loss(
        self, seen: Tensor, rows: int, columns: int, log: Tensor, classes: Tensor
    ) -> tuple[Tensor, dict[str, float]]:
        """Depth and class loss against log depth and class ids ``[B, h, w]``; figures."""
        depth, logits = self(seen, rows, columns)
        weights = self.get_buffer("weights")
        e_depth = depth_loss(depth, log, weights.clamp(0.5, 3.0)[classes])
        e_class = F.cross_entropy(logits, classes, weight=weights)
        return e_depth + 0.3 * e_class, {
            "seen_depth": float(e_depth.detach()),
            "seen_class": float(e_class.detach()),
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
    """Losses of stage 1a: the read-out alone."""

    def __init__(
        self,
        passes: FramePasses,
        store: FrameStore,
        val: FrameStore,
        codecs: MapCodecs,
        sizes: list[tuple[float, int, int, int]],
    ) -> None:
        self.passes, self.model = passes, passes.model
        self.store, self.val, self.codecs, self.sizes = store, val, codecs, sizes
        weights = class_weights(store.class_frequency(len(codecs.colours)))
        self.read_out = ReadOut(self.model.config.hidden_size, codecs, weights)
        self.model.aux_maps = self.read_out

    def refresh(self) -> None:
        """Take in new shards."""
        self.store.refresh()

    def loss(
        self, step: int, progress: float, g: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """One batch."""
        _, width, height, batch = [s for s in self.sizes if progress >= s[0]][-1]
        b = sample_batch(self.store, batch, g, *vary(width, height, g))
        rows, columns = b.rgb.shape[-2] // self.passes.patch, b.rgb.shape[-1] // self.passes.patch
        log, classes = self.codecs.log_depth(b.depth, 2), b.classes[:, 1::2, 1::2]
        with autocast():
            self.passes.see(b)
            assert self.passes.seen is not None
            total, figures = self.read_out.loss(self.passes.seen, rows, columns, log, classes)
        return total, {"samples": batch, **figures}

    def evaluate(self) -> dict[str, float]:
        """Map metrics of the read-out on the validation frames."""
        metrics = MapMetrics(len(self.codecs.colours))
        _, width, height, _ = self.sizes[-1]
        for i in range(0, len(self.val), 16):
            b = resize(self.val.batch(torch.arange(i, min(i + 16, len(self.val)))), width, height)
            rows, columns = height // self.passes.patch, width // self.passes.patch
            with autocast():
                self.passes.see(b)
                assert self.passes.seen is not None
                log, logits = self.read_out(self.passes.seen, rows, columns)
            log = F.interpolate(log[:, None], size=b.depth.shape[-2:], mode="bilinear")[:, 0]
            logits = F.interpolate(logits, size=b.depth.shape[-2:], mode="nearest")
            metrics.add(log, logits.argmax(1), b.depth, b.classes, b.instances)
        return metrics.result()


def vary(width: int, height: int, g: torch.Generator) -> tuple[int, int]:
    """Another aspect ratio now and then (one batch in eight): cameras are not all 4:3."""
    r = draw(g)
    if r < 0.08:
        height = height * 3 // 4 // 16 * 16
    elif r < 0.12:
        width = width * 3 // 4 // 16 * 16
    return width, height
