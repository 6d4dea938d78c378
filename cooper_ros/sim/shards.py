"""Training shards: one uncompressed npz per group of scenes.

Arrays of a shard with n frames and m visible objects, frames 192x144 pixels:

- rgb u8[n,144,192,3]; depth f16[n,144,192] (z, m); classes u8[n,144,192];
  instances u8[n,144,192] (0 = floor, wall, ceiling)
- intrinsics f32[n,4]: fx, fy, cx, cy in pixels, integer coordinates are pixel centres
- free_space f32[n] (m); seed i64[n] scene seeds
- objects f32[m,15], columns `truth.COLUMNS`, the first one is the frame's row in this shard
- info: JSON text with format version, split, asset set and its hash, class names, columns
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.classes import CLASS_NAMES
from cooper_ros.sim.assets import AssetSet
from cooper_ros.sim.scene import Sample
from cooper_ros.sim.truth import COLUMNS

FORMAT_VERSION = 1


def pack(
    samples: Sequence[Sample],
    split: str,
    assets: AssetSet,
    made: Mapping[str, int] | None = None,
) -> dict[str, NDArray[Any]]:
    """Stack samples into the arrays of a shard. `made`: what was rendered (`first_scene`, `scenes`,
    `views`), so that an interrupted run knows what it has."""
    tables = []
    for row, sample in enumerate(samples):
        table = sample.objects.copy()
        table[:, 0] = row
        tables.append(table)
    info = {
        "format": FORMAT_VERSION,
        "split": split,
        "assets": assets.name,
        "asset_hash": assets.digest,
        "classes": CLASS_NAMES,
        "object_columns": COLUMNS,
        "made": dict(made or {}),
    }
    return {
        "rgb": np.stack([s.rgb for s in samples]),
        "depth": np.stack([s.depth for s in samples]).astype(np.float16),
        "classes": np.stack([s.classes for s in samples]),
        "instances": np.stack([s.instances for s in samples]),
        "intrinsics": np.stack([s.intrinsics for s in samples]).astype(np.float32),
        "free_space": np.array([s.free_space for s in samples], np.float32),
        "objects": np.concatenate(tables).astype(np.float32),
        "seed": np.array([s.seed for s in samples], np.int64),
        "info": np.array(json.dumps(info)),
    }


def write_shard(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write atomically: a reader never sees half a shard."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with open(temporary, "wb") as out:
        np.savez(out, **arrays)  # type: ignore[arg-type]
        out.flush()
        os.fsync(out.fileno())
    os.replace(temporary, path)


def read_shard(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of a shard; `info` as a dict is `shard_info`."""
    with np.load(path) as data:
        return {name: data[name] for name in data.files}


def shard_info(arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """The description stored in a shard."""
    return dict(json.loads(str(arrays["info"])))


def shard_paths(folder: Path) -> list[Path]:
    """Finished shards of a data folder, in order."""
    return sorted(folder.glob("shard-*.npz"))
