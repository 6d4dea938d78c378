"""Conformance checks that run on any backend: text, images, logits, velocities, maps."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from cooper_ros.core.codecs import spectral_colormap
from cooper_ros.core.images import ResizeRule, to_tensor
from cooper_ros.evaluation.conformance import Ledger
from cooper_ros.runtime.context import Context, Engine, encode_vision
from cooper_ros.runtime.generation import (
    Conditions,
    generate_latents,
    generate_text,
    guided_velocity,
)
from cooper_ros.runtime.latents import grid_position_ids
from cooper_ros.runtime.pictures import add_input_image, decode_latents, prepare, to_rgb, unit_range
from cooper_ros.runtime.spec import GenerationSettings, ModelSpec

GUIDANCE_INTERVAL = (0.4, 1.0)


def conformance_spec(spec: ModelSpec, ledger: Ledger) -> ModelSpec:
    """The spec with the set's own resize rules and prompts, and no vocabulary limit."""
    prompts = dataclasses.replace(
        spec.prompts,
        system=ledger.input("prompts.system"),
        reflection=ledger.input("prompts.after_map"),
        depth=ledger.input("prompts.depth"),
        segmentation=ledger.input("prompts.segmentation"),
    )
    return dataclasses.replace(
        spec,
        prompts=prompts,
        map_resize=ResizeRule(*ledger.input("vae_transform")),
        vision_resize=ResizeRule(*ledger.input("vit_transform")),
        vocab_limit=None,
    )


def check_text(ledger: Ledger, engine: Engine) -> None:
    """Tokenizer cases, marker ids and vocabulary size."""
    tokenizer, spec = engine.tokenizer, engine.spec
    texts = [case["text"] for case in ledger.expected("tokenizer_cases")]
    cases = [{"text": text, "ids": tokenizer.encode(text)} for text in texts]
    decoded = [tokenizer.decode(case["ids"]) for case in cases] == texts
    ledger.same("tokenizer_cases", cases if decoded else "decoding differs")
    markers = tokenizer.marker_ids
    for name, field in (
        ("bos_token_id", "text_start"),
        ("eos_token_id", "text_end"),
        ("start_of_image", "vision_start"),
        ("end_of_image", "vision_end"),
    ):
        agreed = getattr(markers, field) == getattr(spec.tokens, field)
        ledger.same(f"token_ids.{name}", getattr(markers, field) if agreed else -1)
    logits = Context(engine).add_ids([spec.tokens.text_start])
    ledger.same("vocab_size", spec.vocab_size if len(logits) == spec.vocab_size else len(logits))


def check_resize(ledger: Ledger) -> None:
    """Every size of the resize table; a column's name holds the numbers of its rule."""
    rows = []
    for expected in ledger.expected("resize_cases_wh"):
        width, height = expected["in"]
        row: dict[str, Any] = {"in": [width, height]}
        for name in expected:
            if name != "in":
                rule = ResizeRule(*(int(number) for number in re.findall(r"\d+", name)))
                row[name] = list(rule.size(width, height))
        rows.append(row)
    ledger.same("resize_cases_wh", rows)


def check_images(ledger: Ledger, engine: Engine) -> None:
    """Pixels, vision tokens, autoencoder there and back."""
    spec = engine.spec
    image = ledger.input("image")
    vae_pixels = prepare(spec, image).map_pixels
    ledger.close("vae_pixels", vae_pixels)
    vit_pixels = to_tensor(spec.vision_resize.resize(image))
    ledger.close("vit_pixels", vit_pixels)
    rows, columns = spec.vision_grid(*vit_pixels.shape[1:])
    ledger.same("vit_position_ids", grid_position_ids(rows, columns, spec.vision_grid_side))
    ledger.close("vit_embeds", encode_vision(engine, ledger.expected("vit_pixels")), 1e-5)
    latent = engine.backend.autoencoder_encoder(ledger.expected("vae_pixels")[None])
    ledger.close("vae_latent_mean", latent)
    decoded = engine.backend.autoencoder_decoder(ledger.expected("vae_latent_mean"))
    ledger.close("vae_decoded", decoded)


def check_logits(ledger: Ledger, engine: Engine) -> None:
    """Next-token logits after the start token in three contexts, and greedy decoding."""
    spec = engine.spec
    image, question = ledger.input("image"), ledger.input("loop.question")
    text = Context(engine)
    text.add_text(question)
    vision = Context(engine)
    vision.add_vision(to_tensor(spec.vision_resize.resize(image)))
    vision.add_text(question)
    both = Context(engine)
    both.add_text(question)
    add_input_image(both, prepare(spec, image))
    both.add_text(question)
    for name, context in (("text", text), ("vit_text", vision), ("text_vae_vit_text", both)):
        ledger.same(f"kv_{name}", kv(context))
        ledger.close(f"logits_{name}", context.fork().add_ids([spec.tokens.text_start]))
    expected = ledger.expected("greedy_ids_text_vae_vit_text")
    # The first entry is the start token; every other one is a choice.
    written = generate_text(both, len(expected) - 1)
    ledger.same("greedy_ids_text_vae_vit_text", [spec.tokens.text_start, *written.ids])


def check_generation(ledger: Ledger, engine: Engine) -> None:
    """Velocities with every guidance, the sampled latents and both pictures of them."""
    spec = engine.spec
    pictures = prepare(spec, ledger.input("image"))
    image_only = Context(engine)
    add_input_image(image_only, pictures)
    conditional = image_only.fork()
    conditional.add_text(spec.prompts.depth)
    text_only = Context(engine)
    text_only.add_text(spec.prompts.depth)
    contexts = (conditional, image_only, text_only)
    ledger.same("kv_depth", [[context.length] for context in contexts])
    ledger.same("rope_depth", [[context.position] for context in contexts])
    ledger.same("image_shape_hw", pictures.map_rgb.shape[:2])
    conditions = Conditions([conditional], [image_only], [text_only])
    rows, columns = pictures.rows, pictures.columns
    noise = ledger.input("init_noise")[None]
    cases = ledger.names("velocity_cases.*") + ledger.names("velocity_cases_extra.*")
    for case in cases:
        text_scale, image_scale, renorm, time, *minimum = ledger.input(case)
        settings = GenerationSettings(
            text_scale=text_scale,
            image_scale=image_scale,
            renorm=renorm,
            renorm_min=minimum[0] if minimum else 0.0,
        )
        velocity = guided_velocity(conditions, noise, time, rows, columns, settings)
        ledger.close(f"velocity_{case.split('.')[1]}", velocity[0])
    settings = GenerationSettings(8, 3.0, 4.0, 2.0, GUIDANCE_INTERVAL, "global")
    latents = generate_latents(conditions, noise, rows, columns, settings)[0]
    ledger.close("latent_euler8", latents)
    picture = decode_latents(engine, latents, rows, columns)
    ledger.close("depth_euler8", unit_range(picture).mean(axis=0))
    ledger.levels("rgb_euler8", to_rgb(picture))
    golden = spectral_colormap(ledger.expected("depth_euler8"))
    ledger.share("depth_spectral", golden, 0.0, "share, from the stored depth")
    ours = spectral_colormap(unit_range(picture).mean(axis=0))
    ledger.share("depth_spectral", ours, 1e-3, "share, end to end")


def kv(context: Context) -> list[list[int]]:
    """[cache lengths, next positions] as the set stores them."""
    return [[context.length], [context.position]]
