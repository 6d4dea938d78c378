"""The same shards as Parquet: one row per frame, readable by data tools.

Columns: rgb (JPEG), depth (PNG of the log code of `packed`), labels (PNG: classes above
instances), all as bytes; fx, fy, cx, cy; free_space; seed; objects: list of f32, rows of
`truth.COLUMNS` one after another. The file's metadata has `info` (as in npz shards).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.errors import CooperError
from cooper_ros.sim.packed import PackedFrame
from cooper_ros.sim.shards import FILES, frames_of, join_frames, shard_info, with_edges
from cooper_ros.sim.truth import COLUMNS

_CAMERA = ("fx", "fy", "cx", "cy")


def write_parquet(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write the arrays of `shards.pack` atomically. Raises ModuleNotFoundError without pyarrow."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    frames = frames_of(arrays)
    objects = arrays["objects"]
    columns: dict[str, Any] = {
        name: pa.array([getattr(frame, name) for frame in frames], pa.binary()) for name in FILES
    }
    for index, name in enumerate(_CAMERA):
        columns[name] = pa.array(arrays["intrinsics"][:, index], pa.float32())
    columns["free_space"] = pa.array(arrays["free_space"], pa.float32())
    columns["seed"] = pa.array(arrays["seed"], pa.int64())
    columns["objects"] = pa.array(
        [objects[objects[:, 0] == row].ravel() for row in range(len(frames))],
        pa.list_(pa.float32()),
    )
    table = pa.table(columns).replace_schema_metadata({"info": str(arrays["info"])})
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    pq.write_table(table, temporary, compression="zstd")
    os.replace(temporary, path)


def read_parquet(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays that `write_parquet` was given. Raises CooperError naming an unreadable file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise CooperError(f"{path} is no readable shard: {error}") from error
    metadata = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    columns = {name: table.column(name).to_pylist() for name in table.column_names}
    missing = [name for name in (*FILES, *_CAMERA, "objects") if name not in columns]
    if missing:
        raise CooperError(f"{path} has no column {missing[0]}: render it anew (cooper data sim)")
    frames = [PackedFrame(*row) for row in zip(*(columns[name] for name in FILES), strict=True)]
    arrays: dict[str, NDArray[Any]] = join_frames(frames)
    arrays["intrinsics"] = np.stack([columns[name] for name in _CAMERA], 1).astype(np.float32)
    arrays["free_space"] = np.array(columns["free_space"], np.float32)
    arrays["seed"] = np.array(columns["seed"], np.int64)
    arrays["info"] = np.array(metadata["info"])
    count = len(shard_info(arrays).get("object_columns", COLUMNS))
    try:
        tables = [np.array(row, np.float32).reshape(-1, count) for row in columns["objects"]]
        return with_edges({**arrays, "objects": np.concatenate(tables)})
    except (ValueError, IndexError, CooperError) as error:
        raise CooperError(f"{path} is no readable shard: {error}") from error
