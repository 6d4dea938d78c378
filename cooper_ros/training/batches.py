"""What a training step looks at: simulated frames, real photos, unknown cameras."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from . import parts
from .device import draw, draw_seed, rand
from .frames import FrameBatch, FrameStore, jitter, sample_batch
from .photos import PhotoStore, nameable_ids

UNKNOWN_SHARE = 0.15
"""Share of simulated pictures without camera: so that a picture without calibration gets good
relative depth, and zero rays are an input the model knows."""


@dataclass
class Mixture:
    """Where batches come from. `photos`: real ones, `share` of the pictures of a batch."""

    store: FrameStore
    photos: PhotoStore | None = None
    share: float = 1 / 3
    unknown: float = UNKNOWN_SHARE

    def photos_of(self, batch: int) -> int:
        """How many of `batch` pictures are photos."""
        return round(batch * self.share) if self.photos is not None else 0

    def sample(self, batch: int, g: torch.Generator, width: int, height: int) -> FrameBatch:
        """A random batch at ``width`` x ``height``, simulated frames first."""
        count = self.photos_of(batch)
        with parts.part("data"):
            frames = sample_batch(self.store, batch - count, g, width, height)
            if self.unknown:
                frames.known = rand(len(frames.rgb), g=g) >= self.unknown
            if self.photos is None or not count:
                return frames
            rng = np.random.default_rng(draw_seed(g))
            numbers = [int(draw(g) * len(self.photos)) for _ in range(count)]
            real = self.photos.batch(numbers, width, height, rng)
            real.rgb = jitter(real.rgb, g)
            return joined(frames, real)

    def nameable(self) -> Tensor:
        """Class ids that photos' labels can say."""
        return torch.tensor(nameable_ids())


def joined(first: FrameBatch, second: FrameBatch) -> FrameBatch:
    """Two batches of one size behind each other; `flipped` and `window` are the first one's."""
    values = {
        f.name: torch.cat([getattr(first, f.name), getattr(second, f.name)])
        for f in fields(FrameBatch)
        if f.name not in ("flipped", "window")
    }
    return FrameBatch(flipped=first.flipped, window=first.window, **values)
