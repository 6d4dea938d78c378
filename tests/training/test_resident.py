"""Frames and photos in the memory of a GPU, and text that others write: the same as without."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch (training extra) is not installed")

from cooper_ros.core.errors import CooperError  # noqa: E402
from cooper_ros.reasoning.phrasings import vocabulary  # noqa: E402
from cooper_ros.runtime.tokenizer import Tokenizer  # noqa: E402
from cooper_ros.training.frames import FrameStore, fit, flip  # noqa: E402
from cooper_ros.training.photos import PhotoStore  # noqa: E402
from cooper_ros.training.questions import question_source  # noqa: E402
from cooper_ros.training.resident import ResidentPhotos, ResidentStore  # noqa: E402
from cooper_ros.training.slots import SlotMaker  # noqa: E402
from cooper_ros.training.writing import (  # noqa: E402
    FrameText,
    SlotWriter,
    WritingAhead,
    fitted_intrinsics,
)


def test_resident_frames_are_those_of_the_shards(shards):
    packed, resident = FrameStore(shards), ResidentStore(shards)
    assert len(resident) == len(packed) == resident.bytes.count
    chosen = torch.tensor([3, 40, 3, 17])
    a, b = packed.batch(chosen), resident.batch(chosen)
    for name in ("rgb", "classes", "instances", "intrinsics", "known"):
        assert torch.equal(getattr(a, name), getattr(b, name)), name
    # these shards hold 16 bits of depth; the memory holds 8, in steps of 1.8 %
    assert ((b.depth - a.depth).abs() / a.depth).max() < 0.0095
    assert (resident.frame_objects[40] == packed.frame_objects[40]).all()


def test_shards_that_appear_are_taken_in_until_the_memory_is_full(shards, tmp_path):
    first, second = sorted(shards.glob("*.npz"))
    shutil.copy(first, tmp_path / "shard-0.npz")
    store = ResidentStore(tmp_path, capacity=60)
    half = len(store)
    shutil.copy(second, tmp_path / "shard-1.npz")
    shutil.copy(second, tmp_path / "shard-2.npz")
    store.refresh()
    for _, future in list(store.waiting):
        future.result()
    store.refresh()
    assert len(store) == 2 * half and store.full() and not store.waiting
    assert store.batch(torch.tensor([2 * half - 1])).rgb.shape[0] == 1


def test_a_damaged_shard_is_named(shards, tmp_path):
    data = next(iter(sorted(shards.glob("*.npz")))).read_bytes()
    (tmp_path / "shard-9.npz").write_bytes(data[: len(data) // 2])
    with pytest.raises(CooperError, match=r"shard-9\.npz"):
        ResidentStore(tmp_path)


def test_resident_photos_are_views_of_the_photos(photo_folder):
    plain = PhotoStore(photo_folder, "train")
    kept = ResidentPhotos(photo_folder, "train", (64, 48), views=3)
    b = kept.batch([1, 2], 64, 48, np.random.default_rng(0))
    assert b.rgb.shape == (2, 3, 48, 64) and b.classes.shape == (2, 48, 64)
    assert not b.metric.any() and not b.known.any()
    for i, number in enumerate((1, 2)):
        seen, there = (set(x.classes.unique().tolist()) for x in (b, plain.batch([number], 80, 60)))
        assert set(b.classes[i].unique().tolist()) <= there | {254, 255}, seen
    wide = kept.batch([0], 64, 32, np.random.default_rng(0))
    assert wide.rgb.shape == (1, 3, 32, 64) and wide.classes.shape == (1, 32, 64)
    whole = kept.batch([0], 64, 48)  # without a generator the middle, as validation wants it
    assert torch.equal(whole.rgb, plain.batch([0], 64, 48).rgb)


@pytest.mark.parametrize("size", [(64, 48), (48, 48), (32, 24), (64, 32)])
@pytest.mark.parametrize("mirrored", [False, True])
def test_intrinsics_of_the_text_are_those_of_the_picture(shards, size, mirrored):
    store = FrameStore(shards)
    b = fit(store.batch(torch.tensor([0])), *size)
    b = flip(b) if mirrored else b
    stored = store.intrinsics[0].tolist()
    found = fitted_intrinsics(stored, (64, 48), size, mirrored)
    assert found == pytest.approx(b.intrinsics[0].tolist())


def test_others_write_what_this_process_would(shards, tmp_path):
    store = FrameStore(shards)
    tokenizer = Tokenizer.from_vocabulary(vocabulary(2))
    ids = tokenizer.marker_ids
    maker = SlotMaker(tokenizer, ids.text_start, ids.text_end, 2)
    writer = SlotWriter(maker, question_source(2), 4, True)
    tokenizer.save(tmp_path / "tokenizer.json")

    class Plan:
        def __init__(self, step):
            self.step, self.seed = step, 100 + step
            self.frames = tuple(
                FrameText(store.frame_objects[i], 1.5, (50.0, 50.0, 31.5, 23.5), (64, 48), i == 1)
                for i in range(step, step + 3)
            )

    ahead = WritingAhead(1, tmp_path / "tokenizer.json", maker.bos, maker.eos, 2, 4, True)
    try:
        for step in (0, 1, 7):  # a run that resumes goes on elsewhere
            plan, found = ahead.next(Plan, step, 1.0)
            own = writer.write(plan.frames, plan.seed, 1.0)
            assert plan.step == step and len(found.parts) == len(own.parts) == 3
            for a, b in zip(found.parts, own.parts, strict=True):
                assert (a.ids == b.ids).all() and (a.weights == b.weights).all()
            for a, b in zip(found.points, own.points, strict=True):
                assert (a == b).all()
        assert sum(len(points) for points in own.points)
    finally:
        ahead.close()
