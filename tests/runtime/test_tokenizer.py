"""Both kinds of tokenizer, saved and loaded as one file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cooper_ros.core.errors import ModelFolderError
from cooper_ros.reasoning.phrasings import VOCABULARY, vocabulary
from cooper_ros.runtime.tokenizer import MARKERS, Tokenizer

CHAIN = (
    "<think> <obj> mug u 42 v 17 d 1.35 x +0.12 y -0.30 </obj> </think> <answer> 1.42 m </answer>"
)


@pytest.fixture
def words() -> Tokenizer:
    return Tokenizer.from_vocabulary()


@pytest.fixture
def bytes_folder(tmp_path: Path) -> Path:
    from tokenizers.pre_tokenizers import ByteLevel

    symbols = [*sorted(ByteLevel.alphabet()), "he", "Ġt", "Ġthe"]
    (tmp_path / "vocab.json").write_text(json.dumps({s: i for i, s in enumerate(symbols)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\nh e\nĠ t\nĠt he\n")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|endoftext|>"}))
    return tmp_path


def test_ids_are_the_places_in_the_vocabulary(words: Tokenizer) -> None:
    assert words.vocab_size == len(VOCABULARY)
    assert [words.token_id(token) for token in VOCABULARY] == list(range(len(VOCABULARY)))


def test_words_of_a_newer_grammar_stand_behind(words: Tokenizer) -> None:
    newer = Tokenizer.from_vocabulary(vocabulary(2))
    assert newer.encode(CHAIN) == words.encode(CHAIN)
    turn = "<think> seen <obj> mug u 42 v 17 l 38 r 47 t 10 b 25 </obj> absent can </think>"
    assert newer.decode(newer.encode(turn)) == turn
    assert set(words.unknown_words(turn)) == {"seen", "absent", "l", "r", "t", "b"}


def test_one_token_per_digit_and_tag(words: Tokenizer) -> None:
    tokens = [VOCABULARY[index] for index in words.encode("<think> Mug +0.12 m?")]
    assert tokens == ["<think>", "mug", "+", "0", ".", "1", "2", "m", "?"]


@pytest.mark.parametrize(
    "text", [CHAIN, "how far is the mug ?", "the answer is 3 .", "<answer> -0.05 m </answer>"]
)
def test_grammar_survives_the_round_trip(words: Tokenizer, text: str) -> None:
    assert words.decode(words.encode(text)) == text


def test_unknown_words_are_named_once_and_whole(words: Tokenizer) -> None:
    assert words.unknown_words("Is the Zorg, the zorg or the naïve mug?") == (
        "Zorg",
        "zorg",
        "naïve",
    )
    assert words.unknown_words("how far is the mug?") == ()
    assert "mug" in words.words and "<think>" not in words.words


def test_markers_and_their_order(words: Tokenizer, bytes_folder: Path) -> None:
    ids = Tokenizer.from_qwen2(bytes_folder).marker_ids
    # 256 bytes, 3 merges, end-of-text, then the markers
    assert (ids.text_start, ids.text_end, ids.vision_start, ids.vision_end) == (260, 261, 262, 263)
    assert words.marker_ids.text_start == VOCABULARY.index(MARKERS[0])


def test_added_tokens_of_the_config_keep_their_ids(bytes_folder: Path) -> None:
    tokens = ("<|endoftext|>", *MARKERS)
    listed = {str(259 + i): {"content": token} for i, token in enumerate(tokens)}
    path = bytes_folder / "tokenizer_config.json"
    path.write_text(json.dumps({"eos_token": "<|im_end|>", "added_tokens_decoder": listed}))
    assert Tokenizer.from_qwen2(bytes_folder).marker_ids.vision_end == 263
    listed["300"] = {"content": "<|far|>"}
    path.write_text(json.dumps({"added_tokens_decoder": listed}))
    with pytest.raises(ModelFolderError, match=r"<\|far\|> should have id 300"):
        Tokenizer.from_qwen2(bytes_folder)


@pytest.mark.parametrize("text", ["the café – 3 µm\n\n  in", " the  the", "2.35", "😀"])
def test_byte_level_takes_any_text(bytes_folder: Path, text: str) -> None:
    tokenizer = Tokenizer.from_qwen2(bytes_folder)
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.unknown_words(text) == () and tokenizer.words == ()


def test_merges_apply_inside_words_only(bytes_folder: Path) -> None:
    tokenizer = Tokenizer.from_qwen2(bytes_folder)
    assert tokenizer.encode(" the") == [258]
    assert len(tokenizer.encode("23")) == 2


def test_one_file_holds_either_kind(words: Tokenizer, bytes_folder: Path, tmp_path: Path) -> None:
    for tokenizer, text in ((words, CHAIN), (Tokenizer.from_qwen2(bytes_folder), "the café")):
        tokenizer.save(tmp_path / "tokenizer.json")
        loaded = Tokenizer.load(tmp_path / "tokenizer.json")
        assert loaded.word_level == tokenizer.word_level
        assert loaded.encode(text) == tokenizer.encode(text)
        assert loaded.decode(loaded.encode(text)) == text


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="missing"):
        Tokenizer.load(tmp_path / "tokenizer.json")
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ModelFolderError, match="cannot be read"):
        Tokenizer.load(tmp_path / "tokenizer.json")
    with pytest.raises(ModelFolderError, match=r"vocab\.json and no merges\.txt"):
        Tokenizer.from_qwen2(tmp_path)
    with pytest.raises(ValueError, match="repeated"):
        Tokenizer.from_vocabulary(("<unk>", "<unk>", *MARKERS))
