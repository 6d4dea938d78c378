"""Tiny twins of folders of real pictures."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from cooper_ros.core.classes import CLASS_IDS
from cooper_ros.core.labelled_photos import UNKNOWN, UNNAMED

WIDTH, HEIGHT = 160, 120
FLOOR, WALL, CHAIR = (CLASS_IDS[name] for name in ("floor", "wall", "chair"))


def write_set(folder: Path, count: int = 2, far_m: float = 4.0) -> Path:
    """A twin of a set of real pictures: a floor, a wall and a box, brighter where they are near."""
    folder.mkdir(parents=True)
    rows = np.arange(HEIGHT)[:, None] + np.zeros((1, WIDTH))
    for number in range(count):
        depth = np.minimum(150.0 / np.maximum(rows - 30.0, 1.0), far_m)
        depth[40:85, 20 + 40 * number : 65 + 40 * number] = 1.2
        shade = (255.0 / (1.0 + depth)).astype(np.uint8)
        millimetres = np.round(1000.0 * depth).astype(np.uint16)
        millimetres[:5] = 0
        millimetres[5, 5] = 9000  # beyond what is believed
        picture = np.stack([shade, shade[::-1], shade], axis=-1)
        cv2.imwrite(str(folder / f"color_{number}.png"), picture)
        cv2.imwrite(str(folder / f"depth_{number}.png"), millimetres)
    camera = {"fx": 140.0, "fy": 140.0, "cx": 79.5, "cy": 59.5, "width": WIDTH, "height": HEIGHT}
    (folder / "intrinsics.json").write_text(json.dumps(camera))
    return folder


def write_photos(folder: Path, count: int = 2) -> Path:
    """A wall over a floor with a chair, a thing without name and a part that nobody labelled; the
    red channel is the class, the labels have half the size."""
    for part in ("photos", "labels"):
        (folder / part).mkdir(parents=True)
    lines = []
    for number in range(count):
        named = np.full((HEIGHT, WIDTH), WALL, np.uint8)
        named[70:] = FLOOR
        named[50:90, 20 + 10 * number : 60 + 10 * number] = CHAIR
        named[50:90, 100:140] = UNNAMED
        named[:, 150:] = UNKNOWN
        picture = np.stack([named, named // 2, 255 - named], axis=-1)
        name = f"photo{number}"
        cv2.imwrite(str(folder / "photos" / f"{name}.png"), picture[..., ::-1])
        cv2.imwrite(str(folder / "labels" / f"{name}.png"), named[::2, ::2])
        lines.append(json.dumps({"id": name, "split": "val"}))
    lines.append(json.dumps({"id": "missing", "split": "train"}))
    (folder / "index.jsonl").write_text("\n".join(lines) + "\n")
    return folder
