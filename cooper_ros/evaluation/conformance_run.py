"""Run a conformance set through torch, or through an exported model folder without torch."""

from __future__ import annotations

from pathlib import Path

from cooper_ros.evaluation.conformance import TORCH_ONLY, Ledger, Report, report
from cooper_ros.evaluation.conformance_loop import check_loops
from cooper_ros.evaluation.conformance_runtime import (
    check_generation,
    check_images,
    check_logits,
    check_resize,
    check_text,
    conformance_spec,
)
from cooper_ros.runtime.context import Engine

EXPORTED_TOLERANCE = 1e-3


def check_engine(ledger: Ledger, engine: Engine) -> None:
    """All checks that the host code and the five graphs can answer."""
    check_text(ledger, engine)
    check_resize(ledger)
    check_images(ledger, engine)
    check_logits(ledger, engine)
    check_generation(ledger, engine)
    check_loops(ledger, engine)


def run_torch(folder: str | Path) -> Report:
    """Compare every entry of a set with the checkpoint in the same folder, run by torch."""
    from cooper_ros.evaluation.conformance_torch import check_internals, check_training
    from cooper_ros.model.backend import TorchBackend
    from cooper_ros.model.spec import model_spec
    from cooper_ros.runtime.tokenizer import Tokenizer

    ledger = Ledger(folder)
    backend = TorchBackend.open(folder)
    spec = conformance_spec(model_spec(backend.model.config), ledger)
    engine = Engine(backend, spec, Tokenizer.from_qwen2(folder))
    check_engine(ledger, engine)
    check_internals(ledger, engine, backend.model)
    check_training(ledger, engine, backend.model)
    return report(ledger, backend.name)


def run_exported(folder: str | Path, exported: str | Path, backend: str = "auto") -> Report:
    """Compare a set with an exported model folder of the same checkpoint, at 1e-3.

    What only torch can show (`conformance.TORCH_ONLY`) is left out and counted.
    """
    from cooper_ros.runtime.loading import open_engine

    ledger = Ledger(folder, EXPORTED_TOLERANCE)
    engine = open_engine(exported, backend).engine
    spec = conformance_spec(engine.spec, ledger)
    check_engine(ledger, Engine(engine.backend, spec, engine.tokenizer))
    return report(ledger, engine.backend.name, TORCH_ONLY)
