"""What an interrupted run needs to go on, written so that it is whole or not there at all.

A run folder holds one folder per saved state (`state-000120`), and `state.json`, which names the
newest complete one; it is replaced in one step after everything it names is on the disk. A killed
process, a full disk or a power cut leaves the state before. The averaged model (`model/`) is
written beside it in the same manner and carries `training.json`: with that small file training
goes on where the run folder is lost, from the averaged weights and with a fresh optimiser.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from cooper_ros.core.errors import CooperError

SHARD_BYTES = 14_000_000
POINTER = "state.json"
PLACE = "training.json"


@dataclass
class Place:
    """How far a stage has come.

    `step`, `samples`, `seconds` of all pieces together; `ema_count` updates of the average;
    `next_room` of a stream, per process; `pieces` of the same stage that ended before, oldest
    first, as their own run folders' figures.
    """

    stage: str = ""
    step: int = 0
    samples: int = 0
    seconds: float = 0.0
    ema_count: int = 0
    seed: int = 0
    next_room: int = 0
    budget: dict[str, float] = field(default_factory=dict)
    pieces: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Place:
        """From a JSON file. Raises CooperError naming a file that is cut off or foreign."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(values, dict):
                raise ValueError("it holds no object")
            known = {name: values[name] for name in cls.__dataclass_fields__ if name in values}
            place = cls(**known)
            place.step, place.samples = int(place.step), int(place.samples)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise CooperError(f"{path} is no training state: {error}") from error
        return place


def write_text(path: Path, text: str) -> None:
    """Replace a file in one step."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    os.replace(temporary, path)


def replace_folder(path: Path, write: Callable[[Path], None]) -> None:
    """Write a folder beside `path` and put it in its place when it is complete."""
    fresh, old = path.with_name(path.name + ".new"), path.with_name(path.name + ".old")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        write(fresh)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    _sync(fresh)
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        path.rename(old)
    fresh.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def recover_folder(path: Path) -> None:
    """Finish what a kill between the two renames of `replace_folder` left."""
    fresh, old = path.with_name(path.name + ".new"), path.with_name(path.name + ".old")
    if not path.exists() and old.exists():
        old.rename(path)
    shutil.rmtree(fresh, ignore_errors=True)


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def save_tensors(tensors: Mapping[str, Tensor], folder: Path, stem: str) -> None:
    """Write tensors as ``stem-*.safetensors`` of at most 15 MB each."""
    parts: list[dict[str, Tensor]] = [{}]
    used = 0
    for name, t in tensors.items():
        size = t.numel() * t.element_size()
        if parts[-1] and used + size > SHARD_BYTES:
            parts.append({})
            used = 0
        parts[-1][name] = t.detach().cpu().contiguous().clone()
        used += size
    for count, part in enumerate(parts):
        if part:
            save_file(part, str(folder / f"{stem}-{count:03d}.safetensors"))


def load_tensors(folder: Path, stem: str) -> dict[str, Tensor]:
    """Inverse of :func:`save_tensors`; empty where there are none. Raises CooperError naming a
    damaged file."""
    out: dict[str, Tensor] = {}
    for path in sorted(folder.glob(f"{stem}-*.safetensors")):
        try:
            with safe_open(str(path), "pt") as f:
                for name in f.keys():  # noqa: SIM118 - not a dict
                    out[name] = f.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise CooperError(f"{path} cannot be read: {error}") from error
    return out


def save_state(folder: Path, place: Place, parts: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Add a complete state to a run folder and make it the newest.

    Raises CooperError when it could not be written; the state before is then still there.
    """
    name = f"state-{place.step:06d}"
    target = folder / name
    try:
        replace_folder(target, lambda into: _write_parts(into, parts))
        write_text(folder / POINTER, json.dumps({**asdict(place), "state": name}))
    except (OSError, SafetensorError) as error:
        raise CooperError(
            f"the training state could not be written to {folder} ({error}); the one before it "
            "is kept, and the same command goes on from there"
        ) from error
    for other in folder.glob("state-*"):
        if other.is_dir() and other.name != name:
            shutil.rmtree(other, ignore_errors=True)


def _write_parts(into: Path, parts: Mapping[str, Mapping[str, Tensor]]) -> None:
    for stem, tensors in parts.items():
        save_tensors(tensors, into, stem)


def load_state(
    folder: Path, names: tuple[str, ...]
) -> tuple[Place, list[dict[str, Tensor]]] | None:
    """The newest complete state of a run folder, None where there is none.

    Raises CooperError for a state that is damaged or of another kind.
    """
    pointer = folder / POINTER
    if not pointer.exists():
        return None
    place = Place.read(pointer)
    name = str(json.loads(pointer.read_text(encoding="utf-8")).get("state", ""))
    states = folder / name if name else folder  # before 0.2.0 the tensors lay in the run folder
    if name and not states.is_dir():
        raise CooperError(f"{pointer} names {name}, which is not there: remove the file to start")
    return place, [load_tensors(states, stem) for stem in names]


def check_fits(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], where: Path) -> None:
    """Raise CooperError when tensors of a state have other shapes than the model's."""
    for name, tensor in found.items():
        if name in wanted and wanted[name].shape != tensor.shape:
            raise CooperError(
                f"{where} is of another model: {name} is {list(tensor.shape)}, "
                f"expected {list(wanted[name].shape)}"
            )


def finite(loss: Tensor) -> bool:
    """Whether a loss may be followed."""
    return bool(torch.isfinite(loss.detach()).all())
