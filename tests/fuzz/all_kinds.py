"""The kinds by name; made when asked for, because some need more than others."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from fuzzing import Kind

WHERE = {
    "images": "kinds_images",
    "camera_infos": "kinds_images",
    "compressed": "kinds_images",
    "questions": "kinds_words",
    "turns": "kinds_words",
    "numbers": "kinds_words",
    "parameters": "kinds_words",
    "range_points": "kinds_range",
    "model_folders": "kinds_folders",
}


def _maker(name: str, module: str) -> Callable[[], Kind]:
    def make() -> Kind:
        kinds = importlib.import_module(module).KINDS
        return next(kind for kind in kinds if kind.name == name)

    return make


ALL: dict[str, Callable[[], Kind]] = {name: _maker(name, module) for name, module in WHERE.items()}
