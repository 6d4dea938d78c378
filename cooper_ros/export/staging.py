"""Write a folder beside its target and put it in place only when it is complete."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from cooper_ros.export.tracing import ExportError
from cooper_ros.runtime.folder import FORMAT, MANIFEST


@contextmanager
def staging_folder(target: Path) -> Iterator[Path]:
    """Make a temporary folder on the target's file system; it is removed in any case.

    Raises:
        ExportError: the target holds something that is not a model folder.
    """
    if target.exists() and not target.is_dir():
        raise ExportError(f"{target} exists and is no folder")
    if target.is_dir() and any(target.iterdir()) and not _is_model_folder(target):
        raise ExportError(f"{target} is not empty and no model folder: choose another --out")
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.resolve().parent))
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def replace_folder(source: Path, target: Path) -> None:
    """Move all files of ``source`` into ``target``.

    Files that an older manifest lists are removed; others (a model card) stay.
    """
    target.mkdir(exist_ok=True)
    for name in _listed_files(target):
        (target / name).unlink(missing_ok=True)
    # The manifest last: an interrupted move leaves a folder that is recognised as incomplete.
    for path in sorted(source.iterdir(), key=lambda p: p.name == MANIFEST):
        os.replace(path, target / path.name)


def _is_model_folder(folder: Path) -> bool:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and manifest.get("format") == FORMAT


def _listed_files(folder: Path) -> list[str]:
    if not _is_model_folder(folder):
        return []
    files = json.loads((folder / MANIFEST).read_text(encoding="utf-8")).get("files", {})
    simple = [name for name in files if len(PurePosixPath(name).parts) == 1 and name != ".."]
    return [*simple, MANIFEST]
