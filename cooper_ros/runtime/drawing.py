"""What stands before a map that the model draws: the image and the prompt of the map."""

from __future__ import annotations

from collections.abc import Sequence

from cooper_ros.reasoning.loop import ContextSpec, ImageSegment, TextSegment
from cooper_ros.reasoning.tags import MapKind
from cooper_ros.runtime.context import Engine
from cooper_ros.runtime.generation import Conditions
from cooper_ros.runtime.spec import ModelSpec
from cooper_ros.runtime.store import ContextStore, script_of

IMAGE_ONLY: ContextSpec = (ImageSegment(),)


def batches(engine: Engine, kinds: Sequence[MapKind]) -> list[list[MapKind]]:
    """One batch where all prompts have the same length, else one each."""
    prompts = [_prompt(engine.spec, kind).text for kind in kinds]
    lengths = {len(engine.tokenizer.encode(text)) for text in prompts}
    return [list(kinds)] if len(lengths) == 1 else [[kind] for kind in kinds]


def conditions(store: ContextStore, kinds: Sequence[MapKind]) -> Conditions:
    """[image][prompt]; for guidance the image alone and the prompt alone."""
    scratch, spec = store.for_question(), store.engine.spec
    prompts = [_prompt(spec, kind) for kind in kinds]
    conditional = [scratch.context((*IMAGE_ONLY, prompt)) for prompt in prompts]
    if not spec.perception.guided:
        return Conditions(conditional)
    image = scratch.context(IMAGE_ONLY)
    text_only = [scratch.context((prompt,)) for prompt in prompts]
    return Conditions(conditional, [image] * len(kinds), text_only)


def _prompt(spec: ModelSpec, kind: MapKind) -> TextSegment:
    return TextSegment(script_of(spec).tool_text(kind))
