"""The model folder: what `cooper export` writes and robots load. Torch-free.

A folder holds `manifest.json`, a tokenizer, the weights once as safetensors shards, small ONNX
graphs whose external data are byte ranges of those shards, and inputs with expected outputs for a
self-test.  Everything is checked before it is used; nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.errors import ModelFolderError, shown
from cooper_ros.runtime.files import EXPORT_AGAIN, FileEntry, ModelFiles, file_sha256
from cooper_ros.runtime.onnx_file import check_external_data
from cooper_ros.runtime.schema import check_encodable, check_sections
from cooper_ros.runtime.signature import GRAPH_FORMS, GraphSettings, GraphSignature

__all__ = ["EmbeddingTable", "FileEntry", "ModelFolder", "file_sha256"]

if TYPE_CHECKING:
    from cooper_ros.runtime.spec import ModelSpec
    from cooper_ros.runtime.tokenizer import Tokenizer

MANIFEST = "manifest.json"
FORMAT = "cooper_ros model folder"
FORMAT_VERSION = 3
"""What is written; `docs/model-folder.md` has the fields."""
READ_VERSIONS = (2, 3)
"""What is read. Version 3 adds fields that may be missing, and is 2 without them."""
TOKENIZER = "tokenizer.json"
GRAPH_NAMES = ("vision_encoder", "autoencoder_encoder", "autoencoder_decoder", "und", "gen")
OPTIONAL_GRAPHS = ("class_decoder",)  # of models that give a score per class
GRAPH_KINDS = GRAPH_FORMS
CHECKS = ("auto", "full", "size")
MAX_MANIFEST_BYTES = 16 * 2**20
_STORED_DTYPES: dict[str, Any] = {
    "float32": np.float32,
    "float16": np.float16,
    "bfloat16": np.uint16,  # numpy has no bfloat16: the upper half of a float32
}


class ModelFolder:
    """A model folder whose manifest has been read and whose files have been checked.

    Attributes:
        path: the folder.
        manifest: the manifest as read.
        name: the model's name.
        graphs: signature by graph name, float32 (CPU) form.
        graph_settings: tolerances and precision by graph name.
        files: entry by file name.
        digest: SHA-256 of the manifest that was read, and with it of all that it lists.
    """

    def __init__(self, path: Path, manifest: Mapping[str, Any], digest: str = "") -> None:
        self.path = path
        self.manifest = manifest
        self.digest = digest
        self.name = str(_section(manifest, "name", str))
        self.files = _files(manifest)
        graphs = _section(manifest, "graphs", dict)
        missing = [name for name in GRAPH_NAMES if name not in graphs]
        if missing:
            raise ModelFolderError(f"{path / MANIFEST} lacks graph '{missing[0]}'; {EXPORT_AGAIN}")
        present = [*GRAPH_NAMES, *(name for name in OPTIONAL_GRAPHS if name in graphs)]
        self.graphs = {name: GraphSignature.from_dict(name, graphs[name]) for name in present}
        self.graph_settings = {n: GraphSettings.from_dict(n, graphs[n]) for n in present}
        self._contents = ModelFiles(path, self.files)
        self._weights: set[str] = set()

    @classmethod
    def open(cls, path: str | Path, check: str = "auto") -> ModelFolder:
        """Read and check a folder; up to 512 MiB all of it is read, once.

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
        model = cls(folder, *_read_manifest(folder))
        model._check_manifest()
        model._open_files(hashes=check == "full" or (check == "auto" and model.in_memory))
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

        return Tokenizer.read(self.content(TOKENIZER), str(self.file(TOKENIZER)))

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

    def content(self, name: str) -> memoryview:
        """The bytes of a file that the manifest lists, as they were when the folder was opened.

        Raises:
            ModelFolderError: the manifest does not list it, or it changed since.
        """
        self.file(name)
        return self._contents.content(name)

    @property
    def in_memory(self) -> bool:
        """Whether the folder was read once, so that nothing on disk matters any more."""
        return self._contents.in_memory

    def check_unchanged(self, paths: bool = False) -> None:
        """Check that the files in use are those that were opened; costs a few system calls.

        Args:
            paths: also that their names still lead to them, for engines that open files by name.

        Raises:
            ModelFolderError: a file changed. The model must not be used any more.
        """
        self._contents.check()
        if paths:
            self._contents.check_paths()

    def put_away(self) -> None:
        """Free the weights that were read, once the inference engine has its own copy."""
        for name in self._weights:
            self._contents.put_away(name)

    def watch_paths(self) -> None:
        """Have `check_unchanged` look at the files by name, for an engine that maps them itself."""
        self._contents.watch_paths = True

    def _check_manifest(self) -> None:
        """All of it is read now: a bad number must not be found by a robot on its way."""
        from cooper_ros.runtime.calibration import Calibration

        check_sections(self.manifest)
        Calibration.from_manifest(self.manifest)
        if self.spec.map_context == "fused":  # reading the spec checks it
            self._check_map_embedding()

    def _check_map_embedding(self) -> None:
        """Raise ModelFolderError where the section of fused maps does not fit the model."""
        spec = self.spec
        section = _section(self.manifest, "map_embedding", dict)
        width = spec.fused_settings().width
        wanted = {
            "weight": [spec.hidden_size, width],
            "bias": [1, spec.hidden_size],
            "positions": [spec.vision_grid_side**2, spec.hidden_size],
        }
        for name, shape in wanted.items():
            entry = section.get(name)
            found = entry.get("shape") if isinstance(entry, dict) else None
            if found != shape:
                raise ModelFolderError(
                    f"manifest: map_embedding.{name} must have shape {shape}, got {shown(found)}"
                )

    def _open_files(self, hashes: bool) -> None:
        self._contents.open(hashes)
        sizes = {name: entry.size for name, entry in self.files.items()}
        for name in self.files:
            if name.endswith(".onnx"):
                path = str(self.path / name)
                content = self._contents.content(name)
                self._weights |= check_external_data(path, content, sizes)

    def embedding(self) -> EmbeddingTable:
        """The token embedding table."""
        return self._table("embedding", _section(self.manifest, "embedding", dict))

    def map_embedding(self) -> MapEmbedding | None:
        """What makes tokens of drawn maps; None for a model whose maps enter in another form."""
        if "map_embedding" not in self.manifest:
            return None
        section = _section(self.manifest, "map_embedding", dict)
        tables = [
            self._table("map_embedding", section.get(name)) for name in MapEmbedding.TENSORS
        ]
        return MapEmbedding(*tables)

    def _table(self, section: str, entry: Any) -> EmbeddingTable:
        """A matrix of the weights that the host needs."""
        try:
            return EmbeddingTable(
                self.file(str(entry["file"])),
                int(entry["offset"]),
                (int(entry["shape"][0]), int(entry["shape"][1])),
                str(entry["dtype"]),
                self.content(str(entry["file"])),
                copy=self.in_memory,
            )
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ModelFolderError(
                f"{self.path / MANIFEST}: section '{section}' is incomplete: {error!r}"
            ) from error


