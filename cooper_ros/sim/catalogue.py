"""The furniture models of the Debian package `sweethome3d-furniture`."""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from cooper_ros.sim.mesh import Mesh, Model, Part
from cooper_ros.sim.model_file import add_boards
from cooper_ros.sim.obj import load_obj

FURNITURE_FOLDER = Path("/usr/share/sweethome3d/furniture")
MAX_FACES = 7500
MAX_FACES_RARE = 15000
RARE = ("sofa", "bed", "person", "plant", "bin", "ball", "laptop")
MAX_PARTS = 14

# Catalogue ids that are committed under assets/objects (CC0) and never used for training.
COMMITTED: dict[str, str] = {
    "chair2": "chair",
    "sillaBlanca": "chair",
    "stool": "chair",
    "couch2": "sofa",
    "sofa2": "sofa",
    "oakTable": "table",
    "bedsideTable2": "cabinet",
    "drawersCabinet": "cabinet",
    "wardrobeWithSlidingDoors": "cabinet",
    "bookcase": "shelf",
    "verticalShelves": "shelf",
    "desklamp": "lamp",
    "JapaneseLantern": "lamp",
    "littlePlant": "plant",
    "caffe_final": "mug",
    "basketball": "ball",
    "dustbin": "bin",
    "box": "box",
    "crate": "box",
}

# class -> (pattern of the catalogue name, height range in cm, width range in cm)
_RULES: tuple[tuple[str, str, tuple[float, float], tuple[float, float]], ...] = (
    ("tv", r"^(tv|tv 16:9|wall flat tv)$", (25, 90), (40, 150)),
    ("table", r"^(.*\btable|desk|desk table|wooden desk)$", (33, 110), (45, 210)),
    (
        "chair",
        r"^(.*\bchair|chair with cushion|.*armchair|stool|bar stool|puff|bench|piano bench)$",
        (35, 125),
        (28, 115),
    ),
    ("sofa", r"sofa|couch", (60, 110), (110, 260)),
    ("bed", r"^(.*\bbed|futon)$", (20, 125), (60, 220)),
    ("shelf", r"shelves|bookcase", (60, 230), (35, 200)),
    (
        "cabinet",
        r"wardrobe|cabinet$|bedside table|fridge|refrigerator|drawers|cupboard|vanity"
        r"|dresser|tv stand|island$|washing machine|chest$|dryer machine|safe",
        (40, 240),
        (35, 220),
    ),
    (
        "lamp",
        r"^(lamp|desk lamp|little lamp|pedestal vase lamp|japanese lantern)$",
        (25, 185),
        (10, 70),
    ),
    (
        "plant",
        r"plant$|bamboo|ficus|flowers|tulips|orchids|lily|yucca|cactus|spathiphyllum|bonsai"
        r"|succulent plant",
        (9, 190),
        (9, 115),
    ),
    ("person", r"^(male|female|boy|girl|holding male|holding female)$", (120, 200), (30, 85)),
    ("bin", r"trash ?can|dustbin|recycling bin", (20, 95), (20, 85)),
    ("box", r"^(box|cardboard box|gift|crate|trunck|open cardboard box)$", (20, 70), (20, 105)),
    ("ball", r"ball$", (15, 30), (15, 30)),
    ("mug", r"^(coffee mug|coffee cup|cup)$", (4, 14), (7, 13)),
    ("bottle", r"bottle$", (11, 35), (4, 11)),
    ("bowl", r"^bowl$", (15, 25), (30, 50)),
    ("book", r"^book$", (1, 10), (10, 35)),
    ("vase", r"^(vase|pottery|old jar)$", (9, 60), (9, 40)),
    ("laptop", r"^(laptop|apple ibook)$", (15, 30), (22, 40)),
)
_NOT = re.compile(
    r"glass|opened|mezzanine|bunk|pool|tennis|technical|football|corner cabinet|"
    r"upper|crib|baby|high chair|beach|deck|folding chair|class|relax|dining set|"
    r"changing|tablecloth|toilet|hanging",
    re.IGNORECASE,
)
# Decoration bowls of 40 cm are brought to the size of a dish.
_SCALE = {"bowl": 0.55}


