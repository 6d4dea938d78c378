"""A copy of a model folder whose CPU graphs multiply in 8 bits.

The matrices of the language model's two graphs become int8 (per output channel, symmetric);
activations are quantised as they come, so that no calibration pictures are needed. Convolutions,
norms, attention and everything that a GPU runs stay as they are. The result is an ordinary model
folder: every command takes it with `--model`, and its self-test holds what the int8 graphs give
where they were made. int8 kernels differ between processors: there it may fail by more than a
float model does, and then says so.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.errors import BackendError, CooperError
from cooper_ros.runtime.folder import MANIFEST, FileEntry, ModelFolder, file_sha256
from cooper_ros.runtime.real_pictures import KEY as REAL_PICTURES
from cooper_ros.runtime.selftest import SELFTEST, read_selftest, renew_outputs

GRAPHS = ("und", "gen")
SUFFIX = "int8"

Arrays = dict[str, NDArray[Any]]


def quantise(
    source: ModelFolder,
    target: Path,
    graphs: Sequence[str] = GRAPHS,
    progress: Callable[[str, int, int], None] | None = None,
) -> ModelFolder:
    """Write the int8 form of a model folder to `target` and return it.

    The calibration of the source is left out: other arithmetic makes other errors, so
    `cooper eval calibrate TARGET` is to be run on the result. Raises CooperError when `target`
    exists and is not empty or a graph is unknown, BackendError without ONNX Runtime's tools.
    """
    unknown = [name for name in graphs if name not in source.graphs]
    if unknown:
        raise CooperError(f"there is no graph {unknown[0]!r}; known: {', '.join(source.graphs)}")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise CooperError(f"{target} is there already: choose another --out")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.resolve().parent, prefix=".int8-") as name:
        folder = Path(name) / "folder"
        _fill(source, folder, graphs, progress or (lambda _what, _done, _total: None))
        target.mkdir(exist_ok=True)
        # the manifest last: an interrupted move leaves no folder that could be opened
        for path in sorted(folder.iterdir(), key=lambda item: item.name == MANIFEST):
            os.replace(path, target / path.name)
    return ModelFolder.open(target)


def _fill(
    source: ModelFolder,
    folder: Path,
    graphs: Sequence[str],
    progress: Callable[[str, int, int], None],
) -> None:
    folder.mkdir()
    replaced = {source.graph_file(graph).name for graph in graphs}
    manifest = json.loads(json.dumps(source.manifest))
    for name in source.files:
        if name not in replaced:
            shutil.copyfile(source.file(name), folder / name)
    for number, graph in enumerate(graphs):
        progress(graph, number, len(graphs))
        name = f"{graph}.{SUFFIX}.onnx"
        _quantise_graph(source.graph_file(graph), folder / name)
        manifest["graphs"][graph].update(cpu=name, cpu_precision=SUFFIX)
    progress("graphs", len(graphs), len(graphs))
    _renew_selftest(source, folder, graphs)
    manifest["name"] = manifest["model"]["model_id"] = f"{source.name}-{SUFFIX}"
    manifest.pop("calibration", None)
    manifest.pop(REAL_PICTURES, None)
    made_from = {"quantised_from": {"name": source.name, "graphs": list(graphs)}}
    manifest["provenance"] = {**manifest.get("provenance", {}), **made_from}
    manifest["files"] = {
        path.name: dataclasses.asdict(FileEntry(path.stat().st_size, file_sha256(path)))
        for path in sorted(folder.iterdir())
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _quantise_graph(source: Path, target: Path) -> None:
    """Fold the stored float16 weights to float32, then the matrices to int8."""
    ort, tools = _libraries()
    plain = target.with_suffix(".float32")
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    options.optimized_model_filepath = str(plain)
    ort.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
    try:
        tools.quantize_dynamic(
            plain,
            target,
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            weight_type=tools.QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
        )
    finally:
        plain.unlink(missing_ok=True)


class _Runner:
    """Runs the int8 graphs of a folder that has no manifest yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def run(self, graph: str, inputs: Mapping[str, NDArray[Any]]) -> Arrays:
        """Outputs by name."""
        ort, _ = _libraries()
        path = self._folder / f"{graph}.{SUFFIX}.onnx"
        session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, dict(inputs)), strict=True))


def _renew_selftest(source: ModelFolder, folder: Path, graphs: Sequence[str]) -> None:
    """Put what the int8 graphs give into the self-test, in place of the float outputs."""
    arrays = read_selftest(source)
    for graph in graphs:
        renew_outputs(arrays, source, _Runner(folder), graph)
    with (folder / SELFTEST).open("wb") as out:
        np.savez_compressed(out, **arrays)  # type: ignore[arg-type]


def _libraries() -> tuple[Any, Any]:
    try:
        import onnxruntime
        from onnxruntime import quantization
    except ImportError as error:
        raise BackendError(f"int8 needs {error.name}: pip install 'cooper_ros[export]'") from error
    return onnxruntime, quantization
