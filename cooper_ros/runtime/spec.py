"""What a model is, in numbers: everything the host code needs to drive a backend.

`ModelSpec` is the `model` section of a model folder's manifest. A nano model and a 14.6 B COOPER
differ only in these values; no code branches on a model's name or size.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from cooper_ros.core.codecs import DepthCodec, PaletteCodec
from cooper_ros.core.errors import CooperError, ModelFolderError, shown
from cooper_ros.core.images import ResizeRule
from cooper_ros.core.scale_state import LINEAR, LOG, ScaleState
from cooper_ros.reasoning.chains import GRAMMARS
from cooper_ros.runtime.fused import FusedSettings
from cooper_ros.runtime.schema import check_name, check_value

T = TypeVar("T")

MAP_CONTEXTS = ("latent", "vision", "fused")
MAP_PLACEMENTS = ("prefix", "inline")
CODECS = ("depth", "palette", "colour")
"""Codecs of maps: metres as grey, classes as colours, the picture itself."""
MAX_MAPS = 16
MAX_WAVES = 64
RENORMS = ("global", "channel", "text_channel")
NOISES = ("normal", "zero")


@dataclass(frozen=True)
class TokenIds:
    """Ids of the four segment markers: text segment and image segment, start and end."""

    text_start: int
    text_end: int
    vision_start: int
    vision_end: int


@dataclass(frozen=True)
class DepthSettings:
    """Depth code: range [m] and curve (`linear` or `log`), and whether the values are metres.

    `metric` is false where training mixed ranges (official weights): then a depth map is only
    relative in [0, 1], whatever the intrinsics.
    """

    min_m: float
    max_m: float
    curve: str = "linear"
    metric: bool = False

    def codec(self) -> DepthCodec:
        """The codec between a picture in [-1, 1] and metres."""
        return DepthCodec(self.min_m, self.max_m, self.curve)

    def scale_prior(self) -> ScaleState:
        """What is known of the depth's metric scale before any anchor."""
        return ScaleState.of_model(LOG if self.curve == "log" else LINEAR, self.metric)


@dataclass(frozen=True)
class SegmentationSettings:
    """Palette code: class i has name `names[i]` and colour `colours[i]` in [-1, 1]^3.

    `stuff` are classes without instances; a region smaller than `min_pixels` of the generated map
    is no object. `scores`: the model's decoder gives a score per class beside the picture, and
    classes are read from those instead of from colours.
    """

    names: tuple[str, ...]
    colours: tuple[tuple[float, ...], ...]
    stuff: tuple[str, ...] = ()
    min_pixels: int = 6
    scores: bool = False

    def codec(self) -> PaletteCodec:
        """The codec between a picture in [-1, 1] and class ids."""
        return PaletteCodec(self.names, np.asarray(self.colours, dtype=np.float32))


@dataclass(frozen=True)
class FusedSpec:
    """Features of drawn maps in the context, see `runtime.fused.FusedSettings`."""

    grid: int = 4
    waves: tuple[float, ...] = (2.0, 8.0)
    class_grid: int = 2


@dataclass(frozen=True)
class MapSpec:
    """A map that the model draws: its name, the text that asks for it, and the codec of its
    picture (one of `CODECS`)."""

    name: str
    prompt: str
    codec: str


@dataclass(frozen=True)
class Prompts:
    """Texts that this model was trained with. `reflection` follows each map (inline placement)."""

    depth: str
    segmentation: str
    system: str = ""
    reflection: str = ""
    direct: str = "direct"


@dataclass(frozen=True)
class LoopSettings:
    """Limits: turns, tokens per turn, and tokens of the single turn of a direct answer."""

    max_turns: int = 3
    max_turn_tokens: int = 2048
    max_answer_tokens: int = 256


@dataclass(frozen=True)
class GenerationSettings:
    """Flow sampling. `num_timesteps` N points give N-1 Euler steps; 2 is the one-step mode.

    `text_scale` <= 1 disables all guidance, `image_scale` <= 1 the image part. Guidance acts where
    lo < t <= hi, t after the shift. `noise` `zero` starts from zeros (deterministic).
    """

    num_timesteps: int = 50
    shift: float = 3.0
    text_scale: float = 1.0
    image_scale: float = 1.0
    interval: tuple[float, float] = (0.4, 1.0)
    renorm: str = "global"
    renorm_min: float = 0.0
    noise: str = "normal"

    def __post_init__(self) -> None:
        if self.num_timesteps < 2:
            raise ValueError(f"num_timesteps must be at least 2, got {self.num_timesteps}")
        if self.renorm not in RENORMS:
            raise ValueError(f"renorm must be one of {RENORMS}, got {self.renorm!r}")
        if self.noise not in NOISES:
            raise ValueError(f"noise must be one of {NOISES}, got {self.noise!r}")

    @property
    def guided(self) -> bool:
        """Whether any time step needs the text-dropped context."""
        return self.text_scale > 1.0


