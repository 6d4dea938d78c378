"""The frozen convolutions of the vision tower, run where they are fastest.

They are half of stage 1a. On a CPU, ONNX Runtime takes 20 ms for a picture of 384x288 where eager
PyTorch takes 42 ms in small batches and 59 ms in batches of eight, which leave the cache. On a
GPU, and where ONNX Runtime or its exporter is not installed, PyTorch runs them.
"""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cooper_ros.model.vision import EfficientNetLite

SMALL_BATCH = 4
"""Pictures at a time in PyTorch on a CPU."""


class _Taps(nn.Module):
    def __init__(self, tower: EfficientNetLite) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return self.tower.taps(image)


class FrozenTower:
    """Features of a tower whose convolutions do not change any more.

    Args:
        engine: False keeps to PyTorch.
    """

    def __init__(self, tower: EfficientNetLite, engine: bool = True) -> None:
        self.tower = tower
        self.engine = engine and next(tower.parameters()).device.type == "cpu"
        self.sessions: dict[tuple[int, int], Any] = {}

    @torch.no_grad()
    def __call__(self, image: Tensor) -> Tensor:
        """Features ``[B, N, F]`` float32 of pictures ``[B, 3, H, W]``."""
        session = self._session(image.shape[-2], image.shape[-1]) if self.engine else None
        size = 1 if session is not None else SMALL_BATCH
        if image.device.type != "cpu":
            size = len(image)
        found = []
        for part in image.split(size):
            if session is None:
                taps = self.tower.taps(part.contiguous(memory_format=torch.channels_last))
            else:
                outputs = session.run(None, {"image": np.ascontiguousarray(part.numpy())})
                taps = tuple(torch.from_numpy(o) for o in outputs)
            found.append(self.tower.gather(taps, part))
        return torch.cat(found)

    def _session(self, height: int, width: int) -> Any:
        key = (height, width)
        if key not in self.sessions:
            try:
                self.sessions[key] = self._made(height, width)
            except ImportError:
                self.engine = False
                return None
        return self.sessions[key]

    def _made(self, height: int, width: int) -> Any:
        import onnx  # noqa: F401  (what torch's exporter needs)
        import onnxruntime

        file = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a tracer that is told one size on purpose
            torch.onnx.export(
                _Taps(self.tower).eval(), (torch.zeros(1, 3, height, width),), file,  # type: ignore[arg-type]
                input_names=["image"], opset_version=17, dynamo=False,
            )  # fmt: skip
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return onnxruntime.InferenceSession(
            file.getvalue(), options, providers=["CPUExecutionProvider"]
        )
