"""Names that no model was taught, as detectors write them, in questions."""

from __future__ import annotations

from pathlib import Path

import pytest

from cooper_ros.core.classes import plural_of
from cooper_ros.core.errors import CooperError, QuestionError
from cooper_ros.reasoning.canonical import canonical_question
from cooper_ros.reasoning.questions import parse_question
from cooper_ros.reasoning.vocabulary import MAX_NAME, clean_name, read_synonyms, synonyms_problem

NAMES = tuple(
    clean_name(name)
    for name in (
        "Potted_Plant", "cell-phone", "cup", "couch", "person", "traffic light", "door 2",
        "scissors", "knife", "left", "sports ball",
    )
)  # fmt: skip


@pytest.mark.parametrize(
    ("question", "family", "objects"),
    [
        ("How far is the potted plant?", "distance", ("potted plant",)),
        ("how far is the Potted_Plant", "distance", ("potted plant",)),
        ("how many cell phones are there", "count", ("cell phone",)),
        ("is the coffee mug left of the sofa?", "left", ("cup", "couch")),
        ("how far is the mobile phone from the settee", "between", ("cell phone", "couch")),
        ("how many people can you see", "count", ("person",)),
        ("how tall is door 2", "height", ("door 2",)),
        ("are there any knives", "presence", ("knife",)),
        ("how many scissors are within 2 m", "count", ("scissors",)),
        ("which is closer, the traffic_light or the cup?", "nearer", ("traffic light", "cup")),
        ("how far is the nearest cup in feet", "distance", ("cup",)),
        ("how far is the ball", "distance", ("sports ball",)),
    ],
)
def test_names_are_found_as_singular_plural_and_synonym(
    question: str, family: str, objects: tuple[str, ...]
) -> None:
    query = parse_question(question, NAMES)
    assert (query.family, query.objects) == (family, objects)
    again = parse_question(canonical_question(query), NAMES)
    assert (again.family, again.objects, again.picks) == (family, objects, query.picks)


def test_names_of_the_model_and_of_a_detector_stand_side_by_side() -> None:
    names = ("mug", "chair", "cordless drill", "cup")
    assert parse_question("how far is the cordless drill from the mug", names).objects == (
        "cordless drill",
        "mug",
    )
    assert parse_question("how far is the cup", names).objects == ("cup",)  # it is there itself
    assert parse_question("how far is the mug").objects == ("mug",)


@pytest.mark.parametrize("question", ["how far is the wombat", "how far is the left"])
def test_other_words_are_refused_with_the_names_that_are_there(question: str) -> None:
    with pytest.raises(QuestionError, match="potted plant|known questions"):
        parse_question(question, NAMES)


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("Potted_Plant", "potted plant"),
        ("  TV/monitor-2 ", "tv monitor 2"),
        ("\x00\u202emug\n", "mug"),
        ("!!", ""),
        ("42", ""),
        ("", ""),
        ("caf\u00e9 table", "caf\u00e9 table"),
        ("a" * 5000, "a" * MAX_NAME),
    ],
)
def test_odd_names_are_cleaned(name: str, cleaned: str) -> None:
    assert clean_name(name) == cleaned


def test_a_synonyms_file_adds_words(tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_text("# our workshop\ncordless drill: drill, Bohrmaschine\n\n")
    words = read_synonyms(file)
    names = ("cordless drill",)
    assert parse_question("how far is the Bohrmaschine", names, words).objects == names
    assert parse_question("how many drills are there", names, words).objects == names
    assert synonyms_problem("") == synonyms_problem(str(file)) == ""


@pytest.mark.parametrize("text", ["drill\n", "drill, !!\n"])
def test_a_bad_synonyms_file_is_refused_with_its_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "words.txt"
    file.write_text("mug, cup\n" + text)
    with pytest.raises(CooperError, match="line 2"):
        read_synonyms(file)
    assert "cannot be read" in synonyms_problem(str(tmp_path / "missing.txt"))


def test_a_word_that_means_two_names_means_neither() -> None:
    words = (("vise", "clamp"), ("pliers", "clamp"))
    assert parse_question("how far is the clamp", ("vise",), words).objects == ("vise",)
    with pytest.raises(QuestionError):
        parse_question("how far is the clamp", ("vise", "pliers"), words)


def test_plurals() -> None:
    many = ("boxes", "buses", "glasses", "scissors", "babies", "toys", "cell phones")
    one = ("box", "bus", "glass", "scissors", "baby", "toy", "cell phone")
    assert tuple(map(plural_of, one)) == many
