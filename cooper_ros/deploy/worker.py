"""One engine build in a process of its own: ``python -m cooper_ros.deploy.worker < request``.

TensorRT ends the process when a driver is missing or a graph upsets its compiler, so it never runs
inside a robot's process. The request and the answer are JSON objects; the answer is the last line
of the standard output.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any


def build(request: dict[str, Any]) -> dict[str, Any]:
    """Parse an ONNX file and build its engine.

    Args:
        request: ``module`` (builder), ``onnx`` and ``out`` (paths), ``capability`` (name in the
            builder's enumeration, ``CURRENT`` for this machine's GPU) and ``profile``: shapes
            ``[smallest, most frequent, largest]`` by input name.

    Returns:
        ``ok`` and either ``seconds``, ``bytes`` and ``layers``, or ``errors``: texts that name
        operator and node where the parser knows them.
    """
    if request["capability"] == "CURRENT":
        missing = _driver_problem()
        if missing:
            return {"ok": False, "errors": [missing]}
    trt = importlib.import_module(request["module"])
    logger = _collecting_logger(trt)
    started = time.monotonic()
    builder = trt.Builder(logger)
    network = builder.create_network(_network_flags(trt))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(request["onnx"]):
        return {"ok": False, "errors": _parser_errors(parser) or logger.errors}
    config = builder.create_builder_config()
    if request["capability"] != "CURRENT":
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, request["capability"]), 0)
    profile = builder.create_optimization_profile()
    for name, (smallest, frequent, largest) in request["profile"].items():
        profile.set_shape(name, smallest, frequent, largest)
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        return {"ok": False, "errors": logger.errors or ["the builder gave no reason"]}
    Path(request["out"]).write_bytes(plan)
    return {
        "ok": True,
        "seconds": round(time.monotonic() - started, 2),
        "bytes": plan.nbytes,
        "layers": network.num_layers,
    }


def _driver_problem() -> str | None:
    """Say why CUDA cannot be used here; TensorRT itself would end the process instead."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "this machine has no NVIDIA driver (libcuda.so.1); name a target such as sm86"
    code = cuda.cuInit(0)
    return None if code == 0 else f"the NVIDIA driver refuses to start (cuInit: error {code})"


def _network_flags(trt: Any) -> int:
    # Needed by TensorRT 8 to 10, ignored or absent later.
    flags = 0
    for name in ("EXPLICIT_BATCH", "STRONGLY_TYPED"):
        flag = getattr(trt.NetworkDefinitionCreationFlag, name, None)
        if flag is not None:
            flags |= 1 << int(flag)
    return flags


def _parser_errors(parser: Any) -> list[str]:
    errors = []
    for index in range(parser.num_errors):
        error = parser.get_error(index)
        operator, node = error.node_operator(), error.node_name()
        where = f"operator {operator}, node '{node}': " if operator else ""
        errors.append(f"{where}{error.desc()}")
    return errors


def _collecting_logger(trt: Any) -> Any:
    class Logger(trt.ILogger):
        """Keeps error messages for the answer."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.errors.append(message)

    return Logger()


if __name__ == "__main__":
    print(json.dumps(build(json.load(sys.stdin))), flush=True)
