"""Reading and writing checkpoints: the official layout, and our own.

Official layout: ``llm_config.json``, ``vit_config.json``, ``config.json``, ``ema.safetensors`` or
``model.safetensors`` (single or sharded with an index), ``ae.safetensors``, tokenizer files.
Our own: ``config.json`` of :class:`CooperConfig` and ``model*.safetensors`` with every tensor, the
autoencoder's under ``autoencoder.vae.``; a model folder (``manifest.json``) is one too.

Loading is strict: tensor names and shapes are compared from the file headers before any data is
read, and
every missing, extra or misshaped tensor is named.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from cooper_ros.core.errors import CooperError

from .configuration import CooperConfig
from .modeling import CooperModel

AUTOENCODER_PREFIX = "autoencoder.vae."
OFFICIAL_WEIGHTS = ("ema.safetensors", "model.safetensors")
# The official repository hard-codes the full-size FLUX autoencoder; a file may override it.
FLUX_AUTOENCODER = {
    "ch": 128,
    "ch_mult": [1, 2, 4, 4],
    "num_res_blocks": 2,
    "z_channels": 16,
    "scale_factor": 0.3611,
    "shift_factor": 0.1159,
}


class CheckpointError(CooperError):
    """A checkpoint that cannot be loaded; the message names the files or tensors."""


TensorIndex = dict[str, tuple[Path, tuple[int, ...]]]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing") from None
    except ValueError as e:
        raise CheckpointError(f"{path} is not valid JSON: {e}") from None


def read_header(path: Path) -> dict[str, tuple[int, ...]]:
    """Tensor names and shapes of a safetensors file, from its header alone."""
    size = path.stat().st_size
    with path.open("rb") as f:
        head = f.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
        if not 0 < length <= size - 8:
            raise CheckpointError(f"{path} is truncated: its header is incomplete")
        entries = json.loads(f.read(length))
    end = (
        8
        + length
        + max((e["data_offsets"][1] for k, e in entries.items() if k != "__metadata__"), default=0)
    )
    if end > size:
        raise CheckpointError(f"{path} is truncated: {size} bytes, its header promises {end}")
    return {k: tuple(e["shape"]) for k, e in entries.items() if k != "__metadata__"}


def index_tensors(folder: Path, names: tuple[str, ...]) -> TensorIndex:
    """Where each tensor lies, for the first of ``names`` found single (x.safetensors) or
    sharded."""
    for name in names:
        sharded = folder / (name + ".index.json")
        if sharded.exists():
            files = sorted(set(_read_json(sharded)["weight_map"].values()))
            return index_files([folder / f for f in files])
        if (folder / name).exists():
            return index_files([folder / name])
        shards = sorted(folder.glob(name.replace(".safetensors", "-*-of-*.safetensors")))
        if shards:
            return index_files(shards)
    raise CheckpointError(f"{folder} holds none of {', '.join(names)} (single or sharded)")


def index_files(files: list[Path]) -> TensorIndex:
    """Merge the headers of several safetensors files; a tensor may occur once."""
    index: TensorIndex = {}
    for path in files:
        if not path.exists():
            raise CheckpointError(f"shard {path} is missing")
        for name, shape in read_header(path).items():
            if name in index:
                raise CheckpointError(f"tensor {name} occurs in {index[name][0]} and in {path}")
            index[name] = (path, shape)
    return index


def check_names(index: TensorIndex, expected: dict[str, tuple[int, ...]]) -> None:
    """Raise :class:`CheckpointError` naming every missing, extra and misshaped tensor."""
    problems = [f"missing: {n} {list(s)}" for n, s in expected.items() if n not in index]
    problems += [
        f"extra: {n} {list(s)} in {p.name}" for n, (p, s) in index.items() if n not in expected
    ]
    problems += [
        f"misshaped: {n} is {list(index[n][1])}, expected {list(s)}"
        for n, s in expected.items()
        if n in index and index[n][1] != s
    ]
    if problems:
        more = f"\n  ... and {len(problems) - 40} more" if len(problems) > 40 else ""
        raise CheckpointError(
            f"{len(problems)} tensors do not fit:\n  " + "\n  ".join(problems[:40]) + more
        )


def expected_shapes(model: CooperModel, autoencoder: bool = False) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the model's tensors, without or with those of the autoencoder."""
    return {
        n: tuple(t.shape)
        for n, t in model.state_dict().items()
        if autoencoder or not n.startswith(AUTOENCODER_PREFIX)
    }


