"""Depth and segmentation as pictures in torch, losses on them, and their metrics.

The codecs are those of :mod:`cooper_ros.core.codecs`, which the runtime uses; a test holds them
equal.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from cooper_ros.core.classes import CLASS_NAMES
from cooper_ros.core.labelled_photos import UNNAMED

SMALL = tuple(
    CLASS_NAMES.index(name)
    for name in (
        "ball", "mug", "bottle", "bowl", "book", "vase", "can", "box", "bin", "lamp", "laptop"
    )
)  # fmt: skip
"""Classes of small things."""


def every(ids: Tensor, factor: int) -> Tensor:
    """Ids ``[B, H, W]`` to ``[B, H/f, W/f]``: the pixel in the middle of each block, no mixture."""
    return ids[:, factor // 2 :: factor, factor // 2 :: factor]


class MapCodecs:
    """Truth to pictures and back, at the size of the map picture.

    Args:
        min_m, max_m: range of the logarithmic depth code [m].
        colours: palette ``[classes, 3]`` in [-1, 1].
        sharpness: class logits are ``-sharpness * squared colour distance``.
    """

    def __init__(
        self, min_m: float, max_m: float, colours: Tensor, sharpness: float = 10.0
    ) -> None:
        self.low, self.high = math.log(min_m), math.log(max_m)
        self.colours, self.sharpness = colours.float(), sharpness

    def log_depth(self, depth: Tensor, factor: int) -> Tensor:
        """Mean log depth ``[B, H/f, W/f]`` of ``[B, H, W]`` m, clamped to the range."""
        value = depth.clamp(math.exp(self.low), math.exp(self.high)).log()
        return F.avg_pool2d(value[:, None], factor)[:, 0]

    def small(self, depth: Tensor, classes: Tensor, factor: int) -> tuple[Tensor, Tensor]:
        """Log depth and class ids ``[B, H/f, W/f]`` of the size of a map."""
        return self.log_depth(depth, factor), every(classes, factor)

    def depth_picture(self, log_depth: Tensor) -> Tensor:
        """``[B, h, w]`` log m -> ``[B, 3, h, w]`` in [-1, 1]."""
        v = (log_depth - self.low) / (self.high - self.low) * 2 - 1
        return v[:, None].expand(-1, 3, -1, -1)

    def read_depth(self, picture: Tensor) -> Tensor:
        """``[B, 3, h, w]`` -> log m ``[B, h, w]``, clamped to the range."""
        return (picture.mean(1).clamp(-1, 1) + 1) / 2 * (self.high - self.low) + self.low

    def class_picture(self, classes: Tensor, factor: int) -> Tensor:
        """Class ids ``[B, H, W]`` -> palette picture ``[B, 3, H/f, W/f]`` (nearest)."""
        o = factor // 2
        return self.colours[classes[:, o::factor, o::factor]].permute(0, 3, 1, 2)

    def class_logits(self, picture: Tensor) -> Tensor:
        """``[B, 3, h, w]`` -> logits ``[B, classes, h, w]``."""
        # |p - c|^2 without |p|^2, which is the same for all classes
        c = self.colours
        dot = torch.einsum("bchw,kc->bkhw", picture, c)
        return self.sharpness * (2 * dot - (c * c).sum(1)[None, :, None, None])


def class_weights(frequency: Tensor) -> Tensor:
    """Loss weight per class ``(f + 1e-3)^-0.4``, mean 1 over the pixels' classes."""
    w = (frequency / frequency.sum() + 1e-3) ** -0.4
    return w / w.mean()


