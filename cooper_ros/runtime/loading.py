"""Opening a model folder: folder, spec, tokenizer and an inference engine become an `Engine`."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cooper_ros.core.errors import BackendError, ModelFolderError
from cooper_ros.core.paths import find_model_folder
from cooper_ros.reasoning.phrasings import ADDED_WORDS
from cooper_ros.runtime.backend import Backend
from cooper_ros.runtime.context import Engine
from cooper_ros.runtime.folder import ModelFolder
from cooper_ros.runtime.spec import ModelSpec
from cooper_ros.runtime.tokenizer import Tokenizer

ENTRY_POINTS = "cooper_ros.backends"
"""Entry point group by which other packages add a backend: name -> callable(folder path)."""

# Backends of this distribution that live where torch may be imported; found by name only, so
# that nothing here depends on it.
OUTSIDE = {"torch": "cooper_ros.model.backend:TorchBackend.open"}
ONNX = {"auto": "cpu", "onnx": "cpu", "cpu": "cpu", "cuda": "cuda"}


@dataclass(frozen=True)
class LoadedModel:
    """An engine and where it came from. `model_id`: name and hash of the manifest that was read,
    and with it of every file that it lists."""

    engine: Engine
    folder: ModelFolder
    model_id: str


def open_engine(
    model: str | Path | None = None, backend: str = "auto", threads: int | None = None
) -> LoadedModel:
    """Open a model folder by path or name (None: the default model).

    `backend`: `auto` or `cpu` (ONNX Runtime), `cuda`, or the name of an installed backend such as
    `torch`. `threads`: None leaves the choice to the engine.

    Raises ModelFolderError for a damaged or missing folder and BackendError for an engine that
    cannot be had.
    """
    path = find_model_folder(model)
    folder = ModelFolder.open(path)
    tokenizer = folder.tokenizer()
    check_words(folder.spec, tokenizer)
    spec = known_tokens_only(folder.spec, tokenizer)
    engine = Engine(_backend(folder, backend, threads), spec, tokenizer, folder.check_unchanged)
    model_id = f"{folder.name}@{folder.digest[:12]}"
    return LoadedModel(engine, folder, model_id)


def check_words(spec: ModelSpec, tokenizer: Tokenizer) -> None:
    """Raise ModelFolderError for a word-level tokenizer without the words of the grammar's version:
    every answer would be read as something else."""
    if not tokenizer.word_level:
        return
    added = (words for version, words in ADDED_WORDS.items() if version <= spec.grammar)
    lacking = [word for words in added for word in words if word not in tokenizer.words]
    if lacking:
        raise ModelFolderError(
            f"manifest: model.grammar is {spec.grammar}, but the tokenizer has no word "
            f"'{lacking[0]}': export the model with the tokenizer that it was trained with"
        )


def known_tokens_only(spec: ModelSpec, tokenizer: Tokenizer) -> ModelSpec:
    """The spec with a `vocab_limit` that excludes ids without a token.

    Embedding tables are often padded; an id behind the tokenizer's last has no text. (COOPER cuts
    its logits at 151665: that is the number of tokens of its tokenizer.)
    """
    limit = min(spec.vocab_limit or spec.vocab_size, tokenizer.vocab_size)
    return dataclasses.replace(spec, vocab_limit=limit)


def _backend(folder: ModelFolder, name: str, threads: int | None) -> Backend:
    if name in ONNX:
        from cooper_ros.runtime.onnx_backend import OnnxBackend

        return OnnxBackend(folder, threads=threads or 0, provider=ONNX[name])
    factory = _find(name)
    made: Backend = factory(folder.path)
    folder.check_unchanged(paths=True)  # it read the files itself, by their names
    folder.put_away()
    return made


def _find(name: str) -> Callable[..., Any]:
    points = importlib.metadata.entry_points(group=ENTRY_POINTS)
    for point in points:
        if point.name == name:
            return point.load()
    if name not in OUTSIDE:
        known = sorted({*ONNX, *OUTSIDE, *(point.name for point in points)})
        raise BackendError(f"there is no backend {name!r}; known: {', '.join(known)}")
    module, _, attribute = OUTSIDE[name].partition(":")
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise BackendError(
            f"backend {name!r} needs the Python package {error.name!r}, which is not installed"
        ) from error
    for part in attribute.split("."):
        found = getattr(found, part)
    return found
