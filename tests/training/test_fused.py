"""Fused maps: the same cells in numpy and torch, the same context in training and at run time, and
a head that learns to look at the object."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch (training extra) is not installed")

import cooper_ros.training.run as run  # noqa: E402
from cooper_ros.core.classes import CLASS_NAMES  # noqa: E402
from cooper_ros.core.codecs import DepthCodec  # noqa: E402
from cooper_ros.model.backend import TorchBackend  # noqa: E402
from cooper_ros.model.spec import model_spec  # noqa: E402
from cooper_ros.reasoning.loop import ImageSegment, MapSegment  # noqa: E402
from cooper_ros.reasoning.tags import DEPTH, SEGMENTATION  # noqa: E402
from cooper_ros.runtime.context import Engine  # noqa: E402
from cooper_ros.runtime.fused import FusedSettings, features  # noqa: E402
from cooper_ros.runtime.pictures import prepare  # noqa: E402
from cooper_ros.runtime.store import ContextStore, GeneratedMap  # noqa: E402
from cooper_ros.sim import truth  # noqa: E402
from cooper_ros.training.device import host_generator  # noqa: E402
from cooper_ros.training.fused import fused_context, fused_features, one_hot  # noqa: E402
from cooper_ros.training.pointing import (  # noqa: E402
    PointFinder,
    PointingHead,
    cells_of,
    pointing_loss,
)
from cooper_ros.training.stage1 import FramePasses  # noqa: E402

ROWS, COLUMNS = 3, 4


def maps(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    depth = np.exp(rng.uniform(-1, 2, (ROWS * 8, COLUMNS * 8))).astype(np.float32)
    return depth, rng.integers(0, len(CLASS_NAMES), depth.shape)


def test_features_equal_torch():
    settings = FusedSettings(len(CLASS_NAMES))
    depth, labels = maps()
    found = features(settings, ROWS, COLUMNS, depth, labels)
    shares = one_hot(torch.from_numpy(labels)[None], len(CLASS_NAMES))
    theirs = fused_features(settings, torch.from_numpy(depth).log()[None], shares)[0]
    assert found.shape == (ROWS * COLUMNS, settings.width)
    np.testing.assert_allclose(found, theirs.numpy(), atol=1e-5)


def test_a_cell_tells_its_own_pixels_only():
    settings = FusedSettings(len(CLASS_NAMES))
    depth, labels = maps()
    before = features(settings, ROWS, COLUMNS, depth, labels)
    depth[8:16, 8:16] *= 1.1
    labels[8:16, 8:16] = 20
    changed = np.abs(features(settings, ROWS, COLUMNS, depth, labels) - before).sum(1) > 1e-6
    assert np.flatnonzero(changed).tolist() == [1 * COLUMNS + 1]
    empty = features(settings, ROWS, COLUMNS, None, labels)
    assert not empty[:, : settings.depth_width].any() and empty.any()


def test_maps_of_another_size_are_refused():
    depth, labels = maps()
    with pytest.raises(ValueError, match="labels of shape"):
        features(FusedSettings(27), ROWS, COLUMNS, depth, labels[:-8])
    with pytest.raises(ValueError, match="no raster"):
        FusedSettings(27, grid=3)


@pytest.fixture(scope="module")
def stage(shards, photo_folder, tiny_config):
    """A stage-2 stage of the tiny model."""
    patch = pytest.MonkeyPatch()
    patch.setattr(run, "load_imagenet_tower", lambda model: "none")
    o = run.TrainOptions(
        "sft", str(shards), str(shards), "", config=str(tiny_config), sizes=["0:64x48:4"],
        batch=4, seed=1,
    )  # fmt: skip
    model, tokenizer = run.build(o)
    made = run.build_stage(o, model, tokenizer, 0, 1)
    patch.undo()
    return made, tokenizer


@torch.no_grad()
def test_the_context_is_the_runtimes(stage):
    """Training's cache of picture and maps equals the one that the runtime builds."""
    made, tokenizer = stage
    model = made.model.eval()
    spec = dataclasses.replace(model_spec(model.config), map_placement="prefix")
    assert spec.map_context == "fused" and spec.fused is not None
    engine = Engine(TorchBackend(model), spec, tokenizer)
    b = made.store.batch(torch.arange(1))
    rgb = ((b.rgb[0].permute(1, 2, 0) + 1) * 127.5).round().numpy().astype(np.uint8)
    pictures = prepare(spec, rgb)
    assert (pictures.rows, pictures.columns) == (ROWS, COLUMNS)
    b.known[:] = False
    depth, labels = maps()
    store = ContextStore(engine, pictures)
    depth_picture = DepthCodec(spec.depth.min_m, spec.depth.max_m, "log").encode(depth)
    assert spec.segmentation is not None
    class_picture = spec.segmentation.codec().encode(labels)
    nothing = np.zeros((0, spec.latent_dim), np.float32)
    for kind, picture in ((DEPTH, depth_picture), (SEGMENTATION, class_picture)):
        store.set_map(MapSegment(kind), GeneratedMap(kind, nothing, picture))
    both = (ImageSegment(), MapSegment(DEPTH), MapSegment(SEGMENTATION))
    alone = store.context(both[:2])
    full = store.context(both)
    assert alone.length == full.length == 2 * (ROWS * COLUMNS + 2) and full.position == 2

    settings = FusedSettings(len(CLASS_NAMES))
    log = torch.from_numpy(np.clip(depth, 0.25, 10.0)).log()[None]
    shares = one_hot(torch.from_numpy(labels)[None], len(CLASS_NAMES))
    image = made.maps.passes.see(b)
    for context, given in ((full, shares), (alone, torch.zeros_like(shares))):
        cells = fused_features(settings, log, given)
        keys, values = fused_context(made.maps.passes, image, cells, ROWS, COLUMNS)
        new = ROWS * COLUMNS + 2
        np.testing.assert_allclose(context.cache.keys[:, :, :, new:], keys[:, :, :, new:],
                                   atol=1e-4)  # fmt: skip
        np.testing.assert_allclose(context.cache.values[:, :, :, new:], values[:, :, :, new:],
                                   atol=1e-4)  # fmt: skip


