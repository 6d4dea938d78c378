"""Answering one question about a frame: the reasoning loop, driven on the model."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cooper_ros.core.errors import GenerationCancelled, QuestionError
from cooper_ros.core.measure import Measurement, measure_maps
from cooper_ros.core.query import Query
from cooper_ros.core.types import (
    NAN,
    ReasoningStep,
    ScaleSource,
    SpatialAnswer,
    Status,
    StepType,
)
from cooper_ros.reasoning.canonical import canonical_question
from cooper_ros.reasoning.crosscheck import build_answer, failed_answer, in_asked_unit
from cooper_ros.reasoning.drafts import END as ANSWER_END
from cooper_ros.reasoning.drafts import draft, rest_of
from cooper_ros.reasoning.loop import (
    GenerateMap,
    GenerateText,
    InterleavedLoop,
    LoopResult,
)
from cooper_ros.reasoning.normalise import check_length
from cooper_ros.reasoning.questions import parse_question
from cooper_ros.reasoning.tags import DEPTH, MAP_ORDER, SEGMENTATION, strip_tags
from cooper_ros.reasoning.verdict import judge
from cooper_ros.runtime.cancel import CancelToken
from cooper_ros.runtime.events import Event, MapReady, MapRequested, TurnText, Unmeasured
from cooper_ros.runtime.flow import initial_latents
from cooper_ros.runtime.generation import (
    Decoding,
    Drafter,
    GeneratedText,
    generate_latents,
    stream_text,
)
from cooper_ros.runtime.measuring import (
    beyond_model,
    cautioned,
    measured_events,
    only_measured,
    stamped,
    unnamed,
    with_measured_bounds,
)
from cooper_ros.runtime.naming import MEASURED, MODEL, NOT_BY_MODEL, names_for
from cooper_ros.runtime.store import GeneratedMap, map_conditions, script_of

if TYPE_CHECKING:
    from cooper_ros.runtime.frame_context import FrameContext

NO_INTRINSICS = (
    "metres were asked for, but the frame has no valid camera intrinsics: "
    "give a calibrated camera_info, or --intrinsics"
)
RELATIVE_ONLY = (
    "metres were asked for, but this model's depth is relative: give it a metric scale (range "
    "points, the camera's height above the floor, or ~/calibrate_scale)"
)


@dataclass
class _Run:
    """One question under way."""

    context: FrameContext
    loop: InterleavedLoop
    query: Query | None
    cancel: CancelToken | None
    decoding: Decoding | None
    started: float
    confidence: float = NAN
    inline_maps: int = 0
    unfinished: GeneratedText | None = None
    """The turn that is being written."""

    def __post_init__(self) -> None:
        self.store = self.context.store.for_question()

    def events(self) -> Iterator[Event]:
        """Do what the loop asks for until it ends."""
        while (request := self.loop.request) is not None:
            if isinstance(request, GenerateText):
                yield from self._turn(request)
            else:
                yield from self._map(request)

    def _turn(self, request: GenerateText) -> Iterator[Event]:
        started = time.monotonic()
        written = GeneratedText((), "", False, NAN)
        context = self.store.context(request.context)
        guesses = self._drafter()
        for written in stream_text(
            context, request.max_tokens, self.decoding, self.cancel, guesses
        ):
            self.unfinished = written
            yield TurnText(request.turn, written.text)
        self.unfinished = None
        self.confidence = written.confidence
        self.loop.text_done(written.text, len(written.ids), time.monotonic() - started)
        yield TurnText(request.turn, written.text, done=True)

    def _drafter(self) -> Drafter | None:
        """Guesses for this turn: the request of the next map, else the answer."""
        tokenizer, query = self.context.engine.tokenizer, self.query
        if query is None or not tokenizer.word_level:
            return None
        asks = self.loop.expected_request()
        end = self.context.spec.tokens.text_end
        intrinsics, grammar = self.store.intrinsics, self.context.spec.grammar

        def guess(ids: Sequence[int]) -> list[int]:
            written = tokenizer.tokens(ids)
            words = (
                rest_of(asks, written) if asks else draft(written, query, intrinsics, grammar)
            )
            closed = bool(words) and (bool(asks) or words[-1] == ANSWER_END)
            return [tokenizer.token_id(word) for word in words] + ([end] if closed else [])

        return guess

    def _map(self, request: GenerateMap) -> Iterator[Event]:
        yield MapRequested(request.turn, request.kind)
        started = time.monotonic()
        inline = self.context.spec.map_placement == "inline"
        cached = not inline and self.context.has_map(request.kind)
        if inline:
            made = self._inline_map(request)
            self.store.set_map(request.result, made)
        else:
            made = self.context.map(request.kind, self.cancel)
        seconds = time.monotonic() - started
        self.loop.map_done(seconds)
        yield MapReady(request.turn, request.kind, cached, seconds, made)

    def _inline_map(self, request: GenerateMap) -> GeneratedMap:
        spec, pictures = self.context.spec, self.store.pictures
        shape = (1, pictures.rows * pictures.columns, spec.latent_dim)
        noise = initial_latents(spec.interleaved, shape, self.context.seed + self.inline_maps)
        self.inline_maps += 1
        tokens = generate_latents(
            map_conditions(self.store, request),
            noise,
            pictures.rows,
            pictures.columns,
            spec.interleaved,
            self.cancel,
        )
        return GeneratedMap.decode(self.context.engine, request.kind, tokens[0], pictures)


def ask(
    context: FrameContext,
    question: str,
    mode: str = "interleaved",
    cancel: CancelToken | None = None,
    decoding: Decoding | None = None,
) -> Iterator[Event]:
    """See `FrameContext.ask`. The question is checked here and now, not at the first event."""
    if mode not in ("interleaved", "maps", "direct"):
        raise ValueError(f"mode must be interleaved, maps or direct, got {mode!r}")
    if mode == "maps" and context.spec.map_placement != "prefix":
        raise ValueError("mode maps needs a model whose maps stand before the question")
    query, text = understand(context, question)
    return _events(context, question, query, text, mode, cancel, decoding)


def understand(context: Any, question: str) -> tuple[Query | None, str]:
    """The parsed question and the text that the model is fed ("" where its maps answer alone).

    `context`: a frame's, or the pipeline. A word-level model takes only questions of its grammar,
    and what others named is measured; a byte-level one takes any, and those of the grammar are
    measured besides. Raises QuestionError, which names the known words.
    """
    names, synonyms = names_for(context), context.naming.synonyms
    if not context.has_model:
        return parse_question(question, names, synonyms), ""
    tokenizer = context.engine.tokenizer
    if tokenizer.word_level:
        query = parse_question(question, names, synonyms)
        unknown = tokenizer.unknown_words(query.text)
        if unknown and not set(query.objects) & set(context.naming.names):
            raise QuestionError(
                f"this model does not know: {', '.join(unknown)}", tokenizer.words, unknown
            )
        if context.naming.answers == MODEL and beyond_model(context, query):
            raise QuestionError(NOT_BY_MODEL, names)
        return query, query.text
    check_length(question)
    if not names and context.naming.answers != MEASURED:
        return None, question
    try:
        return parse_question(question, names, synonyms), question
    except QuestionError:
        if context.naming.answers == MEASURED:  # free text cannot be measured
            raise
        return None, question


def understood(context: Any, question: str) -> str:
    """The question in canonical words, "" where it is refused or free text."""
    try:
        query, _ = understand(context, question)
    except QuestionError:
        return ""
    return canonical_question(query) if query is not None else ""


def _events(
    context: FrameContext,
    question: str,
    query: Query | None,
    text: str,
    mode: str,
    cancel: CancelToken | None,
    decoding: Decoding | None,
) -> Iterator[Event]:
    started = time.monotonic()
    if query is not None and query.needs_metres and not context.has_metres:
        why = NO_INTRINSICS if context.store.intrinsics is None else RELATIVE_ONLY
        answer = failed_answer(question, Status.NOT_METRIC, why, query)
        yield stamped(context, answer, NAN, time.monotonic() - started)
        return
    if query is not None and (only_measured(context, query) or unnamed(context, query)):
        yield from measured_events(context, question, query, cancel, started)
        return
    direct = mode == "direct"
    script = script_of(context.spec)
    if direct:
        script = replace(script, max_turn_tokens=context.spec.loop.max_answer_tokens)
    run: _Run | None = None
    measurement: Measurement | None = None
    try:
        ready = MAP_ORDER if mode == "maps" else ()
        if not direct:
            context.show_depth()
        context.make_maps(ready, cancel)
        loop = InterleavedLoop(script, text, direct=direct, ready_maps=ready)
        run = _Run(context, loop, query, cancel, decoding, started=started)
        yield from run.events()
        result = loop.stop()  # it has ended: this gives the result
        if direct and context.has_map(DEPTH) and context.has_map(SEGMENTATION):
            # a direct answer is told before it is measured: not unchecked where maps are there
            measurement = _measured(context, query, cancel)
        yield Unmeasured(_finished(run, question, query, result, measurement))
        if measurement is None:
            measurement = _measured(context, query, cancel)
    except GenerationCancelled:
        result = _cancelled(run)
    if run is None:
        answer = build_answer(question, query, result)
        yield stamped(context, answer, NAN, time.monotonic() - started)
    else:
        yield _finished(run, question, query, result, measurement)


def _measured(
    context: FrameContext, query: Query | None, cancel: CancelToken | None
) -> Measurement | None:
    """What the maps of the frame say, made if they are missing; None where they cannot say it."""
    if query is None or not names_for(context):
        return None
    segmentation, depth = context.segmentation(cancel), context.depth(cancel)
    return measure_maps(query, segmentation, depth, gravity=context.gravity)


def _finished(
    run: _Run,
    question: str,
    query: Query | None,
    result: LoopResult,
    measurement: Measurement | None,
) -> SpatialAnswer:
    """The answer with its intervals, judged by them, with confidence and provenance."""
    answer = build_answer(question, query, result, measurement)
    if not run.loop.direct:  # intervals were calibrated with maps in the context
        answer = _bounded(run.context, query, answer)
    if measurement is not None:
        answer = with_measured_bounds(run.context, query, answer, measurement)
    answer = cautioned(run.context, query, judge(answer, query, measurement))
    answer = in_asked_unit(answer, query)
    confidence = run.confidence if answer.text else NAN
    return stamped(run.context, answer, confidence, time.monotonic() - run.started)


def _cancelled(run: _Run | None) -> LoopResult:
    """What was reached before the cancellation: an answer already written stays one, and of a turn
    that was being written the trace gets the text so far."""
    if run is None:
        return LoopResult(Status.CANCELED, "", "", 0, (), (), (), 0)
    result = run.loop.stop(Status.CANCELED)
    text = run.unfinished
    if text is None:
        return result
    step = ReasoningStep(StepType.THINK, strip_tags(text.text), len(text.ids))
    return replace(result, last_turn=text.text, trace=(*result.trace, step))


def _bounded(
    context: FrameContext, query: Query | None, answer: SpatialAnswer
) -> SpatialAnswer:
    """The answer with the calibrated interval of its value, widened where real pictures ask for it;
    bounds the model wrote itself stay."""
    calibration = context.calibration
    wrote_bounds = answer.low == answer.low
    if calibration is None or query is None or query.unit != "m" or wrote_bounds:
        return answer
    low, high = calibration.bounds(query.family, answer.value)
    if context.real is not None and context.scale_source is ScaleSource.MODEL_PRIOR:
        low, high = context.real.widened(answer.value, low, high)
    return replace(answer, low=low, high=high)
