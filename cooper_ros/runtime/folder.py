"""The model folder: what `cooper export` writes and robots load. Torch-free.

A folder holds `manifest.json`, a tokenizer, the weights once as safetensors shards, small ONNX
graphs whose external data are byte ranges of those shards, and inputs with expected outputs for a
self-test.  Everything is checked before it is used; nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.errors import ModelFolderError, shown
from cooper_ros.runtime.signature import GraphSignature

if TYPE_CHECKING:
    from cooper_ros.runtime.spec import ModelSpec
    from cooper_ros.runtime.tokenizer import Tokenizer

MANIFEST = "manifest.json"
FORMAT = "cooper_ros model folder"
FORMAT_VERSION = 2
TOKENIZER = "tokenizer.json"
GRAPH_NAMES = ("vision_encoder", "autoencoder_encoder", "autoencoder_decoder", "und", "gen")
GRAPH_KINDS = ("cpu", "gpu")
CHECKS = ("auto", "full", "size")
# Up to this size all hashes are verified when a folder is opened (about 1 s per GiB).
FULL_CHECK_BYTES = 512 * 2**20
_STORED_DTYPES: dict[str, Any] = {
    "float32": np.float32,
    "float16": np.float16,
    "bfloat16": np.uint16,  # numpy has no bfloat16: the upper half of a float32
}
_EXPORT_AGAIN = "export the model again with `cooper export`, or copy the folder completely"


@dataclass(frozen=True)
class FileEntry:
    """One file of the folder: length in bytes and SHA-256 as 64 hex digits."""

    size: int
    sha256: str


class ModelFolder:
    """A model folder whose manifest has been read and whose files have been checked.

    Attributes:
        path: the folder.
        manifest: the manifest as read.
        name: the model's name.
        graphs: signature by graph name, float32 (CPU) form.
        files: entry by file name.
    """

    def __init__(self, path: Path, manifest: Mapping[str, Any]) -> None:
        self.path = path
        self.manifest = manifest
        self.name = str(_section(manifest, "name", str))
        self.files = _files(manifest)
        graphs = _section(manifest, "graphs", dict)
        missing = [name for name in GRAPH_NAMES if name not in graphs]
        if missing:
            raise ModelFolderError(f"{path / MANIFEST} lacks graph '{missing[0]}'; {_EXPORT_AGAIN}")
        self.graphs = {name: GraphSignature.from_dict(name, graphs[name]) for name in GRAPH_NAMES}

    @classmethod
    def open(cls, path: str | Path, check: str = "auto") -> ModelFolder:
        """Read and check a folder.

        Args:
            path: the folder (or its manifest).
            check: ``full`` compares sizes and SHA-256 of all files, ``size`` only presence and
                sizes, ``auto`` is full up to 512 MiB and size above.

        Raises:
            ModelFolderError: missing, truncated, altered or of an unknown version; the message
                names the file, what was expected, what was found and what to do.
        """
        if check not in CHECKS:
            raise ValueError(f"check must be one of {', '.join(CHECKS)}, got {check!r}")
        folder = Path(path)
        if folder.name == MANIFEST:
            folder = folder.parent
        model = cls(folder, _read_manifest(folder))
        total = sum(entry.size for entry in model.files.values())
        full = check == "full" or (check == "auto" and total <= FULL_CHECK_BYTES)
        model.check_files(hashes=full)
        return model

    @property
    def spec(self) -> ModelSpec:
        """The model's dimensions and conventions."""
        from cooper_ros.runtime.spec import ModelSpec

        return ModelSpec.from_dict(_section(self.manifest, "model", dict))

    @property
    def licence(self) -> str:
        """Licence of the weights, as an SPDX identifier or a text."""
        return str(self.manifest.get("licence", ""))

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Where the weights come from: training data, steps, measured quality."""
        return dict(self.manifest.get("provenance") or {})

    def tokenizer(self) -> Tokenizer:
        """Load the tokenizer."""
        from cooper_ros.runtime.tokenizer import Tokenizer

        return Tokenizer.load(self.file(TOKENIZER))

    def file(self, name: str) -> Path:
        """Path of a file that the manifest lists.

        Raises:
            ModelFolderError: the manifest does not list it.
        """
        if name not in self.files:
            raise ModelFolderError(f"{self.path / MANIFEST} lists no file {shown(name)}")
        return self.path / name

    def graph_file(self, graph: str, kind: str = "cpu") -> Path:
        """Path of a graph's ONNX file; ``kind`` is ``cpu`` (float32) or ``gpu`` (half)."""
        entry = _section(self.manifest, "graphs", dict)[graph]
        if kind not in entry:
            raise ModelFolderError(f"model '{self.name}' has no {kind} form of graph '{graph}'")
        return self.file(str(entry[kind]))

    def check_files(self, hashes: bool) -> None:
        """Compare the files with the manifest.

        Raises:
            ModelFolderError: on the first file that is missing, outside the folder or different.
        """
        root = self.path.resolve()
        for name, entry in self.files.items():
            path = self.path / name
            if not path.is_file():
                raise ModelFolderError(f"{path} is missing: {_EXPORT_AGAIN}")
            if root not in path.resolve().parents:
                raise ModelFolderError(f"{path} is a link out of the model folder")
            size = path.stat().st_size
            if size != entry.size:
                state = "truncated" if size < entry.size else "too long"
                raise ModelFolderError(
                    f"{path} is {state}: {size} bytes, expected {entry.size}; {_EXPORT_AGAIN}"
                )
            if hashes:
                digest = file_sha256(path)
                if digest != entry.sha256:
                    raise ModelFolderError(
                        f"{path} was altered: SHA-256 {digest[:16]}..., "
                        f"expected {entry.sha256[:16]}...; {_EXPORT_AGAIN}"
                    )

    def embedding(self) -> EmbeddingTable:
        """The token embedding table, mapped from its shard."""
        entry = _section(self.manifest, "embedding", dict)
        try:
            return EmbeddingTable(
                self.file(str(entry["file"])),
                int(entry["offset"]),
                (int(entry["shape"][0]), int(entry["shape"][1])),
                str(entry["dtype"]),
            )
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ModelFolderError(
                f"{self.path / MANIFEST}: section 'embedding' is incomplete: {error!r}"
            ) from error


