"""Engines of a model folder: built once per machine, kept in the user's cache by content."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cooper_ros.core.errors import ModelFolderError
from cooper_ros.core.paths import user_cache_dir
from cooper_ros.deploy.targets import (
    EngineError,
    Target,
    builder_version,
    find_builder,
    find_target,
)
from cooper_ros.runtime.folder import ModelFolder, file_sha256
from cooper_ros.runtime.signature import GraphSignature

BUILD_TIMEOUT_S = 3600.0
_ERRORS_SHOWN = 5


@dataclass(frozen=True)
class EngineRecord:
    """What is known about a built engine; stored beside it as JSON.

    ``seconds`` is the build time; ``sha256`` and ``bytes`` belong to the engine file.
    """

    key: str
    model: str
    graph: str
    target: str
    builder: str
    seconds: float
    bytes: int
    sha256: str
    layers: int


def engine_directory() -> Path:
    """Where engines are kept on this machine."""
    return user_cache_dir() / "engines"


def profile_shapes(
    signature: GraphSignature, ranges: Mapping[str, Any]
) -> dict[str, list[tuple[int, ...]]]:
    """Smallest, most frequent and largest shape by input name, dynamic inputs only.

    Args:
        ranges: three sizes by symbol, as the manifest stores them.
    """
    shapes = {}
    for tensor in signature.inputs:
        if tensor.is_dynamic():
            shapes[tensor.name] = [
                tensor.resolve({symbol: int(sizes[i]) for symbol, sizes in ranges.items()})
                for i in range(3)
            ]
    return shapes


def engine_key(folder: ModelFolder, graph: str, target: Target, builder: str) -> str:
    """Content address: changes with graph, weights, profile, builder version and target."""
    entry = folder.manifest["graphs"][graph]
    weights = sorted(f.sha256 for name, f in folder.files.items() if name.endswith(".safetensors"))
    content = {
        "onnx": folder.files[folder.graph_file(graph, "gpu").name].sha256,
        "weights": weights,
        "profile": entry.get("profile"),
        "builder": builder,
        "target": target.name,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def build_engines(
    folder: ModelFolder,
    target_name: str,
    graphs: Sequence[str] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[EngineRecord]:
    """Build what is not in the cache yet.

    Raises:
        EngineError: no builder, an operator it refuses (named with its node), or a crash.
    """
    target = find_target(target_name)
    module = find_builder(target)
    builder = f"{module} {builder_version(module)}"
    records = []
    graphs = graphs or tuple(folder.graphs)
    for number, graph in enumerate(graphs):
        if progress:
            progress(graph, number, len(graphs))
        record = find_engine(folder, graph, target, builder)
        records.append(record or _build(folder, graph, target, module, builder))
    if progress:
        progress("engines", len(graphs), len(graphs))
    return records


def find_engine(
    folder: ModelFolder, graph: str, target: Target, builder: str
) -> EngineRecord | None:
    """Return the cached engine of a graph if it is there and undamaged."""
    key = engine_key(folder, graph, target, builder)
    record = _read_record(engine_directory() / f"{key}.json")
    if record is None or damage(record):
        return None
    return record


def engine_file(record: EngineRecord) -> Path:
    """Path of the engine itself."""
    return engine_directory() / f"{record.key}.engine"


def list_engines() -> list[EngineRecord]:
    """All engines in the cache, by model, target and graph."""
    directory = engine_directory()
    found = (_read_record(path) for path in sorted(directory.glob("*.json")))
    records = [record for record in found if record is not None]
    return sorted(records, key=lambda r: (r.model, r.target, r.graph, r.key))


def damage(record: EngineRecord) -> str:
    """Say what is wrong with a cached engine; empty if nothing."""
    path = engine_file(record)
    if not path.is_file():
        return f"{path} is missing"
    if path.stat().st_size != record.bytes:
        return f"{path} has {path.stat().st_size} bytes, expected {record.bytes}"
    if file_sha256(path) != record.sha256:
        return f"{path} was altered"
    return ""


def _build(
    folder: ModelFolder, graph: str, target: Target, module: str, builder: str
) -> EngineRecord:
    ranges = folder.manifest["graphs"][graph].get("profile")
    if not isinstance(ranges, dict):
        raise ModelFolderError(f"graph '{graph}' of model '{folder.name}' has no profile")
    key = engine_key(folder, graph, target, builder)
    directory = engine_directory()
    directory.mkdir(parents=True, exist_ok=True)
    partial = directory / f".{key}.{os.getpid()}.partial"
    request = {
        "module": module,
        "onnx": str(folder.graph_file(graph, "gpu").resolve()),
        "out": str(partial),
        "capability": target.capability,
        "profile": profile_shapes(folder.graphs[graph], ranges),
    }
    try:
        answer = _run_worker(request, graph, target)
        if not answer["ok"]:
            shown = answer["errors"][:_ERRORS_SHOWN]
            raise EngineError(
                f"graph '{graph}' cannot be built for {target.name} by {builder}:\n  "
                + "\n  ".join(shown)
            )
        record = EngineRecord(
            key=key,
            model=folder.name,
            graph=graph,
            target=target.name,
            builder=builder,
            seconds=float(answer["seconds"]),
            bytes=partial.stat().st_size,
            sha256=file_sha256(partial),
            layers=int(answer["layers"]),
        )
        os.replace(partial, engine_file(record))
    finally:
        partial.unlink(missing_ok=True)
    # The record last: an engine without one is rebuilt.
    (directory / f"{key}.json").write_text(json.dumps(asdict(record), indent=1) + "\n")
    return record


def _run_worker(request: Mapping[str, Any], graph: str, target: Target) -> dict[str, Any]:
    command = [sys.executable, "-m", "cooper_ros.deploy.worker"]
    # The worker must find this very package, also when it is used from a checkout.
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        done = subprocess.run(
            command,
            input=json.dumps(request),
            capture_output=True,
            text=True,
            timeout=BUILD_TIMEOUT_S,
            env={**os.environ, "PYTHONPATH": path},
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(
            f"building graph '{graph}' for {target.name} took more than {BUILD_TIMEOUT_S:.0f} s"
        ) from error
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        last = "\n  ".join(done.stderr.strip().splitlines()[-3:])
        raise EngineError(
            f"the builder ended with code {done.returncode} on graph '{graph}' for "
            f"{target.name}:\n  {last or 'without a message'}"
        )
    answer: dict[str, Any] = json.loads(lines[-1])
    return answer


def _read_record(path: Path) -> EngineRecord | None:
    try:
        return EngineRecord(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
