"""Checkpoint in, model folder out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx_ir as ir
import torch
from torch import Tensor, nn

from cooper_ros.export import precision
from cooper_ros.export.examples import example_inputs
from cooper_ros.export.parity import Arrays, check_parity, torch_outputs
from cooper_ros.export.profiles import graph_profiles
from cooper_ros.export.signatures import CHECK, STORED, TRACE, example_sizes, graph_signatures
from cooper_ros.export.staging import replace_folder, staging_folder
from cooper_ros.export.tracing import OPSET, ExportError, trace_graph
from cooper_ros.export.weights import Progress, StoredTensor, link_shards, write_shards
from cooper_ros.model.checkpoint import config_dict, load_model
from cooper_ros.model.configuration import CooperConfig
from cooper_ros.model.graphs import build_graphs
from cooper_ros.model.modeling import CooperModel
from cooper_ros.model.spec import model_spec
from cooper_ros.runtime.folder import (
    FORMAT,
    FORMAT_VERSION,
    MANIFEST,
    TOKENIZER,
    ModelFolder,
    file_sha256,
)
from cooper_ros.runtime.selftest import SELFTEST, TOLERANCE, save_selftest
from cooper_ros.runtime.signature import GraphSignature
from cooper_ros.runtime.spec import ModelSpec
from cooper_ros.runtime.tokenizer import Tokenizer

EMBEDDING = "language_model.model.embed_tokens.weight"
PROVENANCE = "provenance.json"
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}
# Below this a copy costs nothing and is safer: the exported folder does not share bytes with a
# checkpoint that may be written again.
LINK_FROM_BYTES = 2**30
# A derived constant above this would be a weight that is stored a second time inside a graph.
INLINE_BYTES = 16 * 1024


@dataclass
class ExportOptions:
    """What to write.

    Attributes:
        name: the model's name; the folder's name where empty.
        dtype: type of the stored weights, or ``auto``: as in the checkpoint.
        licence: licence of the weights; taken from the checkpoint's provenance where empty.
        spec: fields of the runtime spec to override (prompts, resize rules, ...).
        max_shard_bytes: size of a weight file, except where one tensor is larger.
        link: use the checkpoint's files by hard link instead of writing shards; None decides by
            size (from 1 GiB).
        check: compare with torch at three shapes and store a self-test (needs float32 memory).
        tokenizer: a tokenizer.json to use instead of the checkpoint's own.
    """

    name: str = ""
    dtype: str = "auto"
    licence: str = ""
    spec: Mapping[str, Any] = field(default_factory=dict)
    max_shard_bytes: int = 14_000_000
    link: bool | None = None
    check: bool = True
    tokenizer: Path | None = None


def _silent(_what: str, _done: int, _total: int) -> None:
    """Report nothing."""


def export_checkpoint(
    checkpoint: str | Path,
    out: str | Path,
    options: ExportOptions | None = None,
    progress: Progress = _silent,
) -> ModelFolder:
    """Export a checkpoint in the official layout or in our own.

    Raises:
        CooperError: the checkpoint does not load, has no tokenizer, or a graph fails its check.
            ``out`` is left as it was.
    """
    source = Path(checkpoint)
    chosen = options.tokenizer if options else None
    tokenizer = Tokenizer.load(chosen) if chosen else _read_tokenizer(source)
    model = load_model(source)
    return export_model(model, tokenizer, out, options, _read_provenance(source), source, progress)


def export_model(
    model: CooperModel,
    tokenizer: Tokenizer,
    out: str | Path,
    options: ExportOptions | None = None,
    provenance: Mapping[str, Any] | None = None,
    source: Path | None = None,
    progress: Progress = _silent,
) -> ModelFolder:
    """Export a model from memory; `source` is the checkpoint folder whose files may be linked."""
    options = options or ExportOptions()
    target = Path(out)
    if tokenizer.vocab_size > model.config.vocab_size:
        raise ExportError(
            f"the tokenizer has {tokenizer.vocab_size} tokens, the model {model.config.vocab_size}"
        )
    name = options.name or target.resolve().name
    spec = model_spec(model.config, **{"model_id": name, **options.spec})
    with staging_folder(target) as folder:
        state = _stored_state(model, options.dtype)
        index = _store(state, source, folder, options, progress)
        graphs = _GraphWriter(model.config, state, index, folder, options, progress).write()
        tokenizer.save(folder / TOKENIZER)
        # With it the folder is also a checkpoint, which training and the torch backend can load.
        config = json.dumps(config_dict(model.config), indent=1)
        (folder / "config.json").write_text(config + "\n", encoding="utf-8")
        manifest = _manifest(name, spec, options, provenance or {}, graphs, index)
        manifest["weights"] = {
            "dtype": _dtype_name(state),
            "parameters": sum(t.numel() for t in state.values()),
        }
        manifest["files"] = {
            path.name: {"size": path.stat().st_size, "sha256": file_sha256(path)}
            for path in sorted(folder.iterdir())
        }
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        replace_folder(folder, target)
    return ModelFolder.open(target, check="size")


def _stored_state(model: CooperModel, dtype: str) -> dict[str, Tensor]:
    if dtype != "auto" and dtype not in DTYPES:
        raise ExportError(f"dtype must be auto or one of {', '.join(DTYPES)}, got '{dtype}'")
    state = {n: t.detach() for n, t in [*model.named_parameters(), *model.named_buffers()]}
    if dtype != "auto":
        state = {n: t.to(DTYPES[dtype]) for n, t in state.items()}
    for name, tensor in state.items():
        if tensor.dtype not in DTYPE_NAMES:
            raise ExportError(f"'{name}' has type {tensor.dtype}, which graphs cannot use")
        if not torch.isfinite(tensor).all():
            raise ExportError(
                f"'{name}' has values that are not finite as {DTYPE_NAMES[tensor.dtype]}; "
                "export with another --dtype"
            )
    return state


def _store(
    state: Mapping[str, Tensor],
    source: Path | None,
    folder: Path,
    options: ExportOptions,
    progress: Progress,
) -> dict[str, StoredTensor]:
    link = options.link
    if link is None:
        link = sum(t.nbytes for t in state.values()) >= LINK_FROM_BYTES
    found: dict[str, StoredTensor] = {}
    if link and source is not None:
        found = link_shards(state, sorted(source.glob("*.safetensors")), folder, progress)
    rest = {name: tensor for name, tensor in state.items() if name not in found}
    if rest:
        found.update(write_shards(rest, folder, options.max_shard_bytes, progress))
    return found


class _GraphWriter:
    """Traces every graph on the meta device, writes both forms and checks them."""

    def __init__(
        self,
        config: CooperConfig,
        state: Mapping[str, Tensor],
        index: Mapping[str, StoredTensor],
        folder: Path,
        options: ExportOptions,
        progress: Progress,
    ) -> None:
        self._config = config
        self._state = state
        self._external = {name: stored.external(name, folder) for name, stored in index.items()}
        self._folder = folder
        self._options = options
        self._progress = progress
        self._half = (
            ir.DataType.BFLOAT16 if _dtype_name(state) == "bfloat16" else ir.DataType.FLOAT16
        )

    def write(self) -> dict[str, Any]:
        """Write all graphs; return their manifest entries."""
        # Tracing needs shapes only, and no second copy of a large model.
        with torch.device("meta"):
            shapes = CooperModel(self._config)
        names = {id(t): n for n, t in [*shapes.named_parameters(), *shapes.named_buffers()]}
        signatures = graph_signatures(self._config)
        traced = build_graphs(shapes)
        modules = build_graphs(self._float_model()) if self._options.check else {}
        entries: dict[str, Any] = {}
        cases: dict[str, tuple[Arrays, Arrays]] = {}
        for number, (name, module) in enumerate(traced.items()):
            self._progress(name, number, len(traced))
            signature = signatures[name]
            entry = self._write_graph(module, signature, names)
            if modules:
                entry["parity"], cases[name] = self._check(modules[name], signature)
            entries[name] = entry
        self._progress("graphs", len(traced), len(traced))
        if cases:
            save_selftest(self._folder / SELFTEST, cases)
        return entries

    def _float_model(self) -> CooperModel:
        with torch.device("meta"):
            model = CooperModel(self._config)
        model.load_state_dict({n: t.float() for n, t in self._state.items()}, assign=True)
        return model.eval()

    def _write_graph(
        self, module: nn.Module, signature: GraphSignature, names: Mapping[int, str]
    ) -> dict[str, Any]:
        inputs = self._inputs(signature, TRACE)
        cpu, weights = trace_graph(module, signature, inputs, names)
        _refuse_large_constants(cpu, weights, signature.name)
        gpu = cpu.clone()
        precision.store_weights(cpu, weights, self._external)
        precision.to_half(gpu, weights, self._external, self._half)
        files = {}
        for kind, graph in (("cpu", cpu), ("gpu", gpu)):
            graph.graph.name = f"{signature.name}.{kind}"
            graph.producer_name = "cooper_ros"
            files[kind] = f"{signature.name}.{kind}.onnx"
            _save(graph, self._folder / files[kind])
        return {
            **files,
            "gpu_dtype": "bfloat16" if self._half == ir.DataType.BFLOAT16 else "float16",
            "inputs": [t.to_dict() for t in signature.inputs],
            "outputs": [t.to_dict() for t in signature.outputs],
        }

    def _inputs(self, signature: GraphSignature, which: int) -> Arrays:
        sizes = example_sizes(self._config, signature.name, which)
        side = (
            self._config.max_patches_per_side
            if signature.name == "vision_encoder"
            else self._config.max_latent_size
        )
        return example_inputs(signature, sizes, side * side)

    def _check(
        self, module: nn.Module, signature: GraphSignature
    ) -> tuple[dict[str, Any], tuple[Arrays, Arrays]]:
        cases = {}
        for case, which in (("traced", TRACE), ("other shape", CHECK), ("self-test", STORED)):
            inputs = self._inputs(signature, which)
            cases[case] = inputs, torch_outputs(module, signature, inputs)
        worst = check_parity(self._folder / f"{signature.name}.cpu.onnx", signature, cases)
        return {"relative_error": float(f"{worst:.2g}"), "tolerance": TOLERANCE}, cases["self-test"]


def _save(graph: ir.Model, path: Path) -> None:
    proto = ir.to_proto(graph)
    # Types and shapes between the nodes are half of such a file, and every engine infers them.
    del proto.graph.value_info[:]
    path.write_bytes(proto.SerializeToString())


def _refuse_large_constants(model: ir.Model, weights: Mapping[str, str], graph: str) -> None:
    for name, value in model.graph.initializers.items():
        size = value.const_value.nbytes if value.const_value is not None else 0
        if name not in weights and size >= INLINE_BYTES:
            raise ExportError(
                f"graph '{graph}' holds the constant '{name}' of {size} bytes, which is no stored "
                "tensor: make it a parameter or buffer, or compute it in the graph"
            )


def _manifest(
    name: str,
    spec: ModelSpec,
    options: ExportOptions,
    provenance: Mapping[str, Any],
    graphs: Mapping[str, Any],
    index: Mapping[str, StoredTensor],
) -> dict[str, Any]:
    from cooper_ros import __version__

    profiles = graph_profiles(spec)
    table = index[EMBEDDING]
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "name": name,
        "licence": options.licence or str(provenance.get("licence", "")) or "unknown",
        "provenance": dict(provenance),
        "exporter": {"cooper_ros": __version__, "torch": torch.__version__, "opset": OPSET},
        "model": spec.to_dict(),
        "graphs": {n: {**entry, "profile": profiles[n]} for n, entry in graphs.items()},
        "embedding": {
            "file": table.file,
            "offset": table.offset,
            "shape": list(table.shape),
            "dtype": {"FLOAT": "float32", "FLOAT16": "float16", "BFLOAT16": "bfloat16"}[
                table.dtype.name
            ],
        },
    }


def _dtype_name(state: Mapping[str, Tensor]) -> str:
    counts: Counter[torch.dtype] = Counter()
    for tensor in state.values():
        counts[tensor.dtype] += tensor.numel()
    return DTYPE_NAMES[counts.most_common(1)[0][0]]


def _read_tokenizer(source: Path) -> Tokenizer:
    if (source / TOKENIZER).is_file():
        return Tokenizer.load(source / TOKENIZER)
    if (source / "vocab.json").is_file():
        return Tokenizer.from_qwen2(source)
    raise ExportError(f"{source} holds neither {TOKENIZER} nor vocab.json: give --tokenizer FILE")


def _read_provenance(source: Path) -> dict[str, Any]:
    path = source / PROVENANCE
    if not path.is_file():
        return {"checkpoint": source.resolve().name}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ExportError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise ExportError(f"{path} must hold an object")
    return value


__all__ = ["ExportOptions", "export_checkpoint", "export_model"]
