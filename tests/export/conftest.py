"""One small seeded model, exported once for all test processes."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest
from small_model import export_small_model


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of `small_model`, float16, in several shards. Do not change it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if base.name.startswith("popen-") else base
    target = shared / "small-model"
    with (shared / "small-model.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (target / "manifest.json").is_file():
            export_small_model(target)
    return target
