"""Two known architectures to compare speed with, built from their configurations.

Depth Anything V2 Small (DINOv2-S with a DPT head) and SegFormer-B0. Their weights are random: speed
does not depend on them. Nothing is downloaded, and nothing here is used for quality.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cooper_ros.core.paths import user_cache_dir
from cooper_ros.evaluation.timing import Timing, measure


@dataclass(frozen=True)
class Peer:
    """One architecture at one input size [px]."""

    name: str
    height: int
    width: int

    @property
    def label(self) -> str:
        """Name and size for people."""
        return f"{self.name} {self.height}x{self.width}"


DEPTH = "Depth Anything V2 Small"
SEGMENTATION = "SegFormer-B0"
USUAL = (Peer(DEPTH, 518, 686), Peer(SEGMENTATION, 512, 512))
"""The input sizes these models are used at."""
OURS = (Peer(DEPTH, 252, 336), Peer(SEGMENTATION, 256, 256))
"""Input sizes near ours."""


def build(peer: Peer) -> Any:
    """The torch module with random weights. Needs torch and transformers."""
    import torch

    torch.manual_seed(0)
    model = _depth_anything() if peer.name == DEPTH else _segformer()
    return model.eval()


def _depth_anything() -> Any:
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

    backbone = Dinov2Config(
        hidden_size=384,
        num_attention_heads=6,
        num_hidden_layers=12,
        image_size=518,
        patch_size=14,
        out_features=["stage3", "stage6", "stage9", "stage12"],
        reshape_hidden_states=False,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        patch_size=14,
        reassemble_hidden_size=384,
        reassemble_factors=[4, 2, 1, 0.5],
        neck_hidden_sizes=[48, 96, 192, 384],
        fusion_hidden_size=64,
        head_hidden_size=32,
    )
    return DepthAnythingForDepthEstimation(config)


def _segformer() -> Any:
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    # the defaults of this configuration are those of B0; 150 classes as in its usual training
    return SegformerForSemanticSegmentation(SegformerConfig(num_labels=150))


def graph_file(peer: Peer) -> Path:
    """The ONNX graph of a peer in the user's cache, made when it is not there."""
    folder = user_cache_dir() / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{peer.name.lower().replace(' ', '-')}-{peer.height}x{peer.width}.onnx"
    if not path.is_file():
        _export(peer, path)
    return path


def _export(peer: Peer, path: Path) -> None:
    import torch

    model = build(peer)

    class Output(torch.nn.Module):
        """The one tensor that matters, instead of a dictionary."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, image: Any) -> Any:
            result = self.inner(pixel_values=image)
            return result.predicted_depth if peer.name == DEPTH else result.logits

    temporary = path.with_name(f"{path.stem}.{os.getpid()}.part")
    image = torch.zeros(1, 3, peer.height, peer.width)
    with _quiet():
        torch.onnx.export(
            Output(), (image,), str(temporary), input_names=["image"], dynamo=False
        )
    os.replace(temporary, path)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Tracing a fixed size warns about every shape it makes constant, which is the intent."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def time_peer(peer: Peer, threads: int, runs: int) -> Timing:
    """Latency of a peer with the session settings of this package's ONNX Runtime backend."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(
        str(graph_file(peer)), options, providers=["CPUExecutionProvider"]
    )
    rng = np.random.default_rng(0)
    image = rng.normal(size=(1, 3, peer.height, peer.width)).astype(np.float32)
    return measure([lambda: session.run(None, {"image": image})] * runs, warm_up=1)
