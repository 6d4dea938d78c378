"""Time grid, Euler, guidance and its renormalisations."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cooper_ros.core.errors import GenerationCancelled
from cooper_ros.runtime.cancel import CancelToken
from cooper_ros.runtime.flow import euler, guidance_active, guide, initial_latents, time_grid
from cooper_ros.runtime.spec import GenerationSettings

GUIDED = GenerationSettings(8, 3.0, 4.0, 2.0, (0.4, 1.0), "global")


def velocities(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.RandomState(seed)
    return tuple(random.standard_normal((2, 5, 3)).astype(np.float32) for _ in range(3))


def test_points_and_steps() -> None:
    times = time_grid(50, 3.0)
    assert len(times) == 50 and times[0] == 1.0 and times[-1] == 0.0
    assert times.dtype == np.float32
    u = np.linspace(1, 0, 50)
    np.testing.assert_allclose(times, 3 * u / (1 + 2 * u), rtol=1e-6)


def test_grid_equals_the_scheduler_with_explicit_sigmas() -> None:
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    scheduler.set_timesteps(sigmas=np.linspace(1.0, 1.0 / 29, 29))
    np.testing.assert_allclose(scheduler.sigmas.numpy(), time_grid(30, 3.0), atol=1e-6)


def test_euler_integrates_a_constant_velocity_exactly() -> None:
    start = np.ones((1, 4, 2), np.float32)
    end = euler(start, lambda x, t, guided: np.full_like(x, 3.0), GUIDED)
    np.testing.assert_allclose(end, -2.0, atol=1e-6)


def test_one_step_from_zero_noise_is_minus_the_velocity() -> None:
    settings = GenerationSettings(2, 1.0, noise="zero")
    seen: list[tuple[float, bool]] = []

    def velocity(x: np.ndarray, t: float, guided: bool) -> np.ndarray:
        assert not x.any()
        seen.append((t, guided))
        return np.full_like(x, 0.25)

    end = euler(initial_latents(settings, (1, 4, 2)), velocity, settings)
    np.testing.assert_array_equal(end, -0.25)
    assert seen == [(1.0, False)]


def test_noise_is_seeded() -> None:
    settings = GenerationSettings()
    first = initial_latents(settings, (3, 4), 7)
    np.testing.assert_array_equal(first, initial_latents(settings, (3, 4), 7))
    assert not np.array_equal(first, initial_latents(settings, (3, 4), 8))


def test_interval_is_open_below_closed_above_after_the_shift() -> None:
    assert guidance_active(GUIDED, 1.0)
    assert not guidance_active(GUIDED, 0.4)
    assert guidance_active(GUIDED, 0.40001)
    assert not guidance_active(dataclasses.replace(GUIDED, text_scale=1.0), 0.7)
    seen: list[bool] = []

    def velocity(x: np.ndarray, t: float, guided: bool) -> np.ndarray:
        seen.append(guided)
        assert guided == (t > 0.4)
        return x

    euler(np.ones((1, 1, 1), np.float32), velocity, GUIDED)
    assert any(seen) and not all(seen)


@pytest.mark.parametrize(("settings", "guided"), [((50, 0.4), 41), ((30, 0.4), 24)])
def test_forward_counts_of_the_official_settings(settings: tuple[int, float], guided: int) -> None:
    """49 steps cost 131 forwards, 29 steps 77: guided steps take three."""
    points, low = settings
    times = time_grid(points, 3.0)[:-1]
    active = sum(
        guidance_active(dataclasses.replace(GUIDED, interval=(low, 1.0)), t) for t in times
    )
    assert active == guided
    assert len(times) + 2 * active == {50: 131, 30: 77}[points]


@pytest.mark.parametrize("renorm", ["global", "channel"])
def test_renormalised_guidance_is_never_longer_than_the_conditional(renorm: str) -> None:
    velocity, text, image = velocities()
    settings = dataclasses.replace(GUIDED, renorm=renorm)
    guided = guide(velocity, text, image, settings)
    axes = (1, 2) if renorm == "global" else (2,)
    norm = np.linalg.norm(guided.reshape(2, -1), axis=1) if renorm == "global" else None
    if norm is not None:
        assert (norm <= np.linalg.norm(velocity.reshape(2, -1), axis=1) * (1 + 1e-5)).all()
    else:
        assert (
            np.linalg.norm(guided, axis=axes[0]) <= np.linalg.norm(velocity, axis=2) * (1 + 1e-5)
        ).all()


def test_direction_is_that_of_the_two_guidances() -> None:
    velocity, text, image = velocities()
    after_text = text + 4.0 * (velocity - text)
    wanted = image + 2.0 * (after_text - image)
    guided = guide(velocity, text, image, GUIDED)
    for row, want in zip(guided.reshape(2, -1), wanted.reshape(2, -1), strict=True):
        cosine = row @ want / np.linalg.norm(row) / np.linalg.norm(want)
        assert cosine == pytest.approx(1.0, abs=1e-5)


def test_text_channel_renormalises_before_the_image_step() -> None:
    velocity, text, image = velocities()
    settings = dataclasses.replace(GUIDED, renorm="text_channel")
    after_text = text + 4.0 * (velocity - text)
    ratio = np.linalg.norm(velocity, axis=2) / np.linalg.norm(after_text, axis=2)
    after_text = after_text * np.clip(ratio, 0.0, 1.0)[..., None]
    np.testing.assert_allclose(
        guide(velocity, text, image, settings), image + 2.0 * (after_text - image), rtol=1e-4
    )


def test_image_scale_of_one_skips_the_image_branch() -> None:
    velocity, text, _ = velocities()
    settings = dataclasses.replace(GUIDED, image_scale=1.0)
    assert guide(velocity, text, None, settings).shape == velocity.shape
    with pytest.raises(ValueError, match="image"):
        guide(velocity, text, None, GUIDED)


def test_renorm_minimum_bounds_the_shrinking() -> None:
    velocity, text, image = velocities()
    free = guide(velocity, text, image, GUIDED)
    bounded = guide(velocity, text, image, dataclasses.replace(GUIDED, renorm_min=0.9))
    assert (
        np.linalg.norm(bounded.reshape(2, -1), axis=1) > np.linalg.norm(free.reshape(2, -1), axis=1)
    ).all()


def test_batch_rows_are_renormalised_apart() -> None:
    velocity, text, image = velocities()
    both = guide(velocity, text, image, GUIDED)
    alone = guide(velocity[:1], text[:1], image[:1], GUIDED)
    np.testing.assert_allclose(both[:1], alone, rtol=1e-6)


def test_cancel_between_steps() -> None:
    token, steps = CancelToken(), []

    def velocity(x: np.ndarray, t: float, guided: bool) -> np.ndarray:
        steps.append(t)
        if len(steps) == 2:
            token.cancel()
        return x

    with pytest.raises(GenerationCancelled):
        euler(np.ones((1, 1, 1), np.float32), velocity, GUIDED, token)
    assert len(steps) == 2


@pytest.mark.parametrize(
    "change", [{"num_timesteps": 1}, {"renorm": "none"}, {"noise": "pink"}], ids=str
)
def test_impossible_settings_are_refused(change: dict) -> None:
    with pytest.raises(ValueError):
        dataclasses.replace(GUIDED, **change)