def class_loss(
    logits: Tensor, classes: Tensor, weight: Tensor, nameable: Tensor, photos: int = 0
) -> Tensor:
    """Weighted cross-entropy of simulated frames, and of the ``photos`` last pictures of a batch.

    Simulated pixels are all known. Photos are balanced by picture, since a picture has as many
    labelled pixels as its labeller was sure of: 255 is unknown and takes no part, 254 is none of
    ``nameable`` and pays for the probability of those.

    Args:
        logits: ``[B, K, h, w]``.
        classes: ids ``[B, h, w]``.
        weight: per class ``[K]``.
        nameable: class ids that labels of photos can say.
    """
    frames = len(classes) - photos
    total = torch.zeros(())
    if frames:
        total = F.cross_entropy(logits[:frames], classes[:frames], weight=weight) * frames
    if photos:
        total = total + photo_loss(logits[frames:], classes[frames:], weight, nameable) * photos
    return total / len(classes)


def photo_loss(logits: Tensor, classes: Tensor, weight: Tensor, nameable: Tensor) -> Tensor:
    """The part of :func:`class_loss` for photos."""
    known = classes < logits.shape[1]
    ids = torch.where(known, classes, 0)
    w = torch.where(known, weight[ids], 0.0)
    error = F.cross_entropy(logits, ids, reduction="none") * w
    unnamed = classes == UNNAMED
    others = logits.index_fill(1, nameable, -1e4)
    outside = logits.logsumexp(1) - others.logsumexp(1)
    error = (error + torch.where(unnamed, outside, 0.0)).flatten(1).sum(1)
    pixels = (w + unnamed.float()).flatten(1).sum(1)
    return (error / pixels.clamp(min=1.0)).mean()


def depth_loss(predicted: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """L1 on log depth plus half of its gradient error; all ``[B, h, w]``."""
    e = predicted - target
    grad = (e[:, 1:] - e[:, :-1]).abs().mean() + (e[:, :, 1:] - e[:, :, :-1]).abs().mean()
    return (e.abs() * weight).mean() + 0.5 * grad


class MapMetrics:
    """Running AbsRel, delta1, mIoU and per-instance depth error."""

    def __init__(self, classes: int, stuff: int = 3) -> None:
        self.classes, self.stuff = classes, stuff
        self.confusion = torch.zeros(classes, classes)
        self.absrel: list[float] = []
        self.delta1: list[float] = []
        self.objects: list[float] = []

    def add(
        self, log_depth: Tensor, classes: Tensor, depth: Tensor, truth: Tensor, instances: Tensor
    ) -> None:
        """Add frames; predictions and truths ``[B, H, W]`` at one size."""
        d = log_depth.exp()
        ratio = torch.maximum(d / depth, depth / d)
        self.absrel += ((d - depth).abs() / depth).flatten(1).mean(1).tolist()
        self.delta1 += (ratio < 1.25).float().flatten(1).mean(1).tolist()
        self.confusion += torch.bincount(
            (truth * self.classes + classes).flatten(), minlength=self.classes**2
        ).view(self.classes, self.classes)
        for i in range(len(d)):
            key = instances[i].long() * 64 + truth[i]
            for k in key.unique().tolist():
                m = key == k
                if k % 64 < self.stuff or int(m.sum()) < 40:
                    continue
                t = float(depth[i][m].median())
                self.objects.append(abs(float(d[i][m].median()) - t) / t)

    def result(self) -> dict[str, float]:
        """All figures."""
        c = self.confusion
        iou = c.diag() / (c.sum(0) + c.sum(1) - c.diag() + 1e-6)
        present = c.sum(1) > 200
        small = [i for i in SMALL if i < len(c) and bool(present[i])]
        o = torch.tensor(self.objects or [float("nan")])
        return {
            "absrel": sum(self.absrel) / len(self.absrel),
            "delta1": sum(self.delta1) / len(self.delta1),
            "miou": float(iou[present].mean()),
            "small_miou": float(iou[small].mean()) if small else float("nan"),
            "accuracy": float(c.diag().sum() / c.sum()),
            "object_median": float(o.median()),
            "object_20": float((o < 0.2).float().mean()),
        }

    def per_class(self) -> list[float]:
        """IoU of every class."""
        c = self.confusion
        return (c.diag() / (c.sum(0) + c.sum(1) - c.diag() + 1e-6)).tolist()
