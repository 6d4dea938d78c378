"""The model section of a manifest."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

import pytest
from toy_model import spec_dict  # type: ignore[import-not-found]

from cooper_ros.core.errors import ModelFolderError
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
