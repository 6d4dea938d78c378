"""The interleaved loop against scripted turns."""

from __future__ import annotations

import json
import math

import pytest

from cooper_ros.core.types import Status, StepType
from cooper_ros.reasoning.loop import (
    GenerateMap,
    GenerateText,
    ImageSegment,
    InterleavedLoop,
    LoopScript,
    MapSegment,
    TextSegment,
)
from cooper_ros.reasoning.prompts import nano_script, official_script
from cooper_ros.reasoning.tags import cut_tool, find_answer, find_tool, plain_text, strip_tags

DEPTH, SEGMENTATION = "<depth-estimation>d</depth-estimation>", "<segmentation>s</segmentation>"
INLINE = LoopScript("inline", DEPTH, SEGMENTATION, "system", "look again")
IMAGE = ImageSegment()


def T(text):  # noqa: N802 - short for the tables below
    return TextSegment(text)


def drive(loop, turns):
    """Feed scripted turns; returns the requests in order."""
    requests, script = [], iter(turns)
    while (request := loop.request) is not None:
        requests.append(request)
        if isinstance(request, GenerateText):
            loop.text_done(next(script), token_count=10, seconds=0.5)
        else:
            loop.map_done(seconds=0.25)
    return requests


def test_official_order_of_contexts():
    turns = [f"<think>a</think>\n{DEPTH}", f"<think>b</think>{SEGMENTATION}",
             "<think>c</think><answer>1 m</answer>"]
    loop = InterleavedLoop(INLINE, "question")
    first, depth, second, segmentation, third = drive(loop, turns)
    start = (T("system"), IMAGE, T("question"))
    assert first == GenerateText(start, 2048, 1)
    assert depth.conditional == (*start, T(turns[0]))
    assert depth.text_dropped == (*start, T("<think>a</think>\n"))
    assert depth.image_dropped == (T("system"), T("question"), T(turns[0]))
    after = (*start, T(turns[0]), MapSegment("depth", 0), T("look again"))
    assert second.context == after and second.turn == 2
    assert segmentation.conditional == (*after, T(turns[1]))
    assert segmentation.text_dropped == (*after, T("<think>b</think>"))
    assert segmentation.image_dropped == (*after[:1], *after[2:], T(turns[1]))
    assert segmentation.result == MapSegment("segmentation", 1)
    assert third.context == (
        *after, T(turns[1]), MapSegment("segmentation", 1), T("look again")
    )
    assert loop.result.status is Status.OK and loop.result.answer == "1 m"
    assert loop.result.maps == ("depth", "segmentation")
    assert loop.result.turns == 3 and loop.result.token_count == 30


def test_turn_without_a_tool_is_retried_from_the_same_context():
    loop = InterleavedLoop(INLINE, "question")
    first, second, third = drive(loop, ["hm", "<depth-estimation> not closed", "hm"])
    assert first.context == second.context == third.context
    assert [r.turn for r in (first, second, third)] == [1, 2, 3]
    assert loop.result.status is Status.NO_ANSWER and loop.result.answer == ""


def test_depth_comes_before_segmentation_and_only_its_block_is_cut():
    turn = f"x {SEGMENTATION} and {DEPTH} y"
    loop = InterleavedLoop(INLINE, "question")
    _, made, *_ = drive(loop, [turn, "<answer>2</answer>"])
    assert made.kind == "depth"
    assert made.text_dropped[-1] == T(f"x {SEGMENTATION} and  y")


def test_a_closed_answer_wins_over_a_tool():
    loop = InterleavedLoop(INLINE, "question")
    requests = drive(loop, [f"{DEPTH}<answer> 3 </answer>"])
    assert len(requests) == 1 and loop.result.answer == "3"


def test_tool_in_the_last_turn_makes_no_map():
    loop = InterleavedLoop(INLINE, "question")
    requests = drive(loop, [DEPTH, DEPTH, DEPTH])
    assert sum(isinstance(r, GenerateMap) for r in requests) == 2
    assert loop.result.status is Status.NO_ANSWER
    assert [r.result.index for r in requests if isinstance(r, GenerateMap)] == [0, 1]


@pytest.mark.parametrize("name", ["loop", "loop2"])
def test_order_of_the_conformance_data(root, name):
    path = root / ".." / "shared" / "golden" / "cooper_tiny" / "cases.json"
    if not path.is_file():
        pytest.skip("conformance data ../shared/golden is not here")
    cases = json.loads(path.read_text())
    prompts, case = cases["prompts"], cases[name]
    script = LoopScript("inline", prompts["depth"], prompts["segmentation"], prompts["system"],
                        prompts["after_map"])
    loop = InterleavedLoop(script, case["question"])
    requests = drive(loop, case["script"])
    assert list(loop.result.order) == case["order"]
    contexts = [r.context for r in requests if isinstance(r, GenerateText)]
    lengths = [kv[0] for kv in case["kv"]]
    for i in range(1, len(contexts)):  # longer exactly where the keys and values grew
        assert (len(contexts[i]) > len(contexts[i - 1])) == (lengths[i] > lengths[i - 1])


