"""Real photos: labels in places, no depth, an unknown camera."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch (training extra) is not installed")

from cooper_ros.core.errors import CooperError  # noqa: E402
from cooper_ros.training.batches import Mixture  # noqa: E402
from cooper_ros.training.device import host_generator  # noqa: E402
from cooper_ros.training.frames import FrameStore  # noqa: E402
from cooper_ros.training.latents import LatentCache  # noqa: E402
from cooper_ros.training.maps import UNNAMED, class_loss  # noqa: E402
from cooper_ros.training.photos import UNKNOWN, PhotoStore, photo_figures, view  # noqa: E402

NAMEABLE = torch.tensor([0, 1])


def one_pixel(label: int, logits: list[float], photos: int = 1) -> torch.Tensor:
    scores = torch.tensor(logits).view(1, 3, 1, 1).requires_grad_()
    loss = class_loss(scores, torch.tensor([[[label]]]), torch.ones(3), NAMEABLE, photos)
    loss.backward()
    assert scores.grad is not None
    return scores.grad.flatten()


def test_an_unknown_pixel_takes_no_part():
    assert one_pixel(UNKNOWN, [1.0, 2.0, 3.0]).abs().sum() == 0


def test_an_unnamed_pixel_pays_for_what_labels_can_say():
    """And only for that: the class that no label can name stays free."""
    gradient = one_pixel(UNNAMED, [1.0, 2.0, 0.0])
    assert gradient[0] > 0 and gradient[1] > 0 and gradient[2] < 0
    p = torch.tensor([1.0, 2.0, 0.0]).softmax(0)
    torch.testing.assert_close(gradient[2], -(p[0] + p[1]))  # d(-ln p2)/dz2


def test_photos_count_by_picture_and_frames_by_pixel():
    g = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 3, 2, 2, generator=g)
    classes = torch.tensor([[[0, 1], [2, 0]], [[0, 255], [255, 255]], [[1, 1], [254, 255]]])
    weight = torch.tensor([1.0, 2.0, 0.5])
    found = class_loss(logits, classes, weight, NAMEABLE, photos=2)
    log = logits.log_softmax(1)
    frame = torch.nn.functional.cross_entropy(logits[:1], classes[:1], weight=weight)
    first = -log[1, 0, 0, 0]
    outside = -(log[2, 2, 1, 0])
    second = (2 * -log[2, 1, 0, 0] + 2 * -log[2, 1, 0, 1] + outside) / 5
    torch.testing.assert_close(found, (frame + first + second) / 3)


def test_a_photo_batch_has_no_camera_and_no_depth(photo_folder, shards):
    data = Mixture(FrameStore(shards), PhotoStore(photo_folder, "train"), unknown=0.5)
    b = data.sample(12, host_generator(1), 64, 48)
    assert data.photos_of(12) == 4 and b.rgb.shape == (12, 3, 48, 64)
    assert not b.metric[8:].any() and b.metric[:8].all()
    rays = b.rays(16)
    assert (rays[~b.known] == 0).all() and (rays[b.known].abs().sum((1, 2)) > 0).all()
    assert 0 < int(b.known[:8].sum()) < 8 and not b.known[8:].any()
    assert set(b.classes[8:].unique().tolist()) & {UNNAMED, UNKNOWN}
    assert b.classes[:8].max() < 27


def test_labels_follow_the_window_of_the_picture():
    """Every pixel of a picture that shows its own label keeps it, whatever the window."""
    y, x = np.mgrid[0:60, 0:80]
    labels = ((y // 15) * 4 + x // 20).astype(np.uint8)
    picture = np.repeat(labels[..., None] * 12, 3, 2).astype(np.uint8)
    rng = np.random.default_rng(0)
    for _ in range(20):
        shown, named = view(picture, labels[::2, ::2], 64, 48, rng)
        assert shown.shape == (48, 64, 3)
        same = np.abs(shown[..., 0].astype(int) - named.astype(int) * 12) <= 6
        assert same.mean() > 0.85  # the rest are edges


def test_photo_figures_of_a_perfect_and_of_a_blind_model(photo_folder):
    photos = PhotoStore(photo_folder, "val")

    def perfect(b):
        return b.depth, torch.where(b.classes > 26, 20, b.classes)  # 20, mug: not nameable

    found = photo_figures(photos, perfect, 64, 48)
    assert found["photo_accuracy"] == 1.0

    def blind(b):
        return b.depth, torch.zeros_like(b.classes)

    assert photo_figures(photos, blind, 64, 48)["photo_accuracy"] < 0.5
    assert photo_figures(None, blind, 64, 48) == {}


def test_a_folder_without_index_or_picture_is_named(tmp_path, photo_folder):
    with pytest.raises(CooperError, match="index.jsonl is missing"):
        PhotoStore(tmp_path, "train")
    (tmp_path / "index.jsonl").write_text('{"id": "gone", "split": "train"}\n')
    with pytest.raises(CooperError, match="photo gone or its labels are missing"):
        PhotoStore(tmp_path, "train")
    with pytest.raises(CooperError, match="no photo of split 'val'"):
        PhotoStore(tmp_path, "val")


def test_latents_are_encoded_once_per_frame_and_mirroring(shards):
    store = FrameStore(shards)
    calls: list[int] = []

    def encode(log, classes):
        calls.append(len(log))
        return log.mean((1, 2))[:, None, None, None].expand(-1, 2, 3, 4)

    cache = LatentCache(encode, most=5)
    b = store.batch(torch.tensor([0, 1, 2]))
    log = b.depth.log()
    first = cache.of(store, b, log, b.classes)
    again = cache.of(store, b, log, b.classes)
    assert calls == [3] and torch.equal(first, again)
    b.flipped = True
    cache.of(store, b, log, b.classes)
    assert calls == [3, 3] and len(cache.kept) == 5  # mirrored ones are others; the oldest left
    store.drop_oldest()
    cache.of(store, store.batch(torch.tensor([0])), log[:1], b.classes[:1])
    assert calls == [3, 3, 1]  # another frame stands at its place now
