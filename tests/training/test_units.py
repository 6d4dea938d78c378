"""Pieces of training: codecs and rays equal the runtime's, slots, optimiser."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch (training extra) is not installed")

from cooper_ros.core.codecs import DepthCodec, PaletteCodec, sphere_palette  # noqa: E402
from cooper_ros.core.types import Intrinsics  # noqa: E402
from cooper_ros.reasoning.chains import parse_chains  # noqa: E402
from cooper_ros.reasoning.phrasings import vocabulary  # noqa: E402
from cooper_ros.reasoning.reading import read_answer  # noqa: E402
from cooper_ros.runtime.rays import patch_rays  # noqa: E402
from cooper_ros.runtime.tokenizer import Tokenizer  # noqa: E402
from cooper_ros.sim.truth import COLUMNS  # noqa: E402
from cooper_ros.training.frames import FrameStore, crop, flip, resize  # noqa: E402
from cooper_ros.training.maps import MapCodecs  # noqa: E402
from cooper_ros.training.optim import orthogonalise  # noqa: E402
from cooper_ros.training.slots import SlotMaker, collate, digit_weights  # noqa: E402
from cooper_ros.training.stage2 import transform_rows  # noqa: E402


def test_codecs_equal_core():
    colours = sphere_palette(27)
    ours = MapCodecs(0.25, 10.0, torch.tensor(colours))
    depth = np.random.default_rng(0).uniform(0.3, 9.0, (6, 8)).astype(np.float32)
    code = DepthCodec(0.25, 10.0, "log")
    picture = ours.depth_picture(ours.log_depth(torch.tensor(depth)[None], 1))[0].numpy()
    np.testing.assert_allclose(picture, code.encode(depth), atol=1e-6)
    np.testing.assert_allclose(
        ours.read_depth(torch.tensor(picture)[None])[0].exp().numpy(), depth, rtol=1e-4
    )
    labels = np.arange(27).reshape(3, 9).astype(np.uint8)
    palette = PaletteCodec(tuple("abcdefghijklmnopqrstuvwxyzA"), np.asarray(colours, np.float32))
    shown = ours.class_picture(torch.tensor(labels.astype(np.int64))[None], 1)[0].numpy()
    np.testing.assert_allclose(shown, palette.encode(labels), atol=1e-6)
    assert (ours.class_logits(torch.tensor(shown)[None]).argmax(1)[0].numpy() == labels).all()


@pytest.mark.parametrize("change", ["none", "flip", "crop", "resize"])
def test_rays_follow_the_picture(shards, change):
    """Ray inputs equal the runtime's for the intrinsics that the changed picture really has."""
    b = FrameStore(shards).batch(torch.arange(2))
    k = Intrinsics(50.0, 50.0, 31.5, 23.5, 64, 48)
    if change == "flip":
        b = flip(b)  # symmetric camera: unchanged intrinsics
    elif change == "crop":
        b = crop(b, 16, 0, 32, 48)
        k = k.cropped(16, 0, 32, 48)
    elif change == "resize":
        b = resize(b, 32, 16)
        k = k.scaled(32, 16)
    rows, columns = b.rgb.shape[-2] // 16, b.rgb.shape[-1] // 16
    np.testing.assert_allclose(b.rays(16)[0].numpy(), patch_rays(k, rows, columns, 16), atol=1e-5)


def test_mirrored_and_scaled_rows_agree_with_geometry():
    k = Intrinsics(50.0, 50.0, 31.5, 23.5, 64, 48)
    rows = np.zeros((1, len(COLUMNS)), np.float32)
    u, v, z = 40.0, 20.0, 2.0
    x, y = (u - k.cx) / k.fx * z, (v - k.cy) / k.fy * z
    rows[0, 4:9] = u / 64, v / 48, z, x, y
    rows[0, -4:] = 30 / 64, 10 / 48, 44 / 64, 28 / 48
    out = transform_rows(rows, True, 1.5, 64)[0]
    mirrored = out[4] * 64
    assert mirrored == pytest.approx(63 - u)
    assert out[7] == pytest.approx((mirrored - k.cx) / k.fx * out[6], rel=1e-5)
    assert out[6] == pytest.approx(3.0)
    edges = dict(zip(COLUMNS[-4:], out[-4:].tolist(), strict=True))
    assert edges == pytest.approx(
        {"left": 19 / 64, "top": 10 / 48, "right": 33 / 64, "bottom": 28 / 48}
    )


def test_slots_train_the_turn_only():
    tokenizer = Tokenizer.from_vocabulary()
    ids = tokenizer.marker_ids
    maker = SlotMaker(tokenizer, ids.text_start, ids.text_end)
    chain = "<obj> mug u 42 v 17 d 1.35 x +0.12 y -0.30 </obj>"
    turn = f"<think> {chain} </think> <answer> 1.42 m </answer>"
    slot = maker.make("answer", "how far is the mug ?", turn)
    trained = [slot.ids[i + 1] for i, w in enumerate(slot.weights) if w > 0]
    assert trained[-1] == ids.text_end
    assert tokenizer.decode(trained[:-1]) == turn
    assert sorted(set(slot.weights)) == [0.0, 0.3, 0.4, 1.0]
    low = [w for w in slot.weights if w == 0.3]
    assert len(low) == 4  # d, x, y and the answer have one noise-like digit each
    batch = collate([slot, maker.request("depth", "how far is the mug ?")], ids.text_end, [0, 0])
    assert batch.positions[0, 0] == 3 and batch.positions[1, 0] == 1
    assert (batch.labels[0, :-1] == batch.ids[0, 1:]).all()


