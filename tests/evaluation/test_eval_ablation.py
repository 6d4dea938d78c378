"""The ablation: what a variant changes, and that differences are paired."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cooper_ros.cli import main
from cooper_ros.core.errors import CooperError
from cooper_ros.core.types import Frame, Intrinsics
from cooper_ros.evaluation import ablation, ablation_figures
from cooper_ros.evaluation.ablation import REFERENCE, VARIANTS, Variant
from cooper_ros.evaluation.answers import Scored
from cooper_ros.evaluation.trial import SceneResult
from cooper_ros.runtime.pipeline import CooperPipeline

ROOT = Path(__file__).parents[2]


def _scene(number: int, absrel: float, error: float) -> SceneResult:
    """A room with that depth error and one distance answered with that relative error."""
    result = SceneResult(number)
    metric = dict.fromkeys(("absrel", "delta1"), absrel)
    result.depth = [{"metric": metric}]
    result.objects = [(2.0, 2.0 * (1.0 + absrel))]
    result.answers = [
        Scored(number, "distance", "?", ("mug",), 2.0, 2.0 * (1.0 + error), "OK", measured=2.0)
    ]
    return result


def test_differences_are_paired_over_rooms() -> None:
    # rooms differ a lot, the variant always by the same: only a paired interval sees that
    rng = np.random.default_rng(0)
    hard = rng.uniform(0.1, 0.9, 40)
    found = [
        {"reference": _scene(k, h, h), "worse": _scene(k, h + 0.05, h + 0.05)}
        for k, h in enumerate(hard)
    ]
    rows = ablation_figures.summarise_ablation(
        found, [REFERENCE, Variant("worse", "worse")], samples=100
    )
    assert "minus_reference" not in rows[0]
    change, low, high = rows[1]["minus_reference"]["absrel"]
    assert (change, low, high) == pytest.approx((0.05, 0.05, 0.05))
    assert rows[0]["measured"] == 1.0 and rows[0]["questions"] == 40
    figures = {**_about(), "variants": rows}
    text = ablation_figures.ablation_table(figures)
    assert "(+0.050*)" in text.splitlines()[-1] and "*" not in text.splitlines()[-2]


def test_same_maps_are_not_scored_twice() -> None:
    blank = SceneResult(0, answers=_scene(0, 0.0, 0.1).answers)
    found = [{"reference": _scene(0, 0.2, 0.3), "true_maps": blank}]
    chosen = [v for v in VARIANTS if v.name in found[0]]
    row = ablation_figures.summarise_ablation(found, chosen, samples=5)[1]
    assert math.isnan(row["absrel"]) and "absrel" not in row["minus_reference"]
    assert row["distance_error"] == pytest.approx(0.1)
    assert " |  |  |  |  | 0.100" in ablation_figures.ablation_table({"variants": [row]})
    assert row["distances"] == 1


def _about() -> dict[str, Any]:
    return {
        "model_id": "m@1",
        "split": "test",
        "seed": 0,
        "scenes": 40,
        "frames": 40,
        "asked": 40,
        "world": "w",
    }


class _Backend:
    name = "fake"

    def __init__(self) -> None:
        self.rays: list[Any] = []

    def vision_encoder(self, image: Any, ids: Any, rays: Any = None) -> Any:
        self.rays.append(rays)
        return image


def test_a_variant_changes_one_thing_and_leaves_the_loaded_model_alone() -> None:
    pipeline = CooperPipeline.open(threads=1)
    before = pipeline.spec
    four = next(v for v in VARIANTS if v.steps == 4)
    changed = ablation.pipeline_of(four, pipeline)
    assert changed.spec.perception.num_timesteps == 5
    assert pipeline.spec is before and pipeline.spec.perception.num_timesteps == 2
    assert changed.engine.backend is pipeline.engine.backend

    backend = _Backend()
    fake: Any = SimpleNamespace(
        engine=SimpleNamespace(spec=before, backend=backend, tokenizer=None),
        model_id="",
        calibration=None,
    )
    zero = next(v for v in VARIANTS if v.rays == "zero")
    image, rays = np.ones((1, 3, 4, 4), np.float32), np.ones((1, 2, 5), np.float32)
    wrapped = ablation.pipeline_of(zero, fake).engine.backend
    wrapped.vision_encoder(image, np.arange(2), rays)
    wrapped.vision_encoder(image, np.arange(2))
    assert not backend.rays[0].any() and rays.all() and backend.rays[1] is None
    assert wrapped.name == "fake"


def test_the_wrong_camera_is_the_nominal_one() -> None:
    frame = Frame(np.zeros((48, 64, 3), np.uint8), Intrinsics.from_fov(90.0, 64, 48), 7, "cam")
    wrong = next(v for v in VARIANTS if v.rays == "nominal")
    seen = ablation.seen_as(wrong, frame)
    assert seen.intrinsics is not None and frame.intrinsics is not None
    assert seen.intrinsics.fx > frame.intrinsics.fx and seen.stamp_ns == 7
    assert ablation.seen_as(REFERENCE, frame) is frame


def test_other_rows_need_names_of_their_own() -> None:
    rows = ablation.with_others([("no rays", "/a"), ("less data", "/b")])
    assert [row.model for row in rows[-2:]] == ["/a", "/b"] and rows[-1].own_maps
    with pytest.raises(CooperError, match="reference"):
        ablation.with_others([("reference", "/a")])
    assert main(["eval", "ablation", "--other", "nothing"]) == 1


def test_rows_can_be_chosen() -> None:
    chosen = ablation.with_others([("int8", "/a")], ["no_maps"])
    assert [row.name for row in chosen] == ["reference", "no_maps", "int8"]
    assert [row.name for row in ablation.with_others([], ["none"])] == ["reference"]
    with pytest.raises(CooperError, match="true_maps"):
        ablation.with_others([], ["nothing"])


def test_page_keeps_what_is_around_the_markers() -> None:
    page = f"above\n{ablation_figures.BEGIN}\nold\n{ablation_figures.END}\nbelow\n"
    new = ablation_figures.put_between(page, "TABLE")
    assert new.startswith("above\n") and new.endswith("\nbelow\n")
    assert "TABLE" in new and "old" not in new
    assert ablation_figures.put_between(new, "TABLE") == new
    with pytest.raises(ValueError, match="ablation:begin"):
        ablation_figures.put_between("no markers", "x")


def test_shipped_page_shows_the_committed_figures() -> None:
    figures = json.loads((ROOT / "docs/results/ablation.json").read_text(encoding="utf-8"))
    page = (ROOT / "docs/ablation.md").read_text(encoding="utf-8")
    again = ablation_figures.put_between(page, ablation_figures.ablation_text(figures))
    assert page == again, "run `cooper eval ablation --save ... --page ...` (docs/ablation.md)"


def test_command_on_three_rooms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# T\n{ablation_figures.BEGIN}\n{ablation_figures.END}\n")
    saved = tmp_path / "a.json"
    command = ["eval", "ablation", "--scenes", "3", "--seed", "4", "--questions-per-frame", "2"]
    command += ["--processes", "1", "--quiet", "--json", "--save", str(saved), "--page", str(page)]
    assert main(command) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures == json.loads(saved.read_text())
    rows = {row["name"]: row for row in figures["variants"]}
    assert list(rows) == [v.name for v in VARIANTS]
    assert len({row["questions"] for row in rows.values()}) == 1
    assert rows["true_maps"]["absrel"] is None and rows["rays_zero"]["absrel"] is not None
    # the changes reach the model: other rays and other steps draw other depth
    drawn = {rows[n]["absrel"] for n in ("reference", "steps_4", "rays_zero", "rays_nominal")}
    assert len(drawn) == 4
    assert "| four steps |" in page.read_text()
