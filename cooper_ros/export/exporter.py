"""Checkpoint in, model folder out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cooper_ros.core.types import Frame
from cooper_ros.deploy.recording import drawn_pictures
from cooper_ros.deploy.verify import verify_folder
from cooper_ros.export.graph_writer import GraphWriter
from cooper_ros.export.profiles import graph_profiles
from cooper_ros.export.provenance import read_provenance
from cooper_ros.export.staging import replace_folder, staging_folder
from cooper_ros.export.tracing import OPSET, ExportError
from cooper_ros.export.weights import Progress, StoredTensor, link_shards, write_shards
from cooper_ros.model.checkpoint import config_dict, load_model
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
from cooper_ros.runtime.loading import check_words
from cooper_ros.runtime.spec import ModelSpec
from cooper_ros.runtime.tokenizer import Tokenizer

EMBEDDING = "language_model.model.embed_tokens.weight"
MAP_EMBEDDING = {
    "weight": "map_embed.weight",
    "bias": "map_embed.bias",
    "positions": "vit_pos_embed.pos_embed",
}
"""Tensors from which the host makes tokens of drawn maps."""
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}
# Below this a copy costs nothing and is safer: the exported folder does not share bytes with a
# checkpoint that may be written again.
LINK_FROM_BYTES = 2**30


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
        check: compare with torch at three shapes, store a self-test, measure what the GPU forms
            must hold and verify them (needs float32 memory).
        frames: pictures by which ranges are measured; None: drawn ones.
        tokenizer: a tokenizer.json to use instead of the checkpoint's own.
    """

    name: str = ""
    dtype: str = "auto"
    licence: str = ""
    spec: Mapping[str, Any] = field(default_factory=dict)
    max_shard_bytes: int = 14_000_000
    link: bool | None = None
    check: bool = True
    frames: Sequence[Frame] | None = None
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
    return export_model(model, tokenizer, out, options, read_provenance(source), source, progress)


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
    check_words(spec, tokenizer)
    with staging_folder(target) as folder:
        state = _stored_state(model, options.dtype)
        index = _store(state, source, folder, options, progress)
        graphs = GraphWriter(
            model.config, spec, tokenizer, state, index, folder, progress, options.check,
            options.frames,
        ).write()  # fmt: skip
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
        if options.check:
            _refuse_wrong_forms(folder, options.frames)
        replace_folder(folder, target)
    return ModelFolder.open(target, check="size")


def _refuse_wrong_forms(folder: Path, frames: Sequence[Frame] | None) -> None:
    """Raise ExportError for a GPU form that does not compute what it should.

    One picture: the forms were chosen on all of them, and what is asked here is whether the files
    that were written are those forms.
    """
    made = ModelFolder.open(folder, check="size")
    for report in verify_folder(made, (frames or drawn_pictures(1))[:1]):
        if report.problem:
            raise ExportError(f"the GPU form of graph '{report.graph}': {report.problem}")


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
    hosted: dict[str, Any] = {"embedding": _place(index[EMBEDDING])}
    if MAP_EMBEDDING["weight"] in index:
        hosted["map_embedding"] = {n: _place(index[t]) for n, t in MAP_EMBEDDING.items()}
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "name": name,
        "licence": options.licence or str(provenance.get("licence", "")) or "unknown",
        "provenance": dict(provenance),
        "exporter": {"cooper_ros": __version__, "torch": torch.__version__, "opset": OPSET},
        "model": spec.to_dict(),
        "graphs": {n: {**entry, "profile": profiles[n]} for n, entry in graphs.items()},
        **hosted,
    }


def _place(table: StoredTensor) -> dict[str, Any]:
    """Where the host finds a matrix; a vector is a matrix of one row."""
    names = {"FLOAT": "float32", "FLOAT16": "float16", "BFLOAT16": "bfloat16"}
    shape = list(table.shape) if len(table.shape) == 2 else [1, *table.shape]
    return {
        "file": table.file,
        "offset": table.offset,
        "shape": shape,
        "dtype": names[table.dtype.name],
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


__all__ = ["ExportOptions", "export_checkpoint", "export_model"]
