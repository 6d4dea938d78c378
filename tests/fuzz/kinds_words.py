"""Questions with what a model might write to them, and parameters."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from fuzzing import FLOATS, NUMBERS, TEXTS, Kind, pick
from kinds_images import toy_pipeline
from rclpy.serialization import serialize_message
from toy_model import ANSWER, TURNS, write

from cooper_ros.core.classes import CLASS_NAMES, SYNONYMS
from cooper_ros.core.errors import CooperError, QuestionError
from cooper_ros.core.query import FAMILIES, REACHABLE, Query
from cooper_ros.core.types import Frame, Intrinsics, Status
from cooper_ros.reasoning.canonical import canonical_question
from cooper_ros.reasoning.chains import ChainObject, final_turn, parse_chains, render_chain
from cooper_ros.reasoning.drafts import draft
from cooper_ros.reasoning.grammar import parse_question
from cooper_ros.reasoning.phrasings import WORDS, render_question, split_words, vocabulary
from cooper_ros.reasoning.reading import MAX_LENGTH_M, read_answer
from cooper_ros.reasoning.units import UNIT_SYMBOLS
from cooper_ros.ros import parameters
from cooper_ros.ros.messages import from_answer, to_answer
from cooper_ros.runtime.asking import understand

SIZE = (24, 18)
LETTERS = "aeou?!.,;:'\"()[]{}<>|/\\%$#@0123456789 \t\n\x00\u00e4\u0131\u2028\u0661\u4e09\U0001f4a5"


def make_text(random: np.random.Generator, text: str) -> str:
    """A text with letters and words changed."""
    for _ in range(int(random.integers(0, 6))):
        words = text.split(" ")
        at = int(random.integers(0, len(words)))
        place = int(random.integers(0, len(text) + 1))
        action = int(random.integers(0, 7))
        if action == 0:
            words[at] = pick(random, WORDS)
        elif action == 1:
            words.insert(at, pick(random, (*TEXTS, *WORDS)))
        elif action == 2:
            del words[at]
        elif action == 3:
            words[at:at] = words * int(random.integers(1, 4))
        elif action == 4:
            words[at] = str(pick(random, (*NUMBERS, *FLOATS)))
        else:
            letter = pick(random, LETTERS)
            text = text[:place] + letter * int(random.integers(1, 4)) + text[place + action - 5 :]
            continue
        text = " ".join(words)
    return text


def make_number(random: np.random.Generator) -> str:
    """A written number, unit or length, whole or not."""
    pieces = (*"0123456789", ".", ",", " ", "-", "/", "'", '"', "\u00bd", "\u0663", "\u00b2", "x",
              " or ", " and ", " to ", "half ", "a ", "two ", "twenty-", "point ", "1,500", ".5",
              *(f" {unit}" for unit in UNIT_SYMBOLS), "m", "mm", "cm")  # fmt: skip
    return "".join(pick(random, pieces) for _ in range(int(random.integers(1, 8))))


def feed_number(text: str) -> str:
    """The same number in an answer and in a question: whole in both, or in neither."""
    reading = read_answer(text, Query("distance", ("mug",)))
    if reading.status is not Status.OK:
        assert reading.message and reading.value != reading.value
    try:
        query = parse_question(f"is the mug within {text} ?")
    except QuestionError:
        return f"{reading.status.name}, refused"
    if query.family == REACHABLE:
        assert reading.status is Status.OK and 0.0 < reading.value <= MAX_LENGTH_M
        assert abs(reading.value - query.radius_m) <= 0.05 * reading.value
    return "read"


UNTAUGHT = (
    "how many chairs are within 2 m?", "how many mugs are left of the nearest table?",
    "is there a can on the right?", "is the mug on the left?", "how wide is the table in feet?",
    "how far is the nearest chair?", "which is farther, the mug or the nearest chair?",
)  # fmt: skip


def make_question(random: np.random.Generator) -> tuple[str, tuple[str, ...], str]:
    """(question, the model's turns, mode)."""
    family = pick(random, tuple(FAMILIES))
    objects = [
        pick(random, (*CLASS_NAMES, *SYNONYMS)) for _ in range(FAMILIES[family].object_count)
    ]
    question = render_question(family, objects, float(random.random() * 5), 0)
    if random.random() < 0.3:  # what no model was taught, and units
        question = canonical_question(parse_question(pick(random, UNTAUGHT)))
    turns = tuple(make_text(random, turn) for turn in pick(random, (TURNS, (ANSWER,) * 3)))
    return make_text(random, question), turns, pick(random, ("interleaved", "maps", "direct"))


@lru_cache(maxsize=1)
def seen() -> Any:
    """One frame that was perceived already."""
    rgb = np.random.default_rng(0).integers(0, 255, (SIZE[1], SIZE[0], 3)).astype(np.uint8)
    context = toy_pipeline().see(Frame(rgb, Intrinsics.from_fov(60.0, *SIZE), 10**18, "camera"))
    context.perceive()
    return context


def feed_question(value: tuple[str, tuple[str, ...], str]) -> str:
    question, turns, mode = value
    context = seen()
    query, _ = understand(context, question)  # as the node does before a question waits
    assert query is not None
    canonical = canonical_question(query)
    assert canonical_question(parse_question(canonical)) == canonical
    write(context.engine, *turns)
    answer = context.answer(question, mode)
    context.engine.backend.script = []
    message = to_answer(answer, return_trace=True, image_age_s=0.1)
    serialize_message(message)
    again = from_answer(message)
    assert (again.status, again.question, again.text) == (
        answer.status, question, answer.text
    )  # fmt: skip
    assert answer.question_understood == canonical
    if answer.status is not Status.OK:
        assert answer.message, f"{answer.status.name} without a reason"
    if answer.value == answer.value and answer.low == answer.low:
        assert answer.low <= answer.value <= answer.high
    return answer.status.name


def make_parameter(random: np.random.Generator) -> tuple[str, Any]:
    """A name, mostly of the table, and a value of any type."""
    spec = pick(random, parameters.PARAMETERS)
    near = [spec.default, *spec.choices]
    if spec.minimum is not None and spec.maximum is not None:
        for bound in (spec.minimum, spec.maximum):
            near += [bound, bound - 1, bound + 1, int(bound), float(np.nextafter(bound, 1e300))]
    values = (*near, *near, True, "true", *FLOATS, *(n for n in NUMBERS), *TEXTS, -1, 2**62,
              [1, 2], ["a"], [], [0.5], b"\x00", None)  # fmt: skip
    name = spec.name if random.random() < 0.95 else pick(random, (*TEXTS, spec.name + "x"))
    return name, pick(random, values)


@lru_cache(maxsize=1)
def node() -> Any:
    """A real node with the table declared."""
    import rclpy
    from rclpy.node import Node

    from cooper_ros.ros.environment import set_defaults

    if not rclpy.ok():
        set_defaults()
        rclpy.init()
    made = Node("fuzzed")
    parameters.declare(made)
    return made


def feed_parameter(value: tuple[str, Any]) -> str:
    from rclpy.exceptions import ParameterNotDeclaredException
    from rclpy.parameter import Parameter

    name, content = value
    try:
        change = Parameter(name, value=content)
    except (TypeError, ValueError, AttributeError):
        return "not a parameter"  # rclpy itself cannot send it
    spec = parameters.BY_NAME.get(name)
    before = node().get_parameter(name).value if spec is not None else None
    try:
        result = node().set_parameters([change])[0]
    except ParameterNotDeclaredException:  # told to a remote caller as a reason
        assert spec is None
        return "refused"
    if not result.successful:
        assert result.reason.strip(), "refused without a reason"
        if spec is not None:
            assert node().get_parameter(name).value == before, "refused, but changed"
        return "refused"
    assert spec is not None, f"a parameter {name!r} that nobody declared was taken"
    problem = parameters.problem_with(spec, node().get_parameter(name).value)
    assert not problem, problem
    return "accepted"


def feed_table(value: tuple[str, Any]) -> str:
    """The check alone, which must know every value that rclpy would let through."""
    spec = parameters.BY_NAME.get(value[0])
    if spec is None:
        raise CooperError("no such parameter")
    return "refused" if parameters.problem_with(spec, value[1]) else "accepted"


def feed_both(value: tuple[str, Any]) -> str:
    feed_parameter(value)
    return feed_table(value)


def make_turn(random: np.random.Generator) -> tuple[int, str, str]:
    """(version of the grammar, family, a turn that was changed)."""
    version, family = int(random.integers(1, 3)), pick(random, tuple(FAMILIES))
    names = [pick(random, CLASS_NAMES) for _ in range(FAMILIES[family].object_count)]
    edges = (3, 47, 10, 99) if version > 1 and random.random() < 0.5 else None
    items = [ChainObject(n, 42, 7, 1.35, 0.12, -0.3, edges) for n in names]
    gone = names[int(random.integers(0, 2)) :]
    turn = final_turn(Query(family, tuple(names), 0.8), 1.0, items, gone, version)
    text = make_text(random, turn)
    if random.random() < 0.5:
        text = text[: int(random.integers(0, len(text) + 1))]
    return version, family, text


def feed_turn(value: tuple[int, str, str]) -> str:
    """Entries hold numbers in their ranges, and guesses are words, whatever was written."""
    version, family, text = value
    query = Query(family, ("mug", "box")[: FAMILIES[family].object_count], 0.8)
    items = parse_chains(text)
    for item in items:
        assert all(0 <= n <= 99 for n in (item.u, item.v, *(item.edges or ())))
        assert len(parse_chains(render_chain(item))) == 1
    read_answer(text, query)
    guess = draft(split_words(text), query, Intrinsics.from_fov(60.0, *SIZE), version)
    assert len(guess) < MAX_GUESS
    number = set("0123456789.-")
    strange = [w for w in guess if w not in vocabulary(version) and not set(w) <= number]
    assert not strange, strange
    return "entries" if items else "no entry"


MAX_GUESS = 64

KINDS = (
    Kind("turns", make_turn, feed_turn),
    Kind("questions", make_question, feed_question),
    Kind("numbers", make_number, feed_number),
    Kind("parameters", make_parameter, feed_both),
)