def read_tensors(index: TensorIndex) -> dict[str, Tensor]:
    """All tensors of an index."""
    tensors: dict[str, Tensor] = {}
    for path in sorted({p for p, _ in index.values()}):
        with safe_open(str(path), "pt") as f:
            for name in f.keys():  # noqa: SIM118 - not a dict
                tensors[name] = f.get_tensor(name)
    return tensors


def special_token_ids(folder: Path) -> dict[str, int]:
    """Ids of the four special tokens: from the tokenizer files, appended where they are new."""
    vocab = dict(_read_json(folder / "vocab.json"))
    config = _read_json(folder / "tokenizer_config.json")
    for key, entry in (config.get("added_tokens_decoder") or {}).items():
        vocab[entry["content"]] = int(key)
    wanted = [
        config.get("eos_token") or "<|endoftext|>",
        *(config.get("additional_special_tokens") or []),
        "<|im_start|>",
        "<|im_end|>",
        "<|vision_start|>",
        "<|vision_end|>",
    ]
    for token in wanted:
        if token not in vocab:
            vocab[token] = max(vocab.values()) + 1
    return {
        "bos": vocab["<|im_start|>"],
        "eos": vocab["<|im_end|>"],
        "vision_start": vocab["<|vision_start|>"],
        "vision_end": vocab["<|vision_end|>"],
    }


def official_config(folder: Path, special_tokens: dict[str, int] | None = None) -> CooperConfig:
    """Configuration from the official JSON files.

    ``vit_config.num_hidden_layers`` counts one layer more than is used (the last is dropped).
    """
    llm, vit = _read_json(folder / "llm_config.json"), _read_json(folder / "vit_config.json")
    top = _read_json(folder / "config.json")
    ae_file = folder / "ae_config.json"
    autoencoder = _read_json(ae_file) if ae_file.exists() else dict(FLUX_AUTOENCODER)
    return CooperConfig(
        vocab_size=llm["vocab_size"],
        hidden_size=llm["hidden_size"],
        num_hidden_layers=llm["num_hidden_layers"],
        num_attention_heads=llm["num_attention_heads"],
        num_key_value_heads=llm["num_key_value_heads"],
        intermediate_size=llm["intermediate_size"],
        rms_norm_eps=llm["rms_norm_eps"],
        rope_theta=llm["rope_theta"],
        vision={
            "type": "siglip_navit",
            "hidden_size": vit["hidden_size"],
            "intermediate_size": vit["intermediate_size"],
            "num_attention_heads": vit["num_attention_heads"],
            "num_layers": vit["num_hidden_layers"] - 1,
            "patch_size": vit["patch_size"],
        },
        autoencoder=autoencoder,
        max_patches_per_side=top["vit_max_num_patch_per_side"],
        max_latent_size=top["max_latent_size"],
        latent_patch_size=top["latent_patch_size"],
        special_tokens=special_tokens or special_token_ids(folder),
    )


def convert_flux_autoencoder(tensors: dict[str, Tensor], model: CooperModel) -> dict[str, Tensor]:
    """FLUX autoencoder tensors under diffusers' names (1x1 attention convolutions become
    linear)."""
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    return convert_ldm_vae_checkpoint(tensors, model.autoencoder.vae.config)


