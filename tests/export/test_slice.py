"""GPU forms of a model with every graph, and of one as wide as COOPER: exported, verified, built.

Widths are where engines differ: tiles, accumulators and fused kernels are chosen by them.
"""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from small_model import small_config

from cooper_ros.deploy import targets
from cooper_ros.deploy.engines import build_engines, damage, engine_file
from cooper_ros.deploy.recording import drawn_pictures
from cooper_ros.deploy.verify import HEADROOM, verify_folder
from cooper_ros.export.exporter import ExportOptions, export_model
from cooper_ros.model.checkpoint import FLUX_AUTOENCODER
from cooper_ros.model.modeling import CooperModel
from cooper_ros.runtime.folder import ModelFolder
from cooper_ros.runtime.selftest import SELFTEST
from cooper_ros.runtime.tokenizer import Tokenizer

needs_builder = pytest.mark.skipif(
    importlib.util.find_spec(targets.RTX_BUILDER) is None,
    reason="tensorrt_rtx_cu13_bindings is not installed (extra 'tensorrt', x86_64 Linux only)",
)
WIDE: dict[str, Any] = {
    "hidden_size": 3584,
    "num_hidden_layers": 2,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "intermediate_size": 18944,
    "vision": {
        "type": "siglip_navit",
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "num_attention_heads": 16,
        "num_layers": 2,
        "patch_size": 14,
    },
    "autoencoder": {**FLUX_AUTOENCODER, "norm_num_groups": 32},
    "max_patches_per_side": 70,
    "max_latent_size": 64,
    "ray_channels": 0,
    "time_embedding_size": 256,
    "runtime": {
        "vision_resize": {"max_side": 224, "min_side": 56, "stride": 14, "max_pixels": 1_806_336},
        "map_resize": {"max_side": 256, "min_side": 64, "stride": 16, "max_pixels": 1_806_336},
    },
}
"""COOPER's widths with two layers, at small pictures."""


def check(folder: ModelFolder, *architectures: str) -> None:
    """Every form computes (export saw to it on pictures too), and every builder takes it."""
    for report in verify_folder(folder, []):
        assert report.problem == "" and report.headroom >= HEADROOM, report
    for name in architectures:
        for record in build_engines(folder, name):
            assert damage(record) == "" and record.layers > 10
            engine_file(record).unlink()  # those of the wide one are 2.6 GB for each architecture


@needs_builder
def test_every_graph_of_the_small_model(model_folder: Path) -> None:
    check(ModelFolder.open(model_folder), "sm86")


@pytest.mark.long
@pytest.mark.timeout(3600)  # 19 minutes of processor time with three pictures
@needs_builder
def test_two_layers_of_real_width(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1.1 thousand million parameters; needs 14 GB of memory."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    torch.manual_seed(0)
    model = CooperModel(small_config(**WIDE)).to(torch.float16).eval()
    options = ExportOptions(dtype="float16", frames=drawn_pictures(1))
    folder = export_model(model, Tokenizer.from_vocabulary(), tmp_path / "wide", options)
    assert folder.files[SELFTEST].size < 2 * 2**20
    del model
    try:
        check(folder, "sm86", "sm89", "sm120")
    finally:
        shutil.rmtree(folder.path)  # pytest keeps what its last runs wrote: 2 GB each
