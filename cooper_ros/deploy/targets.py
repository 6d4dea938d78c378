"""What engines are built for, and which builder can do it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from dataclasses import dataclass

from cooper_ros.core.errors import CooperError


class EngineError(CooperError):
    """An engine cannot be built or does not fit; names graph, operator and node where known."""


@dataclass(frozen=True)
class Target:
    """A GPU architecture: name for people, compute capability of the builder's enumeration."""

    name: str
    capability: str
    description: str


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target("sm86", "SM86", "Ampere (RTX 30, A10; Jetson Orin has the same instruction set)"),
        Target("sm89", "SM89", "Ada (RTX 40, L4)"),
        Target("sm120", "SM120", "Blackwell (RTX 50)"),
        Target("device", "CURRENT", "the GPU of this machine (needs its driver)"),
    )
}

NEVER_EXECUTED = "engines are built and their graphs verified, never executed on a device"
"""What is to be said wherever engines are spoken of, until a report of a device is there."""

# The builder that a device brings (JetPack, NVIDIA's installer), and the one that also builds
# without a GPU. An architecture by name needs the second: the first builds for its own GPU only.
FULL_BUILDER = "tensorrt"
RTX_BUILDER = "tensorrt_rtx_bindings"
_INSTALL_RTX = "pip install 'cooper_ros[tensorrt]' (x86_64 Linux)"


def find_target(name: str) -> Target:
    """Return a target by name.

    Raises:
        EngineError: unknown; the message lists what there is.
    """
    if name not in TARGETS:
        raise EngineError(f"target '{name}' is unknown; known: {', '.join(TARGETS)}")
    return TARGETS[name]


def find_builder(target: Target) -> str:
    """Return the module of the builder to use for a target, without importing it.

    Raises:
        EngineError: none is installed; the message says how to get one.
    """
    candidates = [RTX_BUILDER] if target.name != "device" else [FULL_BUILDER, RTX_BUILDER]
    for module in candidates:
        if importlib.util.find_spec(module) is not None:
            return module
    where = "" if target.name != "device" else "JetPack's python3-libnvinfer, or "
    raise EngineError(
        f"no TensorRT builder for target {target.name}: install {where}{_INSTALL_RTX}"
    )


def builder_version(module: str) -> str:
    """Version of a builder as its distribution says, without importing it."""
    for distribution in (module, "tensorrt_rtx_cu13_bindings", "tensorrt_rtx_cu12_bindings"):
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "unknown"
