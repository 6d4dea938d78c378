"""A small real transformer in numpy behind the Backend protocol, for tests of the host code.

It has what the host code depends on: attention over past and new tokens with masks and rotary
positions, two experts, a latent path. Weights are random: it says nothing sensible.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cooper_ros.core.classes import CLASS_NAMES, STUFF
from cooper_ros.core.codecs import sphere_palette
from cooper_ros.reasoning import prompts
from cooper_ros.runtime.context import Engine
from cooper_ros.runtime.spec import ModelSpec
from cooper_ros.runtime.tokenizer import Tokenizer

LAYERS, HEADS, KV_HEADS, WIDTH = 2, 2, 1, 8
HIDDEN = HEADS * WIDTH


ANSWER = (
    "<think> <obj> mug u 42 v 17 d 1.35 x +0.12 y -0.30 </obj> </think> <answer> 1.42 m </answer>"
)
TURNS = (prompts.NANO_DEPTH_TURN, prompts.NANO_SEGMENTATION_TURN, ANSWER)


class NumpyBackend:
    """Two pre-norm attention layers; counts its calls."""

    name = "numpy"

    def __init__(self, spec: ModelSpec, seed: int = 0) -> None:
        random = np.random.RandomState(seed)

        def matrix(*shape: int) -> np.ndarray:
            return (random.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32)

        self.spec = spec
        self.calls: dict[str, int] = {}
        self.script: list[int] = []
        """Token ids that `und` makes the choices of the next turns, whatever the weights say."""
        self._turn: tuple[list[int], int] = ([], 0)  # the turn being written, where it began
        self.table = matrix(spec.vocab_size, HIDDEN) * 4
        self.head = matrix(HIDDEN, spec.vocab_size)
        self.patch = matrix(3, HIDDEN)
        self.ray = matrix(max(spec.ray_channels, 1), HIDDEN)
        self.latent_in, self.latent_out = (
            matrix(spec.latent_dim, HIDDEN),
            matrix(HIDDEN, spec.latent_dim),
        )
        self.time = matrix(1, HIDDEN)
        kv = KV_HEADS * WIDTH
        self.experts = [
            [
                {"q": matrix(HIDDEN, HIDDEN), "k": matrix(HIDDEN, kv), "v": matrix(HIDDEN, kv)}
                for _ in range(LAYERS)
            ]
            for _ in range(2)
        ]

    def embed(self, ids: np.ndarray) -> np.ndarray:
        return self.table[np.asarray(ids)]

    def vision_encoder(
        self, image: np.ndarray, position_ids: np.ndarray, rays: np.ndarray | None = None
    ) -> np.ndarray:
        self._count("vision_encoder")
        size = self.spec.vision_patch
        _, _, height, width = image.shape
        tiles = image.reshape(3, height // size, size, width // size, size).mean((2, 4))
        tokens = tiles.reshape(3, -1).T @ self.patch + np.sin(position_ids)[:, None]
        if rays is not None:
            tokens = tokens + rays[0] @ self.ray
        return tokens[None].astype(np.float32)

    def autoencoder_encoder(self, image: np.ndarray) -> np.ndarray:
        self._count("autoencoder_encoder")
        size, channels = self.spec.autoencoder_downsample, self.spec.latent_channels
        _, _, height, width = image.shape
        small = image.reshape(1, 3, height // size, size, width // size, size).mean((3, 5))
        return np.tile(small, (1, -(-channels // 3), 1, 1))[:, :channels].astype(np.float32)

    def autoencoder_decoder(self, latent: np.ndarray) -> np.ndarray:
        self._count("autoencoder_decoder")
        size = self.spec.autoencoder_downsample
        return np.tanh(latent[:, :3]).repeat(size, 2).repeat(size, 3)

    def class_scores(self, latent: np.ndarray) -> np.ndarray:
        image = self.autoencoder_decoder(latent)
        assert self.spec.segmentation is not None
        return self.spec.segmentation.codec().logits(image[0])[None]

    def und(
        self, embeds: Any, cos: Any, sin: Any, bias: Any, past_k: Any, past_v: Any, rows: Any
    ) -> Any:
        self._count("und")
        hidden, keys, values = self._layers(embeds, cos, sin, bias, past_k, past_v, [0])
        logits = hidden[:, rows] @ self.head
        if (self.script or self._turn[0]) and len(rows) == embeds.shape[1]:
            self._follow_script(embeds, logits, past_k.shape[3])
        return logits, keys, values

    def _follow_script(self, embeds: Any, logits: Any, past: int) -> None:
        """A pass of decoding: one token, or one and a draft behind it."""
        tokens = self.spec.tokens
        if np.array_equal(embeds[0, 0], self.table[tokens.text_start]):
            ends = [i for i, t in enumerate(self.script) if t == tokens.text_end]
            cut = ends[0] + 1 if ends else len(self.script)
            self._turn = (self.script[:cut], past)
            self.script = self.script[cut:]
        turn, begun = self._turn
        for row in range(embeds.shape[1]):
            if past + row - begun < len(turn):
                logits[:, row, turn[past + row - begun]] = 1e3

    def gen(
        self,
        latents: Any,
        time: Any,
        position_ids: Any,
        markers: Any,
        cos: Any,
        sin: Any,
        bias: Any,
        past_k: Any,
        past_v: Any,
    ) -> Any:
        self._count("gen")
        tokens = latents @ self.latent_in + np.cos(position_ids)[None, :, None]
        tokens = tokens + time[:, None, None] * self.time
        rows = np.concatenate([markers, tokens], axis=1).astype(np.float32)
        experts = [0, 0] + [1] * tokens.shape[1]
        hidden, keys, values = self._layers(rows, cos, sin, bias, past_k, past_v, experts)
        return hidden[:, 2:] @ self.latent_out, keys, values

    def _layers(
        self, x: Any, cos: Any, sin: Any, bias: Any, past_k: Any, past_v: Any, experts: list[int]
    ) -> Any:
        assert bias.shape == (len(x), 1, x.shape[1], past_k.shape[3] + x.shape[1])
        assert cos.shape == sin.shape == (*x.shape[:2], WIDTH)
        chosen = np.array(experts if len(experts) > 1 else experts * x.shape[1])
        new_keys, new_values = [], []
        for layer in range(LAYERS):
            normed = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)
            projected = {
                name: np.where(
                    (chosen == 0)[None, :, None],
                    normed @ self.experts[0][layer][name],
                    normed @ self.experts[1][layer][name],
                )
                for name in "qkv"
            }
            query = _rotate(_heads(projected["q"], HEADS), cos, sin)
            key = _rotate(_heads(projected["k"], KV_HEADS), cos, sin)
            value = _heads(projected["v"], KV_HEADS)
            new_keys.append(key)
            new_values.append(value)
            keys = np.concatenate([past_k[layer], key], 2).repeat(HEADS // KV_HEADS, 1)
            values = np.concatenate([past_v[layer], value], 2).repeat(HEADS // KV_HEADS, 1)
            scores = query @ keys.swapaxes(2, 3) / np.sqrt(WIDTH) + bias
            weights = np.exp(scores - scores.max(-1, keepdims=True))
            mixed = weights / weights.sum(-1, keepdims=True) @ values
            x = x + mixed.transpose(0, 2, 1, 3).reshape(x.shape)
        return (
            x.astype(np.float32),
            np.stack(new_keys).astype(np.float32),
            np.stack(new_values).astype(np.float32),
        )

    def _count(self, name: str) -> None:
        self.calls[name] = self.calls.get(name, 0) + 1


def _heads(x: np.ndarray, heads: int) -> np.ndarray:
    return x.reshape(*x.shape[:2], heads, WIDTH).transpose(0, 2, 1, 3)


def _rotate(x: np.ndarray, cos: np.ndarray, sin: np.ndarray) -> np.ndarray:
    half = WIDTH // 2
    turned = np.concatenate([-x[..., half:], x[..., :half]], -1)
    return x * cos[:, None] + turned * sin[:, None]


def spec_dict(tokenizer: Tokenizer, **changes: Any) -> dict[str, Any]:
    """The numbers of a model in the manner of nano, at toy size."""
    markers = tokenizer.marker_ids
    return {
        "hidden_size": HIDDEN,
        "num_layers": LAYERS,
        "num_heads": HEADS,
        "num_kv_heads": KV_HEADS,
        "head_dim": WIDTH,
        "vocab_size": tokenizer.vocab_size,
        "tokens": {
            "text_start": markers.text_start,
            "text_end": markers.text_end,
            "vision_start": markers.vision_start,
            "vision_end": markers.vision_end,
        },
        "vision_patch": 16,
        "vision_grid_side": 16,
        "vision_resize": {"max_side": 96, "min_side": 48, "stride": 16},
        "map_resize": {"max_side": 48, "min_side": 24, "stride": 8},
        "latent_grid_side": 16,
        "latent_channels": 4,
        "autoencoder_downsample": 4,
        "ray_channels": 5,
        "depth": {"min_m": 0.25, "max_m": 10.0, "curve": "log", "metric": True},
        "segmentation": {
            "names": list(CLASS_NAMES),
            "colours": sphere_palette(len(CLASS_NAMES)).tolist(),
            "stuff": list(STUFF),
        },
        "prompts": {"depth": prompts.NANO_DEPTH, "segmentation": prompts.NANO_SEGMENTATION},
        "loop": {"max_turns": 3, "max_turn_tokens": 64},
        "perception": {"num_timesteps": 2, "shift": 1.0, "noise": "zero"},
        "interleaved": {"num_timesteps": 2, "shift": 1.0, "noise": "zero"},
        "chain_resize": False,
        "context_latents": False,
        "map_context": "latent",
        "map_placement": "prefix",
        **changes,
    }


def make_engine(tokenizer: Tokenizer, **changes: Any) -> Engine:
    """An engine on the numpy backend; `changes` are fields of the spec."""
    spec = ModelSpec.from_dict(spec_dict(tokenizer, **changes))
    return Engine(NumpyBackend(spec), spec, tokenizer)


def write(engine: Engine, *turns: str) -> None:
    """Make the model's next turns."""
    script: list[int] = []
    for turn in turns:
        script += [*engine.tokenizer.encode(turn), engine.spec.tokens.text_end]
    engine.backend.script = script  # type: ignore[attr-defined]