class MapEmbedding:
    """Features of cells to context tokens: one linear map and the picture's position table."""

    TENSORS = ("weight", "bias", "positions")

    def __init__(
        self, weight: EmbeddingTable, bias: EmbeddingTable, positions: EmbeddingTable
    ) -> None:
        hidden = weight.shape[0]
        if bias.shape != (1, hidden) or positions.shape[1] != hidden:
            raise ModelFolderError(
                f"map_embedding: weight {weight.shape}, bias {bias.shape} and positions "
                f"{positions.shape} do not fit"
            )
        self._weight = weight(np.arange(hidden)).T.copy()
        self._bias, self._positions = bias(np.zeros(1, np.int64)), positions

    def __call__(
        self, features: NDArray[np.float32], position_ids: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Tokens f32 [N, D] of features f32 [N, F] at positions int64 [N]."""
        tokens = features @ self._weight + self._bias + self._positions(position_ids)
        return np.asarray(tokens, np.float32)


class EmbeddingTable:
    """Rows of the embedding table, gathered on the host from the bytes of its shard.

    `content`: the shard; `copy` takes the table out of it, so that the rest can be freed.
    """

    def __init__(
        self,
        file: Path,
        offset: int,
        shape: tuple[int, int],
        dtype: str,
        content: memoryview | None = None,
        copy: bool = False,
    ) -> None:
        if dtype not in _STORED_DTYPES:
            raise ModelFolderError(f"embedding table of {file} has unknown type {shown(dtype)}")
        stored = np.dtype(_STORED_DTYPES[dtype])
        end = offset + shape[0] * shape[1] * stored.itemsize
        size = file.stat().st_size if content is None else len(content)
        if offset < 0 or min(shape) < 1 or end > size:
            raise ModelFolderError(f"embedding table lies outside of {file} (bytes {offset}-{end})")
        self._bfloat16 = dtype == "bfloat16"
        data: Any = np.memmap(file, np.uint8, "r") if content is None else content
        rows = np.frombuffer(data, stored, shape[0] * shape[1], offset).reshape(shape)
        self._rows = rows.copy() if copy else rows

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


def _read_manifest(folder: Path) -> tuple[dict[str, Any], str]:
    """(manifest, SHA-256 of its bytes)."""
    path = folder / MANIFEST
    if not folder.is_dir():
        raise ModelFolderError(f"model folder {folder} does not exist")
    if not path.is_file():
        raise ModelFolderError(f"{path} is missing: {folder} is not a model folder")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_MANIFEST_BYTES + 1)
        if len(content) > MAX_MANIFEST_BYTES:
            raise ValueError(f"more than {MAX_MANIFEST_BYTES} bytes")
        manifest = json.loads(content.decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ModelFolderError(
            f"{path} is not valid JSON ({error!s:.200}), probably truncated; {EXPORT_AGAIN}"
        ) from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ModelFolderError(
            f"{path} is not the manifest of a model folder (no format '{FORMAT}')"
        )
    version = manifest.get("format_version")
    if type(version) is not int or version not in READ_VERSIONS:
        reads = " and ".join(map(str, READ_VERSIONS))
        raise ModelFolderError(
            f"{path} has format version {shown(version)}, this program reads {reads}: "
            "update cooper_ros, or export the model again with this version"
        )
    check_encodable(manifest)
    return manifest, hashlib.sha256(content).hexdigest()


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _section(manifest: Mapping[str, Any], key: str, kind: type) -> Any:
    value = manifest.get(key)
    if not isinstance(value, kind):
        raise ModelFolderError(f"the manifest has no valid section '{key}'; {EXPORT_AGAIN}")
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
