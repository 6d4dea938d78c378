"""Any names: the words of a question are matched against the names that are there now.

A model brings its own classes; a detector or a label image brings others, with several words, in
capitals, with underscores. They are cleaned once, when they come in, and then found in questions as
singular, plural or synonym. In the words of a question such a name becomes one word, its mark.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cooper_ros.core.classes import CLASS_NAMES, plural_of
from cooper_ros.core.errors import CooperError, shown
from cooper_ros.reasoning.forms import PICK_MARKS, form_words

Synonyms = tuple[tuple[str, ...], ...]
"""Groups of words that mean the same thing."""

SYNONYMS: Synonyms = (
    ("mug", "cup", "coffee mug", "coffee cup", "tea cup", "teacup"),
    ("sofa", "couch", "settee"),
    ("tv", "television", "screen", "monitor", "tv monitor", "tvmonitor"),
    ("laptop", "computer", "notebook"),
    ("cabinet", "cupboard"),
    ("picture", "painting", "poster"),
    ("can", "tin"),
    ("bin", "trash", "trash can", "garbage can", "waste bin", "trash bin"),
    ("plant", "potted plant", "pottedplant", "houseplant", "flower pot"),
    ("table", "dining table", "diningtable", "desk", "coffee table"),
    ("person", "human", "pedestrian"),
    ("cell phone", "mobile phone", "phone", "smartphone"),
    ("remote", "remote control"),
    ("fridge", "refrigerator"),
    ("bag", "backpack", "handbag"),
    ("car", "automobile"),
    ("bicycle", "bike"),
    ("ball", "sports ball"),
    ("shelf", "bookshelf", "bookcase"),
)
"""What is understood without a file."""

MAX_NAME = 64
MAX_FILE_BYTES = 1 << 20
_GAP = re.compile(r"[^\w]+|_+")


def clean_name(name: str) -> str:
    """A name as questions and results write it: "Potted_Plant" -> "potted plant".

    Lower case, words of letters and digits with one space between, at most 64 characters; "" for a
    name in which no letter is left.
    """
    plain = unicodedata.normalize("NFKC", name[: 4 * MAX_NAME]).lower()
    words = " ".join(_GAP.sub(" ", plain).split())[:MAX_NAME].strip()
    return words if any(letter.isalpha() for letter in words) else ""


def read_synonyms(path: str | Path) -> Synonyms:
    """The groups of a synonyms file: a line holds words that mean the same, with commas between;
    what follows "#" is a remark. Raises CooperError."""
    file = Path(path).expanduser()
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise CooperError(f"the synonyms file {file} is larger than {MAX_FILE_BYTES} bytes")
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CooperError(f"synonyms file {shown(str(file))} cannot be read: {error}") from error
    groups = []
    for number, line in enumerate(lines, start=1):
        text = line.split("#")[0].strip()
        if not text:
            continue
        words = tuple(filter(None, map(clean_name, re.split(r"[,:]", text))))
        if len(words) < 2:
            raise CooperError(
                f"line {number} of the synonyms file {file} must name two or more words with "
                f"commas between, got {shown(line.strip())}"
            )
        groups.append(words)
    return tuple(groups)


def synonyms_problem(path: str) -> str:
    """What is wrong with a synonyms file, "" if nothing or if none is named."""
    try:
        read_synonyms(path) if path else ()
    except CooperError as error:
        return str(error)
    return ""


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The names that questions may use, and how they are said.

    `marks`: phrase -> the word that stands for it; `table`: such a word -> (name, is plural).
    """

    names: tuple[str, ...]
    marks: Mapping[str, str]
    table: Mapping[str, tuple[str, bool]]
    pattern: re.Pattern[str] | None

    def marked(self, text: str) -> str:
        """The text (lower case) with the marks in place of the names, the longest first."""
        if self.pattern is None:
            return text
        return self.pattern.sub(lambda found: f" {self.marks[_spaced(found.group())]} ", text)

    def name_of(self, word: str) -> str:
        """The name that a word or phrase means; "" if none."""
        mark = self.marks.get(clean_name(word))
        return self.table[mark][0] if mark else ""


def extra_names(names: Iterable[str]) -> tuple[str, ...]:
    """Those names that are not among the classes that rules on words know already."""
    return tuple(name for name in names if name and name not in CLASS_NAMES)


@lru_cache(maxsize=16)
def vocabulary_of(names: tuple[str, ...], synonyms: Synonyms = SYNONYMS) -> Vocabulary:
    """How `names` (cleaned) are said; a word that means two of them means neither.

    A name that is itself a word of questions ("left") cannot be asked for.
    """
    said: dict[str, tuple[str, bool]] = {}
    extra = extra_names(names)
    for name in extra:
        said[plural_of(name)] = (name, True)
    for name in extra:
        said[name] = (name, False)
    doubtful: set[str] = set()
    others: dict[str, tuple[str, bool]] = {}
    known = set(names)
    for group in synonyms:
        meant = [name for name in group if name in known]
        for name in meant:
            for word in group:
                if word in known:
                    continue
                for text, plural in ((word, False), (plural_of(word), True)):
                    before = others.setdefault(text, (name, plural))
                    if before[0] != name:
                        doubtful.add(text)
    # of a class that the rules know, they know the synonyms of one word; of others all is ours
    for text, meaning in others.items():
        if text not in said and text not in doubtful and text not in known:
            said[text] = meaning
    taken = form_words() | set(PICK_MARKS)
    said = {text: meaning for text, meaning in said.items() if text not in taken}
    marks = {text: _mark(number) for number, text in enumerate(said)}
    table = {marks[text]: meaning for text, meaning in said.items()}
    return Vocabulary(names, marks, table, _pattern(said))


def _pattern(phrases: Iterable[str]) -> re.Pattern[str] | None:
    ordered: Sequence[str] = sorted(phrases, key=len, reverse=True)
    if not ordered:
        return None
    texts = (r"[\s_-]+".join(map(re.escape, phrase.split())) for phrase in ordered)
    return re.compile(rf"(?<!\w)(?:{'|'.join(texts)})(?!\w)")


def _spaced(text: str) -> str:
    return " ".join(re.split(r"[\s_-]+", text))


def _mark(number: int) -> str:
    """A word of letters that no language has."""
    letters = ""
    while True:
        letters = chr(ord("a") + number % 26) + letters
        number //= 26
        if not number:
            return f"zqzq{letters}zq"
