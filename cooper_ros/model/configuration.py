"""Configuration of the COOPER / BAGEL architecture at any size.

One set of fields describes the official 14.6 B model, the conformance model and cooper-nano.
Nothing
here knows a size by name: a model is what its numbers say.
"""

from __future__ import annotations

from typing import Any

from transformers import PretrainedConfig

VISION_TYPES = ("siglip_navit", "efficientnet_lite")


class CooperConfig(PretrainedConfig):
    """Dimensions and behaviour of a COOPER model.

    Args:
        vocab_size, hidden_size, num_hidden_layers, num_attention_heads, num_key_value_heads,
            intermediate_size, rms_norm_eps, rope_theta: the Qwen2 language model; every layer holds
            two experts of these dimensions (understanding and generation).
        vision: vision tower. ``type`` is one of :data:`VISION_TYPES`. ``siglip_navit`` takes
            ``hidden_size, intermediate_size, num_attention_heads, num_layers`` (layers really
            used),
            ``patch_size``; ``efficientnet_lite`` takes the same, its layers sit on frozen
            convolutional
            features and its patches are 16 pixels.
        autoencoder: ``ch, ch_mult, num_res_blocks, z_channels, scale_factor, shift_factor,
            norm_num_groups, in_channels, mid_attention``.
        max_patches_per_side: side of the square position table of vision tokens.
        max_latent_size: side of the square position table of latent tokens.
        latent_patch_size: latent pixels per token side (2: one token is 2x2 latents).
        position_period, position_scale, position_frequency: period ratio, amplitude and highest
        frequency
            [rad per patch] of the fixed 2-D sin-cos tables (10000, 1 and 1 in the official model).
            A small
            model needs neighbouring patches to look different at once.
        latent_position_scale: further factor of the latent tokens' table; a latent token that
        starts from
            zero noise consists of little else, and content must be able to outweigh it.
        map_features: numbers per cell of drawn maps in the context, 0 where maps enter as latents
            or pictures (see :mod:`cooper_ros.runtime.fused`).
        ray_channels: width of the camera-ray embedding's input, 0 where the model has none.
        time_embedding_size: width of the sinusoidal time embedding.
        special_tokens: ids of ``bos`` (text start), ``eos`` (text end), ``vision_start``,
            ``vision_end``.
        runtime: what the host around the graphs needs to know (resize rules, codecs, prompts, loop
            and generation defaults); carried into the model folder's manifest unchanged.
    """

    model_type = "cooper"

    def __init__(
        self,
        vocab_size: int = 640,
        hidden_size: int = 96,
        num_hidden_layers: int = 3,
        num_attention_heads: int = 6,
        num_key_value_heads: int = 2,
        intermediate_size: int = 192,
        rms_norm_eps: float = 1e-6,
        rope_theta: float = 1e6,
        vision: dict[str, Any] | None = None,
        autoencoder: dict[str, Any] | None = None,
        max_patches_per_side: int = 70,
        max_latent_size: int = 64,
        latent_patch_size: int = 2,
        position_period: float = 10000.0,
        position_scale: float = 1.0,
        position_frequency: float = 1.0,
        latent_position_scale: float = 1.0,
        ray_channels: int = 0,
        map_features: int = 0,
        time_embedding_size: int = 256,
        special_tokens: dict[str, int] | None = None,
        runtime: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("tie_word_embeddings", False)
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.num_key_value_heads = num_key_value_heads
        self.intermediate_size = intermediate_size
        self.rms_norm_eps = rms_norm_eps
        self.rope_theta = float(rope_theta)
        self.vision: dict[str, Any] = (
            dict(vision)
            if vision
            else {
                "type": "siglip_navit",
                "hidden_size": 48,
                "intermediate_size": 112,
                "num_attention_heads": 3,
                "num_layers": 3,
                "patch_size": 14,
            }
        )
        self.autoencoder: dict[str, Any] = (
            dict(autoencoder)
            if autoencoder
            else {
                "ch": 32,
                "ch_mult": [1, 2, 2, 2],
                "num_res_blocks": 1,
                "z_channels": 16,
                "scale_factor": 0.3611,
                "shift_factor": 0.1159,
            }
        )
        self.max_patches_per_side = max_patches_per_side
        self.max_latent_size = max_latent_size
        self.latent_patch_size = latent_patch_size
        self.position_period = position_period
        self.position_scale = position_scale
        self.position_frequency = position_frequency
        self.latent_position_scale = latent_position_scale
        self.ray_channels = ray_channels
        self.map_features = map_features
        self.time_embedding_size = time_embedding_size
        self.special_tokens = (
            dict(special_tokens)
            if special_tokens
            else {"bos": 454, "eos": 455, "vision_start": 456, "vision_end": 457}
        )
        self.runtime = dict(runtime) if runtime else {}
        super().__init__(**kwargs)
        if self.vision["type"] not in VISION_TYPES:
            raise ValueError(
                f"vision type {self.vision['type']!r} is unknown; use one of {VISION_TYPES}"
            )
        if hidden_size % 4:
            raise ValueError(
                f"hidden_size {hidden_size} must be a multiple of 4 (2-D sin-cos tables)"
            )

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def latent_token_size(self) -> int:
        """Channels of one latent token: ``latent_patch_size**2 * z_channels``."""
        return self.latent_patch_size**2 * int(self.autoencoder["z_channels"])

    @property
    def autoencoder_downsample(self) -> int:
        """Image pixels per latent pixel side."""
        return int(2 ** (len(self.autoencoder["ch_mult"]) - 1))