@dataclass(frozen=True)
class CatalogueEntry:
    """One model of the furniture package."""

    key: str
    label: str
    archive: str
    path: str
    size: tuple[float, float, float]
    rotation: tuple[float, ...]
    name: str
    creator: str


def _properties(text: str) -> list[dict[str, str]]:
    rows: dict[str, dict[str, str]] = {}
    for match in re.finditer(r"^(\w+)#(\d+)=(.*)$", text, re.MULTILINE):
        rows.setdefault(match[2], {})[match[1]] = match[3].strip()
    return [rows[number] for number in sorted(rows, key=int)]


def classify(row: dict[str, str]) -> str | None:
    """Class of a catalogue row, or None when it does not fit any."""
    name = row.get("name", "").lower()
    if _NOT.search(name) or row.get("doorOrWindow") == "true":
        return None
    try:
        height, width = float(row["height"]), float(row["width"])
    except (KeyError, ValueError):
        return None
    outside = row.get("category") in ("Exterior", "Vehicles", "Staircases")
    for label, pattern, heights, widths in _RULES:
        fits = heights[0] <= height <= heights[1] and widths[0] <= width <= widths[1]
        if re.search(pattern, name):
            if fits and not (outside and label not in ("chair", "table", "sofa", "bin")):
                return label
            return None
    return None


@lru_cache(maxsize=1)
def catalogue() -> tuple[CatalogueEntry, ...]:
    """All usable models of the installed furniture package, sorted by key; empty without it."""
    entries = []
    for archive in sorted(FURNITURE_FOLDER.glob("*.sh3f")):
        with zipfile.ZipFile(archive) as opened:
            text = opened.read("PluginFurnitureCatalog.properties").decode("latin1")
        for row in _properties(text):
            identity = row.get("id", "").split("#")[-1]
            committed = archive.stem.endswith("CC-0") and identity in COMMITTED
            label = COMMITTED[identity] if committed else classify(row)
            if label is None or "model" not in row:
                continue
            width, depth, height = (float(row[k]) / 100 for k in ("width", "depth", "height"))
            rotation = tuple(float(v) for v in row.get("modelRotation", "").split())
            entries.append(
                CatalogueEntry(
                    key=f"{archive.stem}/{identity}",
                    label=label,
                    archive=str(archive),
                    path=row["model"].lstrip("/"),
                    size=(width, depth, height),
                    rotation=rotation,
                    name=row.get("name", ""),
                    creator=row.get("creator", ""),
                )
            )
    return tuple(sorted(entries, key=lambda entry: entry.key))


def is_committed(entry: CatalogueEntry) -> bool:
    """Whether the model belongs to the committed set (and so never to training)."""
    folder, identity = entry.key.split("/", 1)
    return folder.endswith("CC-0") and identity in COMMITTED


def convert(entry: CatalogueEntry, max_faces: int | None = None) -> Model | None:
    """Read a catalogue model: z up, metres, standing on z = 0; None when too heavy."""
    max_faces = max_faces or (MAX_FACES_RARE if entry.label in RARE else MAX_FACES)
    with zipfile.ZipFile(entry.archive) as archive:
        parts = load_obj(archive, entry.path, max_faces)
    if not parts or len(parts) > MAX_PARTS:
        return None
    rotation = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    if len(entry.rotation) == 9:
        rotation = rotation @ np.reshape(entry.rotation, (3, 3))
    moved = [part.mesh.vertices @ rotation.T for part in parts]
    low = np.min([v.min(axis=0) for v in moved], axis=0)
    high = np.max([v.max(axis=0) for v in moved], axis=0)
    scale = np.array(entry.size) * _SCALE.get(entry.label, 1.0) / np.maximum(high - low, 1e-6)
    centre = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    model = Model(entry.label, name=entry.key)
    for part, vertices in zip(parts, moved, strict=True):
        vertices = (vertices - centre) * scale
        if np.ptp(vertices, axis=0).max() < 0.008:
            continue
        model.parts.append(Part(Mesh(vertices, part.mesh.faces, part.mesh.uv), part.surface))
    if not model.parts:
        return None
    add_boards(model)
    return model
