"""From a configuration to the `ModelSpec` that the torch-free host code reads.

Dimensions come from the configuration, conventions from its `runtime` dictionary (fields of
`ModelSpec.to_dict`), and what is missing there from the official COOPER inference settings.
"""

from __future__ import annotations

from typing import Any

from cooper_ros.reasoning import prompts
from cooper_ros.runtime.spec import ModelSpec

from .configuration import CooperConfig

OFFICIAL_RUNTIME: dict[str, Any] = {
    "vision_resize": {
        "max_side": 518,
        "min_side": 224,
        "stride": 14,
        "max_pixels": 1_806_336,
    },
    "map_resize": {
        "max_side": 1024,
        "min_side": 512,
        "stride": 16,
        "max_pixels": 1_806_336,
    },
    # Stage 1 mixed sets of different ranges: a map is relative, whatever the numbers here.
    "depth": {"min_m": 1e-3, "max_m": 10.0, "curve": "linear", "metric": False},
    # The original wordings of system and reflection text are not distributed here; whoever has
    # them overrides these (`cooper export --spec`).
    "prompts": {
        "depth": prompts.OFFICIAL_DEPTH,
        "segmentation": prompts.OFFICIAL_SEGMENTATION,
        "system": prompts.OFFICIAL_SYSTEM,
        "reflection": prompts.OFFICIAL_REFLECTION,
        "direct": "",
    },
    "loop": {"max_turns": 3, "max_turn_tokens": 2048},
    "perception": {
        "num_timesteps": 50,
        "shift": 3.0,
        "text_scale": 3.0,
        "image_scale": 1.5,
        "interval": [0.4, 1.0],
        "renorm": "global",
    },
    "interleaved": {
        "num_timesteps": 30,
        "shift": 3.0,
        "text_scale": 4.0,
        "image_scale": 2.0,
        "interval": [0.4, 1.0],
        "renorm": "global",
    },
}


def model_spec(config: CooperConfig, **overrides: Any) -> ModelSpec:
    """The runtime's view of a model; `overrides` are fields of `ModelSpec.to_dict`.

    Raises ModelFolderError for a field of `config.runtime` that `ModelSpec` does not have.
    """
    names = config.special_tokens
    vision: dict[str, Any] = config.vision
    autoencoder: dict[str, Any] = config.autoencoder
    dimensions: dict[str, Any] = {
        "hidden_size": config.hidden_size,
        "num_layers": config.num_hidden_layers,
        "num_heads": config.num_attention_heads,
        "num_kv_heads": config.num_key_value_heads,
        "head_dim": config.head_dim,
        "vocab_size": config.vocab_size,
        "rope_theta": config.rope_theta,
        "tokens": {
            "text_start": names["bos"],
            "text_end": names["eos"],
            "vision_start": names["vision_start"],
            "vision_end": names["vision_end"],
        },
        "vision_patch": int(vision["patch_size"]),
        "vision_grid_side": config.max_patches_per_side,
        "latent_grid_side": config.max_latent_size,
        "latent_patch": config.latent_patch_size,
        "latent_channels": int(autoencoder["z_channels"]),
        "autoencoder_downsample": config.autoencoder_downsample,
        "ray_channels": config.ray_channels,
    }
    merged = OFFICIAL_RUNTIME | dimensions | config.runtime | overrides
    if merged.get("segmentation") and autoencoder.get("class_head"):
        merged["segmentation"] = merged["segmentation"] | {"scores": True}
    if config.map_features:
        merged.setdefault("fused", {})
    return ModelSpec.from_dict(merged)
