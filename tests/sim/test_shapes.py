"""Meshes and models: closed, outward, and of a plausible size."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from cooper_ros.sim import mesh
from cooper_ros.sim.model_file import load_model, save_model
from cooper_ros.sim.obj import load_obj
from cooper_ros.sim.shapes import STYLES, procedural

# largest side in metres: (least, most) over all styles, placed on floors, tables and walls
LARGEST_SIDE = {
    "table": (0.5, 2.0),
    "chair": (0.4, 1.3),
    "sofa": (1.3, 2.4),
    "bed": (1.9, 2.3),
    "cabinet": (0.35, 2.3),
    "shelf": (0.8, 2.1),
    "mug": (0.07, 0.16),
    "bottle": (0.17, 0.36),
    "bowl": (0.1, 0.35),
    "book": (0.15, 0.3),
    "vase": (0.15, 0.85),
    "laptop": (0.25, 0.45),
    "can": (0.06, 0.18),
    "box": (0.06, 0.6),
    "ball": (0.05, 0.3),
    "lamp": (0.28, 1.9),
    "plant": (0.17, 2.2),
    "bin": (0.25, 0.85),
    "person": (1.4, 2.0),
    "robot": (0.3, 1.6),
    "door": (1.9, 2.3),
    "window": (0.8, 2.0),
    "picture": (0.25, 1.0),
    "tv": (0.4, 1.4),
}


def _volume(solid: mesh.Mesh) -> float:
    a, b, c = (solid.vertices[solid.faces[:, k]] for k in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


@pytest.mark.parametrize(
    ("solid", "volume"),
    [
        (mesh.box((1, 2, 3)), 6.0),
        (mesh.box((1, 1, 1), (5, 5, 5), steps=3), 1.0),
        (mesh.cylinder(0.5, 2.0, sides=64), np.pi * 0.25 * 2),
        (mesh.cylinder(1.0, 3.0, sides=64, top_radius=0.001), np.pi),
        (mesh.sphere(1.0, sides=48, rings=33), 4 / 3 * np.pi),
        (mesh.ring(1.0, 0.1, sides=48, tube=24), 2 * np.pi**2 * 0.01),
        (mesh.join([mesh.box((1, 1, 1)), mesh.box((1, 1, 1), (3, 0, 0))]), 2.0),
    ],
)
def test_solids_are_closed_and_face_outwards(solid, volume):
    assert _volume(solid) == pytest.approx(volume, rel=0.03)
    assert len(solid.uv) == len(solid.vertices) and solid.faces.max() < len(solid.vertices)


def test_rod_reaches_from_start_to_end():
    rod = mesh.rod((1, 2, 3), (1, 2, 5), 0.1)
    low, high = rod.vertices.min(axis=0), rod.vertices.max(axis=0)
    assert low[2] == pytest.approx(3, abs=0.1) and high[2] == pytest.approx(5, abs=0.1)
    assert _volume(rod) > 0


@pytest.mark.parametrize("label", sorted(STYLES))
def test_every_style_has_a_plausible_size(label):
    rng = np.random.default_rng(0)
    least, most = LARGEST_SIDE[label]
    for style in STYLES[label]:
        for on_floor in (True, False):
            for _ in range(4):
                model = procedural(rng, label, "test", on_floor, style)
                low, high = model.bounds()
                assert model.label == label and np.isfinite([low, high]).all()
                assert least <= max(high - low) <= most, (style, on_floor, high - low)
                if label not in ("window", "picture", "tv"):
                    hanging = 0.4 if style == "fern" else 0.03  # its leaves may reach below
                    assert -hanging < low[2] < 0.03, (style, low)
                for part in model.parts:
                    assert part.mesh.faces.max() < len(part.mesh.vertices)


def test_model_files_round_trip(tmp_path):
    model = procedural(np.random.default_rng(0), "mug", "train")
    save_model(model, tmp_path / "mug.npz")
    read = load_model(tmp_path / "mug.npz")
    assert read.label == "mug" and len(read.parts) == len(model.parts)
    for a, b in zip(model.parts, read.parts, strict=True):
        assert np.allclose(a.mesh.vertices, b.mesh.vertices, atol=1e-5)
        assert np.array_equal(a.mesh.faces, b.mesh.faces)
        if a.surface.image is not None:
            assert np.array_equal(a.surface.image, b.surface.image)


OBJ = """mtllib a.mtl
v 0 0 0
v 1 0 0
v 1 1 0
v 0 1 0
vt 0 0
vt 1 0
vt 1 1
vt 0 1
usemtl wood
f 1/1 2/2 3/3 4/4
usemtl red
f -4 -3 -2
f 1 3 4
"""
MTL = "newmtl wood\nKd 1 1 1\nmap_Kd wood.png\nnewmtl red\nKd 0.8 0.1 0.1\n"


@pytest.fixture
def archive(tmp_path):
    picture = io.BytesIO()
    Image.new("RGB", (4, 4), (10, 20, 30)).save(picture, "PNG")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        opened.writestr("m/a.obj", OBJ)
        opened.writestr("m/a.mtl", MTL)
        opened.writestr("m/wood.png", picture.getvalue())
    with zipfile.ZipFile(tmp_path / "a.zip") as opened:
        yield opened


def test_obj_reader_splits_by_material(archive):
    wood, red = load_obj(archive, "m/a.obj", 100)
    assert len(wood.mesh.faces) == 2 and len(red.mesh.faces) == 2  # the quad became triangles
    assert wood.surface.image is not None and wood.surface.image[0, 0].tolist() == [10, 20, 30]
    assert red.surface.image is None and red.surface.colour == (0.8, 0.1, 0.1)
    # negative numbers count from the end
    assert red.mesh.vertices[red.mesh.faces[0]].tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0]]
    assert load_obj(archive, "m/a.obj", 3) is None
