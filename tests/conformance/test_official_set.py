"""The official conformance set, where it lies beside the checkout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cooper_ros.cli import main

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden" / "cooper_tiny"

pytestmark = pytest.mark.skipif(
    not (GOLDEN / "cases.npz").is_file(),
    reason="the official conformance set ../shared/golden is not beside this checkout",
)


def test_every_array_is_reproduced(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    code = main(["conformance", str(GOLDEN), "--json"])
    output = capsys.readouterr().out
    result = json.loads(output.splitlines()[-1])
    assert code == 0, output
    assert result["passed"] and not result["unclaimed"]
    assert len(result["comparisons"]) >= 85


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnxscript", reason="the export extra is not installed")
    from cooper_ros.export.exporter import export_checkpoint

    folder = tmp_path_factory.mktemp("tiny") / "folder"
    export_checkpoint(GOLDEN, folder)
    return folder


def test_exported_folder_reproduces_the_set(
    exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["conformance", str(GOLDEN), "--folder", str(exported), "--json"])
    output = capsys.readouterr().out
    assert code == 0, output
    result = json.loads(output.splitlines()[-1])
    names = {item["name"] for item in result["comparisons"]}
    assert "onnxruntime" in result["backend"]
    assert {
        "logits_text",
        "velocity_plain",
        "latent_euler8",
        "depth_euler8",
        "loop_logits_2",
    } <= names
