"""Options of the small model: class scores beside the picture, a tower on twice the picture."""

from __future__ import annotations

import json

import pytest

torch = pytest.importorskip("torch", reason="torch (training extra) is not installed")

import cooper_ros.training.run as run  # noqa: E402
from cooper_ros.model.configuration import CooperConfig  # noqa: E402
from cooper_ros.model.modeling import CooperModel  # noqa: E402
from cooper_ros.model.vision import EfficientNetLite, lite0_width  # noqa: E402
from cooper_ros.training.tower import FrozenTower  # noqa: E402


@pytest.fixture
def palette_config(tiny_config, tmp_path):
    """The tiny configuration without class head."""
    data = json.loads(tiny_config.read_text())
    data["autoencoder"].pop("class_head")
    path = tmp_path / "palette.json"
    path.write_text(json.dumps(data))
    return path


def test_gradients_reach_head_and_encoder(tiny_config):
    o = run.TrainOptions("autoencoder", "", "", "", config=str(tiny_config))
    model, _ = run.build(o)
    auto = model.autoencoder
    for p in auto.parameters():
        p.requires_grad_(True)
    auto.scores(auto.coarse(auto.encode(torch.rand(1, 3, 16, 16)))).square().sum().backward()
    for part in (auto.class_head, auto.vae.encoder, auto.vae.decoder.conv_in):
        assert any(float(p.grad.abs().sum()) > 0 for p in part.parameters())


def test_the_picture_is_the_one_without_head():
    """`coarse` and `picture` are the decoder of the library, taken apart."""
    auto = CooperModel(CooperConfig(ray_channels=0)).autoencoder.eval()
    latent = torch.randn(1, 16, 4, 4)
    with torch.no_grad():
        torch.testing.assert_close(auto.picture(auto.coarse(latent)), auto.decode(latent))
    with pytest.raises(ValueError, match="no class head"):
        auto.scores(auto.coarse(latent))


def test_a_model_without_head_learns_colours_and_straight_latents(
    shards, palette_config, tmp_path, monkeypatch
):
    monkeypatch.setattr(run, "load_imagenet_tower", lambda model: "none")
    o = run.TrainOptions(
        "autoencoder", str(shards), str(shards), str(tmp_path / "out"), steps=12, batch=8, seed=3,
        config=str(palette_config), log_steps=1, eval_seconds=1e9, save_seconds=1e9, hold=0.8,
        sizes=["0:64x48:8"], numbers="float32",
    )  # fmt: skip
    run.train(o)
    rows = [json.loads(x) for x in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    log = [row for row in rows if row["kind"] == "train"]
    for name in ("colour", "bent", "depth"):
        assert log[-1][name] < log[0][name], name


@pytest.mark.parametrize(("patch", "strides"), [(16, (4, 8, 16, 32)), (32, (8, 16, 32))])
def test_features_stand_at_their_patch(patch, strides):
    """A change inside one patch changes that patch's vector most."""
    config = CooperConfig(
        vision={"type": "efficientnet_lite", "hidden_size": 32, "intermediate_size": 48,
                "num_attention_heads": 2, "num_layers": 1, "patch_size": patch,
                "strides": list(strides)},
    )  # fmt: skip
    torch.manual_seed(0)
    tower = EfficientNetLite(config).eval()
    picture = torch.zeros(1, 3, 3 * patch, 4 * patch)
    other = picture.clone()
    other[:, :, patch : 2 * patch, 2 * patch : 3 * patch] = torch.randn(1, 3, patch, patch)
    with torch.no_grad():
        change = (tower.features(other) - tower.features(picture)).abs().sum(-1)[0]
    assert tower.features(picture).shape == (1, 12, lite0_width(patch, strides))
    assert int(change.argmax()) == 1 * 4 + 2


def test_wrong_options_are_refused():
    vision = {"type": "efficientnet_lite", "hidden_size": 32, "intermediate_size": 48,
              "num_attention_heads": 2, "num_layers": 1, "patch_size": 24}  # fmt: skip
    with pytest.raises(ValueError, match="patch_size 16 or 32, got 24"):
        EfficientNetLite(CooperConfig(vision=vision))
    with pytest.raises(ValueError, match="strides"):
        EfficientNetLite(CooperConfig(vision={**vision, "patch_size": 32, "strides": [2, 8]}))


@pytest.mark.parametrize("size", [(96, 128), (64, 96)])
def test_the_engine_computes_the_frozen_tower(size):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    vision = {"type": "efficientnet_lite", "hidden_size": 32, "intermediate_size": 48,
              "num_attention_heads": 2, "num_layers": 1, "patch_size": 32}  # fmt: skip
    torch.manual_seed(0)
    tower = EfficientNetLite(CooperConfig(vision=vision)).eval()
    picture = torch.rand(5, 3, *size) * 2 - 1
    engine, torch_only = FrozenTower(tower), FrozenTower(tower, engine=False)
    found = engine(picture)
    assert engine.sessions and not torch_only.sessions
    with torch.no_grad():
        expected = tower.features(picture)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(torch_only(picture), expected, rtol=1e-3, atol=1e-3)
    assert not found.requires_grad
