"""Training shards: one npz per group of scenes, frames as small files in memory.

Arrays of a shard with n frames and m visible objects, frames 384x288 pixels:

- rgb, depth, labels u8[bytes]: the files of `packed.PackedFrame` one after another
- ends i64[n,3]: where each frame's files end in these three
- intrinsics f32[n,4]: fx, fy, cx, cy in pixels, integer coordinates are pixel centres
- free_space f32[n] (m); seed i64[n] scene seeds
- objects f32[m,19], columns `truth.COLUMNS`, the first one is the frame's row in this shard; shards
  written before the edges were have 15, and get the others from the labels when they are read
- info: JSON text with format version, split, asset set and its hash, class names, columns

Format 1 (read, no longer written) held uncompressed frames of 192x144 pixels: rgb u8[n,H,W,3],
depth f16[n,H,W] (z, m), classes and instances u8[n,H,W].
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.classes import CLASS_NAMES
from cooper_ros.core.errors import CooperError
from cooper_ros.sim.assets import AssetSet
from cooper_ros.sim.packed import PackedFrame, unpack_labels
from cooper_ros.sim.packed import pack as pack_frame
from cooper_ros.sim.scene import Sample
from cooper_ros.sim.truth import COLUMNS, EDGES, visible_edges

FORMAT_VERSION = 2
FILES = ("rgb", "depth", "labels")
TABLES = ("intrinsics", "free_space", "objects")


def pack(
    samples: Sequence[Sample],
    split: str,
    assets: AssetSet,
    made: Mapping[str, int] | None = None,
) -> dict[str, NDArray[Any]]:
    """The arrays of a shard. Depth of training frames takes 8 bits, of all others 16. `made`: what
    was rendered (`first_scene`, `scenes`, `views`), so that an interrupted run knows what it has.
    """
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
    bits = 8 if split == "train" else 16
    frames = [pack_frame(s.rgb, s.depth, s.classes, s.instances, bits) for s in samples]
    return {
        **join_frames(frames),
        "intrinsics": np.stack([s.intrinsics for s in samples]).astype(np.float32),
        "free_space": np.array([s.free_space for s in samples], np.float32),
        "objects": np.concatenate(tables).astype(np.float32),
        "seed": np.array([s.seed for s in samples], np.int64),
        "info": np.array(json.dumps(info)),
    }


def join_frames(frames: Sequence[PackedFrame]) -> dict[str, NDArray[Any]]:
    """The arrays `rgb`, `depth`, `labels` and `ends`."""
    parts = {name: [getattr(frame, name) for frame in frames] for name in FILES}
    ends = np.stack([np.cumsum([len(p) for p in parts[name]]) for name in FILES], 1)
    joined = {name: np.frombuffer(b"".join(parts[name]), np.uint8) for name in FILES}
    return {**joined, "ends": ends.astype(np.int64)}


def frames_of(arrays: dict[str, NDArray[Any]]) -> list[PackedFrame]:
    """The frames of a shard of either format; raises CooperError where arrays do not fit."""
    if "ends" not in arrays:
        maps = (arrays[name] for name in ("rgb", "depth", "classes", "instances"))
        return [
            pack_frame(rgb, depth, classes, instances, bits=16, lossless=True)
            for rgb, depth, classes, instances in zip(*maps, strict=True)
        ]
    ends = arrays["ends"]
    files = [arrays[name].tobytes() for name in FILES]
    if ends.ndim != 2 or any(int(ends[-1, i]) != len(f) for i, f in enumerate(files)):
        raise CooperError("its frames are cut off")
    starts = np.concatenate([np.zeros((1, len(FILES)), np.int64), ends[:-1]])
    return [
        PackedFrame(*(f[int(a) : int(b)] for f, a, b in zip(files, first, last, strict=True)))
        for first, last in zip(starts, ends, strict=True)
    ]


def with_edges(arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays with all columns of the object table; edges that it lacks come from the labels.

    Raises CooperError for a table of another width, or damaged labels.
    """
    objects = arrays.get("objects")
    if objects is None or objects.shape[-1] == len(COLUMNS):
        return arrays
    if objects.ndim != 2 or objects.shape[1] != len(COLUMNS) - len(EDGES):
        raise CooperError(
            f"its object table of shape {objects.shape} has not {len(COLUMNS)} columns: render it "
            "anew (cooper data sim)"
        )
    edges = np.empty((len(objects), len(EDGES)), np.float32)
    maps = arrays.get("instances")
    frames = frames_of(arrays) if maps is None else []
    at = objects[:, 0].astype(int)
    for frame in np.unique(at):
        rows = at == frame
        instances = unpack_labels(frames[frame])[1] if maps is None else maps[frame]
        edges[rows] = visible_edges(instances, objects[rows, COLUMNS.index("instance")])
    return {**arrays, "objects": np.concatenate([objects, edges], 1)}


def write_shard(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write atomically: a reader never sees half a shard."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with open(temporary, "wb") as out:
        np.savez(out, **arrays)  # type: ignore[arg-type]
        out.flush()
        os.fsync(out.fileno())
    os.replace(temporary, path)


def read_shard(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of a shard; `info` as a dict is `shard_info`.

    Raises CooperError naming a file that is cut off or no shard.
    """
    try:
        with np.load(path) as data:
            return with_edges({name: data[name] for name in data.files})
    except (OSError, ValueError, EOFError, IndexError, zipfile.BadZipFile, CooperError) as error:
        raise CooperError(f"{path} is no readable shard: {error}") from error


def shard_info(arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """The description stored in a shard."""
    return dict(json.loads(str(arrays["info"])))


def shard_paths(folder: Path) -> list[Path]:
    """Finished shards of a data folder, in order."""
    return sorted(folder.glob("shard-*.npz"))
