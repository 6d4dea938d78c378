"""A damaged, incomplete or foreign model folder is refused with a reason."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cooper_ros.core.errors import ModelFolderError
from cooper_ros.runtime.folder import FORMAT_VERSION, MANIFEST, EmbeddingTable, ModelFolder


@pytest.fixture
def copy(model_folder: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(model_folder, tmp_path / "copy"))


def _shard(folder: Path) -> Path:
    return sorted(folder.glob("*.safetensors"))[0]


def _edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    change(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def _refusal(folder: Path, **arguments: Any) -> str:
    with pytest.raises(ModelFolderError) as caught:
        ModelFolder.open(folder, **arguments).spec  # noqa: B018 - reading it is the test
    return str(caught.value)


def test_an_intact_folder_opens(copy: Path) -> None:
    folder = ModelFolder.open(copy, check="full")
    assert folder.name == "small"
    assert folder.spec.hidden_size == 48
    assert folder.licence == "Apache-2.0"
    assert folder.manifest["format_version"] == FORMAT_VERSION == 3
    assert folder.tokenizer().vocab_size == folder.spec.vocab_size


def test_missing_folder_and_missing_manifest(tmp_path: Path) -> None:
    assert "does not exist" in _refusal(tmp_path / "nowhere")
    assert MANIFEST in _refusal(tmp_path)


def test_truncated_manifest(copy: Path) -> None:
    text = (copy / MANIFEST).read_text()
    (copy / MANIFEST).write_text(text[: len(text) // 2])
    assert "not valid JSON" in _refusal(copy)


def test_foreign_json(copy: Path) -> None:
    (copy / MANIFEST).write_text("[1, 2]")
    assert "not the manifest" in _refusal(copy)


def test_unknown_version_names_both_versions(copy: Path) -> None:
    _edit(copy, lambda m: m.update(format_version=99))
    message = _refusal(copy)
    assert "99" in message and "2" in message and "export" in message


def test_missing_file_is_named(copy: Path) -> None:
    (copy / "und.cpu.onnx").unlink()
    assert "und.cpu.onnx is missing" in _refusal(copy)


def test_truncated_file_says_expected_and_found(copy: Path) -> None:
    shard = _shard(copy)
    data = shard.read_bytes()
    shard.write_bytes(data[:-10])
    message = _refusal(copy, check="size")
    assert shard.name in message and "truncated" in message
    assert str(len(data)) in message and str(len(data) - 10) in message


def test_altered_byte_is_found_by_the_hash_only(copy: Path) -> None:
    shard = _shard(copy)
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    ModelFolder.open(copy, check="size")
    message = _refusal(copy)
    assert shard.name in message and "altered" in message


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "a/../../b", "..\\b", ""])
def test_names_outside_of_the_folder_are_refused(copy: Path, name: str) -> None:
    _edit(copy, lambda m: m["files"].update({name: {"size": 1, "sha256": "0" * 64}}))
    assert "outside" in _refusal(copy)


def test_link_out_of_the_folder_is_refused(copy: Path, tmp_path: Path) -> None:
    shard = _shard(copy)
    shutil.move(shard, tmp_path / "elsewhere")
    shard.symlink_to(tmp_path / "elsewhere")
    assert "link out of" in _refusal(copy)


@pytest.mark.parametrize("section", ["files", "graphs", "model", "name"])
def test_missing_section_is_named(copy: Path, section: str) -> None:
    _edit(copy, lambda m: m.pop(section))
    assert section in _refusal(copy)


def test_missing_graph_is_named(copy: Path) -> None:
    _edit(copy, lambda m: m["graphs"].pop("gen"))
    assert "'gen'" in _refusal(copy)


def test_malformed_tensor_entry(copy: Path) -> None:
    _edit(copy, lambda m: m["graphs"]["und"]["inputs"][0].update(dtype="complex64"))
    assert "complex64" in _refusal(copy)


def test_graph_file_that_is_not_listed_is_refused(copy: Path) -> None:
    _edit(copy, lambda m: m["graphs"]["und"].update(cpu="../../evil.onnx"))
    with pytest.raises(ModelFolderError, match="lists no file"):
        ModelFolder.open(copy).graph_file("und")


def test_embedding_outside_of_its_shard(copy: Path) -> None:
    _edit(copy, lambda m: m["embedding"].update(offset=10**9))
    with pytest.raises(ModelFolderError, match="outside"):
        ModelFolder.open(copy).embedding()


def test_embedding_refuses_unknown_ids(copy: Path) -> None:
    table = ModelFolder.open(copy).embedding()
    assert table(np.array([0, 1])).shape == (2, 48)
    with pytest.raises(ModelFolderError, match="outside of the vocabulary"):
        table(np.array([table.shape[0]]))
    with pytest.raises(ModelFolderError, match="outside of the vocabulary"):
        table(np.array([-1]))


def test_bfloat16_rows_become_float32(tmp_path: Path) -> None:
    values = np.array([[1.5, -2.0], [0.0, 384.0]], dtype=np.float32)
    file = tmp_path / "table"
    file.write_bytes(b"head" + (values.view(np.uint32) >> 16).astype(np.uint16).tobytes())
    table = EmbeddingTable(file, 4, (2, 2), "bfloat16")
    np.testing.assert_array_equal(table(np.array([1, 0])), values[[1, 0]])
