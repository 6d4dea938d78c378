"""The door to an inference engine: five graphs and an embedding table, numpy in and numpy out.

Shapes: B batch, S new tokens, P past tokens, N patch or latent tokens, L layers, G key/value heads,
E head width, D hidden width, V vocabulary, C latent channels, c packed latent channels. All arrays
are float32 unless said. The names of graphs and arguments are the ONNX names of a model folder.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Int = NDArray[np.int64]

MASKED = np.float32(-30000.0)
"""Bias of a masked pair: large enough for exp() to be 0, and still finite in half precision."""


MAX_DRAFT = 31
"""Drafted tokens that one understanding pass checks at most; engines are built for one row more."""


@runtime_checkable
class Backend(Protocol):
    """One loaded model. Calls do not change it; it keeps no context of its own."""

    name: str

    def embed(self, ids: Int) -> Float:
        """Rows of the embedding table: ids int64 [S] -> [S, D]."""
        ...

    def vision_encoder(self, image: Float, position_ids: Int, rays: Float | None = None) -> Float:
        """Image [1, 3, H, W] in [-1, 1], position ids [N] (row * grid side + column), camera rays
        [1, N, 5] only for a model with rays -> understanding tokens [1, N, D]."""
        ...

    def map_tokens(self, features: Float, position_ids: Int) -> Float:
        """Features of cells of drawn maps [N, F], position ids [N] -> context tokens [N, D]; only
        of a model whose spec has `fused`."""
        ...

    def autoencoder_encoder(self, image: Float) -> Float:
        """Image [1, 3, H, W] in [-1, 1] -> posterior mean, shifted and scaled [1, C, h, w]."""
        ...

    def autoencoder_decoder(self, latent: Float) -> Float:
        """Latent [1, C, h, w] -> image [1, 3, H, W], nominally in [-1, 1] but not clipped."""
        ...

    def class_scores(self, latent: Float) -> Float:
        """Latent [1, C, h, w] -> class scores (logits) [1, K, H, W]; only of a model whose spec
        has `segmentation.scores`."""
        ...

    def und(
        self,
        embeds: Float,
        cos: Float,
        sin: Float,
        bias: Float,
        past_k: Float,
        past_v: Float,
        rows: Int,
    ) -> tuple[Float, Float, Float]:
        """Understanding pass: embeds [B, S, D], cos/sin [B, S, E], bias [B, 1, S, P+S] (0 or
        MASKED), past [L, B, G, P, E], rows int64 [R] (0..S-1) -> logits of those tokens
        [B, R, V], new_k, new_v [L, B, G, S, E]."""
        ...

    def gen(
        self,
        latents: Float,
        time: Float,
        position_ids: Int,
        markers: Float,
        cos: Float,
        sin: Float,
        bias: Float,
        past_k: Float,
        past_v: Float,
    ) -> tuple[Float, Float, Float]:
        """Generation pass: latents [B, N, c], time [B], position ids [N], embeddings of
        vision_start and vision_end [B, 2, D], cos/sin [B, N+2, E], bias [B, 1, N+2, P+N+2], past
        [L, B, G, P, E] -> velocity [B, N, c], new_k, new_v [L, B, G, N+2, E]. Rows inside: start
        marker, end marker, latents. P may be 0."""
        ...
