"""Shards, byte ranges, and the checkpoint's own files used without a copy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from cooper_ros.export.staging import replace_folder, staging_folder
from cooper_ros.export.tracing import ExportError
from cooper_ros.export.weights import StoredTensor, link_shards, read_index, write_shards

STATE = {
    "b.weight": torch.arange(12, dtype=torch.float16).reshape(3, 4),
    "a.weight": torch.tensor([[1.5, -2.0]], dtype=torch.bfloat16),
    "c.bias": torch.linspace(0, 1, 7),
}


def _quiet(_what: str, _done: int, _total: int) -> None:
    """Report nothing."""


def _bytes(folder: Path, stored: StoredTensor) -> bytes:
    return (folder / stored.file).read_bytes()[stored.offset : stored.offset + stored.length]


def _raw(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize(("limit", "shards"), [(10**6, 1), (30, 2), (1, 3)])
def test_byte_ranges_hold_the_tensors(tmp_path: Path, limit: int, shards: int) -> None:
    index = write_shards(STATE, tmp_path, limit, _quiet)
    assert len(list(tmp_path.glob("model-*.safetensors"))) == shards
    for name, tensor in STATE.items():
        assert _bytes(tmp_path, index[name]) == _raw(tensor)
        assert index[name].shape == tuple(tensor.shape)


def test_checkpoint_files_are_linked_not_copied(tmp_path: Path) -> None:
    checkpoint, out = tmp_path / "checkpoint", tmp_path / "out"
    checkpoint.mkdir()
    out.mkdir()
    # Under another name, and with the shape of a 1x1 convolution.
    stored = {"old.name": STATE["b.weight"].reshape(3, 4, 1, 1), "c.bias": STATE["c.bias"]}
    save_file(stored, str(checkpoint / "ema.safetensors"))
    found = link_shards(STATE, [checkpoint / "ema.safetensors"], out, _quiet)
    assert sorted(found) == ["b.weight", "c.bias"]
    assert (out / "ema.safetensors").samefile(checkpoint / "ema.safetensors")
    for name in found:
        assert _bytes(out, found[name]) == _raw(STATE[name])
        assert found[name].shape == tuple(STATE[name].shape)


def test_checkpoint_of_another_type_is_not_linked(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    save_file({"b.weight": STATE["b.weight"].float()}, str(tmp_path / "model.safetensors"))
    assert link_shards(STATE, [tmp_path / "model.safetensors"], out, _quiet) == {}
    assert list(out.iterdir()) == []


def test_types_that_graphs_cannot_use_are_named(tmp_path: Path) -> None:
    save_file({"counts": torch.arange(3)}, str(tmp_path / "x.safetensors"))
    with pytest.raises(ExportError, match="counts"):
        read_index(tmp_path / "x.safetensors")


def test_failed_export_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), staging_folder(tmp_path / "out") as folder:
        (folder / "half.onnx").write_bytes(b"x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_new_export_replaces_the_old_and_keeps_the_model_card(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "old.onnx").write_bytes(b"old")
    (target / "README.md").write_text("card")
    listed = '{"format": "cooper_ros model folder", "files": {"old.onnx": {}, "../README": {}}}'
    (target / "manifest.json").write_text(listed)
    (tmp_path / "README").write_text("not ours")
    with staging_folder(target) as folder:
        (folder / "new.onnx").write_bytes(b"new")
        (folder / "manifest.json").write_text("{}")
        replace_folder(folder, target)
    assert sorted(p.name for p in target.iterdir()) == ["README.md", "manifest.json", "new.onnx"]
    assert (tmp_path / "README").read_text() == "not ours"


def test_header_offsets_count_from_the_start_of_the_file(tmp_path: Path) -> None:
    save_file({"x": torch.tensor([3.25])}, str(tmp_path / "x.safetensors"))
    stored = read_index(tmp_path / "x.safetensors")["x"]
    value = np.frombuffer(_bytes(tmp_path, stored), np.float32)
    np.testing.assert_array_equal(value, [3.25])
