"""The same shards as Parquet: one row per frame, compressed, readable by data tools.

Columns: rgb (PNG), depth (f16 z in metres), classes and instances (u8), all as bytes in row-major
order; fx, fy, cx, cy; free_space; seed; objects: list of f32, rows of `truth.COLUMNS` one after
another. The file's metadata has `info` (as in npz shards) and `shape` ("height,width").
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cooper_ros.sim.truth import COLUMNS

_CAMERA = ("fx", "fy", "cx", "cy")
_MAPS = {"depth": np.float16, "classes": np.uint8, "instances": np.uint8}


def _png(picture: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def write_parquet(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write the arrays of `shards.pack` atomically. Raises ModuleNotFoundError without pyarrow."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    frames, height, width = arrays["depth"].shape
    objects = arrays["objects"]
    columns: dict[str, Any] = {"rgb": pa.array([_png(p) for p in arrays["rgb"]], pa.binary())}
    for name in _MAPS:
        columns[name] = pa.array([m.tobytes() for m in arrays[name]], pa.binary())
    for index, name in enumerate(_CAMERA):
        columns[name] = pa.array(arrays["intrinsics"][:, index], pa.float32())
    columns["free_space"] = pa.array(arrays["free_space"], pa.float32())
    columns["seed"] = pa.array(arrays["seed"], pa.int64())
    columns["objects"] = pa.array(
        [objects[objects[:, 0] == row].ravel() for row in range(frames)], pa.list_(pa.float32())
    )
    table = pa.table(columns).replace_schema_metadata(
        {"info": str(arrays["info"]), "shape": f"{height},{width}"}
    )
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    pq.write_table(table, temporary, compression="zstd")
    os.replace(temporary, path)


def read_parquet(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays that `write_parquet` was given."""
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    metadata = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    height, width = (int(number) for number in metadata["shape"].split(","))
    columns = {name: table.column(name).to_pylist() for name in table.column_names}
    arrays: dict[str, NDArray[Any]] = {
        "rgb": np.stack([np.asarray(Image.open(io.BytesIO(png))) for png in columns["rgb"]])
    }
    for name, kind in _MAPS.items():
        arrays[name] = np.stack(
            [np.frombuffer(data, kind).reshape(height, width) for data in columns[name]]
        )
    arrays["intrinsics"] = np.stack([columns[name] for name in _CAMERA], 1).astype(np.float32)
    arrays["free_space"] = np.array(columns["free_space"], np.float32)
    arrays["seed"] = np.array(columns["seed"], np.int64)
    tables = [np.array(row, np.float32).reshape(-1, len(COLUMNS)) for row in columns["objects"]]
    arrays["objects"] = np.concatenate(tables)
    arrays["info"] = np.array(metadata["info"])
    return arrays
