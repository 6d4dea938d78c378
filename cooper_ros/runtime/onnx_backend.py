"""The Backend protocol on ONNX Runtime, from a model folder."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.errors import BackendError, CooperError
from cooper_ros.runtime.folder import ModelFolder
from cooper_ros.runtime.onnx_file import check_external_data

if TYPE_CHECKING:
    import onnxruntime

Float = NDArray[np.float32]
Int = NDArray[np.int64]

# The CPU form computes in float32, so it is the one for both: on CUDA the library casts nothing.
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


FROM_MEMORY = "add_external_initializers_from_files_in_memory"
"""How ONNX Runtime (from 1.23 on) takes weights that were read already; older ones open files."""


class OnnxBackend:
    """Runs the CPU form of a model folder's graphs; sessions are created at first use.

    Calls may come from several threads; the library runs them at the same time.

    Args:
        folder: an opened model folder.
        threads: threads per graph; 0 takes one per physical core.
        provider: ``cpu`` or ``cuda`` (needs a build of ONNX Runtime with CUDA).

    Raises:
        BackendError: ONNX Runtime is not installed or lacks the provider.
    """

    def __init__(self, folder: ModelFolder, threads: int = 0, provider: str = "cpu") -> None:
        self._ort = _library()
        if provider not in PROVIDERS:
            raise BackendError(
                f"provider '{provider}' is unknown; known: {', '.join(sorted(PROVIDERS))}"
            )
        if PROVIDERS[provider] not in self._ort.get_available_providers():
            raise BackendError(
                f"this ONNX Runtime ({self._ort.__version__}) has no {PROVIDERS[provider]}; it has "
                f"{', '.join(self._ort.get_available_providers())}"
            )
        if threads < 0:
            raise BackendError(f"threads must be 0 (automatic) or more, got {threads}")
        self.folder = folder
        self.threads = threads
        self.provider = provider
        self.name = f"onnxruntime {self._ort.__version__} {provider}"
        self._providers = list(dict.fromkeys([PROVIDERS[provider], PROVIDERS["cpu"]]))
        self._embedding = folder.embedding()
        self._map_embedding = folder.map_embedding()
        if not hasattr(self._ort.SessionOptions(), FROM_MEMORY):
            folder.watch_paths()
        self._sessions: dict[str, onnxruntime.InferenceSession] = {}
        self._lock = threading.Lock()
        self._closed = False

    def load(self, graphs: Sequence[str] | None = None) -> None:
        """Create the sessions of these graphs now instead of at their first call."""
        for graph in graphs or self.folder.graphs:
            self._session(graph)

    def close(self) -> None:
        """Free all sessions; later calls raise BackendError."""
        with self._lock:
            self._sessions.clear()
            self._closed = True

    def embed(self, ids: Int) -> Float:
        """Rows of the embedding table: ids int64 [S] -> [S, D]."""
        return self._embedding(ids)

    def vision_encoder(self, image: Float, position_ids: Int, rays: Float | None = None) -> Float:
        """Image [1, 3, H, W] -> tokens [1, N, D]; see `Backend.vision_encoder`."""
        inputs: dict[str, Any] = {"image": image, "position_ids": position_ids}
        if any(t.name == "rays" for t in self.folder.graphs["vision_encoder"].inputs):
            if rays is None:
                raise BackendError(f"model '{self.folder.name}' needs the camera rays of the image")
            inputs["rays"] = rays
        return self._run("vision_encoder", inputs)[0]

    def map_tokens(self, features: Float, position_ids: Int) -> Float:
        """Features [N, F] -> tokens [N, D]; see `Backend.map_tokens`."""
        if self._map_embedding is None:
            raise BackendError(f"model '{self.folder.name}' takes no fused maps")
        return self._map_embedding(features, position_ids)

    def autoencoder_encoder(self, image: Float) -> Float:
        """Image [1, 3, H, W] -> latent [1, C, h, w]."""
        return self._run("autoencoder_encoder", {"image": image})[0]

    def autoencoder_decoder(self, latent: Float) -> Float:
        """Latent [1, C, h, w] -> image [1, 3, H, W]."""
        return self._run("autoencoder_decoder", {"latent": latent})[0]

    def class_scores(self, latent: Float) -> Float:
        """Latent [1, C, h, w] -> scores [1, K, H, W]."""
        return self._run("class_decoder", {"latent": latent})[0]

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
        """Understanding pass -> logits, new_k, new_v; see `Backend.und`."""
        logits, new_k, new_v = self._run(
            "und",
            {
                "embeds": embeds,
                "cos": cos,
                "sin": sin,
                "bias": bias,
                "past_k": past_k,
                "past_v": past_v,
                "rows": rows,
            },
        )
        return logits, new_k, new_v

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
        """Generation pass -> velocity, new_k, new_v; see `Backend.gen`."""
        velocity, new_k, new_v = self._run(
            "gen",
            {
                "latents": latents,
                "time": time,
                "position_ids": position_ids,
                "markers": markers,
                "cos": cos,
                "sin": sin,
                "bias": bias,
                "past_k": past_k,
                "past_v": past_v,
            },
        )
        return velocity, new_k, new_v

    def run(self, graph: str, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run any graph by name, outputs by name; for self-tests and benchmarks."""
        outputs = self._run(graph, inputs)
        return dict(zip(self.folder.graphs[graph].output_names(), outputs, strict=True))

    def _run(self, graph: str, inputs: Mapping[str, NDArray[Any]]) -> list[Any]:
        session = self._session(graph)
        try:
            return cast("list[Any]", session.run(None, dict(inputs)))
        except Exception as error:  # the library's own kinds are not public
            shapes = ", ".join(f"{k} {v.dtype}{list(v.shape)}" for k, v in inputs.items())
            raise BackendError(f"graph '{graph}' refused its inputs ({shapes}): {error}") from error

    def _session(self, graph: str) -> onnxruntime.InferenceSession:
        session = self._sessions.get(graph)
        if session is not None:
            return session
        with self._lock:
            if self._closed:
                raise BackendError(f"the backend of model '{self.folder.name}' was closed")
            if graph not in self._sessions:
                self._sessions[graph] = self._create(graph)
                if len(self._sessions) == len(self.folder.graphs):
                    self.folder.put_away()
            return self._sessions[graph]

    def _create(self, graph: str) -> onnxruntime.InferenceSession:
        options = self._ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        # Waiting threads must not burn the cores that the robot's other nodes need.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        path = self.folder.graph_file(graph)
        in_memory = self.folder.in_memory and hasattr(options, FROM_MEMORY)
        try:
            source = self._from_memory(path.name, options) if in_memory else str(path)
            session = self._ort.InferenceSession(source, options, providers=self._providers)
        except CooperError:
            raise
        except Exception as error:  # the library's own kinds are not public
            raise BackendError(f"{path} cannot be loaded: {error}") from error
        if not in_memory:
            self.folder.check_unchanged(paths=True)  # it was opened by its name
        return session

    def _from_memory(self, name: str, options: Any) -> bytes:
        """The graph; its weights become part of the options. ONNX Runtime copies what it needs."""
        content = self.folder.content(name)
        sizes = {key: entry.size for key, entry in self.folder.files.items()}
        shards = sorted(check_external_data(name, content, sizes))
        if shards:
            contents = [self.folder.content(shard) for shard in shards]
            getattr(options, FROM_MEMORY)(shards, contents, [len(data) for data in contents])
        return bytes(content)


def _library() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendError(
            "ONNX Runtime is not installed: pip install 'cooper_ros[ort]'"
        ) from error
    # Loaded by somebody else before this package: then it reports already, from now on less.
    onnxruntime.disable_telemetry_events()
    return onnxruntime
