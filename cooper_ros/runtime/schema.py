"""What numbers and texts of a manifest may be. Checked when a folder is opened, not when used.

A folder comes from elsewhere: a number that is legal JSON can still ask for a petabyte of cache or
a loop without end.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from cooper_ros.core.errors import ModelFolderError, shown

MAX_NAME = 100
MAX_TEXT = 100_000
DEFAULT = (-(2.0**31), 2.0**31)

_GENERATION = {
    "num_timesteps": (0, 1000),
    "shift": (1e-3, 100),
    "text_scale": (0, 100),
    "image_scale": (0, 100),
    "interval": (0, 1),
    "renorm_min": (0, 1),
}
_RESIZE = {
    "max_side": (1, 8192), "min_side": (1, 8192), "stride": (1, 1024), "max_pixels": (1, 2**26),
}  # fmt: skip
_TOKEN = (0, 2**22)
_MODEL: dict[str, Any] = {
    "hidden_size": (1, 2**16),
    "num_layers": (1, 1024),
    "num_heads": (1, 1024),
    "num_kv_heads": (1, 1024),
    "head_dim": (1, 1024),
    "vocab_size": (1, 2**22),
    "vocab_limit": (1, 2**22),
    "tokens": {
        "text_start": _TOKEN, "text_end": _TOKEN, "vision_start": _TOKEN, "vision_end": _TOKEN,
    },
    "vision_patch": (1, 256),
    "vision_grid_side": (1, 4096),
    "vision_resize": _RESIZE,
    "map_resize": _RESIZE,
    "latent_grid_side": (1, 4096),
    "autoencoder_downsample": (1, 256),
    "latent_channels": (1, 1024),
    "latent_patch": (1, 64),
    "rope_theta": (1, 1e12),
    "ray_channels": (0, 64),
    "depth": {"min_m": (0, 1e4), "max_m": (0, 1e4)},
    "segmentation": {"colours": (-1, 1), "min_pixels": (0, 10**6)},
    "loop": {
        "max_turns": (1, 64), "max_turn_tokens": (1, 2**16), "max_answer_tokens": (1, 2**16),
    },
    "fused": {"grid": (1, 64), "waves": (1e-3, 1e3), "class_grid": (1, 64)},
    "perception": _GENERATION,
    "interleaved": _GENERATION,
}  # fmt: skip


def _flat(table: Mapping[str, Any], where: str) -> dict[str, tuple[float, float]]:
    flat: dict[str, tuple[float, float]] = {}
    for name, entry in table.items():
        path = f"{where}.{name}"
        flat |= _flat(entry, path) if isinstance(entry, dict) else {path: entry}
    return flat


BOUNDS = _flat(_MODEL, "model")
"""Path in the manifest -> (least, most) of a number there, or of each number of a list."""


def check_value(where: str, value: Any) -> None:
    """Raise ModelFolderError for a number out of bounds, or a text that is too long."""
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise ModelFolderError(f"manifest: {where} has {len(value)} characters")
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        least, most = BOUNDS.get(where, DEFAULT)
        if not (math.isfinite(value) and least <= value <= most):
            raise ModelFolderError(
                f"manifest: {where} must be between {least:g} and {most:g}, got {shown(value)}"
            )


def check_name(where: str, value: Any) -> None:
    """Raise ModelFolderError for what cannot stand in a message or on a page as a name."""
    good = isinstance(value, str) and 0 < len(value) <= MAX_NAME and value.isprintable()
    if not good:
        raise ModelFolderError(
            f"manifest: {where} must be a name of 1 to {MAX_NAME} printable characters, got "
            f"{shown(value)}"
        )


def check_encodable(manifest: Mapping[str, Any]) -> None:
    """Raise ModelFolderError for numbers that are infinite and texts that are no Unicode: json
    reads both, and messages can hold neither."""
    try:
        json.dumps(manifest, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise ModelFolderError(
            f"the manifest holds text that is no Unicode ({error.object[error.start]!a})"
        ) from error
    except ValueError as error:
        raise ModelFolderError(f"the manifest holds a number that is too large: {error}") from error


def check_sections(manifest: Mapping[str, Any]) -> None:
    """Raise ModelFolderError for sections of the wrong kind that are for people only."""
    check_name("name", manifest.get("name"))
    for key, kind in (("provenance", dict), ("weights", dict), ("licence", str)):
        value = manifest.get(key)
        if value is not None and not isinstance(value, kind):
            raise ModelFolderError(f"manifest: {key} must be {kind.__name__}, got {shown(value)}")
    count = (manifest.get("weights") or {}).get("parameters", 0)
    if type(count) is not int or not 0 <= count < 10**14:
        raise ModelFolderError(f"manifest: weights.parameters must be a count, got {shown(count)}")
