"""An engine on the toy model, and a frame for it to look at."""

from __future__ import annotations

import numpy as np
import pytest
from toy_model import make_engine  # type: ignore[import-not-found]

from cooper_ros.core.types import Frame, Intrinsics
from cooper_ros.runtime.context import Engine
from cooper_ros.runtime.tokenizer import Tokenizer


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_vocabulary()


@pytest.fixture
def engine(tokenizer: Tokenizer) -> Engine:
    return make_engine(tokenizer)


@pytest.fixture
def frame() -> Frame:
    rgb = np.random.RandomState(5).randint(0, 256, (60, 80, 3)).astype(np.uint8)
    return Frame(rgb, Intrinsics.from_fov(60.0, 80, 60), 1_234_567_890, "camera_optical")
