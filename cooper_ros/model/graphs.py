"""The graphs of a model folder as torch modules: input and output names are the ONNX names.

The torch backend runs them and the exporter traces them, so what is tested is what is shipped.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .modeling import CooperModel


class VisionEncoderGraph(nn.Module):
    """image [B,3,H,W] in [-1,1], position_ids [N], rays [B,N,R] (models with rays) -> tokens
    [B,N,D]."""

    def __init__(self, model: CooperModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor, position_ids: Tensor, rays: Tensor | None = None) -> Tensor:
        return self.model.vision_tokens(image, position_ids, rays)


class AutoencoderEncoderGraph(nn.Module):
    """image [B,3,H,W] in [-1,1] -> latent [B,C,h,w] (posterior mean, shifted and scaled)."""

    def __init__(self, model: CooperModel) -> None:
        super().__init__()
        self.autoencoder = model.autoencoder

    def forward(self, image: Tensor) -> Tensor:
        return self.autoencoder.encode(image)


class AutoencoderDecoderGraph(nn.Module):
    """latent [B,C,h,w] -> image [B,3,H,W], not clamped."""

    def __init__(self, model: CooperModel) -> None:
        super().__init__()
        self.autoencoder = model.autoencoder

    def forward(self, latent: Tensor) -> Tensor:
        return self.autoencoder.decode(latent)


class ClassDecoderGraph(nn.Module):
    """latent [B,C,h,w] -> scores [B,K,H,W], of a model with class head."""

    def __init__(self, model: CooperModel) -> None:
        super().__init__()
        self.autoencoder = model.autoencoder

    def forward(self, latent: Tensor) -> Tensor:
        return self.autoencoder.scores(self.autoencoder.coarse(latent))


class UndGraph(nn.Module):
    """Prefill and decode of understanding tokens: logits of the tokens ``rows`` ``[R]`` and the
    new cache rows."""

    def __init__(self, model: CooperModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        embeds: Tensor,
        cos: Tensor,
        sin: Tensor,
        bias: Tensor,
        past_k: Tensor,
        past_v: Tensor,
        rows: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        decoder = self.model.language_model.model
        und, _, new_k, new_v = decoder(embeds, None, cos, sin, bias, past_k, past_v)
        return self.model.logits(und.index_select(1, rows)), new_k, new_v


class GenGraph(nn.Module):
    """One pass over latents between their markers: velocity, and cache rows for clean latents."""

    def __init__(self, model: CooperModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        latents: Tensor,
        time: Tensor,
        position_ids: Tensor,
        markers: Tensor,
        cos: Tensor,
        sin: Tensor,
        bias: Tensor,
        past_k: Tensor,
        past_v: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        gen = self.model.latent_tokens(latents, time, position_ids)
        decoder = self.model.language_model.model
        _, gen, new_k, new_v = decoder(markers, gen, cos, sin, bias, past_k, past_v)
        return self.model.velocity(gen), new_k, new_v


GRAPHS: dict[str, type[nn.Module]] = {
    "vision_encoder": VisionEncoderGraph,
    "autoencoder_encoder": AutoencoderEncoderGraph,
    "autoencoder_decoder": AutoencoderDecoderGraph,
    "und": UndGraph,
    "gen": GenGraph,
}


def build_graphs(model: CooperModel) -> dict[str, nn.Module]:
    """All graphs of ``model`` in evaluation mode."""
    model.eval()
    kinds = dict(GRAPHS)
    if model.autoencoder.class_head is not None:
        kinds["class_decoder"] = ClassDecoderGraph
    return {name: graph(model).eval() for name, graph in kinds.items()}


@torch.inference_mode()
def run_graph(graph: nn.Module, *inputs: Tensor) -> tuple[Tensor, ...]:
    """Run a graph without gradients; always a tuple."""
    out = graph(*inputs)
    return out if isinstance(out, tuple) else (out,)
