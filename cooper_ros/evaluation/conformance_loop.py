"""Conformance of the interleaved loop: scripted turns instead of decoded ones, all else real."""

from __future__ import annotations

import dataclasses

from cooper_ros.core.types import Status
from cooper_ros.evaluation.conformance import Ledger
from cooper_ros.reasoning.loop import GenerateMap, GenerateText, InterleavedLoop
from cooper_ros.reasoning.tags import DEPTH
from cooper_ros.runtime.context import Engine
from cooper_ros.runtime.generation import generate_latents
from cooper_ros.runtime.pictures import prepare
from cooper_ros.runtime.spec import GenerationSettings
from cooper_ros.runtime.store import ContextStore, GeneratedMap, map_conditions, script_of

LOOPS = (("loop", "image2"), ("loop2", "image3"))


def check_loops(ledger: Ledger, engine: Engine) -> None:
    """Both scripted loops: contexts, logits before every turn, latents and pictures of all maps."""
    for name, image in LOOPS:
        check_loop(ledger, engine, name, image)


def check_loop(ledger: Ledger, engine: Engine, name: str, image: str) -> None:
    """Run one loop with the texts of its script and compare everything on the way."""
    text_scale, image_scale, interval, shift, renorm = ledger.input(f"{name}.cfg")
    settings = GenerationSettings(
        ledger.input(f"{name}.num_timesteps"),
        shift,
        text_scale,
        image_scale,
        (interval[0], interval[1]),
        renorm,
    )
    spec = dataclasses.replace(engine.spec, interleaved=settings)
    engine = dataclasses.replace(engine, spec=spec)
    pictures = prepare(spec, ledger.input(image))
    ledger.levels(f"{name}_image_0", pictures.map_rgb)
    store = ContextStore(engine, pictures).for_question()
    script = list(ledger.input(f"{name}.script"))
    loop = InterleavedLoop(script_of(spec), ledger.input(f"{name}.question"))
    lengths, positions, made = [], [], 0
    while (request := loop.request) is not None:
        if isinstance(request, GenerateText):
            context = store.context(request.context)
            lengths.append([context.length])
            positions.append([context.position])
            logits = context.fork().add_ids([spec.tokens.text_start])
            tolerance = ledger.after_colour_tolerance if made else 1e-4
            ledger.close(f"{name}_logits_{len(lengths) - 1}", logits, tolerance)
            loop.text_done(script.pop(0) if script else "")
        else:
            store.set_map(request.result, _map(ledger, engine, name, made, store, request))
            made += 1
            loop.map_done()
    ledger.same(f"{name}.kv", lengths)
    ledger.same(f"{name}.rope", positions)
    answered = "<answer>" in ledger.input(f"{name}.script")[-1]
    ended = loop.result is not None and loop.result.status is (
        Status.OK if answered else Status.NO_ANSWER
    )
    complete = ended and not script and loop.result is not None
    ledger.same(f"{name}.order", loop.result.order if complete and loop.result else "not ended")


def _map(
    ledger: Ledger,
    engine: Engine,
    name: str,
    index: int,
    store: ContextStore,
    request: GenerateMap,
) -> GeneratedMap:
    """Generate a map from the stored noise and compare its latents and its picture."""
    pictures = store.pictures
    noise = ledger.input(f"{name}_noise_{index}")[None]
    conditions = map_conditions(store, request)
    settings = engine.spec.interleaved
    tokens = generate_latents(conditions, noise, pictures.rows, pictures.columns, settings)[0]
    tolerance = ledger.after_colour_tolerance if index else 1e-4
    ledger.close(f"{name}_latent_{index}", tokens, tolerance)
    made = GeneratedMap.decode(engine, request.kind, tokens, pictures)
    if request.kind == DEPTH:
        # A colour map is a step function: a value on an edge may fall to either side.
        ledger.share(f"{name}_image_{index + 1}", made.rgb(), 1e-3)
    else:
        ledger.levels(f"{name}_image_{index + 1}", made.rgb())
    return made
