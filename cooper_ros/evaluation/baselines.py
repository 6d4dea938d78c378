"""Scores without looking: the training set's mean depth map, and answers from the question.

Both are fitted on training shards (`cooper eval baselines`) and shipped as one small file, so that
every evaluation can put them beside the model on the same scenes.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.errors import CooperError
from cooper_ros.core.images import resize_depth
from cooper_ros.core.query import FAMILIES, Query
from cooper_ros.core.types import Kind

FILE = Path(__file__).with_name("data") / "baselines.npz"
GRID = (24, 32)  # rows, columns of the mean depth map
MIN_COUNT = 12  # fewer questions about a class: the family's figure stands in
ANY = ""  # key of the figure over all classes


@dataclass(frozen=True, eq=False)
class Baselines:
    """Fitted baselines.

    `mean_log_depth` f32 `GRID`: mean of ln(depth [m]) over the training frames. `tables`: family ->
    class name (or `ANY`) -> value, as in `SpatialAnswer.value`: the median of lengths, the most
    frequent value otherwise. `frames`: how many frames they come from.
    """

    mean_log_depth: NDArray[np.float32]
    tables: dict[str, dict[str, float]]
    frames: int = 0

    def depth(self, width: int, height: int) -> NDArray[np.float32]:
        """The mean depth map at an image size, f32 [height, width] in metres."""
        return resize_depth(np.exp(self.mean_log_depth), width, height)

    def value(self, query: Query) -> float:
        """The answer from the question alone; NaN for a family that was never seen.

        Comparing and reaching go by the median distances of the named classes, which beats the
        most frequent answer; the other families by their own table.
        """
        if query.family == "reachable":
            return float(self._typical("distance", query.objects[0]) <= query.radius_m)
        if query.family in ("nearer", "farther", "front", "behind"):
            first, second = (self._typical("distance", name) for name in query.objects)
            first_nearer = first < second
            if query.family in ("nearer", "farther"):
                return float(first_nearer != (query.family == "nearer"))
            return float(first_nearer == (query.family == "front"))
        return self._typical(query.family, query.objects[0] if query.objects else ANY)

    def _typical(self, family: str, name: str) -> float:
        table = self.tables.get(family, {})
        return table.get(name, table.get(ANY, math.nan))

    def save(self, path: Path = FILE) -> None:
        """Write one npz."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as out:
            np.savez_compressed(
                out,
                mean_log_depth=self.mean_log_depth.astype(np.float32),
                tables=np.array(json.dumps(self.tables, sort_keys=True)),
                frames=np.array(self.frames),
            )

    @classmethod
    def load(cls, path: Path = FILE) -> Baselines:
        """Read the npz. Raises CooperError that says how to make it when it is not there."""
        if not path.is_file():
            raise CooperError(
                f"{path} is missing: `cooper eval baselines --data SHARDS` writes it from "
                "training shards"
            )
        with np.load(path) as data:
            tables = json.loads(str(data["tables"]))
            return cls(data["mean_log_depth"], tables, int(data["frames"]))


def fit_tables(asked: Iterable[tuple[Query, float]]) -> dict[str, dict[str, float]]:
    """Tables from questions with their true values; questions without a value are left out."""
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for query, value in asked:
        if math.isfinite(value):
            values[query.family][ANY].append(value)
            for name in query.objects[:1]:
                values[query.family][name].append(value)
    tables: dict[str, dict[str, float]] = {}
    for family, groups in values.items():
        lengths = FAMILIES[family].kind in (Kind.DISTANCE, Kind.SIZE)
        tables[family] = {
            name: round(_middle(found) if lengths else _majority(found), 4)
            for name, found in sorted(groups.items())
            if name == ANY or len(found) >= MIN_COUNT
        }
    return tables


def _middle(values: Sequence[float]) -> float:
    return float(np.median(values))


def _majority(values: Sequence[float]) -> float:
    return Counter(sorted(values)).most_common(1)[0][0]


class MeanDepth:
    """Running mean of ln(depth) on `GRID`."""

    def __init__(self) -> None:
        self._total = np.zeros(GRID, np.float64)
        self.frames = 0

    def add(self, depth: NDArray[np.floating]) -> None:
        """Add one depth map [H, W] in metres; H and W are multiples of `GRID`."""
        height, width = depth.shape
        rows, columns = height // GRID[0], width // GRID[1]
        logarithm = np.log(np.maximum(depth.astype(np.float64), 1e-2))
        cells = logarithm[: rows * GRID[0], : columns * GRID[1]]
        self._total += cells.reshape(GRID[0], rows, GRID[1], columns).mean((1, 3))
        self.frames += 1

    def result(self) -> NDArray[np.float32]:
        """f32 `GRID`. Raises CooperError without frames."""
        if not self.frames:
            raise CooperError("no training frames: are there shard-*.npz files in the folder?")
        return (self._total / self.frames).astype(np.float32)


def fit(folder: Path, questions_per_frame: int = 4) -> Baselines:
    """Baselines of all shards of a folder (`cooper data sim`)."""
    from cooper_ros.sim.packed import unpack_depth
    from cooper_ros.sim.questions import sample_questions
    from cooper_ros.sim.shards import frames_of, read_shard, shard_paths

    depth = MeanDepth()
    asked: list[tuple[Query, float]] = []
    for path in shard_paths(folder):
        shard = read_shard(path)
        for index, frame in enumerate(frames_of(shard)):
            depth.add(unpack_depth(frame))
            rows = shard["objects"][shard["objects"][:, 0].astype(int) == index]
            rng = np.random.default_rng([int(shard["seed"][index]), index])
            free = float(shard["free_space"][index])
            asked += [
                (item.query, item.value)
                for item in sample_questions(rows, free, rng, questions_per_frame)
            ]
    return Baselines(depth.result(), fit_tables(asked), depth.frames)
