"""Mixture-of-Transformers: two experts per layer, joint attention.

Tokens come in two groups, understanding first, generation second; either may be empty. The caller's
mask, rotary tables and cache follow that order, so no gather or scatter is needed inside a layer
and one
module serves training, prefill, decode and denoising. Attention does not depend on key order:
positions
are in the rotary tables, visibility in the mask.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import Qwen2Config
from transformers.models.qwen2.modeling_qwen2 import (
    Qwen2MLP,
    Qwen2RMSNorm,
    apply_rotary_pos_emb,
)

from .configuration import CooperConfig

GEN = "_moe_gen"  # suffix of the generation expert's parameters in the official checkpoint


def rope_tables(positions: Tensor, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """Rotary tables ``cos, sin`` ``[..., head_dim]`` float32 (half rotation) for integer
    positions."""
    freq = theta ** -(torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
    angle = positions.float()[..., None] * freq.to(positions.device)
    angle = torch.cat([angle, angle], -1)
    return angle.cos(), angle.sin()


class MoTAttention(nn.Module):
    """Grouped-query attention over both groups with per-head query and key norms before
    rotation."""

    def __init__(self, config: CooperConfig) -> None:
        super().__init__()
        d, e = config.hidden_size, config.head_dim
        self.heads, self.kv_heads, self.head_dim = (
            config.num_attention_heads,
            config.num_key_value_heads,
            e,
        )
        for suffix in ("", GEN):
            self.add_module("q_proj" + suffix, nn.Linear(d, self.heads * e))
            self.add_module("k_proj" + suffix, nn.Linear(d, self.kv_heads * e))
            self.add_module("v_proj" + suffix, nn.Linear(d, self.kv_heads * e))
            self.add_module("o_proj" + suffix, nn.Linear(self.heads * e, d, bias=False))
            self.add_module("q_norm" + suffix, Qwen2RMSNorm(e, config.rms_norm_eps))
            self.add_module("k_norm" + suffix, Qwen2RMSNorm(e, config.rms_norm_eps))

    def _project(self, x: Tensor, suffix: str) -> tuple[Tensor, Tensor, Tensor]:
        b, n, _ = x.shape
        q = getattr(self, "q_norm" + suffix)(
            getattr(self, "q_proj" + suffix)(x).view(b, n, self.heads, self.head_dim)
        )
        k = getattr(self, "k_norm" + suffix)(
            getattr(self, "k_proj" + suffix)(x).view(b, n, self.kv_heads, self.head_dim)
        )
        v = getattr(self, "v_proj" + suffix)(x).view(b, n, self.kv_heads, self.head_dim)
        return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)

    def forward(
        self,
        und: Tensor | None,
        gen: Tensor | None,
        cos: Tensor,
        sin: Tensor,
        bias: Tensor,
        past_k: Tensor | None,
        past_v: Tensor | None,
    ) -> tuple[Tensor | None, Tensor | None, Tensor, Tensor]:
        parts = [self._project(x, s) for x, s in ((und, ""), (gen, GEN)) if x is not None]
        q, k, v = (torch.cat(t, 2) if len(t) > 1 else t[0] for t in zip(*parts, strict=True))
        q, k = apply_rotary_pos_emb(q, k, cos.to(q.dtype), sin.to(q.dtype))
        k, v = k.to(q.dtype), v.to(q.dtype)
        new_k, new_v = k, v
        if past_k is not None and past_v is not None:
            k = torch.cat([past_k.to(k.dtype), k], 2)
            v = torch.cat([past_v.to(v.dtype), v], 2)
        repeat = self.heads // self.kv_heads
        b, g, t, e = k.shape
        s = q.shape[2]
        # Explicit attention: exports to the operators every TensorRT knows, and its CPU backward is
        # about three times faster than the fused kernel's at these lengths. Each key head serves
        # `repeat` consecutive query heads.
        q = (q * self.head_dim**-0.5).reshape(b, g, repeat * s, e)
        scores = (q @ k.transpose(-2, -1)).reshape(b, g * repeat, s, t) + bias
        weights = torch.softmax(scores, -1, dtype=torch.float32).to(v.dtype)
        out = (weights.reshape(b, g, repeat * s, t) @ v).reshape(b, g * repeat, s, e)
        out = out.transpose(1, 2).reshape(b, s, g * repeat * e)
        n = 0 if und is None else und.shape[1]
        return (
            None if und is None else self.o_proj(out[:, :n]),  # type: ignore[operator]
            None if gen is None else getattr(self, "o_proj" + GEN)(out[:, n:]),
            new_k,
            new_v,
        )


class MoTLayer(nn.Module):
    """One pre-norm layer; norms, projections and MLP exist once per expert."""

    def __init__(self, config: CooperConfig) -> None:
        super().__init__()
        self.self_attn = MoTAttention(config)
        mlp = Qwen2Config(
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            hidden_act="silu",
        )
        for suffix in ("", GEN):
            self.add_module("mlp" + suffix, Qwen2MLP(mlp))
            for norm in ("input_layernorm", "post_attention_layernorm"):
                self.add_module(
                    norm + suffix, Qwen2RMSNorm(config.hidden_size, config.rms_norm_eps)
                )

    def forward(
        self,
        und: Tensor | None,
        gen: Tensor | None,
        cos: Tensor,
        sin: Tensor,
        bias: Tensor,
        past_k: Tensor | None,
        past_v: Tensor | None,
    ) -> tuple[Tensor | None, Tensor | None, Tensor, Tensor]:

        def normed(x: Tensor | None, name: str) -> Tensor | None:
            return None if x is None else getattr(self, name)(x)

        a_und, a_gen, k, v = self.self_attn(
            normed(und, "input_layernorm"),
            normed(gen, "input_layernorm" + GEN),
            cos,
            sin,
            bias,
            past_k,
            past_v,
        )
        out: list[Tensor | None] = []
        for x, a, suffix in ((und, a_und, ""), (gen, a_gen, GEN)):
            if x is not None and a is not None:
                x = x + a
                x = x + getattr(self, "mlp" + suffix)(
                    getattr(self, "post_attention_layernorm" + suffix)(x)
                )
            out.append(x)
        return out[0], out[1], k, v


class MoTDecoder(nn.Module):
    """Embedding table, layers and the two final norms (official names under
    ``language_model.model``)."""

    def __init__(self, config: CooperConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList([MoTLayer(config) for _ in range(config.num_hidden_layers)])
        self.norm = Qwen2RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.norm_moe_gen = Qwen2RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(
        self,
        und: Tensor | None,
        gen: Tensor | None,
        cos: Tensor,
        sin: Tensor,
        bias: Tensor,
        past_k: Tensor | None = None,
        past_v: Tensor | None = None,
    ) -> tuple[Tensor | None, Tensor | None, Tensor, Tensor]:
        """Run all layers.

        Args:
            und: understanding tokens ``[B, U, D]`` or None. gen: generation tokens ``[B, M, D]``
            or None.
            cos, sin: rotary tables ``[B or 1, U+M, E]`` float32.
            bias: additive mask, broadcastable to ``[B, 1, U+M, P+U+M]`` (0 or a large negative
            number).
            past_k, past_v: cache ``[L, B, G, P, E]`` or None.

        Returns:
            normed ``und`` and ``gen`` (None where absent), new keys and values ``[L, B, G, U+M,
            E]``.
        """
        keys, values = [], []
        for i, layer in enumerate(self.layers):
            und, gen, k, v = layer(
                und,
                gen,
                cos,
                sin,
                bias,
                None if past_k is None else past_k[i],
                None if past_v is None else past_v[i],
            )
            keys.append(k)
            values.append(v)
        return (
            None if und is None else self.norm(und),
            None if gen is None else self.norm_moe_gen(gen),
            torch.stack(keys),
            torch.stack(values),
        )


class MoTLanguageModel(nn.Module):
    """Decoder and untied output layer."""

    def __init__(self, config: CooperConfig) -> None:
        super().__init__()
        self.model = MoTDecoder(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
