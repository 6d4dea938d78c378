"""`cooper export`: what it refuses before it works, and checkpoints in bfloat16."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from small_model import export_small_model, small_model

from cooper_ros.cli import main
from cooper_ros.core.errors import CooperError
from cooper_ros.export.exporter import ExportOptions, export_model
from cooper_ros.export.tracing import ExportError
from cooper_ros.model.checkpoint import save_model
from cooper_ros.runtime.folder import ModelFolder
from cooper_ros.runtime.onnx_backend import OnnxBackend
from cooper_ros.runtime.selftest import run_selftest
from cooper_ros.runtime.tokenizer import Tokenizer


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A checkpoint of our own without a tokenizer."""
    save_model(small_model(), tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


def test_missing_checkpoint_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert "nowhere" in error and "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_checkpoint_without_tokenizer(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(checkpoint), "--out", str(tmp_path / "out")]) == 1
    assert "--tokenizer" in capsys.readouterr().err


def test_tokenizer_with_more_words_than_the_model(tmp_path: Path) -> None:
    words = Tokenizer.from_vocabulary()
    with pytest.raises(ExportError, match=f"{words.vocab_size} tokens, the model 64"):
        export_model(small_model(vocab_size=64), words, tmp_path / "out")


def test_a_grammar_without_its_words_is_refused_before_any_work(tmp_path: Path) -> None:
    """It was exported, and refused when it was opened."""
    older = Tokenizer.from_vocabulary()
    with pytest.raises(CooperError, match="tokenizer has no word"):
        export_model(small_model(), older, tmp_path / "out", ExportOptions(spec={"grammar": 2}))
    assert list(tmp_path.iterdir()) == []


def test_wrong_field_of_the_spec_is_refused_before_any_work(tmp_path: Path) -> None:
    options = ExportOptions(spec={"colour_of_the_robot": "red"})
    with pytest.raises(CooperError, match="colour_of_the_robot"):
        export_model(small_model(), Tokenizer.from_vocabulary(), tmp_path / "out", options)
    assert list(tmp_path.iterdir()) == []


def test_manifest_tells_where_the_model_comes_from(model_folder: Path) -> None:
    manifest = json.loads((model_folder / "manifest.json").read_text())
    assert manifest["licence"] == "Apache-2.0"
    assert manifest["exporter"].keys() == {"cooper_ros", "torch", "opset"}
    assert manifest["weights"]["parameters"] == sum(p.numel() for p in small_model().parameters())
    assert manifest["model"]["model_id"] == "small"
    for graph in manifest["graphs"].values():
        assert graph["parity"]["relative_error"] <= graph["parity"]["tolerance"] == 1e-3
        assert graph["tolerance"]["cpu"] == 1e-3 < graph["tolerance"]["gpu"] < 0.05
        assert graph["gpu_check"]["cases"] >= 4 and graph["gpu_check"]["divided_by"] == 1.0


@pytest.mark.long
def test_bfloat16_checkpoint_keeps_its_type(tmp_path: Path) -> None:
    """Its stored weights do; what GPUs compute in follows from what is measured."""
    folder = export_small_model(tmp_path / "out", "bfloat16")
    backend = OnnxBackend(ModelFolder.open(folder.path), threads=1)
    assert all(result.passed for result in run_selftest(folder, backend))
    assert folder.manifest["weights"]["dtype"] == "bfloat16"
    for graph in folder.manifest["graphs"].values():
        assert graph["gpu_dtype"] == graph["precision"] == "float16"
        assert graph["gpu_check"]["relative_error"] < 1e-2
    table = small_model().language_model.model.embed_tokens.weight.detach()
    expected = table.to(torch.bfloat16).float().numpy()[:4]
    np.testing.assert_array_equal(backend.embed(np.arange(4)), expected)