@dataclass(frozen=True)
class ModelSpec:
    """All dimensions and conventions of one model. Sizes in tokens, pixels or channels as named."""

    hidden_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    vocab_size: int
    tokens: TokenIds
    vision_patch: int
    vision_grid_side: int
    vision_resize: ResizeRule
    map_resize: ResizeRule
    latent_grid_side: int
    autoencoder_downsample: int
    depth: DepthSettings
    prompts: Prompts
    segmentation: SegmentationSettings | None = None
    loop: LoopSettings = field(default_factory=LoopSettings)
    perception: GenerationSettings = field(default_factory=GenerationSettings)
    interleaved: GenerationSettings = field(default_factory=GenerationSettings)
    latent_channels: int = 16
    latent_patch: int = 2
    rope_theta: float = 1_000_000.0
    ray_channels: int = 0
    vocab_limit: int | None = None
    chain_resize: bool = True
    context_latents: bool = True
    map_context: str = "vision"
    map_placement: str = "inline"
    fused: FusedSpec | None = None
    model_id: str = ""
    grammar: int = 1
    unknown_camera: bool = False
    maps: tuple[MapSpec, ...] = ()

    def __post_init__(self) -> None:
        if self.grammar not in GRAMMARS:
            raise ValueError(f"grammar must be one of {GRAMMARS}, got {self.grammar}")
        if self.map_context not in MAP_CONTEXTS:
            raise ValueError(f"map_context must be one of {MAP_CONTEXTS}, got {self.map_context!r}")
        if self.map_placement not in MAP_PLACEMENTS:
            raise ValueError(
                f"map_placement must be one of {MAP_PLACEMENTS}, got {self.map_placement!r}"
            )

    @property
    def latent_dim(self) -> int:
        """Channels of one packed latent token: channels x patch x patch."""
        return self.latent_channels * self.latent_patch**2

    @property
    def latent_stride(self) -> int:
        """Pixels of the map image per latent token, along each side."""
        return self.autoencoder_downsample * self.latent_patch

    def all_maps(self) -> tuple[MapSpec, ...]:
        """The maps that the model draws. Depth and, with a palette, segmentation stand first; more
        are reserved: named by `maps`, and not drawn by this version."""
        if self.maps:
            return self.maps
        depth = MapSpec("depth", self.prompts.depth, "depth")
        if self.segmentation is None:
            return (depth,)
        return depth, MapSpec("segmentation", self.prompts.segmentation, "palette")

    def fused_settings(self) -> FusedSettings:
        """Numbers of the fused maps. Raises ValueError for a model without them."""
        if self.fused is None or self.segmentation is None:
            raise ValueError("this model takes no fused maps")
        f = self.fused
        classes = len(self.segmentation.names)
        return FusedSettings(classes, self.latent_stride, f.grid, f.waves, f.class_grid)

    def latent_grid(self, height: int, width: int) -> tuple[int, int]:
        """(rows, columns) of latent tokens of a map image of this size [px]."""
        return height // self.latent_stride, width // self.latent_stride

    def vision_grid(self, height: int, width: int) -> tuple[int, int]:
        """(rows, columns) of vision tokens of a vision image of this size [px]."""
        return height // self.vision_patch, width // self.vision_patch

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries, lists, numbers and strings: ready for json."""
        return _plain(dataclasses.asdict(self))

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ModelSpec:
        """Inverse of `to_dict`. Raises ModelFolderError naming a missing or unknown field, a
        number out of its bounds, or fields that contradict each other."""
        spec = _build(cls, data, "model")
        _check_together(spec)
        return spec


def _check_together(spec: ModelSpec) -> None:
    """Raise ModelFolderError for fields that are good one by one and not together."""
    try:
        spec.depth.codec()
        if spec.segmentation is not None:
            spec.segmentation.codec()
    except CooperError as error:
        raise ModelFolderError(f"manifest: model: {error!s:.300}") from error
    for name in spec.segmentation.names if spec.segmentation is not None else ():
        check_name("model.segmentation.names", name)
    _check_maps(spec)
    highest = max(dataclasses.astuple(spec.tokens))
    lists = {
        "tokens are beyond vocab_size": highest >= spec.vocab_size,
        "num_heads is no multiple of num_kv_heads": spec.num_heads % spec.num_kv_heads != 0,
        "an interval runs backwards": any(
            settings.interval[0] > settings.interval[1]
            for settings in (spec.perception, spec.interleaved)
        ),
        "min_side is above max_side": any(
            rule.min_side > rule.max_side for rule in (spec.vision_resize, spec.map_resize)
        ),
    }
    for problem, found in lists.items():
        if found:
            raise ModelFolderError(f"manifest: model: {problem}")


def _check_maps(spec: ModelSpec) -> None:
    """Raise ModelFolderError for maps and forms of their context that contradict each other."""
    for item in spec.maps:
        check_name("model.maps.name", item.name)
        if item.codec not in CODECS:
            raise ModelFolderError(
                f"manifest: model.maps.codec must be one of {CODECS}, got {shown(item.codec)}"
            )
    standard = dataclasses.replace(spec, maps=()).all_maps()
    names = [item.name for item in spec.maps]
    problems = {
        f"maps has more than {MAX_MAPS} entries": len(names) > MAX_MAPS,
        "maps names one map twice": len(set(names)) < len(names),
        "maps must begin with depth and segmentation as prompts has them": bool(names)
        and spec.maps[: len(standard)] != standard,
    }
    if spec.map_context == "fused":
        problems["map_context is fused, but fused is missing"] = spec.fused is None
        problems["map_context is fused, which needs segmentation"] = spec.segmentation is None
    for problem, found in problems.items():
        if found:
            raise ModelFolderError(f"manifest: model: {problem}")
    if spec.fused is not None and spec.segmentation is not None:
        if len(spec.fused.waves) > MAX_WAVES:
            raise ModelFolderError(f"manifest: model: fused.waves has more than {MAX_WAVES} items")
        try:
            spec.fused_settings()
        except ValueError as error:
            raise ModelFolderError(f"manifest: model: fused: {error!s:.300}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _build(cls: type[T], data: Any, where: str) -> T:
    """A dataclass from plain json values, following its type hints."""
    if not isinstance(data, dict):
        raise ModelFolderError(f"manifest: {where} must be an object, got {type(data).__name__}")
    hints = typing.get_type_hints(cls)
    fields = {item.name: item for item in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(data) - set(fields))
    if unknown:
        raise ModelFolderError(f"manifest: unknown field {where}.{shown(unknown[0])[1:-1]}")
    missing = sorted(
        name
        for name, item in fields.items()
        if name not in data
        and item.default is dataclasses.MISSING
        and item.default_factory is dataclasses.MISSING
    )
    if missing:
        raise ModelFolderError(f"manifest: missing field {where}.{missing[0]}")
    values = {name: _value(hints[name], item, f"{where}.{name}") for name, item in data.items()}
    try:
        return cls(**values)
    except (TypeError, ValueError) as error:
        raise ModelFolderError(f"manifest: {where}: {error!s:.300}") from error


def _value(hint: Any, value: Any, where: str) -> Any:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        if value is None:
            return None
        hint = next(item for item in typing.get_args(hint) if item is not type(None))
    if dataclasses.is_dataclass(hint):
        return _build(typing.cast(type, hint), value, where)
    if typing.get_origin(hint) is tuple:
        return _tuple(hint, value, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint in (int, float, str, bool) and type(value) is not hint:
        raise ModelFolderError(f"manifest: {where} must be {hint.__name__}, got {shown(value)}")
    check_value(where, value)
    return value


def _tuple(hint: Any, value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise ModelFolderError(f"manifest: {where} must be a list, got {shown(value)}")
    args = typing.get_args(hint)
    if len(args) == 2 and args[1] is Ellipsis:
        args = (args[0],) * len(value)
    if len(args) != len(value):
        raise ModelFolderError(f"manifest: {where} must have {len(args)} items, got {len(value)}")
    return tuple(_value(arg, item, where) for arg, item in zip(args, value, strict=True))
