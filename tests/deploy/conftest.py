"""The folder whose GPU graphs are built: cooper-nano where it is there, else the small model."""

from __future__ import annotations

import fcntl
import sys
from pathlib import Path

import pytest

EXPORT_TESTS = Path(__file__).resolve().parents[1] / "export"


@pytest.fixture(scope="session")
def nano_or_small(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder; do not change it."""
    nano = root / "engines" / "cooper-nano"
    if (nano / "manifest.json").is_file():
        return nano
    sys.path.append(str(EXPORT_TESTS))
    from small_model import export_small_model

    base = tmp_path_factory.getbasetemp()
    shared = base.parent if base.name.startswith("popen-") else base
    target = shared / "small-model"
    with (shared / "small-model.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (target / "manifest.json").is_file():
            export_small_model(target)
    return target
