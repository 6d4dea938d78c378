"""The state dict once, as safetensors shards, and the byte range of every tensor in them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir
import torch
from safetensors.torch import save_file
from torch import Tensor

from cooper_ros.export.tracing import ExportError

DTYPES = {
    torch.float32: ("F32", ir.DataType.FLOAT),
    torch.float16: ("F16", ir.DataType.FLOAT16),
    torch.bfloat16: ("BF16", ir.DataType.BFLOAT16),
}
NAMES = dict(DTYPES.values())
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor lies: file name inside the folder, byte offset and length, type, shape."""

    file: str
    offset: int
    length: int
    dtype: ir.DataType
    shape: tuple[int, ...]

    def external(self, name: str, folder: Path) -> ir.ExternalTensor:
        """Return the ONNX form: external data by offset."""
        return ir.ExternalTensor(
            self.file,
            self.offset,
            self.length,
            self.dtype,
            shape=ir.Shape(self.shape),
            name=name,
            base_dir=folder,
        )


def read_index(path: Path) -> dict[str, StoredTensor]:
    """Read the header of a safetensors file: byte ranges counted from the start of the file.

    Raises:
        ExportError: a tensor has an element type that the graphs cannot use.
    """
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    index = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if entry["dtype"] not in NAMES:
            raise ExportError(f"{path.name}: '{name}' has element type {entry['dtype']}")
        begin, end = entry["data_offsets"]
        index[name] = StoredTensor(
            path.name,
            8 + length + begin,
            end - begin,
            NAMES[entry["dtype"]],
            tuple(entry["shape"]),
        )
    return index


def write_shards(
    state: Mapping[str, Tensor], folder: Path, max_shard_bytes: int, progress: Progress
) -> dict[str, StoredTensor]:
    """Write ``state`` as ``model-00001-of-0000N.safetensors`` in name order.

    A tensor larger than ``max_shard_bytes`` gets a shard of its own.

    Returns:
        byte range of each tensor by name.
    """
    groups: list[dict[str, Tensor]] = [{}]
    size = 0
    for name in sorted(state):
        tensor = state[name]
        if groups[-1] and size + tensor.nbytes > max_shard_bytes:
            groups.append({})
            size = 0
        groups[-1][name] = tensor.detach().contiguous()
        size += tensor.nbytes
    index: dict[str, StoredTensor] = {}
    for number, group in enumerate(groups, 1):
        path = folder / f"model-{number:05d}-of-{len(groups):05d}.safetensors"
        save_file(group, str(path))
        # The library writes for its owner only; a model folder is meant to be shared.
        path.chmod(0o644)
        index.update(read_index(path))
        progress("weights", number, len(groups))
    return index


def link_shards(
    state: Mapping[str, Tensor], sources: Iterable[Path], folder: Path, progress: Progress
) -> dict[str, StoredTensor]:
    """Use the checkpoint's own files where they already hold a tensor, byte for byte.

    Tensors are found by content, so renamed and reshaped ones (the 1x1 convolutions of the official
    autoencoder's attention) are found as well.  A file is hard-linked where the file system allows
    it (no copy of a 29 GB checkpoint), else copied.

    Returns:
        byte range of each tensor that was found; tensors that were not are left to the caller.
    """
    by_content: dict[tuple[ir.DataType, str], tuple[Path, StoredTensor]] = {}
    wanted = {(DTYPES[t.dtype][1], t.nbytes) for t in state.values()}
    for source in sources:
        with source.open("rb") as file:
            for stored in read_index(source).values():
                if (stored.dtype, stored.length) not in wanted:
                    continue
                file.seek(stored.offset)
                digest = hashlib.sha256(file.read(stored.length)).hexdigest()
                by_content.setdefault((stored.dtype, digest), (source, stored))
    found: dict[str, StoredTensor] = {}
    used: dict[Path, str] = {}
    for number, (name, tensor) in enumerate(sorted(state.items()), 1):
        key = (DTYPES[tensor.dtype][1], content_digest(tensor))
        if key in by_content:
            source, stored = by_content[key]
            if source not in used:
                used[source] = _link(source, folder)
            found[name] = StoredTensor(
                used[source], stored.offset, stored.length, stored.dtype, tuple(tensor.shape)
            )
        progress("weights", number, len(state))
    return found


def content_digest(tensor: Tensor) -> str:
    """SHA-256 of the tensor's bytes as a safetensors file stores them."""
    flat = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
    return hashlib.sha256(flat.numpy().tobytes()).hexdigest()


def _link(source: Path, folder: Path) -> str:
    target = folder / source.name
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)
    return target.name
