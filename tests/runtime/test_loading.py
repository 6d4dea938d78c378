"""Opening models: what is not there is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy_model import make_engine  # type: ignore[import-not-found]

from cooper_ros.core.errors import BackendError, ModelFolderError
from cooper_ros.reasoning.phrasings import vocabulary
from cooper_ros.runtime import loading
from cooper_ros.runtime.pipeline import CooperPipeline
from cooper_ros.runtime.tokenizer import Tokenizer


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="nowhere"):
        CooperPipeline.open(tmp_path / "nowhere")


def test_unknown_backend_lists_the_known_ones() -> None:
    with pytest.raises(BackendError, match="auto, cpu, cuda, onnx, torch"):
        loading._find("abacus")


def test_backend_of_another_package_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        name = "abacus"

        def load(self) -> object:
            return len

    monkeypatch.setattr(loading.importlib.metadata, "entry_points", lambda group: [Point()])
    assert loading._find("abacus") is len


def test_backend_whose_library_is_missing_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(loading.importlib, "import_module", missing)
    with pytest.raises(BackendError, match="'torch', which is not installed"):
        loading._find("torch")


def test_ids_without_a_token_are_never_chosen(tokenizer: Tokenizer) -> None:
    spec = make_engine(tokenizer, vocab_size=tokenizer.vocab_size + 100).spec
    assert loading.known_tokens_only(spec, tokenizer).vocab_limit == tokenizer.vocab_size
    limited = make_engine(tokenizer, vocab_limit=20).spec
    assert loading.known_tokens_only(limited, tokenizer).vocab_limit == 20


def test_a_grammar_needs_its_words(tokenizer: Tokenizer) -> None:
    """With `seen` as an unknown word every turn would be another text than the trained one."""
    spec = make_engine(tokenizer, grammar=2).spec
    with pytest.raises(ModelFolderError, match=r"model\.grammar is 2.*no word 'seen'"):
        loading.check_words(spec, tokenizer)
    loading.check_words(spec, Tokenizer.from_vocabulary(vocabulary(2)))
    loading.check_words(make_engine(tokenizer).spec, tokenizer)


def test_self_test_is_honest_where_there_is_none(tokenizer: Tokenizer) -> None:
    assert CooperPipeline(make_engine(tokenizer)).self_test() == "not available"
