"""The committed lock set: our own model with seeded weights must give what it gave."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed")

from cooper_ros.evaluation import conformance_lock  # noqa: E402
from cooper_ros.evaluation.conformance import Report  # noqa: E402

LOCK = Path(__file__).parent / "data" / "lock.npz"
OFFICIAL = Path(__file__).resolve().parents[3] / "shared" / "golden" / "cooper_tiny"


@pytest.fixture(scope="module")
def result() -> Report:
    return conformance_lock.run_lock(LOCK)


def test_lock_set_is_small() -> None:
    assert LOCK.stat().st_size <= 2_000_000


def test_every_entry_is_claimed_and_within_tolerance(result: Report) -> None:
    assert result.passed, result.table()
    assert not result.unclaimed


def test_lock_set_covers_the_whole_ground(result: Report) -> None:
    names = {verdict.name for verdict in result.verdicts}
    wanted = {
        "vit_features",
        "vae_moments",
        "logits_text_vae_vit_text",
        "greedy_ids_text_vae_vit_text",
        "velocity_renorm_min06",
        "latent_euler8",
        "depth_spectral",
        "loop_logits_2",
        "loop2.order",
        "train_mse",
        "train2_ce",
    }
    assert wanted <= names


def test_a_changed_value_is_a_miss(tmp_path: Path) -> None:
    with np.load(LOCK) as stored:
        arrays = {name: stored[name] for name in stored.files}
    arrays["latent_euler8"] = arrays["latent_euler8"] * np.float32(1.001)
    arrays["unheard_of"] = np.zeros(3, np.float32)
    path = tmp_path / "changed.npz"
    np.savez(path, **arrays)
    result = conformance_lock.run_lock(path)
    assert not result.passed
    assert [verdict.name for verdict in result.verdicts if not verdict.passed] == ["latent_euler8"]
    assert result.unclaimed == ("unheard_of",)


@pytest.mark.skipif(OFFICIAL.exists(), reason="the official set is exported instead")
def test_exported_seeded_model_gives_the_same(tmp_path: Path) -> None:
    """The torch-free runtime on the same road as the official set, in clones without that set: an
    export takes half a minute."""
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    conformance_lock.export_lock(tmp_path / "lock")
    result = conformance_lock.run_lock(LOCK, tmp_path / "lock")
    assert result.passed, result.table()
    assert "onnxruntime" in result.backend
    names = {verdict.name for verdict in result.verdicts}
    assert {
        "logits_text",
        "velocity_plain",
        "latent_euler8",
        "loop_logits_2",
        "loop2.order",
    } <= names
