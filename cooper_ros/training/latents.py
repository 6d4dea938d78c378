"""Latents of true maps, encoded once per frame: the autoencoder's encoder is frozen while maps are
learnt, and encoding them anew was a tenth of a step."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor

from .device import put
from .frames import FrameBatch, FrameStore
from .resident import on_gpu

Encode = Callable[[Tensor, Tensor], Tensor]


class LatentCache:
    """Latents by frame, mirroring and window, in half precision on the host.

    Args:
        encode: log depth and class ids ``[B, h, w]`` to tokens ``[B, 2, N, c]``.
        most: entries kept; the ones used longest ago leave (12x9 tokens of 64 numbers: 27 kB).
    """

    def __init__(self, encode: Encode, most: int = 40_000) -> None:
        self.encode, self.most = encode, most
        self.kept: OrderedDict[tuple[object, ...], Tensor] = OrderedDict()

    def of(self, store: FrameStore, b: FrameBatch, log: Tensor, classes: Tensor) -> Tensor:
        """Tokens ``[B, 2, N, c]`` of the first ``len(log)`` frames of a batch of ``store``."""
        if on_gpu():  # encodes faster than it takes two hundred of them out of the host's memory
            return self.encode(log, classes)
        keys = [
            (store.names[i], b.flipped, b.window, tuple(log.shape[1:]))
            for i in b.index[: len(log)].tolist()
        ]
        missing = [i for i, key in enumerate(keys) if key not in self.kept]
        if missing:
            fresh = self.encode(log[missing], classes[missing]).to("cpu", torch.float16)
            for i, tokens in zip(missing, fresh, strict=True):
                self.kept[keys[i]] = tokens.clone()
        for key in keys:
            self.kept.move_to_end(key)
        found = put(torch.stack([self.kept[key] for key in keys]).float())
        while len(self.kept) > self.most:
            self.kept.popitem(last=False)
        return found
