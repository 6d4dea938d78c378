"""A growing context of one sequence: text, images and latents, as keys and values.

Sequence format: a text segment is start marker + ids + end marker, causal, one position per token.
An image segment is start marker + tokens + end marker, sees all the past and all of itself, and
shares one position; the counter advances by one after it. Noisy latents use the next position and
leave no trace.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cooper_ros.core.errors import BackendError
from cooper_ros.core.types import Intrinsics
from cooper_ros.runtime.backend import Backend, Float
from cooper_ros.runtime.cache import KVCache
from cooper_ros.runtime.latents import grid_position_ids
from cooper_ros.runtime.masks import apart_bias, causal_bias, full_bias
from cooper_ros.runtime.rays import nominal_intrinsics, patch_rays
from cooper_ros.runtime.rope import rotary_table
from cooper_ros.runtime.spec import ModelSpec
from cooper_ros.runtime.tokenizer import Tokenizer


def _nothing() -> None:
    """Files that were read once cannot change."""


@dataclass(frozen=True)
class Engine:
    """What every context of a model shares: the graphs, the numbers, the words.

    `check()` raises ModelFolderError when the files that the backend uses have changed.
    """

    backend: Backend
    spec: ModelSpec
    tokenizer: Tokenizer
    check: Callable[[], None] = _nothing


class Context:
    """What the model has seen so far. `fork` is cheap and shares what was read before."""

    def __init__(self, engine: Engine) -> None:
        spec = engine.spec
        self.engine = engine
        self.cache = KVCache(spec.num_layers, spec.num_kv_heads, spec.head_dim)
        self.position = 0
        """Rotary position of the next segment."""

    @property
    def length(self) -> int:
        """Tokens in the cache."""
        return self.cache.length

    def fork(self) -> Context:
        """A context that continues from here; neither sees what the other adds."""
        other = Context.__new__(Context)
        other.engine = self.engine
        other.cache = self.cache.fork()
        other.position = self.position
        return other

    def add_text(self, text: str) -> Float:
        """Add a text segment with its markers. Returns the logits [V] after the end marker."""
        tokens = self.engine.spec.tokens
        ids = self.engine.tokenizer.encode(text)
        return self.add_ids([tokens.text_start, *ids, tokens.text_end])

    def add_ids(self, ids: Sequence[int]) -> Float:
        """Add text tokens as they are, causal. Returns the logits [V] after the last."""
        return self.add_checked(ids, 1)[0]

    def add_checked(self, ids: Sequence[int], wanted: int) -> Float:
        """Add text tokens; returns the logits [wanted, V] after each of the last `wanted`."""
        embeds = self.engine.backend.embed(np.asarray(ids, dtype=np.int64))[None]
        count = len(ids)
        positions = np.arange(self.position, self.position + count)
        bias = causal_bias(1, count, self.length)
        logits = self._understand(embeds, positions, bias, wanted)
        self.position += count
        return logits

    def drop(self, count: int) -> None:
        """Forget the last `count` text tokens, which were added to this context alone."""
        self.cache.truncate(self.cache.length - count)
        self.position -= count

    def add_vision(self, picture: Float, intrinsics: Intrinsics | None = None) -> Float:
        """Add a vision image, float32 [3, H, W] in [-1, 1], already resized by the vision rule.

        `intrinsics` are those of the view (any size); a model with camera rays takes nominal ones
        where they are None. Returns the encoder's tokens [N, D].
        """
        tokens = encode_vision(self.engine, picture, intrinsics)
        markers = marker_embeddings(self.engine)
        embeds = np.concatenate([markers[:1], tokens, markers[1:]])[None]
        positions = np.full(embeds.shape[1], self.position)
        self._understand(embeds, positions, full_bias(1, embeds.shape[1], self.length))
        self.position += 1
        return tokens

    def add_latents(self, tokens: Float, rows: int, columns: int) -> None:
        """Add a clean latent image (t = 0): packed tokens [N, c] of a rows x columns grid."""
        _, new_keys, new_values = denoise([self], tokens[None], 0.0, rows, columns)
        self.cache.append(new_keys, new_values)
        self.position += 1

    def add_maps(self, cells: Float, rows: int, columns: int) -> None:
        """Add drawn maps as one segment: features [N, F] of the cells of a rows x columns grid
        (see `runtime.fused`). Its tokens do not see what stands before them."""
        ids = grid_position_ids(rows, columns, self.engine.spec.vision_grid_side)
        tokens = self.engine.backend.map_tokens(cells, ids)
        markers = marker_embeddings(self.engine)
        embeds = np.concatenate([markers[:1], tokens, markers[1:]])[None]
        positions = np.full(embeds.shape[1], self.position)
        self._understand(embeds, positions, apart_bias(1, embeds.shape[1], self.length))
        self.position += 1

    def _understand(
        self, embeds: Float, positions: np.ndarray, bias: Float, wanted: int = 1
    ) -> Float:
        spec, count = self.engine.spec, embeds.shape[1]
        cos, sin = rotary_table(positions, spec.head_dim, spec.rope_theta)
        logits, new_keys, new_values = self.engine.backend.und(
            embeds,
            cos[None],
            sin[None],
            bias,
            self.cache.keys,
            self.cache.values,
            np.arange(count - wanted, count),
        )
        self.cache.append(new_keys, new_values)
        return logits[0]


def marker_embeddings(engine: Engine) -> Float:
    """Embeddings [2, D] of vision_start and vision_end."""
    tokens = engine.spec.tokens
    return engine.backend.embed(np.array([tokens.vision_start, tokens.vision_end], np.int64))


def encode_vision(engine: Engine, picture: Float, intrinsics: Intrinsics | None = None) -> Float:
    """Understanding tokens [N, D] of a picture [3, H, W] in [-1, 1] (see `Context.add_vision`)."""
    spec = engine.spec
    _, height, width = picture.shape
    rows, columns = spec.vision_grid(height, width)
    positions = grid_position_ids(rows, columns, spec.vision_grid_side)
    rays = None
    if spec.ray_channels:
        rays = _rays(spec, intrinsics, height, width)[None]
    return engine.backend.vision_encoder(picture[None], positions, rays)[0]


def _rays(spec: ModelSpec, intrinsics: Intrinsics | None, height: int, width: int) -> Float:
    """Camera rays [N, C] of a picture. Without a calibration they are zeros for a model that was
    trained with unknown cameras, else those of a nominal one."""
    rows, columns = spec.vision_grid(height, width)
    if intrinsics is None and spec.unknown_camera:
        return np.zeros((rows * columns, spec.ray_channels), np.float32)
    usable = intrinsics if intrinsics is not None else nominal_intrinsics(width, height)
    return patch_rays(usable, rows, columns, spec.vision_patch)


def denoise(
    contexts: Sequence[Context], latents: Float, time: float, rows: int, columns: int
) -> tuple[Float, Float, Float]:
    """One generation pass over latent tokens [B, N, c], row b behind contexts[b].

    All contexts must have the same length; positions may differ. Nothing is written to them.
    Returns velocity [B, N, c] and the keys and values [L, B, G, N+2, E] of the segment.
    """
    engine = contexts[0].engine
    spec = engine.spec
    lengths = {context.length for context in contexts}
    if len(lengths) != 1:
        raise BackendError(f"contexts of a batch must have one length, got {sorted(lengths)}")
    batch, count = len(contexts), latents.shape[1] + 2
    tables = [
        rotary_table(np.full(count, context.position), spec.head_dim, spec.rope_theta)
        for context in contexts
    ]
    if batch == 1:
        past_keys, past_values = contexts[0].cache.keys, contexts[0].cache.values
    else:
        past_keys = np.concatenate([context.cache.keys for context in contexts], axis=1)
        past_values = np.concatenate([context.cache.values for context in contexts], axis=1)
    markers = marker_embeddings(engine)
    return engine.backend.gen(
        latents.astype(np.float32, copy=False),
        np.full(batch, time, dtype=np.float32),
        grid_position_ids(rows, columns, spec.latent_grid_side),
        np.broadcast_to(markers, (batch, *markers.shape)).copy(),
        np.stack([cos for cos, _ in tables]),
        np.stack([sin for _, sin in tables]),
        full_bias(batch, count, contexts[0].length),
        past_keys,
        past_values,
    )
