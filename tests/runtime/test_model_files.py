"""What runs is what was checked: folders that change while they are in use, and graphs that point
at files that nobody checked."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cooper_ros.core.errors import ModelFolderError
from cooper_ros.core.paths import find_model_folder
from cooper_ros.core.types import Frame
from cooper_ros.runtime import files
from cooper_ros.runtime.folder import GRAPH_NAMES, MANIFEST, ModelFolder
from cooper_ros.runtime.onnx_file import check_external_data, external_data
from cooper_ros.runtime.pipeline import CooperPipeline
from cooper_ros.runtime.selftest import TOLERANCE, run_selftest, save_selftest
from cooper_ros.runtime.signature import GraphSettings

PICTURE = Frame(np.full((48, 64, 3), 120, np.uint8), None, 1, "camera")
SIZES = {"shard": 100}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the shipped model that a test may damage."""
    return Path(shutil.copytree(find_model_folder(), tmp_path / "model"))


def empty(path: Path) -> None:
    os.truncate(path, 0)


def other_bytes(path: Path) -> None:
    with path.open("r+b") as file:
        size = path.stat().st_size
        file.write(os.urandom(min(size, 1 << 16)))


@pytest.mark.parametrize("change", [empty, other_bytes, Path.unlink])
def test_a_small_folder_is_read_once(copy: Path, change: Callable[[Path], None]) -> None:
    """Emptied: a bus error; written anew: other answers under the old name."""
    digest = hashlib.sha256((copy / MANIFEST).read_bytes()).hexdigest()
    pipeline = CooperPipeline.open(copy, threads=1)
    for path in copy.iterdir():
        change(path)
    assert pipeline.self_test().startswith("ok"), "not one graph was loaded before the change"
    assert pipeline.model_id == f"cooper-nano@{digest[:12]}"
    pipeline.see(PICTURE)
    assert pipeline.folder is not None
    shard = next(name for name in pipeline.folder.files if name.endswith(".safetensors"))
    with pytest.raises(ModelFolderError, match="put away"):
        pipeline.folder.content(shard)  # the engine has its copy: 24 MB are free again


def touch(path: Path) -> None:
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1))


