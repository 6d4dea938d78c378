"""What a question costs in counted work, which no busy machine can distort.

Counted are the tokens that pass through the language model's layers (text, image and latent tokens
alike: every layer is as wide for each of them), and the calls of each graph. The picture networks
before and behind it are not in the token count: they run once per frame, for the first question.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from cooper_ros.runtime.backend import Backend, Float, Int


class CountingBackend:
    """Another backend that counts what goes through it: `tokens`, and `calls` by graph."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.name = backend.name
        self.tokens = 0
        self.calls: Counter[str] = Counter()

    def reset(self) -> None:
        """Count from zero."""
        self.tokens = 0
        self.calls.clear()

    def embed(self, ids: Int) -> Float:
        """See Backend: a look-up, not counted."""
        return self._backend.embed(ids)

    def vision_encoder(self, image: Float, position_ids: Int, rays: Float | None = None) -> Float:
        """See Backend."""
        self.calls["vision_encoder"] += 1
        return self._backend.vision_encoder(image, position_ids, rays)

    def map_tokens(self, features: Float, position_ids: Int) -> Float:
        """See `Backend.map_tokens`."""
        return self._backend.map_tokens(features, position_ids)

    def autoencoder_encoder(self, image: Float) -> Float:
        """See Backend."""
        self.calls["autoencoder_encoder"] += 1
        return self._backend.autoencoder_encoder(image)

    def autoencoder_decoder(self, latent: Float) -> Float:
        """See Backend."""
        self.calls["autoencoder_decoder"] += 1
        return self._backend.autoencoder_decoder(latent)

    def class_scores(self, latent: Float) -> Float:
        """See `Backend.class_scores`."""
        self.calls["autoencoder_decoder"] += 1
        return self._backend.class_scores(latent)

    def und(self, embeds: Float, *rest: Any) -> tuple[Float, Float, Float]:
        """See Backend: B * S tokens."""
        self.calls["und"] += 1
        self.tokens += embeds.shape[0] * embeds.shape[1]
        return self._backend.und(embeds, *rest)

    def gen(self, latents: Float, *rest: Any) -> tuple[Float, Float, Float]:
        """See Backend: B * (N + 2) tokens, the markers included."""
        self.calls["gen"] += 1
        self.tokens += latents.shape[0] * (latents.shape[1] + 2)
        return self._backend.gen(latents, *rest)
