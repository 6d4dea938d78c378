"""Triangle meshes of simple solids, and the models that are put together from them.

Units are metres, z points up, a model stands on z = 0 and faces -y.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int32]


@dataclass
class Mesh:
    """Vertices f64[V,3] (m), faces i32[F,3] (outward = counter-clockwise), uv f64[V,2]."""

    vertices: FloatArray
    faces: IntArray
    uv: FloatArray

    def moved(
        self,
        position: Sequence[float] | FloatArray = (0.0, 0.0, 0.0),
        rotation: FloatArray | None = None,
        scale: Sequence[float] | FloatArray | float = 1.0,
    ) -> Mesh:
        """Scale, then rotate (3x3), then translate."""
        vertices = self.vertices * np.asarray(scale, float)
        if rotation is not None:
            vertices = vertices @ rotation.T
        return Mesh(vertices + np.asarray(position, float), self.faces, self.uv)


@dataclass(frozen=True)
class Surface:
    """Look of a part: a colour in [0,1] or an image u8[H,W,3] whose first row is v = 0."""

    colour: tuple[float, float, float] = (0.7, 0.7, 0.7)
    image: NDArray[np.uint8] | None = None
    emission: float = 0.0
    specular: float = 0.2
    shininess: float = 0.3


@dataclass
class Part:
    """One mesh with one surface."""

    mesh: Mesh
    surface: Surface


@dataclass
class Board:
    """A horizontal rectangle on which objects can stand: centre (x, y), height, half sizes."""

    x: float
    y: float
    z: float
    half_x: float
    half_y: float
    clearance: float = 2.0
    """Free height above the board in metres."""


@dataclass
class Model:
    """An object: class name, parts, and the boards others may stand on."""

    label: str
    parts: list[Part] = field(default_factory=list)
    boards: list[Board] = field(default_factory=list)
    name: str = ""

    def add(self, surface: Surface, *meshes: Mesh) -> None:
        """Add meshes of one surface as a single part."""
        self.parts.append(Part(join(meshes), surface))

    def bounds(self) -> tuple[FloatArray, FloatArray]:
        """Lower and upper corner of the bounding box in metres."""
        lows = [part.mesh.vertices.min(axis=0) for part in self.parts]
        highs = [part.mesh.vertices.max(axis=0) for part in self.parts]
        return np.min(lows, axis=0), np.max(highs, axis=0)

    def stretched(self, scale: FloatArray) -> Model:
        """A copy with other proportions: factors for x, y and z."""
        x, y, z = (float(s) for s in scale)
        boards = [
            Board(b.x * x, b.y * y, b.z * z, b.half_x * x, b.half_y * y, b.clearance * z)
            for b in self.boards
        ]
        parts = [Part(part.mesh.moved(scale=scale), part.surface) for part in self.parts]
        return Model(self.label, parts, boards, self.name)

    @property
    def size(self) -> FloatArray:
        low, high = self.bounds()
        return high - low


def join(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh out of several."""
    if len(meshes) == 1:
        return meshes[0]
    offsets = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes[:-1]])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate(
            [mesh.faces + offset for mesh, offset in zip(meshes, offsets, strict=True)]
        ).astype(np.int32),
        np.concatenate([mesh.uv for mesh in meshes]),
    )


def rotation_z(angle: float) -> FloatArray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


def rotation_x(angle: float) -> FloatArray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1.0, 0, 0], [0, c, -s], [0, s, c]])


def rotation_y(angle: float) -> FloatArray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1.0, 0], [-s, 0, c]])


def align_z(direction: Sequence[float]) -> FloatArray:
    """A rotation that takes the z axis to `direction`."""
    z = np.asarray(direction, float)
    z = z / np.linalg.norm(z)
    helper = np.array([1.0, 0, 0]) if abs(z[0]) < 0.9 else np.array([0, 1.0, 0])
    x = np.cross(helper, z)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z], axis=1)