@pytest.mark.parametrize("change", [touch, empty])
def test_a_large_folder_that_changes_is_not_used_any_more(
    copy: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    monkeypatch.setattr(files, "IN_MEMORY_BYTES", 0)
    pipeline = CooperPipeline.open(copy, threads=1)
    context = pipeline.see(PICTURE)
    file = copy / "tokenizer.json"
    before = file.read_bytes(), file.stat()
    change(file)
    for use in (lambda: pipeline.see(PICTURE), lambda: context.ask("is there a chair ?")):
        with pytest.raises(ModelFolderError, match=r"tokenizer\.json changed while the model"):
            use()
    file.write_bytes(before[0])
    os.utime(file, ns=(before[1].st_atime_ns, before[1].st_mtime_ns))
    with pytest.raises(ModelFolderError, match="configure the node again"):
        pipeline.see(PICTURE)


def test_a_large_folder_may_be_replaced_by_renaming_another(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "IN_MEMORY_BYTES", 0)
    pipeline = CooperPipeline.open(copy, threads=1)
    pipeline.see(PICTURE)
    fresh = Path(shutil.copytree(copy, copy.with_name("new")))
    copy.rename(copy.with_name("old"))
    fresh.rename(copy)
    pipeline.see(PICTURE)  # still the files that were opened
    with pytest.raises(ModelFolderError, match="changed while the model was in use"):
        pipeline.self_test()  # loads graphs by their name, which leads elsewhere now


def test_a_folder_that_is_written_while_it_is_opened(copy: Path) -> None:
    entry = files.FileEntry((copy / "config.json").stat().st_size, "0" * 64)
    opened = files.ModelFiles(copy, {"config.json": entry})
    with pytest.raises(ModelFolderError, match="was altered"):
        opened.open(hashes=True)
    opened.open(hashes=False)
    assert bytes(opened.content("config.json")) == (copy / "config.json").read_bytes()


def test_both_formats_are_read(copy: Path) -> None:
    """All that 3 adds may be missing; then a folder means what it meant in 2."""
    manifest = json.loads((copy / MANIFEST).read_text())
    manifest["format_version"] = 2
    for added in ("grammar", "unknown_camera"):
        manifest["model"].pop(added, None)
    for graph in manifest["graphs"].values():
        for added in ("tolerance", "precision", "gpu_check"):
            graph.pop(added, None)
    (copy / MANIFEST).write_text(json.dumps(manifest))
    older = ModelFolder.open(copy)
    assert older.spec.grammar == 1 and not older.spec.unknown_camera
    assert set(older.graph_settings) == set(older.graphs)
    assert all(settings == GraphSettings({}) for settings in older.graph_settings.values())
    manifest["format_version"] = 3
    manifest["model"] |= {"grammar": 1, "unknown_camera": True}
    manifest["graphs"]["und"] |= {"tolerance": {"cpu": 0.01}, "precision": "float16"}
    (copy / MANIFEST).write_text(json.dumps(manifest))
    newer = ModelFolder.open(copy)
    assert newer.spec == dataclasses.replace(older.spec, unknown_camera=True)
    assert newer.graph_settings["und"].tolerance == {"cpu": 0.01}


@pytest.mark.parametrize("version", [1, 4, 2.0, True, "3", None, [3]])
def test_other_formats_are_refused_with_those_that_are_read(copy: Path, version: Any) -> None:
    manifest = json.loads((copy / MANIFEST).read_text())
    (copy / MANIFEST).write_text(json.dumps({**manifest, "format_version": version}))
    with pytest.raises(ModelFolderError, match="this program reads 2 and 3: update"):
        ModelFolder.open(copy)


def test_fused_maps_need_their_embedding(copy: Path) -> None:
    manifest = json.loads((copy / MANIFEST).read_text())
    manifest["model"] |= {"map_context": "fused", "fused": {}}
    (copy / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ModelFolderError, match="no valid section 'map_embedding'"):
        ModelFolder.open(copy)
    manifest["map_embedding"] = {"weight": {"shape": [256, 7]}}
    (copy / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ModelFolderError, match=r"map_embedding.weight must have shape \[256, 188"):
        ModelFolder.open(copy)


def test_a_graph_is_held_to_its_own_tolerance() -> None:
    class Wrong:
        """Off by one per cent."""

        def run(self, graph: str, inputs: Any) -> dict[str, Any]:
            return {"y": np.full(4, 1.01)}

    stored = io.BytesIO()
    case = {"x": np.ones(4)}, {"y": np.ones(4)}
    save_selftest(stored, dict.fromkeys(GRAPH_NAMES, case))
    settings = dict.fromkeys(GRAPH_NAMES, GraphSettings({}))
    settings["und"] = GraphSettings({"gpu": 0.02})
    folder: Any = SimpleNamespace(
        graphs=settings,
        graph_settings=settings,
        file=Path,
        content=lambda name: stored.getvalue(),
    )
    for form, passed in (("gpu", ["und"]), ("cpu", [])):
        results = run_selftest(folder, Wrong(), form=form)
        assert [r.graph for r in results if r.passed] == passed
        assert {r.graph: r.allowed for r in results}["gen"] == TOLERANCE


def test_numbers_that_json_does_not_have_are_refused(copy: Path) -> None:
    text = (copy / MANIFEST).read_text()
    (copy / MANIFEST).write_text(re.sub(r'"format_version": \d', '"format_version": NaN', text))
    with pytest.raises(ModelFolderError, match="NaN is no JSON number"):
        ModelFolder.open(copy)


@pytest.mark.parametrize(
    ("section", "value", "reason"),
    [
        ("name", "cooper\ud800", "no Unicode"),
        ("name", "", "must be a name"),
        ("name", "x" * 500, "must be a name"),
        ("name", "a\nb", "must be a name"),
        ("licence", 7, "licence must be str"),
        ("provenance", "mine", "provenance must be dict"),
        ("weights", {"parameters": -1}, "must be a count"),
        ("weights", {"parameters": "many"}, "must be a count"),
        ("calibration", {"level": 7.0, "families": {}}, "between 0 and 1"),
        ("calibration", {"level": 0.9, "families": {"distance": [[1, 2]]}}, "malformed"),
        ("note", {"deep": [1, {"er": 10**400}]}, "too large"),
        ("model", {}, "missing field"),
    ],
)
def test_a_manifest_is_checked_when_the_folder_is_opened(
    copy: Path, section: str, value: Any, reason: str
) -> None:
    """Each of these was found later, by a question or by a timer, or never."""
    manifest = json.loads((copy / MANIFEST).read_text())
    manifest[section] = value
    text = json.dumps(manifest).replace(str(10**400), "1e400")
    (copy / MANIFEST).write_text(text)
    with pytest.raises(ModelFolderError, match=reason):
        ModelFolder.open(copy)


@pytest.mark.parametrize("size", [-1, 2**40, True, "x" * 500])
def test_sizes_of_tensors_are_bounded(copy: Path, size: Any) -> None:
    manifest = json.loads((copy / MANIFEST).read_text())
    manifest["graphs"]["und"]["inputs"][0]["shape"][-1] = size
    (copy / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ModelFolderError, match="not understood"):
        ModelFolder.open(copy)


# -- external data -------------------------------------------------------------------------------


def field(number: int, value: bytes | int) -> bytes:
    """One field of a protocol buffer (values below 128 only)."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    length = len(value)
    size = bytes([length]) if length < 128 else bytes([length & 0x7F | 0x80, length >> 7])
    return bytes([number << 3 | 2]) + size + value


def tensor(**entries: str) -> bytes:
    pairs = [field(1, key.encode()) + field(2, value.encode()) for key, value in entries.items()]
    return field(8, b"weight") + b"".join(field(13, pair) for pair in pairs) + bytes([14 << 3, 1])


GOOD = {"location": "shard", "offset": "20", "length": "80"}


def model(graph: bytes) -> memoryview:
    return memoryview(field(1, 8) + field(7, graph))


def in_node(value: bytes) -> bytes:
    return field(1, field(4, b"Constant") + field(5, value))


PLACES: dict[str, Callable[[bytes], memoryview]] = {
    "initializer": lambda t: model(field(5, t)),
    "sparse initializer": lambda t: model(field(15, field(1, t))),
    "attribute": lambda t: model(in_node(field(5, t))),
    "attribute of several": lambda t: model(in_node(field(10, t))),
    "branch": lambda t: model(in_node(field(6, field(5, t)))),
    "branches": lambda t: model(in_node(field(11, in_node(field(5, t))))),
}


@pytest.mark.parametrize("place", PLACES)
def test_external_data_is_found_wherever_a_tensor_can_be(place: str) -> None:
    made = PLACES[place]
    assert check_external_data("x.onnx", made(tensor(**GOOD)), SIZES) == {"shard"}
    with pytest.raises(ModelFolderError, match=r"/etc/passwd.*does not list"):
        check_external_data("x.onnx", made(tensor(location="/etc/passwd")), SIZES)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"location": "../shard"}, "does not list"),
        ({"location": "*/_ORT_MEM_ADDR_/*"}, "does not list"),
        ({"location": ""}, "does not list"),
        ({"offset": "21"}, "outside of shard"),
        ({"offset": "-1"}, "outside of shard"),
        ({"length": "-5"}, "outside of shard"),
        ({"offset": "x"}, "no readable ONNX file"),
    ],
)
def test_ranges_that_were_not_checked_are_refused(change: dict[str, str], reason: str) -> None:
    with pytest.raises(ModelFolderError, match=reason):
        check_external_data("x.onnx", model(field(5, tensor(**GOOD | change))), SIZES)


def test_what_is_no_onnx_file_is_refused() -> None:
    whole = bytes(model(field(5, tensor(**GOOD))))
    assert external_data(memoryview(whole))[0].offset == 20
    for damaged in (whole[:-3], b"\xff" * 40, b"\x0b" + whole):
        with pytest.raises(ModelFolderError, match="no readable ONNX"):
            external_data(memoryview(damaged))
    deep = tensor(**GOOD)
    for _ in range(8):
        deep = field(5, deep) if len(deep) > 60 else deep
        deep = in_node(field(6, deep))
    external_data(model(deep))
    nested = b""
    for _ in range(40):
        nested = in_node(field(6, nested))
    with pytest.raises(ModelFolderError, match="too deeply"):
        external_data(model(nested))


def test_a_model_folder_with_such_a_graph_does_not_open(copy: Path) -> None:
    graph = copy / "und.cpu.onnx"
    shard = next(path.name for path in sorted(copy.glob("*.safetensors")))
    outside = f"../{shard}"[: len(shard)]
    graph.write_bytes(graph.read_bytes().replace(shard.encode(), outside.encode()))
    manifest = json.loads((copy / MANIFEST).read_text())
    manifest["files"][graph.name]["sha256"] = files.file_sha256(graph)
    (copy / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ModelFolderError, match="does not list"):
        ModelFolder.open(copy)
