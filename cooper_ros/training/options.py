"""What `cooper train` was asked for, and what a configuration and a tokenizer say of a model."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch

from cooper_ros.core.errors import CooperError
from cooper_ros.core.images import ResizeRule
from cooper_ros.model.configuration import CooperConfig
from cooper_ros.reasoning.phrasings import vocabulary
from cooper_ros.runtime.fused import FusedSettings
from cooper_ros.runtime.tokenizer import Tokenizer

from .maps import MapCodecs
from .setup import CONFIGS
from .stage1 import Prompted


@dataclass
class TrainOptions:
    """What ``cooper train`` was asked for; see its help."""

    stage: str
    data: str
    val: str
    out: str
    start: str = ""
    config: str = ""
    minutes: float = 0.0
    steps: int = 0
    seed: int = 0
    processes: int = 1
    batch: int = 0
    muon_lr: float = 0.0
    adam_lr: float = 0.0
    hold: float = 0.3
    ema: float = 0.998
    eval_seconds: float = 240.0
    save_seconds: float = 300.0
    log_steps: int = 20
    replay: int = 3
    sizes: list[str] = field(default_factory=list)
    device: str = "auto"
    frames: int = 0
    piece_minutes: float = 0.0
    photos: str = ""
    photo_share: float = 1 / 3
    numbers: str = "auto"
    pointing: float = 0.5
    apart: float = 0.5
    view_dropout: float = 0.5
    score_frames: int = 64
    tune_tower: float = 1.0
    profile: bool = False
    go_on: str = ""


def tokenizer_of(start: str, config: str = "") -> Tokenizer:
    """The tokenizer of a checkpoint, or a new word-level one for the configuration's grammar."""
    path = Path(start) / "tokenizer.json" if start else None
    if path and path.exists():
        return Tokenizer.load(path)
    return Tokenizer.from_vocabulary(vocabulary(grammar_of(config)))


def token_ids(tokenizer: Tokenizer) -> dict[str, int]:
    """The four special ids under the configuration's names."""
    ids = tokenizer.marker_ids
    return {
        "bos": ids.text_start,
        "eos": ids.text_end,
        "vision_start": ids.vision_start,
        "vision_end": ids.vision_end,
    }


def prompted(config: CooperConfig, tokenizer: Tokenizer) -> Prompted:
    """Prompt ids with their text markers."""
    s = config.special_tokens

    def ids(name: str) -> torch.Tensor:
        text = config.runtime["prompts"][name]
        return torch.tensor([s["bos"], *tokenizer.encode(text), s["eos"]])

    return Prompted(
        torch.tensor([s["vision_start"], s["vision_end"]]), ids("depth"), ids("segmentation")
    )


def codecs_of(config: CooperConfig) -> MapCodecs:
    """The map codecs of a configuration."""
    depth = config.runtime["depth"]
    return MapCodecs(
        depth["min_m"], depth["max_m"], torch.tensor(config.runtime["segmentation"]["colours"])
    )


def fused_settings(config: CooperConfig) -> FusedSettings | None:
    """How drawn maps enter the context as cells; None for a model that takes latents."""
    if not config.map_features:
        return None
    cell = config.latent_patch_size * config.autoencoder_downsample
    settings = FusedSettings(len(config.runtime["segmentation"]["names"]), cell)
    if settings.width != config.map_features:
        raise CooperError(
            f"map_features is {config.map_features}, the features of a cell are {settings.width}"
        )
    return settings


def parse_sizes(
    sizes: list[str], batch: int, config: CooperConfig
) -> list[tuple[float, int, int, int]]:
    """``0:128x96:32`` -> (0.0, 128, 96, 32); default: what the model takes of a 4:3 camera."""
    if not sizes:
        width, height = ResizeRule(**config.runtime["vision_resize"]).size(640, 480)
        sizes = [f"0:{width}x{height}:{batch or 32}"]
    out = []
    for s in sizes:
        at, wh, n = s.split(":")
        w, h = wh.split("x")
        out.append((float(at), int(w), int(h), int(n)))
    return out


def newest_words(tokenizer: Tokenizer, grammar: int) -> Tokenizer:
    """The vocabulary of a grammar where it only adds words behind those of ``tokenizer``."""
    newest = Tokenizer.from_vocabulary(vocabulary(grammar))
    if not tokenizer.word_level or newest.vocab_size <= tokenizer.vocab_size:
        return tokenizer
    words = [tokenizer.decode([i]) for i in range(tokenizer.vocab_size)]
    same = words == [newest.decode([i]) for i in range(tokenizer.vocab_size)]
    return newest if same else tokenizer


def grammar_of(config: str) -> int:
    """Version of the reasoning text that a configuration file (default: cooper-nano's) asks for."""
    data = json.loads(Path(config or CONFIGS / "nano.json").read_text(encoding="utf-8"))
    return int(data["runtime"].get("grammar", 1))
