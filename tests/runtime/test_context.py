"""Contexts: positions, forks, batches, and decoding that leaves no trace."""

from __future__ import annotations

import numpy as np
import pytest
from toy_model import make_engine  # type: ignore[import-not-found]

from cooper_ros.core.errors import BackendError, GenerationCancelled
from cooper_ros.core.images import to_tensor
from cooper_ros.core.types import Frame, Intrinsics
from cooper_ros.runtime.cancel import CancelToken
from cooper_ros.runtime.context import Context, Engine, denoise, encode_vision
from cooper_ros.runtime.generation import Decoding, generate_text, stream_text
from cooper_ros.runtime.latents import grid_position_ids, pack_latents, unpack_latents
from cooper_ros.runtime.rays import patch_rays
from cooper_ros.runtime.tokenizer import Tokenizer

QUESTION = "how far is the mug ?"


def picture(frame: Frame, engine: Engine) -> np.ndarray:
    return to_tensor(engine.spec.vision_resize.resize(frame.rgb))


def latents(engine: Engine, count: int, seed: int = 1) -> np.ndarray:
    random = np.random.RandomState(seed)
    return random.standard_normal((count, engine.spec.latent_dim)).astype(np.float32)


def test_without_a_calibration_a_model_that_knows_this_gets_no_rays(
    tokenizer: Tokenizer, frame: Frame
) -> None:
    """Rays of a made-up camera tell a size that nobody knows: such a model was shown zeros."""
    for unknown in (False, True):
        engine = make_engine(tokenizer, ray_channels=5, unknown_camera=unknown)
        seen = []
        engine.backend.vision_encoder = lambda image, ids, rays, out=seen: (  # type: ignore
            out.append(rays), np.zeros((1, len(ids), 16), np.float32)
        )[1]
        encode_vision(engine, picture(frame, engine), None)
        encode_vision(engine, picture(frame, engine), frame.intrinsics)
        assert seen[0].shape == seen[1].shape and seen[1].any()
        assert seen[0].any() != unknown


def test_positions_and_lengths(engine: Engine, frame: Frame) -> None:
    context = Context(engine)
    tokens = context.add_vision(picture(frame, engine), frame.intrinsics)
    assert (context.length, context.position) == (len(tokens) + 2, 1)
    context.add_latents(latents(engine, 6), 2, 3)
    assert (context.length, context.position) == (len(tokens) + 10, 2)
    context.add_text(QUESTION)
    added = len(engine.tokenizer.encode(QUESTION)) + 2
    assert (context.length, context.position) == (len(tokens) + 10 + added, 2 + added)
    before = context.length, context.position
    denoise([context], latents(engine, 6)[None], 1.0, 2, 3)
    assert (context.length, context.position) == before


def test_shared_prefix_equals_recomputed(engine: Engine, frame: Frame) -> None:
    prefix = Context(engine)
    prefix.add_vision(picture(frame, engine), frame.intrinsics)
    for question in (QUESTION, "is there a chair ?"):
        fork = prefix.fork()
        shared = fork.add_text(question)
        assert fork.cache.shares_storage_with(prefix.cache)
        fresh = Context(engine)
        fresh.add_vision(picture(frame, engine), frame.intrinsics)
        np.testing.assert_allclose(shared, fresh.add_text(question), atol=1e-6)
        np.testing.assert_allclose(fork.cache.keys, fresh.cache.keys, atol=1e-6)
        del fork


def test_token_by_token_equals_at_once(engine: Engine) -> None:
    ids = engine.tokenizer.encode(QUESTION)
    at_once, stepwise = Context(engine), Context(engine)
    logits = at_once.add_ids(ids)
    for index in ids:
        last = stepwise.add_ids([index])
    np.testing.assert_allclose(last, logits, atol=1e-5)
    np.testing.assert_allclose(stepwise.cache.values, at_once.cache.values, atol=1e-5)


def test_text_is_causal_and_images_are_not(engine: Engine, frame: Frame) -> None:
    ids = engine.tokenizer.encode(QUESTION)
    first, second = Context(engine), Context(engine)
    first.add_ids(ids)
    second.add_ids([*ids[:-1], ids[0]])
    np.testing.assert_array_equal(first.cache.keys[:, :, :, :-1], second.cache.keys[:, :, :, :-1])
    changed = picture(frame, engine).copy()
    changed[:, -1, -1] = 1.0  # the last patch
    first, second = Context(engine), Context(engine)
    first.add_vision(picture(frame, engine), frame.intrinsics)
    second.add_vision(changed, frame.intrinsics)
    # in the second layer the first token has seen the last patch
    assert not np.allclose(first.cache.keys[1, :, :, 1], second.cache.keys[1, :, :, 1], atol=1e-7)


