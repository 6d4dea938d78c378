"""Contexts under the names that the reasoning loop gives them, and the maps they refer to.

The loop names a context by the tuple of its segments. The store finds the longest prefix that was
read before, forks it and adds what is missing. What belongs to the frame alone (image, system text,
maps placed before the question) stays for later questions; the rest lives as long as its question.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.codecs import ClassReading, read_scores, spectral_colormap
from cooper_ros.core.types import Intrinsics
from cooper_ros.reasoning.loop import (
    ContextSpec,
    GenerateMap,
    ImageSegment,
    LoopScript,
    MapSegment,
    TextSegment,
)
from cooper_ros.reasoning.tags import DEPTH, SEGMENTATION, MapKind
from cooper_ros.runtime.backend import Float
from cooper_ros.runtime.context import Context, Engine
from cooper_ros.runtime.fused import features
from cooper_ros.runtime.generation import Conditions
from cooper_ros.runtime.pictures import (
    Pictures,
    add_input_image,
    decode_latents,
    decode_scores,
    prepare,
    to_rgb,
    unit_range,
)
from cooper_ros.runtime.spec import ModelSpec


@dataclass(frozen=True, eq=False)
class GeneratedMap:
    """A map as the model made it: latent tokens [N, c] and their picture [3, h, w], nominally in
    [-1, 1]. `reading`: classes uint8 [h, w] and their probability f32 [h, w], of a model that gives
    scores; the picture is then painted with the winners' colours."""

    kind: MapKind
    tokens: Float
    picture: Float
    reading: ClassReading | None = None

    @classmethod
    def decode(
        cls, engine: Engine, kind: MapKind, tokens: Float, pictures: Pictures
    ) -> GeneratedMap:
        """Run the autoencoder's decoder on latent tokens [N, c]."""
        settings = engine.spec.segmentation
        if kind == SEGMENTATION and settings is not None and settings.scores:
            scores = decode_scores(engine, tokens, pictures.rows, pictures.columns)
            reading = read_scores(scores)
            return cls(kind, tokens, settings.codec().encode(reading[0]), reading)
        picture = decode_latents(engine, tokens, pictures.rows, pictures.columns)
        return cls(kind, tokens, picture)

    def classes(self, spec: ModelSpec) -> ClassReading:
        """Classes and their probability, from scores or, without them, from the colours. Raises
        ValueError for a model without classes."""
        if self.reading is not None:
            return self.reading
        if spec.segmentation is None:
            raise ValueError("this model has no class palette")
        return spec.segmentation.codec().decode(self.picture)

    def rgb(self) -> NDArray[np.uint8]:
        """uint8 [h, w, 3] as the official model sees its own map: depth in the Spectral colour map
        (near red, far blue), segmentation in its own colours."""
        if self.kind == DEPTH:
            return spectral_colormap(unit_range(self.picture).mean(axis=0)).transpose(1, 2, 0)
        return to_rgb(self.picture)


def script_of(spec: ModelSpec) -> LoopScript:
    """The loop script of a model."""
    prompts = spec.prompts
    return LoopScript(
        spec.map_placement,
        prompts.depth,
        prompts.segmentation,
        prompts.system,
        prompts.reflection,
        prompts.direct,
        spec.loop.max_turns,
        spec.loop.max_turn_tokens,
    )


