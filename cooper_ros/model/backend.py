"""The torch implementation of the runtime's Backend protocol: the reference the exported graphs
must equal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from .checkpoint import load_model
from .graphs import build_graphs, run_graph
from .modeling import CooperModel

Array = np.ndarray


class TorchBackend:
    """Run a :class:`CooperModel` behind the Backend protocol (numpy in, numpy out, float32)."""

    name = "torch"

    def __init__(
        self, model: CooperModel, device: str = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        self.model = model.to(device=device, dtype=dtype).eval()
        self.device, self.dtype = torch.device(device), dtype
        self.graphs = build_graphs(self.model)
        self.has_rays = model.config.ray_channels > 0

    @classmethod
    def open(cls, folder: str | Path, device: str = "cpu") -> TorchBackend:
        """Load a checkpoint (official layout, our own, or a model folder)."""
        return cls(load_model(folder, torch.float32), device)

    def _tensor(self, x: Array) -> torch.Tensor:
        t = torch.from_numpy(np.ascontiguousarray(x)).to(self.device)
        return t.to(self.dtype) if t.is_floating_point() else t

    def _run(self, name: str, *inputs: Array) -> tuple[Array, ...]:
        out = run_graph(self.graphs[name], *(self._tensor(x) for x in inputs))
        return tuple(o.float().cpu().numpy() for o in out)

    def embed(self, ids: Array) -> Array:
        """Token embeddings [S, D] of ids int64 [S]."""
        with torch.inference_mode():
            return (
                self.model.embed(torch.from_numpy(np.asarray(ids, np.int64)).to(self.device))
                .float()
                .cpu()
                .numpy()
            )

    def vision_encoder(self, image: Array, position_ids: Array, rays: Array | None = None) -> Array:
        """Understanding tokens [1, N, D]."""
        extra = () if rays is None or not self.has_rays else (rays,)
        return self._run("vision_encoder", image, position_ids, *extra)[0]

    def map_tokens(self, features: Array, position_ids: Array) -> Array:
        """Context tokens [N, D]."""
        with torch.inference_mode():
            ids = torch.from_numpy(np.asarray(position_ids, np.int64)).to(self.device)
            found = self.model.map_tokens(self._tensor(features)[None], ids)
            return found[0].float().cpu().numpy()

    def autoencoder_encoder(self, image: Array) -> Array:
        """Latent [1, C, h, w]."""
        return self._run("autoencoder_encoder", image)[0]

    def autoencoder_decoder(self, latent: Array) -> Array:
        """Picture [1, 3, H, W]."""
        return self._run("autoencoder_decoder", latent)[0]

    def class_scores(self, latent: Array) -> Array:
        """Class scores [1, K, H, W], of a model with class head."""
        return self._run("class_decoder", latent)[0]

    def und(
        self,
        embeds: Array,
        cos: Array,
        sin: Array,
        bias: Array,
        past_k: Array,
        past_v: Array,
        rows: Array,
    ) -> tuple[Array, Array, Array]:
        """Logits [B, R, V] of the tokens `rows`, new keys and values."""
        logits, k, v = self._run("und", embeds, cos, sin, bias, past_k, past_v, rows)
        return logits, k, v

    def gen(
        self,
        latents: Array,
        time: Array,
        position_ids: Array,
        markers: Array,
        cos: Array,
        sin: Array,
        bias: Array,
        past_k: Array,
        past_v: Array,
    ) -> tuple[Array, Array, Array]:
        """Velocity [B, N, c], new keys and values."""
        velocity, k, v = self._run(
            "gen", latents, time, position_ids, markers, cos, sin, bias, past_k, past_v
        )
        return velocity, k, v