def grid(width: float, height: float, steps: int = 1, repeat: float = 1.0) -> Mesh:
    """A rectangle in the xy plane facing +z, centred; uv in metres times `repeat`."""
    n = steps + 1
    u, v = np.meshgrid(np.linspace(0, 1, n), np.linspace(0, 1, n), indexing="xy")
    u, v = u.ravel(), v.ravel()
    vertices = np.stack([(u - 0.5) * width, (v - 0.5) * height, np.zeros(n * n)], axis=1)
    corner = (np.arange(steps)[:, None] * n + np.arange(steps)[None]).ravel()
    faces = np.concatenate(
        [
            np.stack([corner, corner + 1, corner + n + 1], axis=1),
            np.stack([corner, corner + n + 1, corner + n], axis=1),
        ]
    )
    uv = np.stack([u * width, v * height], axis=1) * repeat
    return Mesh(vertices, faces.astype(np.int32), uv)


_BOX_FACES = (
    # rotation of a +z grid, its width axis and height axis among (x, y, z)
    (np.eye(3), 0, 1, 2, 1.0),
    (rotation_x(np.pi), 0, 1, 2, -1.0),
    (rotation_x(np.pi / 2), 0, 2, 1, -1.0),
    (rotation_z(np.pi) @ rotation_x(np.pi / 2), 0, 2, 1, 1.0),
    (rotation_z(np.pi / 2) @ rotation_x(np.pi / 2), 1, 2, 0, 1.0),
    (rotation_z(-np.pi / 2) @ rotation_x(np.pi / 2), 1, 2, 0, -1.0),
)


@lru_cache(maxsize=8)
def _unit_box(steps: int) -> tuple[FloatArray, IntArray, FloatArray, IntArray]:
    """Unit cube centred at 0: vertices, faces, uv in [0,1], uv axes (two per vertex)."""
    faces, axes = [], []
    for rotation, a, b, normal, sign in _BOX_FACES:
        panel = grid(1.0, 1.0, steps)
        offset = np.zeros(3)
        offset[normal] = sign / 2
        faces.append(panel.moved(offset, rotation))
        axes.append(np.tile([a, b], (len(panel.vertices), 1)))
    cube = join(faces)
    return cube.vertices, cube.faces, cube.uv, np.concatenate(axes).astype(np.int32)


def box(
    size: Sequence[float],
    position: Sequence[float] = (0.0, 0.0, 0.0),
    repeat: float = 1.0,
    unit_uv: bool = False,
    steps: int = 1,
) -> Mesh:
    """A box of full `size` whose centre of the bottom face is `position`.

    Faces have their own vertices (sharp edges). `unit_uv` spreads the image over each face.
    """
    vertices, faces, uv, axes = _unit_box(steps)
    size_array = np.asarray(size, float)
    x, y, z = position
    placed = vertices * size_array + (x, y, z + size_array[2] / 2)
    return Mesh(placed, faces, uv if unit_uv else uv * size_array[axes] * repeat)


def lathe(
    profile: Sequence[tuple[float, float]],
    sides: int = 16,
    position: Sequence[float] = (0.0, 0.0, 0.0),
    repeat: tuple[float, float] = (1.0, 1.0),
) -> Mesh:
    """A solid of revolution about z.

    `profile` lists (radius, z) from the bottom outside upwards; the ends are closed.
    Points repeated in the profile give a sharp edge. u runs around, v along the profile.
    """
    points = np.asarray(profile, float)
    points = np.concatenate([[[1e-4, points[0, 1]]], points, [[1e-4, points[-1, 1]]]])
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    angle = np.linspace(0, 2 * np.pi, sides + 1)
    rows = len(points)
    radius, height = points[:, :1], points[:, 1:]
    vertices = np.stack(
        [radius * np.cos(angle), radius * np.sin(angle), np.repeat(height, sides + 1, 1)], -1
    ).reshape(-1, 3)
    u = np.tile(angle / (2 * np.pi) * repeat[0], rows)
    v = np.repeat(length / max(length[-1], 1e-9) * repeat[1], sides + 1)
    row, column = np.meshgrid(np.arange(rows - 1), np.arange(sides), indexing="ij")
    corner = (row * (sides + 1) + column).ravel()
    up = corner + sides + 1
    faces = np.concatenate(
        [np.stack([corner, corner + 1, up + 1], axis=1), np.stack([corner, up + 1, up], axis=1)]
    )
    keep = _areas(vertices, faces) > 1e-10
    mesh = Mesh(vertices, faces[keep].astype(np.int32), np.stack([u, v], axis=1))
    return mesh.moved(position)


