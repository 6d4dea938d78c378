"""What latents look at when drawing begins: their own cell, and the prompt."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch (training extra) is not installed")

import cooper_ros.training.run as run  # noqa: E402
from cooper_ros.model import mot  # noqa: E402
from cooper_ros.training.align import (  # noqa: E402
    align_drawing_layers,
    align_map_heads,
    align_task_heads,
)
from cooper_ros.training.frames import resize  # noqa: E402
from cooper_ros.training.setup import cell_codes, slow_slots  # noqa: E402
from cooper_ros.training.stage1 import MapStage  # noqa: E402


@pytest.fixture
def stage(shards, tiny_config, monkeypatch) -> MapStage:
    monkeypatch.setattr(run, "load_imagenet_tower", lambda model: "none")
    o = run.TrainOptions(
        "amg", str(shards), str(shards), "", config=str(tiny_config), sizes=["0:64x48:8"], seed=1
    )
    model, tokenizer = run.build(o)
    made = run.build_stage(o, model, tokenizer, 0, 1)
    model.eval()
    return made


def attention(stage: MapStage, layer: int, monkeypatch) -> torch.Tensor:
    """Weights ``[2B, heads, queries, keys]`` of a layer while the maps of some frames are drawn."""
    b = resize(stage.val.batch(torch.arange(4)), 64, 48)
    taken: list[torch.Tensor] = []
    real = torch.softmax

    def softmax(x, dim, dtype=None):
        taken.append(real(x, dim, dtype=dtype))
        return taken[-1]

    with torch.no_grad():
        cache = stage.passes.see(b)
        monkeypatch.setattr(mot.torch, "softmax", softmax)
        stage.passes.generate(cache, 3, 4)
        monkeypatch.undo()
    return taken[layer]


def own_cell(weights: torch.Tensor, cells: int = 12) -> torch.Tensor:
    """Mean attention of latent i to picture token i, per head (the first key is a marker)."""
    return weights[:, :, -cells:, 1 : cells + 1].diagonal(dim1=2, dim2=3).mean((0, 2))


def drown_position(stage: MapStage) -> None:
    """Replace the last layer's keys, as training of the picture's states in effect does."""
    torch.manual_seed(0)
    a = stage.model.language_model.model.layers[-1].self_attn
    torch.nn.init.normal_(a.k_proj.weight, std=a.k_proj.in_features**-0.5)


def test_last_layer_finds_its_own_cell_again(stage, monkeypatch):
    drown_position(stage)
    before = own_cell(attention(stage, -1, monkeypatch))
    share = align_drawing_layers(stage.passes, resize(stage.val.batch(torch.arange(24)), 64, 48))
    after = own_cell(attention(stage, -1, monkeypatch))
    fitted = max(1, int(0.75 * stage.model.config.num_key_value_heads))
    assert float(after[:fitted].min()) > 0.3 > 3 * float(before[:fitted].max()) - 0.3
    assert share == pytest.approx(float(after[:fitted].mean()), abs=0.25)


def test_one_head_of_the_first_layer_looks_at_the_prompt(stage, monkeypatch):
    words = len(stage.passes.prompts.depth) - 2
    past = 12 + 2  # picture tokens and markers stand before the prompt

    def share() -> float:
        w = attention(stage, 0, monkeypatch)[:, -1, -12:]
        return float(w[..., past + 1 : past + 1 + words].sum(-1).mean())

    before = share()
    align_task_heads(stage.passes, resize(stage.val.batch(torch.arange(4)), 64, 48))
    assert share() > 2 * before


def test_cell_codes_tell_rows_and_columns_apart(stage):
    """Whitened: the own cell scores one, a cell of another row and column about nothing."""
    codes = torch.nn.functional.normalize(cell_codes(stage.model.config, 6, 8), dim=-1)
    similar = (codes @ codes.T).view(6, 8, 6, 8)
    assert float(similar[2, 3, 2, 3]) == pytest.approx(1.0, abs=1e-5)
    assert abs(float(similar[2, 3, 4, 6])) < 0.2
    assert float(similar[2, 3, 2, 6]) < 0.7


def test_slow_slots_pair_up():
    """A rotary pair is (i, i + half); the slowest, of the largest i, come first."""
    assert slow_slots(8).tolist() == [3, 7, 2, 6, 1, 5, 0, 4]


def test_a_map_finds_the_other_map_of_its_cell(stage):
    b = resize(stage.val.batch(torch.arange(16)), 64, 48)
    with torch.no_grad():
        latents = stage.truth(b)[2]
    # The own token carries the same position: half is all that the other can get.
    assert 0.3 < align_map_heads(stage.passes, b, latents) < 0.6


def test_pictures_are_handed_on_unchanged_while_drawing_begins(stage):
    align_drawing_layers(stage.passes, resize(stage.val.batch(torch.arange(24)), 64, 48))
    layers = stage.model.language_model.model.layers
    b = resize(stage.val.batch(torch.arange(2)), 64, 48)
    outputs = []
    handle = layers[-1].register_forward_hook(lambda _, __, out: outputs.append(out[0]))
    with torch.no_grad():
        stage.passes.see(b)
    handle.remove()
    torch.testing.assert_close(outputs[0][:, 1:-1], stage.passes.seen)
