"""A larger model starts from a smaller one and computes what that computed."""

from __future__ import annotations

import json

import pytest

torch = pytest.importorskip("torch", reason="torch (training extra) is not installed")

import cooper_ros.training.run as run  # noqa: E402
from cooper_ros.model.checkpoint import save_model  # noqa: E402
from cooper_ros.training.stage1 import grid_ids  # noqa: E402


@pytest.fixture
def grown(tiny_config, tmp_path, monkeypatch):
    """(a model, the same one with two more layers over its frozen features)"""
    monkeypatch.setattr(run, "load_imagenet_tower", lambda model: "none")
    o = run.TrainOptions("see", "", "", "", config=str(tiny_config))
    small, tokenizer = run.build(o)
    small.config.autoencoder["scale_factor"] = 0.5
    folder = tmp_path / "run" / "model"
    save_model(small, folder, torch.float32)
    tokenizer.save(folder / "tokenizer.json")
    (tmp_path / "run" / "options.json").write_text(json.dumps({"stage": "see"}))
    data = json.loads(tiny_config.read_text())
    data["vision"]["num_layers"] += 2
    larger = tmp_path / "larger.json"
    larger.write_text(json.dumps(data))
    large, _ = run.build(run.TrainOptions("see", "", "", "", start=str(folder), config=str(larger)))
    return small, large, folder


def test_more_layers_over_the_features_change_nothing_at_first(grown):
    small, large, _ = grown
    image = torch.randn(2, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    ids = grid_ids(3, 4, small.config.max_patches_per_side)
    rays = torch.zeros(2, 12, small.config.ray_channels)
    with torch.no_grad():
        before, after = small.vision_tokens(image, ids, rays), large.vision_tokens(image, ids, rays)
    torch.testing.assert_close(before, after)
    assert sum(p.numel() for p in large.parameters()) > sum(p.numel() for p in small.parameters())


def test_new_words_stand_behind_the_old_ones(grown, tiny_config, tmp_path):
    """An older vocabulary keeps its ids, its embeddings and its output rows."""
    from cooper_ros.reasoning.phrasings import VOCABULARY, vocabulary
    from cooper_ros.runtime.tokenizer import Tokenizer

    fewer = Tokenizer.from_vocabulary(VOCABULARY[:-3])
    config = run.training_config(str(tiny_config), fewer.vocab_size, run.token_ids(fewer))
    old = run.CooperModel(config)
    older = tmp_path / "older" / "model"
    save_model(old, older, torch.float32)
    fewer.save(older / "tokenizer.json")
    _, tokenizer = run.build(run.TrainOptions("see", "", "", "", start=str(older),
                                                 config=str(tiny_config)))  # fmt: skip
    assert tokenizer.vocab_size == fewer.vocab_size  # only the stage of words adds some
    new, tokenizer = run.build(run.TrainOptions("sft", "", "", "", start=str(older),
                                                config=str(tiny_config)))  # fmt: skip
    assert tokenizer.vocab_size == len(vocabulary(2)) > fewer.vocab_size
    for name in run.WORD_TABLES:
        rows = dict(new.named_parameters())[name]
        assert torch.equal(rows[: fewer.vocab_size], dict(old.named_parameters())[name])
        assert len(rows) == tokenizer.vocab_size


def test_latents_keep_their_scale(grown):
    assert grown[1].autoencoder.scale == 0.5


def test_the_stage_behind_a_model_is_known_from_its_run(grown, tmp_path):
    assert run.stage_of(str(grown[2])) == "see"
    assert run.stage_of(str(tmp_path / "nowhere" / "model")) == run.stage_of("") == ""
