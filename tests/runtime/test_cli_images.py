"""`cooper perceive` and `cooper ask` on the toy model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toy_model import ANSWER, TURNS, write  # type: ignore[import-not-found]

from cooper_ros.cli import main
from cooper_ros.cli.images import read_frame
from cooper_ros.core.errors import IntrinsicsError, InvalidImageError
from cooper_ros.runtime.context import Engine
from cooper_ros.runtime.pipeline import CooperPipeline

INTRINSICS = "70,70,39.5,29.5"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "view.png"
    Image.fromarray(np.random.RandomState(0).randint(0, 256, (60, 80, 3)).astype(np.uint8)).save(
        path
    )
    return path


@pytest.fixture
def toy(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    pipeline = CooperPipeline(engine, "toy@1")
    monkeypatch.setattr(CooperPipeline, "open", classmethod(lambda cls, *args: pipeline))
    return engine


def test_perceive_writes_maps_and_json(
    toy: Engine, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "maps"
    code = main(["perceive", str(image), "--intrinsics", INTRINSICS, "--out", str(out), "--json"])
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert code == 0
    assert summary["depth"]["metric"] and summary["depth"]["near_m"] <= summary["depth"]["far_m"]
    assert np.load(out / "depth.npy").shape == (60, 80)
    assert np.asarray(Image.open(out / "labels.png")).shape == (60, 80)
    assert {Path(file).name for file in summary["files"]} == {path.name for path in out.iterdir()}


def test_perceive_without_intrinsics_says_relative(
    toy: Engine, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["perceive", str(image)]) == 0
    assert "relative only" in capsys.readouterr().out


def test_ask_prints_the_answer(
    toy: Engine, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(toy, *TURNS)
    main(["ask", str(image), "how far is the mug?", "--intrinsics", INTRINSICS, "--json"])
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert answer["value"] == pytest.approx(1.42) and answer["unit"] == "m"
    assert answer["kind"] == "distance" and answer["model_id"] == "toy@1"
    write(toy, ANSWER)
    main(["ask", str(image), "how far is the mug?", "--intrinsics", INTRINSICS, "--trace"])
    assert "[turn 1]" in capsys.readouterr().out


def test_ask_streams_a_first_answer_and_then_the_thought(
    toy: Engine, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(toy, "<answer> 2.00 m </answer>", *TURNS)
    main(["ask", str(image), "how far is the mug?", "--intrinsics", INTRINSICS, "--stream"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("at first sight: 2.00 m (")
    turns = [line for line in lines if line.startswith("<think>")]
    assert turns[-1] == ANSWER and len(turns) == len(TURNS)
    maps = [line.split()[0] for line in lines if line.startswith("(")]
    assert maps == ["(depth", "(segmentation"]
    assert "1.42 m" in lines[lines.index(ANSWER) + 1]


def test_ask_without_an_answer_fails(
    toy: Engine, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ask", str(image), "how far is the mug?"]) == 1
    assert "not_metric" in capsys.readouterr().err


def test_bad_question_names_known_words(
    toy: Engine, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ask", str(image), "how far is the zorg?"]) == 1
    error = capsys.readouterr().err
    assert "zorg" in error and "mug" in error


def test_transparent_images_lie_on_white(tmp_path: Path) -> None:
    path = tmp_path / "alpha.png"
    Image.fromarray(np.zeros((4, 4, 4), np.uint8)).save(path)
    assert (read_frame(path, None).rgb == 255).all()


@pytest.mark.parametrize(
    "text", ["1,2,3", "a,b,c,d", "0,0,1,1", "nan,1,1,1", "70,70,80,30", "70,70,160,120", ""]
)
def test_bad_intrinsics_are_named(image: Path, text: str) -> None:
    if text:
        with pytest.raises(IntrinsicsError):
            read_frame(image, text)
    else:
        assert read_frame(image, text).intrinsics is None


def test_bad_image_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidImageError, match="no image file"):
        read_frame(tmp_path / "none.png", None)
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(InvalidImageError, match="cannot be read"):
        read_frame(tmp_path / "text.png", None)


def test_a_large_picture_is_told_in_its_own_pixels(
    toy: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "large.jpg", tmp_path / "maps"
    rgb = np.random.RandomState(0).randint(0, 256, (60, 80, 3)).astype(np.uint8)
    Image.fromarray(rgb).resize((2400, 1800), Image.Resampling.NEAREST).save(path)
    frame = read_frame(path, "2100,2100,1199.5,899.5")
    assert frame.is_reduced and frame.full_size == (2400, 1800)
    assert frame.intrinsics is not None and frame.full_intrinsics is not None
    assert frame.full_intrinsics.fx == pytest.approx(2100.0)
    main(["perceive", str(path), "--intrinsics", "2100,2100,1199.5,899.5", "--out", str(out),
          "--json"])  # fmt: skip
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["size"] == [2400, 1800] and summary["notes"] == []
    assert np.load(out / "depth.npy").shape == (1800, 2400)
    assert np.asarray(Image.open(out / "labels.png")).shape == (1800, 2400)
    ends = [(s["box"][0] + s["box"][2], s["box"][1] + s["box"][3]) for s in summary["segments"]]
    assert max(x for x, _ in ends) == 2400 and max(y for _, y in ends) == 1800
    assert sum(s["pixels"] for s in summary["segments"]) > 2_000_000


def test_an_empty_picture_is_said(
    toy: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "black.png"
    Image.fromarray(np.zeros((60, 80), np.uint16)).save(path)
    write(toy, ANSWER)
    main(["ask", str(path), "is there a mug?", "--json"])
    assert "all black" in json.loads(capsys.readouterr().out.splitlines()[-1])["message"]
    main(["perceive", str(path)])
    assert "note: the picture is all black" in capsys.readouterr().out
