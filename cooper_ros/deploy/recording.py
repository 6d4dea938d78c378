"""What a model's graphs get to compute when it looks at pictures: real inputs, to measure with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cooper_ros.core.errors import CooperError
from cooper_ros.core.images import ResizeRule
from cooper_ros.core.types import Frame, Intrinsics
from cooper_ros.reasoning.tags import MAP_ORDER
from cooper_ros.runtime.context import Engine
from cooper_ros.runtime.pipeline import CooperPipeline
from cooper_ros.runtime.signature import GraphSignature
from cooper_ros.runtime.spec import ModelSpec

Arrays = dict[str, NDArray[Any]]

CALLS_KEPT = 3
"""Calls of a graph kept for each picture: those with the most numbers."""
MAX_STEPS, MAX_TURNS, MAX_TOKENS = 4, 2, 48
"""Bounds of what is recorded: ranges show in a few steps, and one picture need not take hours."""
MAX_PATCHES = 16
"""Patches and map tokens along a side: a picture of the official size has 4900, whose attention on
a CPU takes minutes and ten gigabytes, and ranges show in a few hundred."""
GRAPH_OF = {
    "vision_encoder": "vision_encoder",
    "autoencoder_encoder": "autoencoder_encoder",
    "autoencoder_decoder": "autoencoder_decoder",
    "class_scores": "class_decoder",
    "und": "und",
    "gen": "gen",
}
"""Graph by method of a backend."""


class Recorder:
    """A backend that keeps copies of what the graphs of another one are given."""

    def __init__(self, backend: Any, signatures: Mapping[str, GraphSignature]) -> None:
        self._backend = backend
        self._signatures = signatures
        self.calls: dict[str, list[Arrays]] = {}

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._backend, name)
        graph = GRAPH_OF.get(name)
        if graph is None or graph not in self._signatures:
            return found

        def call(*values: Any) -> Any:
            self._note(graph, values)
            made = found(*values)
            if graph == "autoencoder_decoder":  # what its neighbours would get
                self._note("autoencoder_encoder", (np.clip(made, -1, 1),))
                if "class_decoder" in self._signatures:
                    self._note("class_decoder", values)
            return made

        return call

    def _note(self, graph: str, values: Iterable[Any]) -> None:
        names = self._signatures[graph].input_names()
        given = dict(zip(names, values, strict=False))
        kept = self.calls.setdefault(graph, [])
        kept.append({n: np.array(v) for n, v in given.items() if v is not None})
        kept.sort(key=lambda call: -sum(value.size for value in call.values()))
        del kept[CALLS_KEPT:]


def record_inputs(
    engine: Engine, signatures: Mapping[str, GraphSignature], frames: Iterable[Frame]
) -> dict[str, list[Arrays]]:
    """Inputs by graph while a model draws the maps of each frame and answers a question about it.

    A model that cannot answer (no classes, unknown words) still gives those of its maps.
    """
    found: dict[str, list[Arrays]] = {}
    spec = _bounded(engine.spec)
    for frame in frames:
        recorder = Recorder(engine.backend, signatures)
        backend: Any = recorder
        pipeline = CooperPipeline(replace(engine, backend=backend, spec=spec))
        context = pipeline.see(frame)
        for look in (
            lambda c: c.make_maps(MAP_ORDER),
            lambda c: c.segmentation(),
            lambda c: c.answer(_question(spec)),
        ):
            with suppress(CooperError):  # a model without classes, or without words
                look(context)
        for graph, calls in recorder.calls.items():
            found.setdefault(graph, []).extend(calls)
    return found


def _bounded(spec: ModelSpec) -> ModelSpec:
    def few(settings: Any) -> Any:
        return replace(settings, num_timesteps=min(settings.num_timesteps, MAX_STEPS))

    def small(rule: ResizeRule, table: int) -> ResizeRule:
        side = min(MAX_PATCHES, table) * rule.stride
        return replace(
            rule, max_side=min(rule.max_side, side), min_side=min(rule.min_side, side)
        )

    loop = replace(
        spec.loop,
        max_turns=min(spec.loop.max_turns, MAX_TURNS),
        max_turn_tokens=min(spec.loop.max_turn_tokens, MAX_TOKENS),
        max_answer_tokens=min(spec.loop.max_answer_tokens, MAX_TOKENS),
    )
    return replace(
        spec, perception=few(spec.perception), interleaved=few(spec.interleaved), loop=loop,
        vision_resize=small(spec.vision_resize, spec.vision_grid_side),
        map_resize=small(spec.map_resize, spec.latent_grid_side),
    )  # fmt: skip


def _question(spec: ModelSpec) -> str:
    segmentation = spec.segmentation
    things = [n for n in segmentation.names if n not in segmentation.stuff] if segmentation else []
    return f"how far is the {things[0] if things else 'chair'} ?"


def drawn_pictures(count: int = 3, width: int = 320, height: int = 240) -> list[Frame]:
    """Pictures that need no file: floor, wall and boxes with texture, from dim to hard contrast."""
    return [_drawn(number, width, height) for number in range(count)]


def _drawn(seed: int, width: int, height: int) -> Frame:
    random = np.random.RandomState(seed)
    rows = np.arange(height)[:, None, None] / height
    wall, floor = random.uniform(60, 220, (2, 3))
    picture = np.where(rows < 0.45, wall * (1 - 0.3 * rows), floor * (0.5 + 0.6 * rows))
    picture = np.broadcast_to(picture, (height, width, 3)).copy()
    for _ in range(6):
        side = random.randint(height // 8, height // 2, 2)
        top, left = random.randint(0, height - side[0]), random.randint(0, width - side[1])
        box = picture[top : top + side[0], left : left + side[1]]
        stripes = 1 + 0.3 * np.sign(np.sin(np.arange(side[1]) / random.uniform(1, 8)))
        box[:] = random.uniform(10, 245, 3) * stripes[None, :, None]
    picture = 128 + (picture - 128) * (0.4 + 0.8 * seed) + random.normal(0, 4, picture.shape)
    rgb = np.clip(picture, 0, 255).astype(np.uint8)
    return Frame(rgb, Intrinsics.from_fov(60.0, width, height), 1, "camera")


__all__ = ["Recorder", "drawn_pictures", "record_inputs"]
