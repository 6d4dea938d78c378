"""Which shards of a data folder are done: by what is in them, not by what they are called.

A name says nothing of how many scenes and views were rendered, of the models that they were made
of, or of whether the file is whole.
"""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ARRAYS = frozenset(
    ("rgb", "depth", "classes", "instances", "intrinsics", "free_space", "objects", "seed", "info")
)


@dataclass(frozen=True)
class Content:
    """What a shard holds. `first`, `scenes` and `views` are None where it was written before they
    were noted; `frames`: number of frames by scene."""

    split: str
    asset_hash: str
    frames: tuple[tuple[int, int], ...]
    first: int | None = None
    scenes: int | None = None
    views: int | None = None

    def holds(self, split: str, asset_hash: str, first: int, scenes: int, views: int) -> bool:
        """Whether it is what rendering these scenes gives."""
        if (self.split, self.asset_hash) != (split, asset_hash):
            return False
        if self.first is not None:
            return (self.first, self.scenes, self.views) == (first, scenes, views)
        numbers = [scene for scene, _ in self.frames]
        most = max((count for _, count in self.frames), default=0)
        # A scene may have given fewer views than asked for, the last one of a shard none.
        inside = all(first <= scene < first + scenes for scene in numbers)
        return inside and most == views and max(numbers, default=-1) >= first + scenes - 2


def content_of(path: Path) -> Content | None:
    """What a shard holds; None for a file that cannot be read as one."""
    try:
        info, seeds = _parquet(path) if path.suffix == ".parquet" else _npz(path)
        counts = Counter(int(seed) for seed in seeds)
        made = info.get("made") or {}
        return Content(
            str(info["split"]), str(info["asset_hash"]), tuple(sorted(counts.items())),
            made.get("first_scene"), made.get("scenes"), made.get("views"),
        )  # fmt: skip
    except Exception:  # the readers of zip, npy, Parquet and JSON raise a dozen kinds
        return None


def _npz(path: Path) -> tuple[dict[str, Any], Sequence[int]]:
    with np.load(path, allow_pickle=False) as data:
        if set(data.files) < ARRAYS:
            raise zipfile.BadZipFile("arrays are missing")
        return json.loads(str(data["info"])), data["seed"].tolist()


def _parquet(path: Path) -> tuple[dict[str, Any], Sequence[int]]:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    metadata = file.schema_arrow.metadata
    return json.loads(metadata[b"info"]), file.read(["seed"]).column("seed").to_pylist()


def contents(folder: Path, suffix: str) -> dict[Path, Content | None]:
    """What every shard of a folder holds, whatever it is called."""
    if not folder.is_dir():
        return {}
    return {path: content_of(path) for path in sorted(folder.glob(f"*.{suffix}"))}


def remove_leftovers(paths: Sequence[Path]) -> None:
    """Remove the half-written files of these shards whose writers are no more."""
    for path in paths:
        for left in path.parent.glob(f"{path.name}.*.tmp"):
            writer = left.name.removesuffix(".tmp").rpartition(".")[2]
            if not Path("/proc", writer).exists():
                left.unlink(missing_ok=True)
