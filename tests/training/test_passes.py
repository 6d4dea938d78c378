"""The frame passes of training equal the packed forward with one branch per map and per
question."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch (training extra) is not installed")

from cooper_ros.model.configuration import CooperConfig  # noqa: E402
from cooper_ros.model.modeling import CooperModel  # noqa: E402
from cooper_ros.model.packing import Layout, compile_layout, packed_forward  # noqa: E402
from cooper_ros.training.frames import FrameBatch  # noqa: E402
from cooper_ros.training.setup import initialise  # noqa: E402
from cooper_ros.training.slots import Slot, collate  # noqa: E402
from cooper_ros.training.stage1 import FramePasses, Prompted, grid_ids  # noqa: E402
from cooper_ros.training.stage2 import AnswerPasses  # noqa: E402

ROWS, COLUMNS, FRAMES = 2, 3, 2


@pytest.fixture(scope="module")
def passes():
    config = CooperConfig(
        vocab_size=40,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=48,
        rope_theta=1e4,
        position_period=100.0,
        ray_channels=5,
        max_patches_per_side=8,
        max_latent_size=8,
        vision={
            "type": "efficientnet_lite",
            "hidden_size": 24,
            "intermediate_size": 32,
            "num_attention_heads": 2,
            "num_layers": 1,
            "patch_size": 16,
        },
        autoencoder={
            "ch": 8,
            "ch_mult": [1, 2],
            "num_res_blocks": 1,
            "z_channels": 4,
            "scale_factor": 1.0,
            "shift_factor": 0.0,
            "norm_num_groups": 4,
            "mid_attention": False,
        },
        special_tokens={"bos": 0, "eos": 1, "vision_start": 2, "vision_end": 3},
    )
    model = CooperModel(config)
    initialise(model, 1)
    torch.nn.init.normal_(model.llm2vae.weight, std=0.2)
    model.eval()
    return FramePasses(
        model,
        Prompted(torch.tensor([2, 3]), torch.tensor([0, 10, 11, 1]), torch.tensor([0, 12, 13, 1])),
    )


@pytest.fixture(scope="module")
def batch():
    g = torch.Generator().manual_seed(0)
    rgb = torch.rand(FRAMES, 3, ROWS * 16, COLUMNS * 16, generator=g) * 2 - 1
    k = torch.tensor([[40.0, 40.0, 23.5, 15.5]]).repeat(FRAMES, 1)
    empty = torch.zeros(FRAMES, ROWS * 16, COLUMNS * 16)
    known = torch.ones(FRAMES, dtype=torch.bool)
    index = torch.arange(FRAMES)
    return FrameBatch(rgb, empty, empty.long(), empty, k, index, False, known, known)


def vision(passes, b):
    m = passes.model
    return m.vision_tokens(
        b.rgb,
        grid_ids(ROWS, COLUMNS, 8),
        b.rays(16),
        m.vit_model(b.rgb, grid_ids(ROWS, COLUMNS, 8)),
    )


@torch.no_grad()
def test_maps_equal_packed(passes, batch):
    m, n = passes.model, ROWS * COLUMNS
    g = torch.Generator().manual_seed(1)
    x = torch.randn(2 * FRAMES, n, 16, generator=g)
    t = torch.tensor([1.0, 0.5, 0.7, 0.3])
    got = passes.draw(passes.see(batch), ROWS, COLUMNS, x, t)

    layout = Layout()
    layout.picture("vision", n, 0)
    for branch in (1, 2):
        layout.text(4, 1, branch=branch, sees=(0,))
        layout.picture("latent", n, 5, noisy=True, branch=branch, sees=(0,))
    c = compile_layout(layout, 16, 1e4)
    ids = torch.tensor([[2, 3, 0, 10, 11, 1, 2, 3, 0, 12, 13, 1, 2, 3]]).repeat(FRAMES, 1)
    both = torch.cat([x[:FRAMES], x[FRAMES:]], 1)
    times = torch.cat([t[:FRAMES, None].expand(-1, n), t[FRAMES:, None].expand(-1, n)], 1)
    _, v = packed_forward(
        m, c, ids, vision(passes, batch), both, times, grid_ids(ROWS, COLUMNS, 8).repeat(2)
    )
    expected = torch.cat([v[:, :n], v[:, n:]])
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_questions_equal_packed(passes, batch):
    m, n = passes.model, ROWS * COLUMNS
    answers = AnswerPasses(passes)
    z = torch.randn(2 * FRAMES, n, 16, generator=torch.Generator().manual_seed(2))
    cache = answers.context(passes.see(batch), ROWS, COLUMNS, z)
    one = [
        Slot("answer", [0, 20, 21, 1, 0, 22, 23, 1], [1.0] * 8),
        Slot("depth", [0, 20, 1, 0, 24, 1], [1.0] * 6),
        Slot("segmentation", [0, 25, 1, 0, 26, 1], [1.0] * 6),
    ]
    got = answers.read(
        cache, collate(one * FRAMES, 1, [i for i in range(FRAMES) for _ in one]), n + 2
    )

    layout = Layout()
    layout.picture("vision", n, 0, branch=0)
    layout.picture("latent", n, 1, branch=1, sees=(0,))
    layout.picture("latent", n, 2, branch=2, sees=(0, 1))
    layout.text(8, 3, branch=3, sees=(0, 1, 2))
    layout.text(6, 1, branch=4, sees=(0,))
    layout.text(6, 2, branch=5, sees=(0, 1))
    c = compile_layout(layout, 16, 1e4)
    text = [2, 3, 2, 3, 2, 3, *one[0].ids, *one[1].ids, *one[2].ids]
    h, _ = packed_forward(
        m,
        c,
        torch.tensor([text] * FRAMES),
        vision(passes, batch),
        torch.cat([z[:FRAMES], z[FRAMES:]], 1),
        torch.zeros(FRAMES, 2 * n),
        grid_ids(ROWS, COLUMNS, 8).repeat(2),
    )
    start = 3 * (n + 2)
    for i, (slot, at) in enumerate(zip(one, (0, 8, 14), strict=True)):
        k = len(slot.ids)
        expected = h[:, c.und_place(torch.arange(start + at, start + at + k))]
        torch.testing.assert_close(got[i::3, :k], expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_decode_is_greedy_reading(passes, batch):
    """Left-padded batched decoding equals one-by-one teacher forcing on its own output."""
    n = ROWS * COLUMNS
    answers = AnswerPasses(passes)
    z = torch.randn(2 * FRAMES, n, 16, generator=torch.Generator().manual_seed(3))
    cache = answers.context(passes.see(batch), ROWS, COLUMNS, z)
    leads = [[0, 20, 21, 1, 0], [0, 20, 1, 0]]
    turns = answers.decode(cache, leads, [3, 1], n + 2, 1, max_tokens=6)
    for i, kind in enumerate(("answer", "direct")):
        ids = [*leads[i], *turns[i]]
        one = (cache[0][:, i : i + 1], cache[1][:, i : i + 1])
        slots = collate([Slot(kind, ids, [1.0] * len(ids))], 1, [0])
        hidden = answers.read(one, slots, n + 2)
        predicted = passes.model.logits(hidden).argmax(-1)[0]
        assert predicted[len(leads[i]) - 1 : len(ids) - 1].tolist() == turns[i]
