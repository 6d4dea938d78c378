"""The model section of a manifest."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
from toy_model import spec_dict  # type: ignore[import-not-found]

from cooper_ros.core.errors import ModelFolderError
from cooper_ros.runtime.signature import GraphSettings
from cooper_ros.runtime.spec import ModelSpec
from cooper_ros.runtime.tokenizer import Tokenizer


@pytest.fixture
def data(tokenizer: Tokenizer) -> dict[str, Any]:
    return copy.deepcopy(spec_dict(tokenizer))


def test_round_trip_through_json(data: dict[str, Any]) -> None:
    spec = ModelSpec.from_dict(data)
    assert ModelSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert spec.perception.noise == "zero" and spec.vision_resize.max_pixels == 1_806_336


def test_derived_sizes(data: dict[str, Any]) -> None:
    spec = ModelSpec.from_dict(data)
    assert spec.latent_dim == 16 and spec.latent_stride == 8
    assert spec.latent_grid(72, 96) == (9, 12) and spec.vision_grid(144, 192) == (9, 12)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("hidden_size",), "64", "hidden_size must be int"),
        (("hidden_size",), True, "hidden_size must be int"),
        (("surprise",), 1, "unknown field model.surprise"),
        (("tokens", "surprise"), 1, "unknown field model.tokens.surprise"),
        (("tokens",), 3, "model.tokens must be an object"),
        (("perception", "interval"), [0.1], "must have 2 items"),
        (("perception", "num_timesteps"), 1, "at least 2"),
        (("map_context",), "both", "map_context"),
        (("grammar",), 3, "grammar must be one of"),
        (("grammar",), 10**12, "model.grammar must be between"),
        (("unknown_camera",), 1, "model.unknown_camera must be bool"),
        (("maps",), "depth", "model.maps must be a list"),
        (("maps",), [{"name": "depth"}], r"missing field model\.maps\.codec"),
        (("maps",), [{"name": "a\nb", "prompt": "", "codec": "depth"}], "maps.name must be a name"),
        (("maps",), [{"name": "n", "prompt": "", "codec": "jpeg"}], "codec must be one of"),
        (("maps",), [{"name": "n", "prompt": "", "codec": "colour"}], "must begin with depth"),
        (("map_context",), "fused", "fused, but fused is missing"),
        (("fused",), {"grid": 3}, "fused: a cell of 8 pixels has no raster of 3"),
        (("fused",), {"grid": 0}, "model.fused.grid must be between"),
        (("fused",), {"waves": [math.inf]}, "model.fused.waves must be between"),
        (("fused",), {"waves": [2.0] * 65}, "more than 64 items"),
        (("grammar",), "2", "model.grammar must be int"),
        (("map_placement",), "above", "map_placement"),
        (("hidden_size",), 0, r"model\.hidden_size must be between 1 and 65536, got 0"),
        (("num_layers",), 10**9, "model.num_layers must be between"),
        (("num_kv_heads",), 3, "no multiple of num_kv_heads"),
        (("vocab_size",), 4, "tokens are beyond vocab_size"),
        (("rope_theta",), math.inf, "model.rope_theta must be between"),
        (("rope_theta",), math.nan, "model.rope_theta must be between"),
        (("depth", "max_m"), 1e300, "model.depth.max_m must be between"),
        (("depth", "max_m"), 0.1, "model: "),
        (("perception", "num_timesteps"), 10**6, "model.perception.num_timesteps must be"),
        (("perception", "shift"), math.nan, "model.perception.shift must be"),
        (("perception", "interval"), [0.9, 0.1], "an interval runs backwards"),
        (("perception", "interval"), [0.0, 1e9], "model.perception.interval must be"),
        (("loop", "max_turns"), 10**9, "model.loop.max_turns must be"),
        (("map_resize", "stride"), 0, "model.map_resize.stride must be"),
        (("map_resize", "max_side"), 10**6, "model.map_resize.max_side must be"),
        (("segmentation", "colours"), [[0.0, 0.0, 7.0]], "model.segmentation.colours must be"),
        (("segmentation", "names"), ["mug"], "classes need colours"),
        (("prompts", "depth"), "x" * 10**6, "has 1000000 characters"),
    ],
)
def test_a_wrong_field_is_named(
    data: dict[str, Any], path: tuple[str, ...], value: Any, message: str
) -> None:
    target = data
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    with pytest.raises(ModelFolderError, match=message):
        ModelSpec.from_dict(data)


def test_a_missing_field_is_named(data: dict[str, Any]) -> None:
    del data["tokens"]["text_end"]
    with pytest.raises(ModelFolderError, match=r"missing field model\.tokens\.text_end"):
        ModelSpec.from_dict(data)


def test_what_format_2_does_not_have_means_what_it_meant(data: dict[str, Any]) -> None:
    spec = ModelSpec.from_dict(data)
    assert (spec.grammar, spec.unknown_camera, spec.fused, spec.maps) == (1, False, None, ())


def test_depth_and_segmentation_are_the_first_maps(data: dict[str, Any]) -> None:
    spec = ModelSpec.from_dict(data)
    depth, segmentation = spec.all_maps()
    assert (depth.name, depth.prompt, depth.codec) == ("depth", spec.prompts.depth, "depth")
    assert (segmentation.name, segmentation.codec) == ("segmentation", "palette")
    normals = {"name": "normals", "prompt": "<normals> </normals>", "codec": "colour"}
    data["maps"] = [dataclasses.asdict(m) for m in (depth, segmentation)] + [normals]
    more = ModelSpec.from_dict(json.loads(json.dumps(data)))
    assert [m.name for m in more.all_maps()] == ["depth", "segmentation", "normals"]
    assert ModelSpec.from_dict(more.to_dict()) == more
    data["maps"].append(normals)
    with pytest.raises(ModelFolderError, match="names one map twice"):
        ModelSpec.from_dict(data)
    data["segmentation"], data["maps"] = None, []
    assert [m.name for m in ModelSpec.from_dict(data).all_maps()] == ["depth"]


def test_every_field_is_on_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "model-folder.md").read_text()
    fields = [f.name for cls in (ModelSpec, GraphSettings) for f in dataclasses.fields(cls)]
    lacking = [name for name in fields if f"`{name}`" not in page]
    assert not lacking, lacking


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"tolerance": 0.1}, "tolerance must be numbers by form"),
        ({"tolerance": {"tpu": 0.1}}, "tolerance must be numbers by form"),
        ({"tolerance": {"cpu": 0.0}}, "tolerance.cpu must be above 0"),
        ({"tolerance": {"gpu": 0.2}}, "at most 0.1"),
        ({"tolerance": {"gpu": math.nan}}, "tolerance.gpu must be above 0"),
        ({"tolerance": {"gpu": True}}, "tolerance.gpu must be above 0"),
        ({"precision": "int4"}, "precision must be one of float32"),
        ({"precision": ["float16"]}, "precision must be one of float32"),
    ],
)
def test_settings_of_a_graph_are_checked(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelFolderError, match=message):
        GraphSettings.from_dict("und", entry)


def test_settings_of_a_graph_may_be_missing() -> None:
    assert GraphSettings.from_dict("und", {}) == GraphSettings({}, None)
    given = GraphSettings.from_dict("und", {"tolerance": {"gpu": 0.02}, "precision": "bfloat16"})
    assert given == GraphSettings({"gpu": 0.02}, "bfloat16")
