"""The COOPER model: vision tower, connector, Mixture-of-Transformers, latent path, autoencoder.

Parameter names are those of the official checkpoint, so its tensors load without a name map.
"""

from __future__ import annotations

import torch
from diffusers.models.embeddings import get_timestep_embedding
from torch import Tensor, nn
from torch.nn.functional import gelu
from transformers import PreTrainedModel

from .autoencoder import Autoencoder
from .configuration import CooperConfig
from .mot import MoTLanguageModel
from .vision import build_vision_tower


def sincos_table(size: int, side: int, period: float, frequency: float = 1.0) -> Tensor:
    """Fixed 2-D sin-cos table ``[side*side, size]`` float32, row-major.

    First half of the channels: column, second half: row; each half ``[sin(p w), cos(p w)]`` with
    ``w_i = frequency * period^(-i / (size/4))`` [rad per patch].
    """
    quarter = size // 4
    w = frequency * period ** -(torch.arange(quarter, dtype=torch.float64) / quarter)
    p = torch.arange(side, dtype=torch.float64)[:, None] * w
    axis = torch.cat([p.sin(), p.cos()], 1)
    column = axis[None, :, :].expand(side, side, -1)
    row = axis[:, None, :].expand(side, side, -1)
    return torch.cat([column, row], 2).reshape(side * side, size).float()


class PositionTable(nn.Module):
    """A fixed 2-D position table, stored with the weights as the official checkpoint does."""

    def __init__(self, size: int, side: int, period: float, scale: float, frequency: float) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(
            scale * sincos_table(size, side, period, frequency), requires_grad=False
        )

    def forward(self, position_ids: Tensor) -> Tensor:
        return self.pos_embed[position_ids]


class Connector(nn.Module):
    """Vision features to hidden size: linear, tanh-GELU, linear."""

    def __init__(self, inp: int, out: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(inp, out)
        self.fc2 = nn.Linear(out, out)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(gelu(self.fc1(x), approximate="tanh"))


class TimeEmbedder(nn.Module):
    """Sinusoid (cos, sin; period 1e4) of the raw time in [0, 1], then a two-layer MLP."""

    def __init__(self, size: int, hidden: int) -> None:
        super().__init__()
        self.size = size
        self.mlp = nn.Sequential(nn.Linear(size, hidden), nn.SiLU(), nn.Linear(hidden, hidden))

    def forward(self, time: Tensor) -> Tensor:
        wave = get_timestep_embedding(time, self.size, flip_sin_to_cos=True, downscale_freq_shift=0)
        return self.mlp(wave.to(self.mlp[0].weight.dtype))


class CooperModel(PreTrainedModel):
    """BAGEL / COOPER at any size.

    The pieces below are what graphs, packed training and the torch backend are composed of.
    """

    config_class = CooperConfig
    base_model_prefix = ""
    supports_gradient_checkpointing = False

    def __init__(self, config: CooperConfig) -> None:
        super().__init__(config)
        d = config.hidden_size
        self.language_model = MoTLanguageModel(config)
        self.vit_model = build_vision_tower(config)
        self.connector = Connector(config.vision["hidden_size"], d)
        self.time_embedder = TimeEmbedder(config.time_embedding_size, d)
        self.vae2llm = nn.Linear(config.latent_token_size, d)
        self.llm2vae = nn.Linear(d, config.latent_token_size)
        period, scale, top = (
            config.position_period,
            config.position_scale,
            config.position_frequency,
        )
        self.latent_pos_embed = PositionTable(
            d, config.max_latent_size, period, scale * config.latent_position_scale, top
        )
        self.vit_pos_embed = PositionTable(d, config.max_patches_per_side, period, scale, top)
        self.ray_embed = nn.Linear(config.ray_channels, d) if config.ray_channels else None
        self.map_embed = nn.Linear(config.map_features, d) if config.map_features else None
        self.autoencoder = Autoencoder(config)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Leave construction-time initialisation alone: training sets its own, checkpoints the
        rest."""

    def embed(self, ids: Tensor) -> Tensor:
        """Token embeddings ``[..., D]`` of ids ``[...]``."""
        return self.language_model.model.embed_tokens(ids)

    def vision_tokens(
        self,
        image: Tensor,
        position_ids: Tensor,
        rays: Tensor | None = None,
        features: Tensor | None = None,
    ) -> Tensor:
        """Understanding tokens ``[B, N, D]`` of pictures ``[B, 3, H, W]`` in [-1, 1].

        Args:
            position_ids: ``[N]``, row * max_patches_per_side + column.
            rays: camera rays per patch ``[B, N, ray_channels]``; needed where the model has an
            embedding
                for them, see :func:`cooper_ros.runtime.rays.patch_rays`.
            features: tower output, where the caller has it already.
        """
        if features is None:
            features = self.vit_model(image, position_ids)
        x = self.connector(features) + self.vit_pos_embed(position_ids)
        if self.ray_embed is not None:
            if rays is None:
                raise ValueError("this model needs camera rays: pass intrinsics with the picture")
            x = x + self.ray_embed(rays)
        return x

    def map_tokens(self, features: Tensor, position_ids: Tensor) -> Tensor:
        """Context tokens ``[B, N, D]`` of cells of drawn maps ``[B, N, F]``.

        Cells stand at the positions of the picture's own table, so that a word finds the picture's
        token and the maps' token of a place with one query.

        Raises:
            ValueError: a model whose maps enter in another form.
        """
        if self.map_embed is None:
            raise ValueError("this model takes no fused maps")
        return self.map_embed(features) + self.vit_pos_embed(position_ids)

    def latent_tokens(self, latents: Tensor, time: Tensor, position_ids: Tensor) -> Tensor:
        """Generation tokens of latent tokens ``[B, N, c]`` at times ``[B]`` or ``[B, N]`` in [0,
        1]."""
        t = self.time_embedder(time.reshape(-1)).reshape(*time.shape, -1)
        if t.ndim == 2:
            t = t[:, None]
        return self.vae2llm(latents) + t + self.latent_pos_embed(position_ids)

    def velocity(self, hidden: Tensor) -> Tensor:
        """Velocity ``noise - data`` ``[B, N, c]`` from normed generation states."""
        return self.llm2vae(hidden)

    def logits(self, hidden: Tensor) -> Tensor:
        """Next-token logits ``[..., V]`` from normed understanding states."""
        return self.language_model.lm_head(hidden)
