"""Loading the official layout: strict, single or sharded, every misfit named."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch (training extra) is not installed")

from safetensors.torch import load_file, save_file  # noqa: E402

from cooper_ros.model.checkpoint import (  # noqa: E402
    FLUX_AUTOENCODER,
    CheckpointError,
    check_names,
    expected_shapes,
    index_tensors,
    load_model,
    official_config,
    read_tensors,
    save_model,
)
from cooper_ros.model.configuration import CooperConfig  # noqa: E402
from cooper_ros.model.modeling import CooperModel  # noqa: E402

GOLDEN = Path(__file__).parents[3] / "shared" / "golden"


def full_size_config() -> CooperConfig:
    """The dimensions of BAGEL-7B-MoT."""
    return CooperConfig(
        vocab_size=152064,
        hidden_size=3584,
        num_hidden_layers=28,
        num_attention_heads=28,
        num_key_value_heads=4,
        intermediate_size=18944,
        rope_theta=1e6,
        vision={
            "type": "siglip_navit",
            "hidden_size": 1152,
            "intermediate_size": 4304,
            "num_attention_heads": 16,
            "num_layers": 26,
            "patch_size": 14,
        },
        autoencoder=dict(FLUX_AUTOENCODER),
        max_patches_per_side=70,
        max_latent_size=64,
    )


@pytest.fixture(scope="module")
def full_shapes() -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return expected_shapes(CooperModel(full_size_config()))


def write_sparse(path: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    """A safetensors file of full size whose data is a hole: 29 GB that take no disk."""
    header: dict[str, object] = {}
    at = 0
    for name, shape in shapes.items():
        size = 2
        for n in shape:
            size *= n
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    with path.open("wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        f.truncate(8 + len(text) + at)


def test_full_size_has_the_official_tensors(full_shapes):
    """1223 tensors, 14.607 billion parameters, with the official names and shapes."""
    count = 0
    for shape in full_shapes.values():
        size = 1
        for n in shape:
            size *= n
        count += size
    assert len(full_shapes) == 1223
    assert round(count / 1e9, 3) == 14.607
    path = GOLDEN / "bagel_7b_mot_shapes.json"
    if not path.exists():
        pytest.skip("conformance data ../shared/golden is not here")
    official = {
        k: v if isinstance(v, list) else v["shape"]
        for k, v in json.loads(path.read_text())["ema.safetensors"].items()
    }
    assert {k: list(v) for k, v in full_shapes.items()} == official


def test_sparse_full_size_file_is_accepted_and_misfits_are_named(tmp_path, full_shapes):
    path = tmp_path / "ema.safetensors"
    write_sparse(path, full_shapes)
    assert path.stat().st_size > 29e9
    check_names(index_tensors(tmp_path, ("ema.safetensors",)), full_shapes)
    wrong = dict(full_shapes)
    missing = wrong.pop("connector.fc2.bias")
    wrong["connector.fc3.bias"] = missing
    wrong["llm2vae.bias"] = (63,)
    write_sparse(path, wrong)
    with pytest.raises(CheckpointError) as e:
        check_names(index_tensors(tmp_path, ("ema.safetensors",)), full_shapes)
    text = str(e.value)
    assert "missing: connector.fc2.bias" in text
    assert "extra: connector.fc3.bias" in text
    assert "misshaped: llm2vae.bias is [63], expected [64]" in text


@pytest.fixture(scope="module")
def official(tmp_path_factory) -> Path:
    """A tiny official-layout folder made by our own code."""
    folder = tmp_path_factory.mktemp("official")
    (folder / "llm_config.json").write_text(
        json.dumps(
            {
                "vocab_size": 16,
                "hidden_size": 16,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "num_key_value_heads": 1,
                "intermediate_size": 24,
                "rms_norm_eps": 1e-6,
                "rope_theta": 1e6,
            }
        )
    )
    (folder / "vit_config.json").write_text(
        json.dumps(
            {
                "hidden_size": 12,
                "intermediate_size": 16,
                "num_attention_heads": 2,
                "num_hidden_layers": 2,
                "patch_size": 14,
            }
        )
    )
    (folder / "config.json").write_text(
        json.dumps({"vit_max_num_patch_per_side": 4, "max_latent_size": 4, "latent_patch_size": 2})
    )
    (folder / "ae_config.json").write_text(
        json.dumps(
            {
                "ch": 32,
                "ch_mult": [1, 1],
                "num_res_blocks": 1,
                "z_channels": 4,
                "scale_factor": 0.3611,
                "shift_factor": 0.1159,
            }
        )
    )
    (folder / "vocab.json").write_text(json.dumps({c: i for i, c in enumerate("abcdefgh")}))
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "eos_token": "<|endoftext|>",
                "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
            }
        )
    )
    torch.manual_seed(0)
    model = CooperModel(official_config(folder))
    state = {
        n: t.contiguous().bfloat16()
        for n, t in model.state_dict().items()
        if not n.startswith("autoencoder")
    }
    save_file(state, str(folder / "ema.safetensors"))
    ae = {}
    for n, t in model.autoencoder.vae.state_dict().items():
        ae[to_flux(n)] = (
            t[..., None, None]
            if "attentions" in n and n.endswith("weight") and "group_norm" not in n
            else t
        ).contiguous()
    save_file(ae, str(folder / "ae.safetensors"))
    return folder


def to_flux(name: str) -> str:
    """Diffusers autoencoder names as FLUX writes them (two levels)."""
    for a, b in (
        ("conv_norm_out", "norm_out"),
        ("mid_block.resnets.0", "mid.block_1"),
        ("mid_block.resnets.1", "mid.block_2"),
        ("mid_block.attentions.0", "mid.attn_1"),
        ("group_norm", "norm"),
        ("to_q", "q"),
        ("to_k", "k"),
        ("to_v", "v"),
        ("to_out.0", "proj_out"),
        ("conv_shortcut", "nin_shortcut"),
        ("downsamplers.0", "downsample"),
        ("upsamplers.0", "upsample"),
        ("resnets", "block"),
        ("down_blocks", "down"),
    ):
        name = name.replace(a, b)
    for i in range(2):
        name = name.replace(f"up_blocks.{i}", f"up.{1 - i}")
    return name


def test_official_layout_loads_bf16_single_and_sharded(official, tmp_path):
    model = load_model(official)
    assert model.config.special_tokens == {
        "bos": 9,
        "eos": 10,
        "vision_start": 11,
        "vision_end": 12,
    }
    assert model.language_model.lm_head.weight.dtype == torch.bfloat16
    state = load_file(str(official / "ema.safetensors"))
    names = list(state)
    for f in official.iterdir():
        if f.name != "ema.safetensors":
            (tmp_path / f.name).write_bytes(f.read_bytes())
    half = len(names) // 2
    weight_map = {}
    for i, part in enumerate((names[:half], names[half:])):
        file = f"model-{i + 1:05d}-of-00002.safetensors"
        save_file({n: state[n] for n in part}, str(tmp_path / file))
        weight_map.update(dict.fromkeys(part, file))
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    other = load_model(tmp_path)
    for (n, a), b in zip(model.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b), n


def test_truncated_file_is_named(official, tmp_path):
    for f in official.iterdir():
        (tmp_path / f.name).write_bytes(f.read_bytes())
    path = tmp_path / "ema.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"ema\.safetensors is truncated"):
        load_model(tmp_path)


def test_own_layout_round_trip_in_shards(official, tmp_path):
    model = load_model(official, torch.float32)
    files = save_model(model, tmp_path / "own", torch.float32, max_shard_bytes=60_000)
    assert len(files) > 1
    other = load_model(tmp_path / "own")
    for (n, a), b in zip(model.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b), n
    index = index_tensors(tmp_path / "own", ("model.safetensors",))
    assert set(read_tensors(index)) == set(model.state_dict())
