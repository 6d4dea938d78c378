"""Maps in the context as fused cells: the features of `runtime.fused` in torch, and their pass."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cooper_ros.model.mot import rope_tables
from cooper_ros.model.packing import MASKED
from cooper_ros.runtime.fused import CENTRE, FusedSettings

from .parts import part
from .stage1 import Cache, FramePasses, grid_ids


def fused_features(settings: FusedSettings, log_depth: Tensor, scores: Tensor) -> Tensor:
    """``[B, N, width]`` of log depth ``[B, h, w]`` and class shares ``[B, K, h, w]`` (one-hot)."""
    rows, columns = log_depth.shape[1] // settings.cell, log_depth.shape[2] // settings.cell
    pooled = _raster(log_depth[:, None] - CENTRE, rows, columns, settings.grid)
    parts = [pooled]
    for wave in settings.waves:
        parts += [(wave * pooled).sin(), (wave * pooled).cos()]
    return torch.cat([*parts, _raster(scores, rows, columns, settings.class_grid)], -1)


def _raster(values: Tensor, rows: int, columns: int, grid: int) -> Tensor:
    """``[B, C, h, w]`` to means ``[B, rows * columns, grid * grid * C]``."""
    batch, channels = values.shape[:2]
    pooled = F.avg_pool2d(values, values.shape[2] // (rows * grid))
    cells = pooled.reshape(batch, channels, rows, grid, columns, grid)
    return cells.permute(0, 2, 4, 3, 5, 1).reshape(batch, rows * columns, grid * grid * channels)


def one_hot(classes: Tensor, count: int) -> Tensor:
    """Class ids ``[B, h, w]`` to ``[B, K, h, w]``."""
    return F.one_hot(classes, count).permute(0, 3, 1, 2).float()


def fused_context(
    passes: FramePasses, image: Cache, features: Tensor, rows: int, columns: int
) -> Cache:
    """Append the maps as one segment ``[B, N, width]`` to the picture's cache, at position 1.

    Its tokens see each other and not the picture: what a map says must stand in the map.
    """
    model = passes.model
    k, v = image
    past, n = k.shape[3], rows * columns
    with part("context"):
        ids = grid_ids(rows, columns, model.config.max_patches_per_side)
        tokens = model.map_tokens(features, ids)
        m = model.embed(passes.prompts.markers).expand(len(tokens), -1, -1).to(tokens.dtype)
        und = torch.cat([m[:, :1], tokens, m[:, 1:]], 1)
        bias = torch.zeros(n + 2, past + n + 2)
        bias[:, :past] = MASKED
        positions = torch.ones(n + 2)
        cos, sin = rope_tables(positions, model.config.head_dim, model.config.rope_theta)
        _, _, nk, nv = model.language_model.model(
            und, None, cos[None], sin[None], bias[None, None], k, v
        )
    return torch.cat([k, nk.to(k.dtype)], 3), torch.cat([v, nv.to(v.dtype)], 3)