NANO = nano_script()


def test_nano_maps_stand_before_the_question():
    turns = [f"<think> i need depth </think> {NANO.depth}",
             f"<think> i need objects </think> {NANO.segmentation}",
             "<think> x </think> <answer> 1.42 m </answer>"]
    loop = InterleavedLoop(NANO, "how far is the mug ?")
    question = T("how far is the mug ?")
    first, depth, second, segmentation, third = drive(loop, turns)
    assert first.context == (IMAGE, question)
    assert depth.conditional == (IMAGE, T(NANO.depth))
    assert depth.text_dropped is None and depth.image_dropped is None
    assert second.context == (IMAGE, MapSegment("depth"), question)
    assert segmentation.conditional == (IMAGE, T(NANO.segmentation))
    assert third.context == (IMAGE, MapSegment("depth"), MapSegment("segmentation"), question)
    assert loop.result.order == ("image", "text", "text", "image", "text", "image", "text")


def test_nano_prefix_has_one_order_whatever_was_asked_first():
    loop = InterleavedLoop(NANO, "q")
    *_, last = drive(loop, [NANO.segmentation, NANO.depth, "<answer> 1 </answer>"])
    assert last.context[:3] == (IMAGE, MapSegment("depth"), MapSegment("segmentation"))


def test_nano_asking_for_the_same_map_again_is_a_retry():
    loop = InterleavedLoop(NANO, "q")
    requests = drive(loop, [NANO.depth, NANO.depth, NANO.depth])
    assert sum(isinstance(r, GenerateMap) for r in requests) == 1
    assert loop.result.status is Status.NO_ANSWER and loop.result.maps == ("depth",)


def test_ready_maps_skip_their_turns():
    loop = InterleavedLoop(NANO, "q", ready_maps=("segmentation", "depth"))
    (only,) = drive(loop, ["<answer> yes </answer>"])
    assert only.context == (IMAGE, MapSegment("depth"), MapSegment("segmentation"), T("q"))
    assert loop.result.maps == ()


def test_direct_mode_has_no_tools():
    loop = InterleavedLoop(NANO, "q", direct=True)
    (only,) = drive(loop, [NANO.depth])
    assert only.context == (IMAGE, T("direct"), T("q"))
    assert loop.result.status is Status.NO_ANSWER


def test_stop_keeps_what_was_reached():
    loop = InterleavedLoop(NANO, "q")
    loop.text_done(f"<think> i need depth </think> {NANO.depth}", 6, 0.1)
    result = loop.stop()
    assert result.status is Status.CANCELED and loop.request is None
    assert [step.type for step in result.trace] == [StepType.THINK]
    assert loop.stop(Status.ERROR) is result


def test_reports_must_match_requests():
    loop = InterleavedLoop(NANO, "q")
    with pytest.raises(ValueError, match="no map"):
        loop.map_done()
    loop.text_done(NANO.depth)
    with pytest.raises(ValueError, match="no turn"):
        loop.text_done("x")


def test_trace_is_for_people():
    loop = InterleavedLoop(INLINE, "q")
    drive(loop, [f"<think>I need depth.</think>{DEPTH}",
                 "<think> near </think> <answer> 1 m </answer>"])
    steps = [(s.type, s.text, s.token_count) for s in loop.result.trace]
    assert steps == [
        (StepType.THINK, "I need depth.", 10),
        (StepType.DEPTH, "", 0),
        (StepType.THINK, "near", 10),
        (StepType.ANSWER, "1 m", 0),
    ]
    assert loop.result.trace[1].seconds == 0.25 and math.isnan(loop.result.trace[3].seconds)


def test_wrong_use_is_refused():
    with pytest.raises(ValueError, match="placement"):
        InterleavedLoop(LoopScript("outside", DEPTH, SEGMENTATION), "q")
    with pytest.raises(ValueError, match="ready_maps"):
        InterleavedLoop(INLINE, "q", ready_maps=("depth",))


def test_official_strings():
    script = official_script()
    assert find_tool(script.depth) == "depth" and find_tool(script.segmentation) == "segmentation"
    assert script.max_turns == 3 and script.system and script.reflection


def test_tags():
    assert find_tool("<depth-estimation>") is None
    assert find_tool(f"{SEGMENTATION} {DEPTH}") == "depth"
    assert find_answer("<answer>a\nb </answer><answer>c</answer>") == "a\nb"
    assert find_answer("<answer> open") is None
    assert cut_tool(f"a\n{DEPTH}\nb", "depth") == "a\n\nb"
    assert strip_tags(f"<think> <obj> mug </obj> </think>{DEPTH}") == "mug"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("1.42 m", "1.42 m"),
        ("<obj> mug </obj>", "mug"),
        ("<think> 1.42 m", "1.42 m"),
        ("<b>1.42</b> m <|im_end|>", "1.42 m"),
        ("less than < 2 m, more > 1 m", "less than < 2 m, more > 1 m"),
    ],
)
def test_an_answer_for_people_holds_no_tags(text: str, plain: str) -> None:
    assert plain_text(text) == plain