def test_arithmetic_slot_is_true():
    tokenizer = Tokenizer.from_vocabulary()
    ids = tokenizer.marker_ids
    maker = SlotMaker(tokenizer, ids.text_start, ids.text_end)
    rng = np.random.default_rng(0)
    for _ in range(20):
        slot = maker.arithmetic((150.0, 150.0, 95.5, 71.5), 192, 144, rng)
        text = tokenizer.decode(slot.ids)
        (chain,) = parse_chains(text)
        assert read_answer(text).value == pytest.approx(chain.distance_m, abs=0.02)
        assert chain.x_m == pytest.approx(
            ((chain.u + 0.5) * 1.92 - 0.5 - 95.5) / 150 * chain.d_m, abs=0.01
        )


def maker_of(grammar: int) -> tuple[SlotMaker, Tokenizer]:
    tokenizer = Tokenizer.from_vocabulary(vocabulary(grammar))
    ids = tokenizer.marker_ids
    return SlotMaker(tokenizer, ids.text_start, ids.text_end, grammar), tokenizer


def test_whether_a_thing_is_there_weighs_five_times():
    maker, tokenizer = maker_of(2)
    chain = "<obj> mug u 42 v 17 d 1.35 x +0.12 y -0.30 l 38 r 47 t 10 b 25 </obj>"
    turn = f"<think> seen {chain} absent can </think> <answer> none </answer>"
    slot = maker.make("answer", "how wide is the mug ?", turn)
    heavy = [slot.ids[i + 1] for i, w in enumerate(slot.weights) if w == 5.0]
    assert tokenizer.decode(heavy) == "seen absent"
    soft = [w for w in slot.weights if w == 0.4]
    assert len(soft) == 6  # u, v and four edges have a second digit each


def test_arithmetic_of_sizes_follows_from_the_edges():
    maker, tokenizer = maker_of(2)
    rng = np.random.default_rng(0)
    sizes, trained = 0, set()
    for _ in range(60):
        slot = maker.arithmetic((150.0, 140.0, 95.5, 71.5), 192, 144, rng)
        text = tokenizer.decode(slot.ids)
        (chain,) = parse_chains(text)
        assert "<think> seen <obj>" in text and "<unk>" not in text
        value = read_answer(text).value
        if chain.edges is None:
            assert value == pytest.approx(chain.distance_m, abs=0.02)
            continue
        sizes += 1
        left, right, top, bottom = chain.edges
        assert 0 <= left <= chain.u <= right <= 99 and 0 <= top <= chain.v <= bottom <= 99
        wide = (right - left) * 1.92 / 150 * chain.d_m
        high = (bottom - top) * 1.44 / 140 * chain.d_m
        assert value == pytest.approx(wide if "wide" in text else high, abs=0.006)
        trained |= {slot.ids[i + 1] for i, w in enumerate(slot.weights) if w > 0}
    assert 10 < sizes < 30
    words = set(tokenizer.tokens(sorted(trained)))
    assert not words & {"l", "r", "t", "b", "u", "v", "x", "seen"}  # nobody can know these


def test_arithmetic_of_version_1_is_drawn_as_before():
    maker, tokenizer = maker_of(1)
    rng = np.random.default_rng(3)
    text = tokenizer.decode(maker.arithmetic((150.0, 150.0, 95.5, 71.5), 192, 144, rng).ids)
    assert text == (
        "<|im_start|> how far is the bowl ? <|im_end|> <|im_start|> <think> <obj> bowl u 08 v 17 "
        "d 3.96 x -2.10 y -1.24 </obj> </think> <answer> 4.65 m </answer> <|im_end|>"
    )


def test_digit_weights_match_tokens():
    tokenizer = Tokenizer.from_vocabulary()
    text = "<answer> 1.42 m </answer>"
    ids = list(tokenizer.encode(text))
    assert digit_weights(text, ids, tokenizer) == [1.0, 1.0, 1.0, 1.0, 0.3, 1.0, 1.0]


def test_orthogonalise():
    g = torch.randn(3, 24, 40, generator=torch.Generator().manual_seed(0))
    s = torch.linalg.svdvals(orthogonalise(g))
    assert s.min() > 0.5 and s.max() < 1.4


def test_hue_turn_keeps_grey_and_permutes_at_a_third():
    """Grey stays grey; a third of a turn moves red to green."""
    from cooper_ros.training.frames import hue_turn

    m = hue_turn(torch.tensor([0.7, 2 * torch.pi / 3]))
    assert torch.allclose(m @ torch.ones(3), torch.ones(2, 3), atol=1e-6)
    assert torch.allclose(m[1] @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]), atol=1e-6)