def _areas(vertices: FloatArray, faces: IntArray) -> FloatArray:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2


def cylinder(
    radius: float,
    height: float,
    position: Sequence[float] = (0.0, 0.0, 0.0),
    sides: int = 16,
    top_radius: float | None = None,
) -> Mesh:
    """A cylinder or a cone stump standing on `position`, with sharp rims."""
    top = radius if top_radius is None else top_radius
    profile = [(radius, 0.0), (radius, 0.0), (top, height), (top, height)]
    return lathe(profile, sides, position)


def sphere(
    radius: Sequence[float] | float,
    position: Sequence[float] = (0.0, 0.0, 0.0),
    sides: int = 14,
    rings: int = 9,
    repeat: tuple[float, float] = (1.0, 1.0),
) -> Mesh:
    """A sphere or, with three radii, an ellipsoid, centred at `position`."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, rings)[1:-1]
    profile = [(np.cos(a), np.sin(a)) for a in angle]
    ball = lathe([(0.05, -1.0), *profile, (0.05, 1.0)], sides, repeat=repeat)
    return ball.moved(position, scale=radius)


def rod(
    start: Sequence[float],
    end: Sequence[float],
    radius: float,
    sides: int = 10,
    end_radius: float | None = None,
) -> Mesh:
    """A round rod with rounded ends from `start` to `end`."""
    a, b = np.asarray(start, float), np.asarray(end, float)
    length = float(np.linalg.norm(b - a))
    r1 = radius if end_radius is None else end_radius
    profile = [
        (radius * 0.6, -radius * 0.7),
        (radius, 0.0),
        (r1, length),
        (r1 * 0.6, length + r1 * 0.7),
    ]
    return lathe(profile, sides).moved(a, align_z(b - a))


def ring(
    radius: float,
    thickness: float,
    sides: int = 12,
    tube: int = 6,
    arc: tuple[float, float] = (0.0, 2 * np.pi),
) -> Mesh:
    """A torus (or a piece of one) in the xy plane, centred at the origin."""
    major = np.linspace(arc[0], arc[1], sides + 1)
    minor = np.linspace(0, 2 * np.pi, tube + 1)
    a, b = np.meshgrid(major, minor, indexing="ij")
    distance = radius + thickness * np.cos(b)
    vertices = np.stack(
        [distance * np.cos(a), distance * np.sin(a), thickness * np.sin(b)], -1
    ).reshape(-1, 3)
    row, column = np.meshgrid(np.arange(sides), np.arange(tube), indexing="ij")
    corner = (row * (tube + 1) + column).ravel()
    up = corner + tube + 1
    faces = np.concatenate(
        [np.stack([corner, up + 1, corner + 1], axis=1), np.stack([corner, up, up + 1], axis=1)]
    )
    uv = np.stack([a.ravel(), b.ravel()], axis=1) / (2 * np.pi)
    return Mesh(vertices, faces.astype(np.int32), uv)


def both_sides(mesh: Mesh) -> Mesh:
    """The mesh with a second, reversed copy of each face (leaves, paper)."""
    count = len(mesh.vertices)
    return Mesh(
        np.concatenate([mesh.vertices, mesh.vertices]),
        np.concatenate([mesh.faces, mesh.faces[:, ::-1] + count]).astype(np.int32),
        np.concatenate([mesh.uv, mesh.uv]),
    )
