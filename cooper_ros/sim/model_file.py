"""Compact files of object models."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from cooper_ros.sim.mesh import Board, Mesh, Model, Part, Surface


def add_boards(model: Model) -> None:
    """Let objects stand on tables and on low cabinets."""
    width, depth, height = model.size
    if model.label == "table" and height < 1.0:
        model.boards.append(Board(0, 0, _top(model), 0.34 * width, 0.34 * depth))


def _top(model: Model) -> float:
    """Height of the uppermost horizontal face near the middle of the model."""
    width, depth, height = model.size
    best = 0.0
    for part in model.parts:
        a, b, c = (part.mesh.vertices[part.mesh.faces[:, k]] for k in range(3))
        normal = np.cross(b - a, c - a)
        area = np.linalg.norm(normal, axis=1) / 2
        flat = (np.abs(normal[:, 2]) > 1.9 * area) & (area > 0.01 * width * depth)
        if flat.any():
            best = max(best, float(a[flat, 2].max()))
    return best or float(height)


def save_model(model: Model, path: Path) -> None:
    """Write a model as a compact npz (u16 vertices, f32 uv, u8 textures)."""
    arrays: dict[str, np.ndarray] = {}
    meta: dict[str, Any] = {"label": model.label, "name": model.name, "parts": []}
    for index, part in enumerate(model.parts):
        low, high = part.mesh.vertices.min(axis=0), part.mesh.vertices.max(axis=0)
        span = np.maximum(high - low, 1e-6)
        arrays[f"v{index}"] = np.round((part.mesh.vertices - low) / span * 65535).astype(np.uint16)
        arrays[f"f{index}"] = part.mesh.faces.astype(np.uint16)
        if part.surface.image is not None:
            arrays[f"t{index}"] = part.mesh.uv.astype(np.float32)
            arrays[f"i{index}"] = part.surface.image
        meta["parts"].append(
            {"low": low.tolist(), "span": span.tolist(), "colour": list(part.surface.colour)}
        )
    arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with open(temporary, "wb") as out:
        np.savez_compressed(out, **arrays)  # type: ignore[arg-type]
    os.replace(temporary, path)


def load_model(path: Path) -> Model:
    """Read a model written by `save_model`."""
    with np.load(path) as data:
        meta = json.loads(bytes(data["meta"]))
        model = Model(meta["label"], name=meta["name"])
        for index, part in enumerate(meta["parts"]):
            vertices = data[f"v{index}"] / 65535.0 * np.array(part["span"]) + np.array(part["low"])
            image = data[f"i{index}"] if f"i{index}" in data else None
            uv = (
                data[f"t{index}"].astype(float)
                if image is not None
                else np.zeros((len(vertices), 2))
            )
            model.parts.append(
                Part(
                    Mesh(vertices, data[f"f{index}"].astype(np.int32), uv),
                    Surface(colour=tuple(part["colour"]), image=image),
                )
            )
    add_boards(model)
    return model
