"""From camera images to what the graphs take, and from latents back to pictures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.images import ResizeRule, to_tensor
from cooper_ros.core.types import Intrinsics
from cooper_ros.runtime.backend import Float
from cooper_ros.runtime.context import Context, Engine
from cooper_ros.runtime.latents import pack_latents, unpack_latents
from cooper_ros.runtime.spec import ModelSpec


@dataclass(frozen=True, eq=False)
class Pictures:
    """One image as the model reads it.

    `rgb` uint8 [H, W, 3] that the vision image was made from, `map_size` (width, height) of maps
    and `map_resize` their rule; `vision` float32 [3, H, W] in
    [-1, 1]; `rows` x `columns` latent tokens of a map.
    """

    rgb: NDArray[np.uint8]
    map_size: tuple[int, int]
    map_resize: ResizeRule
    vision: Float
    rows: int
    columns: int

    @cached_property
    def map_rgb(self) -> NDArray[np.uint8]:
        """uint8 [h, w, 3] in the size of generated maps; made when somebody needs it."""
        if (self.rgb.shape[1], self.rgb.shape[0]) == self.map_size:
            return self.rgb
        return self.map_resize.resize(self.rgb)

    @property
    def map_pixels(self) -> Float:
        """The image in map size, float32 [3, h, w] in [-1, 1]: input of the autoencoder."""
        return to_tensor(self.map_rgb)


def prepare(spec: ModelSpec, rgb: NDArray[np.uint8]) -> Pictures:
    """Resize an RGB image by both rules (vision after the map rule where the spec chains them)."""
    width, height = spec.map_resize.size(rgb.shape[1], rgb.shape[0])
    rows, columns = spec.latent_grid(height, width)
    # A model that takes no latents of the input image never needs it in map size.
    if spec.chain_resize:
        rgb = spec.map_resize.resize(rgb)  # and then `map_rgb` is this very picture
    vision = to_tensor(spec.vision_resize.resize(rgb))
    return Pictures(rgb, (width, height), spec.map_resize, vision, rows, columns)


def add_input_image(
    context: Context, pictures: Pictures, intrinsics: Intrinsics | None = None
) -> Float:
    """Add a camera image: its latents first where the model wants them, then its vision tokens
    [N, D], which are returned."""
    if context.engine.spec.context_latents:
        tokens = encode_latents(context.engine, pictures.map_pixels)
        context.add_latents(tokens, pictures.rows, pictures.columns)
    return context.add_vision(pictures.vision, intrinsics)


def encode_latents(engine: Engine, picture: Float) -> Float:
    """Packed latent tokens [N, c] of a picture [3, H, W] in [-1, 1]."""
    latent = engine.backend.autoencoder_encoder(picture[None])
    return pack_latents(latent, engine.spec.latent_patch)


def decode_latents(engine: Engine, tokens: Float, rows: int, columns: int) -> Float:
    """Picture [3, H, W], nominally in [-1, 1], of packed latent tokens [N, c]."""
    latent = unpack_latents(tokens, rows, columns, engine.spec.latent_patch)
    return engine.backend.autoencoder_decoder(latent)[0]


def decode_scores(engine: Engine, tokens: Float, rows: int, columns: int) -> Float:
    """Class scores [K, H, W] of packed latent tokens [N, c] of a segmentation map."""
    latent = unpack_latents(tokens, rows, columns, engine.spec.latent_patch)
    return engine.backend.class_scores(latent)[0]


def unit_range(picture: Float) -> Float:
    """Picture in [-1, 1] to [0, 1], clipped."""
    return np.clip(picture * np.float32(0.5) + np.float32(0.5), 0.0, 1.0)


def to_rgb(picture: Float) -> NDArray[np.uint8]:
    """Picture [3, H, W] in [-1, 1] to uint8 [H, W, 3], truncated as the official code does."""
    return (unit_range(picture) * np.float32(255.0)).astype(np.uint8).transpose(1, 2, 0)