def test_batch_equals_one_by_one(engine: Engine, frame: Frame) -> None:
    image = Context(engine)
    image.add_vision(picture(frame, engine), frame.intrinsics)
    contexts = [image.fork(), image.fork()]
    contexts[0].add_text("<depth-estimation>")
    contexts[1].add_text("<segmentation>")
    rows = np.stack([latents(engine, 6, 1), latents(engine, 6, 2)])
    both = denoise(contexts, rows, 0.5, 2, 3)[0]
    for index, context in enumerate(contexts):
        alone = denoise([context], rows[index : index + 1], 0.5, 2, 3)[0]
        np.testing.assert_allclose(both[index], alone[0], atol=1e-5)


def test_batch_of_different_lengths_is_refused(engine: Engine) -> None:
    contexts = [Context(engine), Context(engine)]
    contexts[0].add_text("mug")
    with pytest.raises(BackendError, match="one length"):
        denoise(contexts, np.zeros((2, 1, engine.spec.latent_dim), np.float32), 1.0, 1, 1)


def test_decoding_leaves_the_context_as_it_was(engine: Engine) -> None:
    context = Context(engine)
    context.add_text(QUESTION)
    keys, position = context.cache.keys.copy(), context.position
    written = generate_text(context, 12)
    np.testing.assert_array_equal(context.cache.keys, keys)
    assert context.position == position
    assert 0.0 < written.confidence <= 1.0
    assert written.text == engine.tokenizer.decode(written.ids)


def test_greedy_stops_at_the_end_marker_and_at_the_limit(engine: Engine) -> None:
    script = engine.tokenizer.encode("<answer> 1.42 m </answer>")
    engine.backend.script = [*script, engine.spec.tokens.text_end]  # type: ignore[attr-defined]
    context = Context(engine)
    context.add_text(QUESTION)
    written = generate_text(context, 40)
    assert written.text == "<answer> 1.42 m </answer>" and written.finished
    engine.backend.script = list(script)  # type: ignore[attr-defined]
    cut = generate_text(context, 3)
    assert cut.ids == tuple(script[:3]) and not cut.finished


def test_vocabulary_limit_hides_the_rest(tokenizer: Tokenizer) -> None:
    engine = make_engine(tokenizer, vocab_limit=12)
    context = Context(engine)
    context.add_text(QUESTION)
    written = generate_text(context, 20, Decoding(temperature=5.0, seed=0))
    assert max(written.ids) < 12


def test_sampling_is_seeded_and_top_p_cuts_the_tail(engine: Engine) -> None:
    context = Context(engine)
    context.add_text(QUESTION)
    hot = Decoding(temperature=3.0, seed=3)
    assert generate_text(context, 10, hot) == generate_text(context, 10, hot)
    assert generate_text(context, 10, hot) != generate_text(context, 10, Decoding(3.0, 1.0, 4))
    narrow = generate_text(context, 10, Decoding(temperature=3.0, top_p=1e-9, seed=3))
    assert narrow.ids == generate_text(context, 10).ids


def test_cancel_between_tokens(engine: Engine) -> None:
    token = CancelToken()
    context = Context(engine)
    context.add_text(QUESTION)
    seen = []
    with pytest.raises(GenerationCancelled):
        for partial in stream_text(context, 20, cancel=token):
            seen.append(partial)
            if len(seen) == 3:
                token.cancel()
    assert len(seen) == 3


def test_latent_packing_order() -> None:
    latent = np.arange(2 * 4 * 6, dtype=np.float32).reshape(1, 2, 4, 6)
    tokens = pack_latents(latent, 2)
    assert tokens.shape == (6, 8)
    # first token: pixels (0,0) (0,1) (1,0) (1,1), channel fastest
    assert tokens[0].tolist() == [0, 24, 1, 25, 6, 30, 7, 31]
    np.testing.assert_array_equal(unpack_latents(tokens, 2, 3, 2), latent)


def test_position_ids_use_the_side_of_the_table() -> None:
    assert grid_position_ids(2, 3, 70).tolist() == [0, 1, 2, 70, 71, 72]
    with pytest.raises(ValueError, match="exceeds"):
        grid_position_ids(71, 3, 70)


def test_rays_do_not_depend_on_the_resolution_of_the_intrinsics() -> None:
    full = Intrinsics(500.0, 510.0, 310.0, 250.0, 640, 480)
    rays = patch_rays(full, 9, 12, 16)
    np.testing.assert_allclose(rays, patch_rays(full.scaled(192, 144), 9, 12, 16), atol=1e-6)
    small = full.scaled(192, 144)
    assert rays[13, 0] == pytest.approx((16 + 7.5 - small.cx) / small.fx, abs=1e-6)
    assert rays[13, 1] == pytest.approx((16 + 7.5 - small.cy) / small.fy, abs=1e-6)
    np.testing.assert_allclose(rays[:, 2:4], rays[:, :2] ** 2, atol=1e-6)
    assert rays[0, 4] == pytest.approx(np.log(16 / small.fx), abs=1e-6)
