"""Sets of object models: the committed CC0 models, and the Debian furniture package.

Training scenes use the models of `sweethome3d-furniture` where that package is installed, except
those that are committed: these belong to validation, test and the simulated camera.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cooper_ros.core.paths import find_shared, user_cache_dir
from cooper_ros.sim.catalogue import catalogue, convert, is_committed
from cooper_ros.sim.mesh import Model
from cooper_ros.sim.model_file import load_model, save_model

CACHE_VERSION = 1
COMMITTED_FOLDER = "assets/objects"


@dataclass(frozen=True)
class AssetSet:
    """Models by class, and a name and hash that identify the set in data cards."""

    name: str
    files: tuple[tuple[str, Path], ...]
    digest: str

    def of(self, label: str) -> tuple[Path, ...]:
        """Files of one class."""
        return _by_label(self).get(label, ())


@lru_cache(maxsize=8)
def _by_label(assets: AssetSet) -> dict[str, tuple[Path, ...]]:
    result: dict[str, tuple[Path, ...]] = {}
    for label, path in assets.files:
        result[label] = (*result.get(label, ()), path)
    return result


def _digest(name: str, keys: list[str]) -> str:
    return hashlib.sha256("\n".join([name, *keys]).encode()).hexdigest()[:16]


@lru_cache(maxsize=1)
def committed_assets() -> AssetSet:
    """The CC0 models in the repository (validation, test, simulated camera)."""
    files, keys = [], []
    for path in sorted(find_shared(COMMITTED_FOLDER).glob("*.npz")):
        files.append((path.name.split("-")[0], path))
        keys.append(path.name + hashlib.sha256(path.read_bytes()).hexdigest())
    return AssetSet("committed", tuple(files), _digest("committed", keys))


@lru_cache(maxsize=1)
def training_assets() -> AssetSet:
    """The furniture package without the committed models; converted once into a user cache.

    Where the package is not installed, the models that such a cache brings are used: a machine
    that is lent for an hour needs no packages.
    """
    folder = user_cache_dir() / f"models-{CACHE_VERSION}"
    files, keys = [], []
    if not catalogue():
        files = [(path.stem.split("-")[0], path) for path in sorted(folder.glob("*.npz"))]
        keys = [path.name for _, path in files]
    for entry in catalogue():
        if is_committed(entry):
            continue
        path = folder / f"{entry.label}-{entry.key.replace('/', '-')}.npz"
        marker = path.with_suffix(".skip")
        if not path.exists() and not marker.exists():
            folder.mkdir(parents=True, exist_ok=True)
            model = convert(entry)
            if model is None:
                marker.touch()
            else:
                save_model(model, path)
        if path.exists():
            files.append((entry.label, path))
            keys.append(entry.key)
    return AssetSet("sweethome3d" if files else "procedural", tuple(files), _digest("train", keys))


def assets_for(split: str) -> AssetSet:
    """Model files that scenes of a split may use."""
    return training_assets() if split == "train" else committed_assets()


@lru_cache(maxsize=400)
def cached_model(path: Path) -> Model:
    """A model file, kept in memory. Callers must not change it."""
    return load_model(path)