class ContextStore:
    """Contexts and maps of one frame, or (with a parent) of one question about it."""

    def __init__(
        self,
        engine: Engine,
        pictures: Pictures,
        intrinsics: Intrinsics | None = None,
        parent: ContextStore | None = None,
    ) -> None:
        self.engine = engine
        self.pictures = pictures
        self.intrinsics = intrinsics
        self.image_passes = 0
        """How often the input image was read; 1 for any number of questions."""
        self.vision_mean: Float | None = None
        """Mean [D] of the vision tokens of the input image; None until it was read."""
        self._parent = parent
        self._contexts: dict[ContextSpec, Context] = {}
        self._maps: dict[MapSegment, GeneratedMap] = {}

    def for_question(self) -> ContextStore:
        """A store for one question: sees this one, and is dropped with the question."""
        return ContextStore(self.engine, self.pictures, self.intrinsics, self)

    def context(self, name: ContextSpec) -> Context:
        """The context of these segments. Fork it before adding to it."""
        known, context = self._longest(name)
        for end in range(known + 1, len(name) + 1):
            segment = name[end - 1]
            if isinstance(segment, MapSegment) and self.engine.spec.map_context == "fused":
                context = self._with_fused(name[:end])
            else:
                context = context.fork()
                self._add(context, segment)
            self._owner(name[:end])._contexts[name[:end]] = context
        return context

    def _with_fused(self, name: ContextSpec) -> Context:
        """The maps at the end of a context as one segment behind what stands before them: with
        one map more the segment is another one."""
        first = len(name)
        while first and isinstance(name[first - 1], MapSegment):
            first -= 1
        context = self.context(name[:first]).fork()
        made: dict[MapKind, GeneratedMap] = {}
        for segment in name[first:]:
            assert isinstance(segment, MapSegment)
            made[segment.kind] = self._made(segment)
        spec = self.engine.spec
        depth, classes = made.get(DEPTH), made.get(SEGMENTATION)
        metres = spec.depth.codec().decode(depth.picture) if depth is not None else None
        labels = classes.classes(spec)[0] if classes is not None else None
        rows, columns = self.pictures.rows, self.pictures.columns
        cells = features(spec.fused_settings(), rows, columns, metres, labels)
        context.add_maps(cells, rows, columns)
        return context

    def set_map(self, segment: MapSegment, made: GeneratedMap) -> None:
        """Make a map known; contexts that held another map under this name are forgotten."""
        self._maps[segment] = made
        for name in [name for name in self._contexts if segment in name]:
            del self._contexts[name]

    def map(self, segment: MapSegment) -> GeneratedMap | None:
        """The map of a segment, here or in the frame's store; None if there is none."""
        made = self._maps.get(segment)
        if made is None and self._parent is not None:
            return self._parent.map(segment)
        return made

    def _longest(self, name: ContextSpec) -> tuple[int, Context]:
        for end in range(len(name), 0, -1):
            found = self._find(name[:end])
            if found is not None:
                return end, found
        return 0, Context(self.engine)

    def _find(self, name: ContextSpec) -> Context | None:
        found = self._contexts.get(name)
        if found is None and self._parent is not None:
            return self._parent._find(name)
        return found

    def _owner(self, name: ContextSpec) -> ContextStore:
        """Where a context is kept: at the frame when nothing in it belongs to a question."""
        if self._parent is None:
            return self
        system = self.engine.spec.prompts.system
        for segment in name:
            if isinstance(segment, TextSegment) and segment.text != system:
                return self
            if isinstance(segment, MapSegment) and segment in self._maps:
                return self
        return self._parent

    def _add(self, context: Context, segment: TextSegment | ImageSegment | MapSegment) -> None:
        if isinstance(segment, TextSegment):
            context.add_text(segment.text)
        elif isinstance(segment, ImageSegment):
            frame = self._parent or self
            frame.image_passes += 1
            tokens = add_input_image(context, self.pictures, self.intrinsics)
            frame.vision_mean = tokens.mean(axis=0)
        else:
            self._add_map(context, segment)

    def _made(self, segment: MapSegment) -> GeneratedMap:
        made = self.map(segment)
        if made is None:
            raise KeyError(f"the {segment.kind} map {segment.index} was not made yet")
        return made

    def _add_map(self, context: Context, segment: MapSegment) -> None:
        made = self._made(segment)
        if self.engine.spec.map_context == "latent":
            context.add_latents(made.tokens, self.pictures.rows, self.pictures.columns)
        else:
            context.add_vision(prepare(self.engine.spec, made.rgb()).vision)


def map_conditions(store: ContextStore, request: GenerateMap) -> Conditions:
    """The contexts that a map is generated from, as far as its placement has them."""
    text_dropped, image_dropped = request.text_dropped, request.image_dropped
    return Conditions(
        [store.context(request.conditional)],
        [store.context(text_dropped)] if text_dropped is not None else [],
        [store.context(image_dropped)] if image_dropped is not None else [],
    )
