"""Text to token ids and back, without torch or transformers.

Two kinds, both stored as one `tokenizer.json` of the `tokenizers` library: byte-level BPE in the
Qwen2 format (official checkpoints) and a word-level one (small models: lower-case words, one token
per digit). The kind is read from the file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as RawTokenizer

from cooper_ros.core.errors import ModelFolderError
from cooper_ros.reasoning.phrasings import VOCABULARY, join_words
from cooper_ros.runtime.spec import TokenIds

UNKNOWN = "<unk>"
MARKERS = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>")

# The split of Qwen2: contractions, words with one leading mark, single digits, marks, white space.
QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# The split of `reasoning.phrasings.split_words`, on lower-cased text.
WORD_SPLIT = r"<\|[a-z_]+\|>|</?[a-z-]+>|[a-z]+|[0-9]|\S"


class Tokenizer:
    """Encodes and decodes text. Nothing is added or stripped; markers are the caller's matter."""

    def __init__(self, raw: RawTokenizer) -> None:
        self._raw = raw
        self.word_level = json.loads(raw.to_str())["model"]["type"] == "WordLevel"

    @classmethod
    def load(cls, path: str | Path) -> Tokenizer:
        """From a tokenizer.json. Raises ModelFolderError when it is missing or damaged."""
        path = Path(path)
        if not path.is_file():
            raise ModelFolderError(f"tokenizer file {path} is missing")
        return cls.read(path.read_bytes(), str(path))

    @classmethod
    def read(cls, content: bytes | memoryview, name: str = "tokenizer.json") -> Tokenizer:
        """From the bytes of a tokenizer.json; `name` is for the error."""
        try:
            return cls(RawTokenizer.from_str(bytes(content).decode("utf-8")))
        except Exception as error:  # the library raises bare Exception
            raise ModelFolderError(f"tokenizer file {name} cannot be read: {error}") from error

    @classmethod
    def from_qwen2(cls, folder: str | Path) -> Tokenizer:
        """From `vocab.json`, `merges.txt` and `tokenizer_config.json` of an official folder.

        Special tokens keep the ids of `added_tokens_decoder` where the config has one; else they
        follow the vocabulary in the order end-of-text, text start/end, vision start/end.
        """
        folder = Path(folder)
        missing = [
            name
            for name in ("vocab.json", "merges.txt", "tokenizer_config.json")
            if not (folder / name).is_file()
        ]
        if missing:
            raise ModelFolderError(f"{folder} has no {' and no '.join(missing)}")
        vocab = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()
        merges = [
            (pair[0], pair[1])
            for pair in (line.split(" ") for line in lines if not line.startswith("#version"))
            if len(pair) == 2
        ]
        config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        raw = RawTokenizer(models.BPE(vocab=vocab, merges=merges))
        raw.normalizer = normalizers.NFC()
        raw.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(QWEN2_SPLIT), behavior="isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        raw.decoder = decoders.ByteLevel()
        for content in _special_tokens(config):
            raw.add_special_tokens([AddedToken(content, normalized=False, special=True)])
        tokenizer = cls(raw)
        for key, entry in config.get("added_tokens_decoder", {}).items():
            if raw.token_to_id(entry["content"]) != int(key):
                raise ModelFolderError(
                    f"{folder}: token {entry['content']} should have id {key}, "
                    f"but gets {raw.token_to_id(entry['content'])}"
                )
        return tokenizer

    @classmethod
    def from_vocabulary(cls, vocabulary: Sequence[str] = VOCABULARY) -> Tokenizer:
        """A word-level tokenizer: the index of a token string is its id."""
        missing = [token for token in (UNKNOWN, *MARKERS) if token not in vocabulary]
        if missing or len(set(vocabulary)) != len(vocabulary):
            raise ValueError(f"vocabulary with repeated tokens or without {missing}")
        table = {token: index for index, token in enumerate(vocabulary)}
        raw = RawTokenizer(models.WordLevel(vocab=table, unk_token=UNKNOWN))
        raw.normalizer = normalizers.Lowercase()
        raw.pre_tokenizer = pre_tokenizers.Split(Regex(WORD_SPLIT), behavior="removed", invert=True)
        return cls(raw)

    def save(self, path: str | Path) -> None:
        """Write one tokenizer.json."""
        Path(path).write_text(self._raw.to_str(pretty=True) + "\n", encoding="utf-8")

    @property
    def vocab_size(self) -> int:
        """Number of tokens including the added ones (a model's table may be larger)."""
        return self._raw.get_vocab_size(with_added_tokens=True)

    @property
    def marker_ids(self) -> TokenIds:
        """Ids of the four segment markers."""
        return TokenIds(*(self.token_id(marker) for marker in MARKERS))

    @property
    def words(self) -> tuple[str, ...]:
        """The words of a word-level tokenizer, sorted; empty for byte-level, which knows all."""
        if not self.word_level:
            return ()
        return tuple(sorted(word for word in self._raw.get_vocab() if word.isalpha()))

    def token_id(self, token: str) -> int:
        """Id of one token. Raises ModelFolderError when the vocabulary lacks it."""
        index = self._raw.token_to_id(token)
        if index is None:
            raise ModelFolderError(f"the tokenizer has no token {token}")
        return int(index)

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, without markers."""
        return list(self._raw.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of token ids. Word-level numbers are joined: `+ 0 . 1 2` becomes `+0.12`."""
        if not self.word_level:
            return str(self._raw.decode(list(ids), skip_special_tokens=False))
        return join_words(self.tokens(ids))

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """Token strings of ids."""
        return [self._raw.id_to_token(int(index)) or UNKNOWN for index in ids]

    def unknown_words(self, text: str) -> tuple[str, ...]:
        """Words of the text that the vocabulary lacks, each once; always empty for byte-level."""
        if not self.word_level:
            return ()
        encoding = self._raw.encode(text, add_special_tokens=False)
        unknown = self._raw.token_to_id(UNKNOWN)
        bad = {
            start
            for index, (start, _) in zip(encoding.ids, encoding.offsets, strict=True)
            if index == unknown
        }
        return tuple(
            dict.fromkeys(
                match.group().strip(".,:;?!")
                for match in re.finditer(r"\S+", text)
                if any(match.start() <= start < match.end() for start in bad)
            )
        )


def _special_tokens(config: dict) -> list[str]:
    """Special tokens in the order of their ids, the vision markers last where not listed."""
    listed = config.get("added_tokens_decoder", {})
    tokens = [listed[key]["content"] for key in sorted(listed, key=int)]
    end = config.get("eos_token")
    named = [end["content"] if isinstance(end, dict) else end]
    named += list(config.get("additional_special_tokens", [])) + list(MARKERS)
    return tokens + [token for token in dict.fromkeys(named) if token and token not in tokens]
