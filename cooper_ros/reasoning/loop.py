"""The interleaved loop (think, ask for a map, look at it, answer) as a pure state machine.

No model in here: the loop says what to do next, the runtime does it and reports back.

    loop = InterleavedLoop(script, question)
    while (request := loop.request) is not None:
        if isinstance(request, GenerateText):
            # decode up to request.max_tokens after the context, starting with a text start marker
            loop.text_done(text, token_count, seconds)
        else:  # GenerateMap
            # sample request.kind at the map size of the input image
            loop.map_done(seconds)
    loop.result  # LoopResult

Contexts are values: a `ContextSpec` is the tuple of segments that the model must have seen, in
order. A runtime keeps finished contexts under their spec, looks for the longest known prefix of the
requested one, forks it and adds what is missing. That gives, without further rules, the official
behaviour (each turn continues the last one; the text-dropped context is rebuilt from the
conditional one before the turn) and nano's (one prefix per frame, shared by every question).

Segments
- `TextSegment(text)`: start marker, ids, end marker.
- `ImageSegment()`: the input image as the model takes it (autoencoder + vision, or vision alone).
- `MapSegment(kind)`: a generated map as the model takes it back (vision of the coloured map, or
  its clean latents). Refers to the newest map of that kind made for this frame in this loop
  ("inline": there may be one per turn, `index` tells them apart; "prefix": index is always 0).

Placement "inline" (official COOPER): a map follows the turn that asked for it, then the reflection
text. A turn without a closed tool tag changes no context: the next turn is a retry. Depth has
priority over segmentation. With `max_turns` turns the loop ends without an answer.

Placement "prefix" (nano): a map is made from [image][tool text] alone, belongs to the frame and
stands before the question in the order depth, segmentation; the turn is then asked anew. Asking
for a map that is already there changes nothing, like a turn without a tag.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cooper_ros.core.types import NAN, ReasoningStep, Status, StepType
from cooper_ros.reasoning.tags import (
    DEPTH,
    MAP_ORDER,
    MapKind,
    cut_tool,
    find_answer,
    find_thought,
    find_tool,
    strip_tags,
)


@dataclass(frozen=True, slots=True)
class TextSegment:
    """A text between start and end marker."""

    text: str


@dataclass(frozen=True, slots=True)
class ImageSegment:
    """The input image."""


@dataclass(frozen=True, slots=True)
class MapSegment:
    """A generated map; `index` counts the maps of one inline loop from 0."""

    kind: MapKind
    index: int = 0


Segment = TextSegment | ImageSegment | MapSegment
ContextSpec = tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class GenerateText:
    """Decode one turn (number `turn`, from 1) behind `context`."""

    context: ContextSpec
    max_tokens: int
    turn: int


@dataclass(frozen=True, slots=True)
class GenerateMap:
    """Sample a map. Guidance contexts are None where the placement has none.

    `result` is the segment under which later contexts refer to the map.
    """

    kind: MapKind
    conditional: ContextSpec
    text_dropped: ContextSpec | None
    image_dropped: ContextSpec | None
    result: MapSegment
    turn: int


Request = GenerateText | GenerateMap


@dataclass(frozen=True, slots=True)
class LoopScript:
    """What a loop needs to know of the model: placement, texts and limits."""

    placement: str  # "inline" or "prefix"
    depth: str
    segmentation: str
    system: str = ""
    reflection: str = ""
    direct: str = "direct"
    max_turns: int = 3
    max_turn_tokens: int = 2048

    def tool_text(self, kind: MapKind) -> str:
        """The text that calls for a map of this kind."""
        return self.depth if kind == DEPTH else self.segmentation

    def request_turn(self, kind: MapKind) -> str:
        """How a model of prefix placement was taught to ask for a map of this kind."""
        need = "depth" if kind == DEPTH else "objects"
        return f"<think> i need {need} </think> {self.tool_text(kind)}"


@dataclass(frozen=True, slots=True)
class LoopResult:
    """How a loop ended.

    `status`: OK (an answer tag was closed), NO_ANSWER, CANCELED, TIMEOUT or ERROR; `answer`:
    content of the answer tag, "" if none; `last_turn`: the full last turn; `maps`: the maps made,
    in order; `order`: "text" / "image" per segment of the whole transcript, retried turns included.
    """

    status: Status
    answer: str
    last_turn: str
    turns: int
    maps: tuple[MapKind, ...]
    trace: tuple[ReasoningStep, ...]
    order: tuple[str, ...]
    token_count: int


class InterleavedLoop:
    """One question; see the module text. `direct`: no tools, one turn on the image alone.

    `ready_maps` (prefix placement): maps of this frame that the question starts with, so that the
    turns that would ask for them are skipped.
    """

    def __init__(
        self,
        script: LoopScript,
        question: str,
        *,
        direct: bool = False,
        ready_maps: Sequence[MapKind] = (),
    ) -> None:
        if script.placement not in ("inline", "prefix"):
            raise ValueError(f"placement must be 'inline' or 'prefix', got {script.placement!r}")
        if ready_maps and (direct or script.placement != "prefix"):
            raise ValueError("ready_maps need placement 'prefix' and a loop that uses maps")
        self.script = script
        self.question = question
        self.direct = direct
        self.result: LoopResult | None = None
        self._history: ContextSpec = ()
        self._maps: list[MapKind] = [kind for kind in MAP_ORDER if kind in ready_maps]
        self._made: list[MapKind] = []
        self._trace: list[ReasoningStep] = []
        self._order = [_order_name(segment) for segment in self.context()]
        self._turn = 1
        self._last_turn = ""
        self._tokens = 0
        self.request: Request | None = self._ask_turn()

    def context(self, *, with_image: bool = True) -> ContextSpec:
        """The conditional context before the next turn, or the image-dropped one."""
        image: ContextSpec = (ImageSegment(),) if with_image else ()
        question = (TextSegment(self.question),)
        if self.direct:
            return image + _texts(self.script.direct) + question
        if self.script.placement == "inline":
            return _texts(self.script.system) + image + question + self._history
        maps = tuple(MapSegment(kind) for kind in MAP_ORDER if kind in self._maps)
        return image + maps + _texts(self.script.system) + question

    def text_done(self, text: str, token_count: int = 0, seconds: float = NAN) -> None:
        """The requested turn was decoded: `text` without the start and end marker."""
        if not isinstance(self.request, GenerateText):
            raise ValueError("no turn was asked for")
        self._last_turn = text
        self._tokens += token_count
        self._order.append("text")
        answer = find_answer(text)
        kind = None if self.direct else find_tool(text)
        self._note_turn(text, answer, token_count, seconds)
        if answer is not None:
            self._finish(Status.OK, answer)
        elif self.direct or self._turn >= self.script.max_turns:
            self._finish(Status.NO_ANSWER)
        elif kind is None or (self.script.placement == "prefix" and kind in self._maps):
            self._next_turn()
        else:
            self.request = self._ask_map(kind, text)

    def map_done(self, seconds: float = NAN) -> None:
        """The requested map was made and is available under `request.result`."""
        request = self.request
        if not isinstance(request, GenerateMap):
            raise ValueError("no map was asked for")
        step = StepType.DEPTH if request.kind == DEPTH else StepType.SEGMENTATION
        self._trace.append(ReasoningStep(step, seconds=seconds))
        self._order.append("image")
        self._made.append(request.kind)
        if self.script.placement == "inline":
            reflection = _texts(self.script.reflection)
            self._history += (TextSegment(self._last_turn), request.result, *reflection)
            self._order.extend("text" for _ in reflection)
        else:
            self._maps.append(request.kind)
        self._next_turn()

    def expected_request(self) -> str:
        """The turn that asks for the next map, where such turns have one wording; else ""."""
        if self.direct or self.script.placement != "prefix":
            return ""
        missing = [kind for kind in MAP_ORDER if kind not in self._maps]
        return self.script.request_turn(missing[0]) if missing else ""

    def stop(self, status: Status = Status.CANCELED) -> LoopResult:
        """End now (cancelled, timed out, failed); the result keeps what was reached."""
        if self.result is None:
            self._finish(status)
        assert self.result is not None
        return self.result

    def _ask_turn(self) -> GenerateText:
        return GenerateText(self.context(), self.script.max_turn_tokens, self._turn)

    def _ask_map(self, kind: MapKind, turn: str) -> GenerateMap:
        if self.script.placement == "prefix":
            source = (ImageSegment(), *_texts(self.script.tool_text(kind)))
            return GenerateMap(kind, source, None, None, MapSegment(kind), self._turn)
        before = self.context()
        return GenerateMap(
            kind,
            (*before, TextSegment(turn)),
            (*before, TextSegment(cut_tool(turn, kind))),
            (*self.context(with_image=False), TextSegment(turn)),
            MapSegment(kind, len(self._made)),
            self._turn,
        )

    def _next_turn(self) -> None:
        self._turn += 1
        self.request = self._ask_turn()

    def _note_turn(self, text: str, answer: str | None, tokens: int, seconds: float) -> None:
        thought = find_thought(text) if answer is not None else strip_tags(text)
        if thought or answer is None:
            self._trace.append(
                ReasoningStep(StepType.THINK, strip_tags(thought), tokens, seconds)
            )
            tokens, seconds = 0, NAN  # a turn is counted once
        if answer is not None:
            self._trace.append(ReasoningStep(StepType.ANSWER, answer, tokens, seconds))

    def _finish(self, status: Status, answer: str = "") -> None:
        self.request = None
        self.result = LoopResult(
            status,
            answer,
            self._last_turn,
            self._turn,
            tuple(self._made),
            tuple(self._trace),
            tuple(self._order),
            self._tokens,
        )


def _texts(text: str) -> ContextSpec:
    """A text segment, or nothing for an empty text."""
    return (TextSegment(text),) if text else ()


def _order_name(segment: Segment) -> str:
    return "text" if isinstance(segment, TextSegment) else "image"
