"""Reads textured Wavefront OBJ models out of a zip archive, as one part per material."""

from __future__ import annotations

import io
import posixpath
import zipfile
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cooper_ros.sim.mesh import Mesh, Part, Surface

TEXTURE_SIZE = 128


@dataclass
class _Material:
    colour: tuple[float, float, float] = (0.7, 0.7, 0.7)
    texture: str = ""


@dataclass
class _Group:
    corners: list[tuple[int, int]] = field(default_factory=list)
    index: dict[tuple[int, int], int] = field(default_factory=dict)
    faces: list[tuple[int, int, int]] = field(default_factory=list)

    def corner(self, vertex: int, texture: int) -> int:
        key = (vertex, texture)
        if key not in self.index:
            self.index[key] = len(self.corners)
            self.corners.append(key)
        return self.index[key]


def _materials(archive: zipfile.ZipFile, path: str) -> dict[str, _Material]:
    result: dict[str, _Material] = {}
    current = _Material()
    try:
        text = archive.read(path).decode("latin1")
    except KeyError:
        return result
    for line in text.splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "newmtl":
            current = result.setdefault(" ".join(words[1:]), _Material())
        elif words[0] == "Kd" and len(words) >= 4:
            r, g, b = (float(w) for w in words[1:4])
            current.colour = (r, g, b)
        elif words[0] == "map_Kd":
            current.texture = posixpath.join(posixpath.dirname(path), words[-1])
    return result


def _picture(archive: zipfile.ZipFile, path: str) -> NDArray[np.uint8] | None:
    try:
        with Image.open(io.BytesIO(archive.read(path))) as picture:
            small = picture.convert("RGB").resize((TEXTURE_SIZE, TEXTURE_SIZE))
            return np.ascontiguousarray(np.asarray(small)[::-1])
    except (KeyError, OSError):
        return None


def load_obj(archive: zipfile.ZipFile, path: str, max_faces: int) -> list[Part] | None:
    """Parts of the OBJ file at `path`, in the file's own axes; None when over `max_faces`."""
    positions: list[tuple[float, ...]] = []
    texcoords: list[tuple[float, ...]] = []
    groups: dict[str, _Group] = {}
    group = groups.setdefault("", _Group())
    materials: dict[str, _Material] = {}
    count = 0
    for line in archive.read(path).decode("latin1").splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "v":
            positions.append(tuple(float(w) for w in words[1:4]))
        elif words[0] == "vt":
            texcoords.append(tuple(float(w) for w in words[1:3]))
        elif words[0] == "usemtl":
            group = groups.setdefault(" ".join(words[1:]), _Group())
        elif words[0] == "mtllib":
            materials.update(
                _materials(archive, posixpath.join(posixpath.dirname(path), " ".join(words[1:])))
            )
        elif words[0] == "f":
            corners = []
            for word in words[1:]:
                fields = word.split("/")
                vertex = int(fields[0])
                texture = int(fields[1]) if len(fields) > 1 and fields[1] else 0
                vertex = vertex - 1 if vertex > 0 else len(positions) + vertex
                texture = (
                    texture - 1 if texture > 0 else len(texcoords) + texture if texture < 0 else -1
                )
                corners.append(group.corner(vertex, texture))
            group.faces += [
                (corners[0], corners[k], corners[k + 1]) for k in range(1, len(corners) - 1)
            ]
            count += len(corners) - 2
            if count > max_faces:
                return None
    vertices = np.array(positions)
    uv = np.array(texcoords + [(0.0, 0.0)])  # the last row serves index -1
    parts = []
    for name, found in groups.items():
        if len(found.faces) < 2:
            continue
        corner = np.array(found.corners)
        mesh = Mesh(vertices[corner[:, 0]], np.array(found.faces, np.int32), uv[corner[:, 1]])
        material = materials.get(name, _Material())
        picture = _picture(archive, material.texture) if material.texture else None
        has_uv = bool((corner[:, 1] >= 0).all())
        if picture is not None and not has_uv:
            mean = picture.reshape(-1, 3).mean(axis=0) / 255
            material.colour = (float(mean[0]), float(mean[1]), float(mean[2]))
        parts.append(
            Part(
                mesh,
                Surface(colour=material.colour, image=picture if has_uv else None, specular=0.2),
            )
        )
    return parts
