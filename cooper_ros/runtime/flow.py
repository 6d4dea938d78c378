"""Rectified flow: time grid, Euler steps and classifier-free guidance with renormalisation.

x_t = (1 - t) x_0 + t noise, and a model gives the velocity noise - x_0. Sampling walks from t = 1
(noise) to t = 0. Scales, interval and renormalisation follow the COOPER and BAGEL inference code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from cooper_ros.runtime.backend import Float
from cooper_ros.runtime.cancel import CancelToken, check
from cooper_ros.runtime.spec import GenerationSettings

VelocityFunction = Callable[[Float, float, bool], Float]
"""(latents [B, N, c], time, guided) -> velocity [B, N, c]."""


def time_grid(num_timesteps: int, shift: float) -> Float:
    """Times from 1 to 0, float32 [num_timesteps]: t = s u / (1 + (s - 1) u), u evenly spaced.

    N points give N - 1 steps.
    """
    uniform = np.linspace(1.0, 0.0, num_timesteps, dtype=np.float32)
    scale = np.float32(shift)
    return (scale * uniform / (np.float32(1.0) + (scale - np.float32(1.0)) * uniform)).astype(
        np.float32
    )


def guidance_active(settings: GenerationSettings, time: float) -> bool:
    """Whether guidance acts at this (already shifted) time: lo < t <= hi and text scale > 1."""
    low, high = settings.interval
    return settings.guided and low < time <= high


def guide(
    velocity: Float,
    text_dropped: Float,
    image_dropped: Float | None,
    settings: GenerationSettings,
) -> Float:
    """Guided velocity [B, N, c] from the conditional one and the two with dropped conditions.

    v_text + a (v - v_text), then v_image + b (that - v_image); `image_dropped` may be None where
    image_scale <= 1. Renormalisation multiplies by ||v|| / ||guided||, clipped to
    [renorm_min, 1], v the conditional velocity: over the whole tensor of each batch row
    (`global`), per token (`channel`), or per token after the text step only (`text_channel`).
    """
    guided = text_dropped + np.float32(settings.text_scale) * (velocity - text_dropped)
    if settings.renorm == "text_channel":
        guided = _renormalised(guided, velocity, settings.renorm_min, axes=(2,))
    if settings.image_scale > 1.0:
        if image_dropped is None:
            raise ValueError("image_scale > 1 needs the velocity with the image dropped")
        guided = image_dropped + np.float32(settings.image_scale) * (guided - image_dropped)
    if settings.renorm == "text_channel":
        return guided
    axes = (1, 2) if settings.renorm == "global" else (2,)
    return _renormalised(guided, velocity, settings.renorm_min, axes)


def euler(
    latents: Float,
    velocity: VelocityFunction,
    settings: GenerationSettings,
    cancel: CancelToken | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Float:
    """Latents [B, N, c] at t = 0 from those at t = 1: x <- x - v dt for every step of the grid.

    Raises GenerationCancelled between two steps after `cancel.cancel()`.
    """
    times = time_grid(settings.num_timesteps, settings.shift)
    steps = len(times) - 1
    for step, (now, following) in enumerate(zip(times[:-1], times[1:], strict=True)):
        check(cancel)
        guided = guidance_active(settings, float(now))
        latents = latents - velocity(latents, float(now), guided) * np.float32(now - following)
        if progress is not None:
            progress(step + 1, steps)
    return latents


def initial_latents(
    settings: GenerationSettings, shape: Sequence[int], seed: int | None = None
) -> Float:
    """Latents at t = 1: zeros, or a seeded standard normal, float32 of the given shape."""
    if settings.noise == "zero":
        return np.zeros(tuple(shape), dtype=np.float32)
    return np.random.default_rng(seed).standard_normal(tuple(shape)).astype(np.float32)


def _renormalised(guided: Float, reference: Float, low: float, axes: tuple[int, ...]) -> Float:
    wanted = np.sqrt(np.sum(np.square(reference), axis=axes, keepdims=True))
    have = np.sqrt(np.sum(np.square(guided), axis=axes, keepdims=True))
    ratio = wanted / np.maximum(have, np.finfo(np.float32).tiny)
    return (guided * np.clip(ratio, np.float32(low), np.float32(1.0))).astype(np.float32)
