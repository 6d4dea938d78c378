"""The committed model, for tests that run a command on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cooper_ros.core.errors import ModelFolderError
from cooper_ros.core.paths import find_model_folder


@pytest.fixture
def shipped_model() -> Path:
    """Folder of the model that is shipped."""
    try:
        return find_model_folder()
    except ModelFolderError:
        pytest.skip("no engines/cooper-nano")
