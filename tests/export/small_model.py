"""A model of the same classes as every other, small enough to export in a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from cooper_ros.export.exporter import ExportOptions, export_model
from cooper_ros.model.configuration import CooperConfig
from cooper_ros.model.modeling import CooperModel
from cooper_ros.runtime.folder import ModelFolder
from cooper_ros.runtime.tokenizer import Tokenizer

SEED = 5
SHARD_BYTES = 120_000


def small_config(**changes: Any) -> CooperConfig:
    """One layer, both experts, camera rays, SigLIP tower, class head."""
    ids = Tokenizer.from_vocabulary().marker_ids
    values: dict[str, Any] = {
        "vocab_size": Tokenizer.from_vocabulary().vocab_size,
        "hidden_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 80,
        "vision": {
            "type": "siglip_navit",
            "hidden_size": 24,
            "intermediate_size": 40,
            "num_attention_heads": 2,
            "num_layers": 1,
            "patch_size": 14,
        },
        "autoencoder": {
            "ch": 8,
            "ch_mult": [1, 2],
            "num_res_blocks": 1,
            "z_channels": 4,
            "scale_factor": 0.5,
            "shift_factor": 0.1,
            "norm_num_groups": 4,
            "class_head": 6,
        },
        "max_patches_per_side": 8,
        "max_latent_size": 8,
        "ray_channels": 5,
        "time_embedding_size": 16,
        "special_tokens": {
            "bos": ids.text_start,
            "eos": ids.text_end,
            "vision_start": ids.vision_start,
            "vision_end": ids.vision_end,
        },
        "runtime": {
            "vision_resize": {
                "max_side": 112,
                "min_side": 28,
                "stride": 14,
                "max_pixels": 1_806_336,
            },
            "map_resize": {"max_side": 32, "min_side": 8, "stride": 4, "max_pixels": 1_806_336},
        },
    }
    return CooperConfig(**{**values, **changes})


def small_model(**changes: Any) -> CooperModel:
    """Seeded weights, none of them zero or equal, so that no two tensors can be mixed up."""
    torch.manual_seed(SEED)
    model = CooperModel(small_config(**changes)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name and parameter.ndim == 1 and name.endswith("weight"):
                parameter.uniform_(0.5, 1.5)
            elif parameter.ndim == 1:
                parameter.normal_(0, 0.2)
            elif not name.endswith("pos_embed"):
                parameter.normal_(0, parameter[0].numel() ** -0.5)
    return model


def export_small_model(target: Path, dtype: str = "float16", **changes: Any) -> ModelFolder:
    """Export it with small shards."""
    options = ExportOptions(
        name="small", dtype=dtype, max_shard_bytes=SHARD_BYTES, licence="Apache-2.0"
    )
    return export_model(small_model(**changes), Tokenizer.from_vocabulary(), target, options)
