"""Generating: map latents by the flow sampler, text token by token."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cooper_ros.runtime.backend import MAX_DRAFT, Float
from cooper_ros.runtime.cancel import CancelToken, check
from cooper_ros.runtime.context import Context, denoise
from cooper_ros.runtime.flow import euler, guide
from cooper_ros.runtime.numbers import MedianDigits
from cooper_ros.runtime.spec import GenerationSettings


@dataclass(frozen=True)
class Conditions:
    """Contexts of a batch of maps: conditional, and for guidance text-dropped and image-dropped."""

    conditional: Sequence[Context]
    text_dropped: Sequence[Context] = ()
    image_dropped: Sequence[Context] = ()


def guided_velocity(
    conditions: Conditions,
    latents: Float,
    time: float,
    rows: int,
    columns: int,
    settings: GenerationSettings,
    guided: bool = True,
) -> Float:
    """Velocity [B, N, c] at one time, guided where asked for and the text scale exceeds 1."""
    velocity = denoise(conditions.conditional, latents, time, rows, columns)[0]
    if not guided or not settings.guided:
        return velocity
    text_dropped = denoise(conditions.text_dropped, latents, time, rows, columns)[0]
    image_dropped = None
    if settings.image_scale > 1.0:
        image_dropped = denoise(conditions.image_dropped, latents, time, rows, columns)[0]
    return guide(velocity, text_dropped, image_dropped, settings)


def generate_latents(
    conditions: Conditions,
    noise: Float,
    rows: int,
    columns: int,
    settings: GenerationSettings,
    cancel: CancelToken | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Float:
    """Clean latent tokens [B, N, c] from those at t = 1 (`flow.initial_latents`).

    Contexts are not changed. Raises GenerationCancelled between two steps on request.
    """

    def velocity(latents: Float, time: float, guided: bool) -> Float:
        return guided_velocity(conditions, latents, time, rows, columns, settings, guided)

    return euler(noise, velocity, settings, cancel, progress)


@dataclass(frozen=True)
class Decoding:
    """Token choice: `temperature` 0 is greedy; `top_p` keeps the smallest set of that mass.

    `medians`: where tokens are chosen greedily and the model writes the nano grammar, depths are
    the medians of what it has in mind (`numbers.MedianDigits`).
    """

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    medians: bool = True


Drafter = Callable[[Sequence[int]], Sequence[int]]
"""Ids that probably follow the ids of a turn so far, its end marker included."""


@dataclass(frozen=True)
class GeneratedText:
    """A turn, complete or growing: ids without markers, their text, whether the end marker came.

    `confidence` is the geometric mean probability of the chosen tokens, NaN without tokens.
    """

    ids: tuple[int, ...]
    text: str
    finished: bool
    confidence: float


def stream_text(
    context: Context,
    max_tokens: int,
    decoding: Decoding | None = None,
    cancel: CancelToken | None = None,
    drafter: Drafter | None = None,
) -> Iterator[GeneratedText]:
    """Write a text segment behind `context`, which stays as it is; yields after every token.

    The start marker is fed, then tokens are chosen until the end marker or `max_tokens`. Keys and
    values of decoding are discarded, as in the official inference: to keep the turn, add it with
    `Context.add_text`. Raises GenerationCancelled between tokens on request.

    `drafter` guesses how the turn goes on; what the model agrees with costs one pass. It changes
    the speed alone, and is used where tokens are chosen greedily.
    """
    spec, tokenizer = context.engine.spec, context.engine.tokenizer
    ids: list[int] = []
    logs: list[float] = []
    check(cancel)
    work = context.fork()
    for token, probability in _choices(work, decoding or Decoding(), drafter):
        logs.append(float(np.log(probability)))
        finished = token == spec.tokens.text_end
        if not finished:
            ids.append(token)
        yield GeneratedText(
            tuple(ids), tokenizer.decode(ids), finished, float(np.exp(np.mean(logs)))
        )
        if finished or len(logs) >= max_tokens:
            return
        check(cancel)


def generate_text(
    context: Context,
    max_tokens: int,
    decoding: Decoding | None = None,
    cancel: CancelToken | None = None,
    drafter: Drafter | None = None,
) -> GeneratedText:
    """The complete text of `stream_text`."""
    written = GeneratedText((), "", False, float("nan"))
    for partial in stream_text(context, max_tokens, decoding, cancel, drafter):
        written = partial
    return written


def _choices(
    work: Context, decoding: Decoding, drafter: Drafter | None
) -> Iterator[tuple[int, float]]:
    """Chosen tokens and their probabilities, endless; feeds each token before the next."""
    random = np.random.default_rng(decoding.seed)
    greedy, tokenizer = decoding.temperature <= 0.0, work.engine.tokenizer
    guess = drafter if greedy else None
    use_medians = greedy and decoding.medians and tokenizer.word_level
    numbers = MedianDigits(tokenizer) if use_medians else None
    written: list[int] = []
    newest = work.engine.spec.tokens.text_start
    while True:
        drafted = list(guess(written))[:MAX_DRAFT] if guess else []
        rows = work.add_checked([newest, *drafted], 1 + len(drafted))
        for position, logits in enumerate(rows):
            newest, probability = _choose(work, logits, decoding, random, numbers)
            written.append(newest)
            yield newest, probability
            if position == len(drafted) or newest != drafted[position]:
                work.drop(len(drafted) - position)
                break


def _choose(
    work: Context,
    logits: Float,
    decoding: Decoding,
    random: np.random.Generator,
    numbers: MedianDigits | None,
) -> tuple[int, float]:
    limit = work.engine.spec.vocab_limit
    probabilities = _softmax(logits[:limit] if limit else logits, decoding.temperature)
    token = _pick(probabilities, decoding, random)
    if numbers is not None:
        token = numbers.choose(probabilities, token)
    return token, max(float(probabilities[token]), 1e-12)


def _softmax(logits: Float, temperature: float) -> np.ndarray:
    scaled = logits.astype(np.float64) / (temperature if temperature > 0.0 else 1.0)
    weights = np.exp(scaled - scaled.max())
    return weights / weights.sum()


def _pick(probabilities: np.ndarray, decoding: Decoding, random: np.random.Generator) -> int:
    if decoding.temperature <= 0.0:
        return int(np.argmax(probabilities))
    if decoding.top_p < 1.0:
        order = np.argsort(-probabilities, kind="stable")
        kept = int(np.searchsorted(np.cumsum(probabilities[order]), decoding.top_p)) + 1
        allowed = np.zeros_like(probabilities)
        allowed[order[:kept]] = probabilities[order[:kept]]
        probabilities = allowed / allowed.sum()
    return int(random.choice(len(probabilities), p=probabilities))
