"""Between the stages: point tokens at what they need, by regression instead of by training."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cooper_ros.model.mot import GEN

from .device import host_generator, randn
from .frames import FrameBatch
from .setup import COPY_SHARE_LAST, cell_codes, seen_layer, slow_slots
from .stage1 import FramePasses, grid_ids

SHARPER = 2.0  # gain of the generation queries over that at initialisation: states are noisier now
RIDGE = 1e-2  # relative to the mean square of the states


def _regress(states: Tensor, codes: Tensor) -> Tensor:
    """Rows ``[R, D]`` of the ridge regression of ``codes`` ``[n, R]`` on ``states`` ``[n, D]``."""
    x, y = states.double(), codes.double()
    gram = x.T @ x / len(x)
    gram += RIDGE * gram.diagonal().mean() * torch.eye(len(gram))
    return torch.linalg.solve(gram, x.T @ y / len(x)).T.float()


@torch.no_grad()
def align_task_heads(passes: FramePasses, b: FrameBatch, layers: int = 2) -> float:
    """Point one head of the first layers at the prompt; returns its attention share there.

    Both maps are drawn from the same start by the same expert: the prompt alone tells them apart,
    and it is half a dozen tokens among a hundred. The head's query becomes a constant, the sum of
    the directions of both prompts' keys.
    """
    model, config = passes.model, passes.model.config
    rows, columns = b.rgb.shape[-2] // passes.patch, b.rgb.shape[-1] // passes.patch
    groups = config.num_attention_heads // config.num_key_value_heads
    e, head = config.head_dim, config.num_key_value_heads - 1
    slow = slow_slots(e)[: e // 2]
    cache = passes.see(b)
    prompt = slice(1, len(passes.prompts.depth) - 1)  # the words between the text markers
    frames, share = len(b.rgb), 0.0
    for index in range(layers):
        a: Any = model.language_model.model.layers[index].self_attn
        keys: list[Tensor] = []
        handle = a.register_forward_hook(lambda _, __, out, k=keys: k.append(out[2].float()))
        passes.generate(cache, rows, columns)
        handle.remove()
        words = nn.functional.normalize(keys[0][[0, frames], head, prompt][..., slow], dim=-1)
        q = getattr(a, "q_proj" + GEN)
        getattr(a, "q_norm" + GEN).weight.mul_(SHARPER)
        for g in range(groups):
            at = (head * groups + g) * e
            q.weight[at : at + e] = 0.0
            q.bias[at : at + e] = 0.0
            q.bias[at + slow] = words.sum((0, 1))
        query = nn.functional.normalize(words.sum((0, 1)), dim=0)
        query = query * float(getattr(a, "q_norm" + GEN).weight.mean()) * e**0.5
        own = keys[0][0, head][:, slow] @ query / e**0.5
        past = cache[0][index, 0, head].float()[:, slow] @ query / e**0.5
        weights = torch.softmax(torch.cat([own, past]), 0)
        share += float(weights[prompt].sum()) / layers
    return share


def _noting(into: dict[str, Tensor], name: str) -> Any:
    def hook(_: nn.Module, __: Any, output: Tensor) -> None:
        into[name] = output.float()

    return hook


def _inputs(passes: FramePasses, b: FrameBatch, index: int) -> tuple[Tensor, Tensor]:
    """Normed states entering layer ``index``: of the pictures, and of the latents drawn there."""
    layer: Any = passes.model.language_model.model.layers[index]
    rows, columns = b.rgb.shape[-2] // passes.patch, b.rgb.shape[-1] // passes.patch
    und: dict[str, Tensor] = {}
    gen: dict[str, Tensor] = {}
    handle = layer.input_layernorm.register_forward_hook(_noting(und, "picture"))
    cache = passes.see(b)
    handle.remove()
    handle = getattr(layer, "input_layernorm" + GEN).register_forward_hook(_noting(gen, "latent"))
    passes.generate(cache, rows, columns)
    handle.remove()
    return und["picture"][:, 1:-1], gen["latent"]


@torch.no_grad()
def align_drawing_layers(passes: FramePasses, b: FrameBatch) -> float:
    """Fit keys and generation queries of the drawing layers to position; their attention share.

    The understanding expert was trained alone, and its states have drowned the position that keys
    and queries were made for. A linear regression from the states of some frames to the code of
    their cell finds it again. The keys of these layers are free to choose: nothing was trained
    behind them yet. Value and output projections start as parts of one rotation and its inverse,
    so that the states arrive whole, and the understanding expert hands them on unchanged.

    Returns:
        mean attention of a latent token to its own cell in the fitted heads.
    """
    layers: Any = passes.model.language_model.model.layers
    first = seen_layer(len(layers))
    for layer in layers[first:]:
        layer.self_attn.o_proj.weight.zero_()
        layer.mlp.down_proj.weight.zero_()
    shares = [_align_layer(passes, b, index) for index in range(first, len(layers))]
    return sum(shares) / len(shares)


def _align_layer(passes: FramePasses, b: FrameBatch, index: int) -> float:
    model, config = passes.model, passes.model.config
    rows, columns = b.rgb.shape[-2] // passes.patch, b.rgb.shape[-1] // passes.patch
    codes = cell_codes(config, rows, columns)
    a: Any = model.language_model.model.layers[index].self_attn
    seen, gen = _inputs(passes, b, index)
    e, kept = config.head_dim, codes.shape[1]
    slots = slow_slots(e)[:kept]
    key = torch.zeros(e, config.hidden_size)
    key[slots] = _regress(seen.flatten(0, 1), codes.repeat(len(seen), 1))
    query = torch.zeros(e, config.hidden_size)
    query[slots] = _regress(gen.flatten(0, 1), codes.repeat(len(gen), 1))
    groups = config.num_attention_heads // config.num_key_value_heads
    fitted = max(1, int(COPY_SHARE_LAST * config.num_key_value_heads))
    q = getattr(a, "q_proj" + GEN)
    getattr(a, "q_norm" + GEN).weight.mul_(SHARPER)
    for head in range(fitted):
        a.k_proj.weight[head * e : (head + 1) * e] = key
        a.k_proj.bias[head * e : (head + 1) * e] = 0.0
        for g in range(groups):
            at = (head * groups + g) * e
            q.weight[at : at + e] = query
            q.bias[at : at + e] = 0.0
    rotation = torch.linalg.qr(randn((config.hidden_size, config.hidden_size), host_generator(0)))[
        0
    ]
    a.v_proj.weight.copy_(rotation[: len(a.v_proj.weight)])
    out = getattr(a, "o_proj" + GEN)
    if groups == 1 and out.weight.shape == rotation.shape:
        out.weight.copy_(rotation.T)
    k = nn.functional.normalize(seen.flatten(0, 1) @ key.T, dim=-1).view(*seen.shape[:2], e)
    s = nn.functional.normalize(gen.flatten(0, 1) @ query.T, dim=-1).view(*gen.shape[:2], e)
    gain = float(getattr(a, "q_norm" + GEN).weight.mean()) * e**0.5
    share = torch.softmax(gain * s[: len(k)] @ k.mT, -1).diagonal(dim1=1, dim2=2)
    return float(share.mean())


@torch.no_grad()
def align_map_heads(passes: FramePasses, b: FrameBatch, latents: Tensor) -> float:
    """Let the maps in the context find each other: a token of one sees the other's of its cell.

    "How far is the mug" asks for the depth at the cell where segmentation says mug. One free head
    of the first layer gets keys and queries of position for the generation expert, so that this
    product stands in one token from the second layer on.

    Args:
        latents: clean latents ``[2B, N, c]``, depth first.

    Returns:
        mean attention of a segmentation token to the depth token of its cell in that head.
    """
    model, config = passes.model, passes.model.config
    rows, columns = b.rgb.shape[-2] // passes.patch, b.rgb.shape[-1] // passes.patch
    codes = cell_codes(config, rows, columns)
    layer: Any = model.language_model.model.layers[0]
    a = layer.self_attn
    ids = grid_ids(rows, columns, config.max_latent_size)
    tokens = model.latent_tokens(latents, torch.zeros(len(latents)), ids)
    states = getattr(layer, "input_layernorm" + GEN)(tokens).float()
    e, kept = config.head_dim, codes.shape[1]
    slots = slow_slots(e)[:kept]
    fitted = _regress(states.flatten(0, 1), codes.repeat(len(states), 1))
    head = max(0, config.num_key_value_heads - 2)  # the last one looks at the prompt
    groups = config.num_attention_heads // config.num_key_value_heads
    for name in ("q_proj" + GEN, "k_proj" + GEN):
        p = getattr(a, name)
        for g in range(groups if name.startswith("q") else 1):
            at = (head * groups + g if name.startswith("q") else head) * e
            p.weight[at : at + e] = 0.0
            p.bias[at : at + e] = 0.0
            p.weight[at + slots] = fitted
    code = nn.functional.normalize(states @ fitted.T, dim=-1)
    gain = float(getattr(a, "q_norm" + GEN).weight.mean()) * e**0.5
    depth, segmentation = code.chunk(2)
    scores = gain * segmentation @ torch.cat([depth, segmentation], 1).mT
    n = rows * columns
    return float(torch.softmax(scores, -1)[..., :n].diagonal(dim1=1, dim2=2).mean())
