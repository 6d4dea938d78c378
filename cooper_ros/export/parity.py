"""The exported graphs against torch: two shapes per graph, every output."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from cooper_ros.export.tracing import ExportError
from cooper_ros.runtime.selftest import TOLERANCE, relative_error
from cooper_ros.runtime.signature import GraphSignature

Arrays = Mapping[str, np.ndarray[Any, Any]]


def torch_outputs(
    module: nn.Module, signature: GraphSignature, inputs: Arrays
) -> dict[str, np.ndarray[Any, Any]]:
    """Run the torch module on numpy inputs; outputs by name."""
    with torch.inference_mode():
        values = module(*(torch.from_numpy(inputs[t.name]) for t in signature.inputs))
    values = values if isinstance(values, tuple) else (values,)
    names = signature.output_names()
    return {name: v.numpy() for name, v in zip(names, values, strict=True)}


def onnx_outputs(path: Path, signature: GraphSignature, inputs: Arrays) -> dict[str, Any]:
    """Run an ONNX file with ONNX Runtime on the CPU; inputs are cast to what it declares."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    types = {"tensor(float16)": np.float16, "tensor(float)": np.float32, "tensor(int64)": np.int64}
    feed = {i.name: inputs[i.name].astype(types[i.type]) for i in session.get_inputs()}
    return dict(zip(signature.output_names(), session.run(None, feed), strict=True))


def check_parity(
    path: Path, signature: GraphSignature, cases: Mapping[str, tuple[Arrays, Arrays]]
) -> float:
    """Return the largest relative error over all cases and outputs.

    Args:
        cases: inputs and torch's outputs by the name of the case.

    Raises:
        ExportError: the graph does not run, or an output differs by more than 1e-3.
    """
    worst = 0.0
    for case, (inputs, expected) in cases.items():
        try:
            outputs = onnx_outputs(path, signature, inputs)
        except Exception as error:  # the library's own kinds are not public
            raise ExportError(f"{path.name} does not run, case {case}: {error}") from error
        for name, value in expected.items():
            difference = relative_error(outputs[name].astype(np.float32), value)
            if difference > TOLERANCE:
                raise ExportError(
                    f"{path.name} differs from torch: output '{name}', case {case}, relative "
                    f"error {difference:.2g} (at most {TOLERANCE:g})"
                )
            worst = max(worst, difference)
    return worst