def load_official(folder: Path, dtype: torch.dtype | None = None) -> CooperModel:
    """Load a model in the official layout; ``dtype`` None keeps the stored one."""
    folder = Path(folder)
    index = index_tensors(folder, OFFICIAL_WEIGHTS)
    with torch.device("meta"):
        model = CooperModel(official_config(folder))
    check_names(index, expected_shapes(model))
    tensors = read_tensors(index)
    converted = convert_flux_autoencoder(
        read_tensors(index_tensors(folder, ("ae.safetensors",))), model
    )
    check = {n: (folder / "ae.safetensors", tuple(t.shape)) for n, t in converted.items()}
    check_names(check, {n: tuple(t.shape) for n, t in model.autoencoder.vae.state_dict().items()})
    tensors.update({AUTOENCODER_PREFIX + n: t for n, t in converted.items()})
    return _assign(model, tensors, dtype)


def _assign(
    model: CooperModel, tensors: dict[str, Tensor], dtype: torch.dtype | None
) -> CooperModel:
    if dtype is not None:
        tensors = {n: t.to(dtype) for n, t in tensors.items()}
    model.load_state_dict(tensors, strict=True, assign=True)
    model.vit_pos_embed.pos_embed.requires_grad_(False)
    model.latent_pos_embed.pos_embed.requires_grad_(False)
    return model.eval()


def load_model(path: str | Path, dtype: torch.dtype | None = None) -> CooperModel:
    """Load a checkpoint in the official layout or in our own; ``dtype`` None keeps the stored one.

    Raises:
        CheckpointError: a file is missing or truncated, or tensors do not fit; all are named.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is not a folder")
    if (folder / "llm_config.json").exists():
        return load_official(folder, dtype)
    data = _read_json(folder / "config.json")
    if data.get("model_type") != CooperConfig.model_type:
        raise CheckpointError(
            f'{folder}/config.json has model_type {data.get("model_type")!r}, expected "cooper"'
        )
    with torch.device("meta"):
        model = CooperModel(CooperConfig(**{k: v for k, v in data.items() if k != "model_type"}))
    index = index_tensors(folder, ("model.safetensors",))
    check_names(index, expected_shapes(model, autoencoder=True))
    return _assign(model, read_tensors(index), dtype)


def config_dict(config: CooperConfig) -> dict[str, Any]:
    """The fields of our own that differ between models, ready for JSON."""
    keys = (
        "vocab_size",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "intermediate_size",
        "rms_norm_eps",
        "rope_theta",
        "vision",
        "autoencoder",
        "max_patches_per_side",
        "max_latent_size",
        "latent_patch_size",
        "position_period",
        "position_scale",
        "position_frequency",
        "latent_position_scale",
        "ray_channels",
        "map_features",
        "time_embedding_size",
        "special_tokens",
        "runtime",
    )
    return {"model_type": config.model_type, **{k: getattr(config, k) for k in keys}}


def save_model(
    model: CooperModel,
    path: str | Path,
    dtype: torch.dtype | None = torch.float16,
    max_shard_bytes: int = 14_000_000,
    tensors: dict[str, Tensor] | None = None,
) -> list[Path]:
    """Write our own layout: ``config.json`` and ``model-XXXXX-of-XXXXX.safetensors`` shards."""
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    state = tensors if tensors is not None else model.state_dict()
    state = {
        n: (t.to(dtype) if dtype is not None and t.is_floating_point() else t).contiguous().cpu()
        for n, t in state.items()
    }
    shards: list[dict[str, Tensor]] = [{}]
    used = 0
    for name, tensor in state.items():
        size = tensor.numel() * tensor.element_size()
        if shards[-1] and used + size > max_shard_bytes:
            shards.append({})
            used = 0
        shards[-1][name] = tensor
        used += size
    for old in folder.glob("model*.safetensors"):
        old.unlink()
    files = []
    for i, shard in enumerate(shards):
        file = folder / f"model-{i + 1:05d}-of-{len(shards):05d}.safetensors"
        save_file(shard, str(file))
        files.append(file)
    (folder / "config.json").write_text(json.dumps(config_dict(model.config), indent=1) + "\n")
    return files