def test_a_step_learns_from_text_maps_and_pointing(stage):
    made, _ = stage
    made.model.train()
    loss, figures = made.loss(0, 0.0, host_generator(1))
    assert {"text", "pointing", "map_depth", "map_class"} <= set(figures)
    loss.backward()
    assert float(made.model.map_embed.weight.grad.abs().sum()) > 0
    made.model.zero_grad()


def test_text_does_not_reach_the_picture_at_first(stage):
    """In the first half the picture's states learn from maps alone; later from both."""
    made, _ = stage
    reached = []
    for progress in (0.1, 0.9):
        seen: list[torch.Tensor] = []
        real = FramePasses.see

        def see(passes, b, seen=seen, real=real):
            k, v = real(passes, b)
            k, v = k.detach().requires_grad_(), v.detach().requires_grad_()
            seen += [k, v]
            return k, v

        patch = pytest.MonkeyPatch()
        patch.setattr(FramePasses, "see", see)
        patch.setattr(made, "replay", 0)
        loss, _ = made.loss(1, progress, host_generator(2))
        loss.backward()
        patch.undo()
        reached.append(any(t.grad is not None and float(t.grad.abs().sum()) > 0 for t in seen))
    assert reached == [False, True]


def test_answers_see_a_part_of_the_picture_and_all_of_the_maps(stage):
    made, _ = stage
    block = ROWS * COLUMNS + 2
    hidden = made.hidden_rows(200, 2 * block, block, host_generator(0))
    assert not hidden[:, block - 1 :].any() and not hidden[:, 0].any()
    share = hidden[:, 1 : block - 1].float().mean(1)
    assert 0.35 < float((share > 0).float().mean()) <= 0.55  # half of the frames
    assert float(share.max()) > 0.9


def test_places_are_found_in_the_text(stage):
    made, tokenizer = stage
    finder = PointFinder(tokenizer.encode)
    rows = np.zeros((3, len(truth.COLUMNS)), np.float32)
    rows[:, 1] = [CLASS_NAMES.index("mug"), CLASS_NAMES.index("mug"), CLASS_NAMES.index("sofa")]
    rows[:, 4:6] = [[0.425, 0.175], [0.8, 0.5], [0.42, 0.17]]
    text = "<think> <obj> mug u 42 v 17 d 1.35 x +0.12 y -0.30 </obj> <obj> mug u 10 v 17 </obj>"
    ids = list(tokenizer.encode(text))
    words = [tokenizer.decode([t]).strip() for t in ids]
    points = finder.find(ids, rows)
    assert [(words[p.token], p.row) for p in points] == [("u", 0), ("d", 0)]  # none is at u 10


def test_a_head_can_be_pulled_to_an_object():
    """On a toy layer the loss falls until the head looks where it should."""
    from cooper_ros.model.configuration import CooperConfig
    from cooper_ros.model.mot import MoTLayer, rope_tables

    torch.manual_seed(0)
    config = CooperConfig(hidden_size=32, num_attention_heads=2, num_key_value_heads=1,
                          intermediate_size=48)  # fmt: skip
    layer = MoTLayer(config)
    past = torch.randn(3, 1, 6, 16)
    und, bias = torch.randn(3, 2, 32), torch.zeros(1, 1, 2, 8)
    cos, sin = rope_tables(torch.zeros(1, 2), 16, 1e4)
    target = cells_of(torch.eye(6)[[1, 4, 2]].view(3, 2, 3).repeat_interleave(4, 1)
                      .repeat_interleave(4, 2), 4)  # fmt: skip
    optimiser = torch.optim.Adam(layer.parameters(), 0.01)
    for _ in range(60):
        with PointingHead(layer) as head:
            layer(und, None, cos, sin, bias, past, past)
            log = head.log_attention(torch.arange(3), torch.ones(3, dtype=torch.long))
        loss = pointing_loss(log, target, 0)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.1
    assert log[:, :6].argmax(1).tolist() == [1, 4, 2]
    nothing = pointing_loss(log, torch.zeros_like(target), 0)
    assert float(nothing.detach()) == 0.0


def test_the_configurations_grammar_is_what_is_taught(stage):
    """Every answer says first whether the thing is there."""
    made, tokenizer = stage
    assert made.model.config.runtime["grammar"] == 2
    rows = made.store.frame_objects[0]
    rng = np.random.default_rng(0)
    slots = made.writer.frame_slots(rows, 1.5, [50, 50, 31.5, 23.5], (64, 48), rng)
    answers = [tokenizer.decode(s.ids) for s in slots if s.kind == "answer"]
    assert answers and all(" seen " in text or " absent " in text for text in answers
                           if "free space" not in text)  # fmt: skip
