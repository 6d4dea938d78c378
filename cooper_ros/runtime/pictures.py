"""From camera images to what the graphs take, and from latents back to pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.images import to_tensor
from cooper_ros.core.types import Intrinsics
from cooper_ros.runtime.backend import Float
from cooper_ros.runtime.context import Context, Engine
from cooper_ros.runtime.latents import pack_latents, unpack_latents
from cooper_ros.runtime.spec import ModelSpec


@dataclass(frozen=True, eq=False)
class Pictures:
    """One image as the model reads it.

    `map_rgb` uint8 [h, w, 3] in the size of generated maps; `vision` float32 [3, H, W] in [-1, 1];
    `rows` x `columns` latent tokens of a map.
    """

    map_rgb: NDArray[np.uint8]
    vision: Float
    rows: int
    columns: int

    @property
    def map_pixels(self) -> Float:
        """The image in map size, float32 [3, h, w] in [-1, 1]: input of the autoencoder."""
        return to_tensor(self.map_rgb)


def prepare(spec: ModelSpec, rgb: NDArray[np.uint8]) -> Pictures:
    """Resize an RGB image by both rules (vision after the map rule where the spec chains them)."""
    map_rgb = spec.map_resize.resize(rgb)
    source = map_rgb if spec.chain_resize else rgb
    rows, columns = spec.latent_grid(map_rgb.shape[0], map_rgb.shape[1])
    return Pictures(map_rgb, to_tensor(spec.vision_resize.resize(source)), rows, columns)


def add_input_image(
    context: Context, pictures: Pictures, intrinsics: Intrinsics | None = None
) -> None:
    """Add a camera image: its latents first where the model wants them, then its vision tokens."""
    if context.engine.spec.context_latents:
        tokens = encode_latents(context.engine, pictures.map_pixels)
        context.add_latents(tokens, pictures.rows, pictures.columns)
    context.add_vision(pictures.vision, intrinsics)


def encode_latents(engine: Engine, picture: Float) -> Float:
    """Packed latent tokens [N, c] of a picture [3, H, W] in [-1, 1]."""
    latent = engine.backend.autoencoder_encoder(picture[None])
    return pack_latents(latent, engine.spec.latent_patch)


def decode_latents(engine: Engine, tokens: Float, rows: int, columns: int) -> Float:
    """Picture [3, H, W], nominally in [-1, 1], of packed latent tokens [N, c]."""
    latent = unpack_latents(tokens, rows, columns, engine.spec.latent_patch)
    return engine.backend.autoencoder_decoder(latent)[0]


def unit_range(picture: Float) -> Float:
    """Picture in [-1, 1] to [0, 1], clipped."""
    return np.clip(picture * np.float32(0.5) + np.float32(0.5), 0.0, 1.0)


def to_rgb(picture: Float) -> NDArray[np.uint8]:
    """Picture [3, H, W] in [-1, 1] to uint8 [H, W, 3], truncated as the official code does."""
    return (unit_range(picture) * np.float32(255.0)).astype(np.uint8).transpose(1, 2, 0)
