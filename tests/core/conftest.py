"""Conformance data and a small scene with known geometry."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cooper_ros.core.classes import CLASS_IDS
from cooper_ros.core.types import Intrinsics


@pytest.fixture(scope="session")
def golden(root: Path) -> SimpleNamespace:
    """`cases` (json) and `arrays` (npz) of the conformance data beside the repository."""
    folder = root / ".." / "shared" / "golden" / "cooper_tiny"
    if not folder.is_dir():
        pytest.skip("conformance data ../shared/golden is not here")
    cases = json.loads((folder / "cases.json").read_text())
    return SimpleNamespace(cases=cases, arrays=np.load(folder / "cases.npz"))


class Scene:
    """Labels and depth of 72 x 96 pixels: a wall at 4 m over a floor, rectangles put in front."""

    def __init__(self) -> None:
        self.intrinsics = Intrinsics.from_fov(80.0, 96, 72)
        self.labels = np.zeros((72, 96), np.uint8)
        self.labels[:36] = CLASS_IDS["wall"]
        self.depth = np.full((72, 96), 4.0, np.float32)
        self.score = np.full((72, 96), 0.5, np.float32)

    def put(self, name: str, x: int, y: int, width: int, height: int, depth_m: float) -> np.ndarray:
        """A fronto-parallel rectangle; returns its mask."""
        mask = np.zeros(self.labels.shape, bool)
        mask[y : y + height, x : x + width] = True
        self.labels[mask] = CLASS_IDS[name]
        self.depth[mask] = depth_m
        return mask


@pytest.fixture
def scene() -> Scene:
    """A fresh scene."""
    return Scene()
