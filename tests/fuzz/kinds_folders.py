"""Model folders with damaged files: half of them with the hashes made anew, as an attacker would.

A folder that still opens must compute what its golden outputs say, or the self-test must refuse it.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from fuzzing import CANARY, FLOATS, NUMBERS, TEXTS, Kind, pick, some_bytes

from cooper_ros.core.paths import find_model_folder
from cooper_ros.ros.self_test import check_pipeline
from cooper_ros.runtime.folder import MANIFEST, file_sha256
from cooper_ros.runtime.pipeline import CooperPipeline

Damage = tuple[str, bytes | None]
"""File name and its new content; None removes it."""


class Folder(NamedTuple):
    """Damaged files, and whether the manifest's sizes and hashes are made to fit them."""

    damage: list[Damage]
    signed: bool

    def __repr__(self) -> str:
        def show(name: str, data: bytes | None) -> str:
            if data is None or name != MANIFEST:
                return f"{name} ({'removed' if data is None else len(data)})"
            return f"{name} ({data.decode(errors='replace')})"

        return f"{', '.join(show(*d) for d in self.damage)}, signed={self.signed}"

# Weights are few: a hundred copies of 14 MB say no more than one.
FILES = (*(f"{g}.cpu.onnx" for g in ("und", "gen", "vision_encoder", "autoencoder_decoder")),
         "tokenizer.json", "tokenizer.json", "selftest.npz", MANIFEST, MANIFEST, MANIFEST,
         "model-00002-of-00002.safetensors")  # fmt: skip


@lru_cache(maxsize=1)
def original() -> Path:
    return find_model_folder()


@lru_cache(maxsize=1)
def scratch() -> Path:
    """One folder for all, of links: only what is damaged is written."""
    path = Path(tempfile.mkdtemp(prefix="cooper_fuzz_"))
    atexit.register(shutil.rmtree, path, True)
    return path


def make(random: np.random.Generator) -> Folder:
    """One or two files damaged."""
    damage: list[Damage] = []
    for name in {pick(random, FILES) for _ in range(int(random.integers(1, 3)))}:
        data = (original() / name).read_bytes()
        if name == MANIFEST and random.random() < 0.85:
            manifest = json.loads(data)
            if random.random() < 0.5:
                _renew(manifest)
            for _ in range(int(random.integers(1, 4))):
                _change(manifest, random)
            damage.append((name, json.dumps(manifest).encode()))
        elif random.random() < 0.05:
            damage.append((name, None))
        elif name.endswith(".safetensors"):
            content = bytearray(data)
            at = int(random.integers(0, 4096 if random.random() < 0.5 else len(content)))
            content[at : at + 64] = random.bytes(64)
            damage.append((name, bytes(content)))
        else:
            damage.append((name, some_bytes(random, data)))
    return Folder(damage, bool(random.random() < 0.6))


def _renew(manifest: dict[str, Any]) -> None:
    """All that format 3 adds to the shipped folder's format 2."""
    manifest["format_version"] = 3
    model, prompts = manifest["model"], manifest["model"]["prompts"]
    model |= {
        "grammar": 1,
        "unknown_camera": True,
        "fused": {"grid": 4, "waves": [2.0, 8.0], "class_grid": 2},
        "maps": [
            {"name": "depth", "prompt": prompts["depth"], "codec": "depth"},
            {"name": "segmentation", "prompt": prompts["segmentation"], "codec": "palette"},
            {"name": "normals", "prompt": "", "codec": "colour"},
        ],
    }
    for graph in manifest["graphs"].values():
        graph |= {"tolerance": {"cpu": 0.001, "gpu": 0.02}, "precision": "float16"}


def _change(manifest: dict[str, Any], random: np.random.Generator) -> None:
    """Change, remove or add one value anywhere in a tree of dicts and lists."""
    node: Any = manifest
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = pick(random, keys)
        if isinstance(node[key], (dict, list)) and node[key] and random.random() < 0.85:
            node = node[key]
            continue
        action = random.random()
        value = pick(random, (*NUMBERS, *FLOATS, *TEXTS, -1, None, True, [], {}, [[]], {"a": 1},
                              "../model", f"../../tmp/{CANARY}", "past+seq", "1+1+"))  # fmt: skip
        if action < 0.2 and isinstance(node, dict):
            del node[key]
        elif action < 0.3 and isinstance(node, dict):
            node[pick(random, TEXTS)] = value
        elif isinstance(node[key], (int, float)) and action < 0.6:
            node[key] = node[key] * pick(random, (2, -1, 0, 1000)) + pick(random, (0, 1))
        else:
            node[key] = value
        return


def build(damage: list[Damage], signed: bool) -> Path:
    """The damaged folder."""
    folder = scratch()
    for entry in folder.iterdir():
        entry.unlink()
    for entry in original().iterdir():
        os.link(entry, folder / entry.name) if _same_disk(folder) else shutil.copy(entry, folder)
    for name, data in damage:
        (folder / name).unlink()  # never write through a link
        if data is not None:
            (folder / name).write_bytes(data)
    if signed:
        _sign(folder, [name for name, data in damage if data is not None and name != MANIFEST])
    return folder


@lru_cache(maxsize=1)
def _same_disk(folder: Path) -> bool:
    return folder.stat().st_dev == original().stat().st_dev


def _sign(folder: Path, names: list[str]) -> None:
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        for name in names:
            entry = manifest["files"][name]
            entry["size"] = (folder / name).stat().st_size
            entry["sha256"] = file_sha256(folder / name)
    except (OSError, ValueError, KeyError, TypeError):
        return  # too damaged to sign
    (folder / MANIFEST).unlink()
    (folder / MANIFEST).write_text(json.dumps(manifest))


def feed(value: Folder) -> str:
    """What `on_configure` of the node does."""
    folder = build(*value)
    pipeline = CooperPipeline.open(folder, threads=1)
    check_pipeline(pipeline)
    return "opened"


KINDS = (Kind("model_folders", make, feed),)