class EmbeddingTable:
    """Rows of the embedding table, gathered on the host from a memory-mapped shard."""

    def __init__(self, file: Path, offset: int, shape: tuple[int, int], dtype: str) -> None:
        if dtype not in _STORED_DTYPES:
            raise ModelFolderError(f"embedding table of {file} has unknown type '{dtype}'")
        stored = np.dtype(_STORED_DTYPES[dtype])
        end = offset + shape[0] * shape[1] * stored.itemsize
        if offset < 0 or min(shape) < 1 or end > file.stat().st_size:
            raise ModelFolderError(f"embedding table lies outside of {file} (bytes {offset}-{end})")
        self._bfloat16 = dtype == "bfloat16"
        self._rows = np.memmap(file, stored, "r", offset, shape)

    @property
    def shape(self) -> tuple[int, int]:
        """Vocabulary size and hidden size."""
        return self._rows.shape[0], self._rows.shape[1]

    def __call__(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the rows of token ids int64 [S] as float32 [S, D].

        Raises:
            ModelFolderError: an id is outside of the vocabulary.
        """
        wanted = np.asarray(ids, dtype=np.int64).reshape(-1)
        if wanted.size and (wanted.min() < 0 or wanted.max() >= self.shape[0]):
            raise ModelFolderError(
                f"token id {int(wanted.max())} is outside of the vocabulary of {self.shape[0]}"
            )
        rows = self._rows[wanted]
        if self._bfloat16:
            return (rows.astype(np.uint32) << 16).view(np.float32)
        return np.asarray(rows, dtype=np.float32)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file as hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not folder.is_dir():
        raise ModelFolderError(f"model folder {folder} does not exist")
    if not path.is_file():
        raise ModelFolderError(f"{path} is missing: {folder} is not a model folder")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelFolderError(
            f"{path} is not valid JSON ({error!s:.200}), probably truncated; {_EXPORT_AGAIN}"
        ) from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ModelFolderError(
            f"{path} is not the manifest of a model folder (no format '{FORMAT}')"
        )
    version = manifest.get("format_version")
    if version != FORMAT_VERSION:
        raise ModelFolderError(
            f"{path} has format version {shown(version)}, this program reads {FORMAT_VERSION}: "
            "update cooper_ros, or export the model again with this version"
        )
    return manifest


def _section(manifest: Mapping[str, Any], key: str, kind: type) -> Any:
    value = manifest.get(key)
    if not isinstance(value, kind):
        raise ModelFolderError(f"the manifest has no valid section '{key}'; {_EXPORT_AGAIN}")
    return value


def _files(manifest: Mapping[str, Any]) -> dict[str, FileEntry]:
    files = {}
    for name, entry in _section(manifest, "files", dict).items():
        relative = PurePosixPath(name)
        if relative.is_absolute() or ".." in relative.parts or "\\" in name or not relative.parts:
            raise ModelFolderError(
                f"the manifest lists {shown(name)}, which is outside of the folder"
            )
        try:
            files[name] = FileEntry(int(entry["size"]), str(entry["sha256"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFolderError(f"the manifest has no size and hash of {shown(name)}") from error
    return files
