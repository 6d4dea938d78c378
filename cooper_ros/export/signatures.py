"""Inputs, outputs and symbolic shapes of the graphs, derived from a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cooper_ros.runtime.signature import Dimension, GraphSignature, TensorSpec

if TYPE_CHECKING:
    from cooper_ros.model.configuration import CooperConfig

# Three sizes per symbol: traced, at another shape, and stored with the folder as its self-test
# (small).  All are checked against torch.  The first two have no size in common, so that a
# dimension that was frozen during tracing fails the check instead of passing it.
TRACE, CHECK, STORED = 0, 1, 2
EXAMPLE_SIZES: dict[str, tuple[int, int, int]] = {
    "batch": (2, 3, 1),
    "seq": (5, 1, 3),
    "past": (7, 11, 5),
    "rows": (3, 1, 2),
    "tokens": (6, 10, 4),
}
# Vision and map images in patches (rows, columns). The traced one must have an odd side: the
# convolutional tower pads odd grids, and a trace of an even one would leave that out.
EXAMPLE_GRIDS = ((5, 4), (2, 3), (3, 2))


def _number(section: Mapping[str, Any], name: str) -> int:
    return int(section[name])


def graph_signatures(config: CooperConfig) -> dict[str, GraphSignature]:
    """Signatures by graph name; all floating tensors are float32 here (the CPU form)."""
    layers, groups, head = (
        config.num_hidden_layers,
        config.num_key_value_heads,
        config.head_dim,
    )
    hidden, channels = config.hidden_size, _number(config.autoencoder, "z_channels")

    def real(name: str, *shape: Dimension) -> TensorSpec:
        return TensorSpec(name, "float32", shape)

    ids = TensorSpec("position_ids", "int64", ("tokens",))
    past = (layers, "batch", groups, "past", head)
    vision_inputs = [real("image", 1, 3, "height", "width"), ids]
    if config.ray_channels:
        vision_inputs.append(real("rays", 1, "tokens", config.ray_channels))
    image = real("image", 1, 3, "height", "width")
    latent = real("latent", 1, channels, "latent_height", "latent_width")
    graphs: tuple[GraphSignature, ...] = (
        GraphSignature(
            "vision_encoder", tuple(vision_inputs), (real("tokens", 1, "tokens", hidden),)
        ),
        GraphSignature("autoencoder_encoder", (image,), (latent,)),
        GraphSignature("autoencoder_decoder", (latent,), (image,)),
        GraphSignature(
            "und",
            (
                real("embeds", "batch", "seq", hidden),
                real("cos", "batch", "seq", head),
                real("sin", "batch", "seq", head),
                real("bias", "batch", 1, "seq", "past+seq"),
                real("past_k", *past),
                real("past_v", *past),
                TensorSpec("rows", "int64", ("rows",)),
            ),
            (
                real("logits", "batch", "rows", config.vocab_size),
                real("new_k", layers, "batch", groups, "seq", head),
                real("new_v", layers, "batch", groups, "seq", head),
            ),
        ),
        GraphSignature(
            "gen",
            (
                real("latents", "batch", "tokens", config.latent_token_size),
                real("time", "batch"),
                ids,
                real("markers", "batch", 2, hidden),
                real("cos", "batch", "tokens+2", head),
                real("sin", "batch", "tokens+2", head),
                real("bias", "batch", 1, "tokens+2", "past+tokens+2"),
                real("past_k", *past),
                real("past_v", *past),
            ),
            (
                real("velocity", "batch", "tokens", config.latent_token_size),
                real("new_k", layers, "batch", groups, "tokens+2", head),
                real("new_v", layers, "batch", groups, "tokens+2", head),
            ),
        ),
    )
    if config.autoencoder.get("class_head"):
        scores = real("scores", 1, _number(config.autoencoder, "class_head"), "height", "width")
        graphs += (GraphSignature("class_decoder", (latent,), (scores,)),)
    return {graph.name: graph for graph in graphs}


def example_sizes(config: CooperConfig, graph: str, which: int) -> dict[str, int]:
    """Symbol sizes for tracing, checking at another shape, or the stored self-test."""
    sizes = {name: choices[which] for name, choices in EXAMPLE_SIZES.items()}
    rows, columns = EXAMPLE_GRIDS[which]
    if graph == "vision_encoder":
        patch = _number(config.vision, "patch_size")
        sizes.update(height=rows * patch, width=columns * patch, tokens=rows * columns)
    elif graph.startswith("autoencoder") or graph == "class_decoder":
        patch, down = config.latent_patch_size, config.autoencoder_downsample
        sizes.update(latent_height=rows * patch, latent_width=columns * patch)
        sizes.update(height=rows * patch * down, width=columns * patch * down)
    return sizes


__all__ = [
    "CHECK",
    "STORED",
    "TRACE",
    "example_sizes",
    "graph_signatures",
]
