"""Ranges of the symbolic dimensions, from which engine builders make their one wide profile.

One profile per engine: a second one would store the weights again (measured with TensorRT-RTX).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from cooper_ros.runtime.backend import MAX_DRAFT

if TYPE_CHECKING:
    from cooper_ros.runtime.signature import GraphSignature
    from cooper_ros.runtime.spec import ModelSpec

Range = tuple[int, int, int]  # smallest, most frequent, largest

# Unguided, text-dropped and image-dropped context in one batch.
BATCH: Range = (1, 1, 3)
SHORTEST_PREFILL = 1024
ROWS: Range = (1, 1, MAX_DRAFT + 1)  # logits wanted: of the last token, or of a drafted text


def graph_profiles(spec: ModelSpec) -> dict[str, Mapping[str, Range]]:
    """Ranges by symbol for each graph.

    Images range from two patches to the longest side of the resize rule, in steps of the patch, as
    far as the tables of positions reach. The past holds two images, two maps and all turns of the
    interleaved loop.
    """
    height, width, vision = _image(
        spec.vision_patch, spec.vision_resize.max_side, spec.vision_grid_side
    )
    map_height, map_width, latent = _image(
        spec.latent_stride, spec.map_resize.max_side, spec.latent_grid_side
    )
    turns = spec.loop.max_turns * spec.loop.max_turn_tokens
    longest = -(-(2 * (vision[2] + latent[2]) + turns) // 256) * 256
    past = (0, min(longest, vision[1] + latent[1] + 64), longest)
    seq = (1, vision[1] + 2, max(vision[2] + 2, SHORTEST_PREFILL))
    latent_sides = {
        "latent_height": _scaled(map_height, spec.autoencoder_downsample),
        "latent_width": _scaled(map_width, spec.autoencoder_downsample),
    }
    return {
        "vision_encoder": {"height": height, "width": width, "tokens": vision},
        "autoencoder_encoder": {"height": map_height, "width": map_width, **latent_sides},
        "autoencoder_decoder": {"height": map_height, "width": map_width, **latent_sides},
        "class_decoder": {"height": map_height, "width": map_width, **latent_sides},
        "und": {"batch": BATCH, "seq": seq, "past": past, "rows": ROWS},
        "gen": {"batch": BATCH, "tokens": latent, "past": past},
    }


def real_sizes(signature: GraphSignature, profile: Mapping[str, Range]) -> dict[str, int]:
    """Sizes of a graph's inputs at an ordinary picture, one in a batch, for its self-test."""
    usual = {symbol: sizes[1] for symbol, sizes in profile.items()}
    return {s: usual[s] for s in usual if any(_uses(t.shape, s) for t in signature.inputs)}


def _uses(shape: Iterable[int | str], symbol: str) -> bool:
    return any(symbol in str(dimension).split("+") for dimension in shape)


def _image(step: int, longest: int, side: int) -> tuple[Range, Range, Range]:
    """Ranges of height, width and patches, at most ``side`` of them along an edge; the frequent
    picture is 4:3, landscape."""
    longest = min(longest, side * step)
    width = (2 * step, longest // step * step, longest // step * step)
    height = (2 * step, max(2, longest * 3 // 4 // step) * step, width[2])
    patches = (4, (height[1] // step) * (width[1] // step), (width[2] // step) ** 2)
    return height, width, patches


def _scaled(sides: Range, factor: int) -> Range:
    return sides[0] // factor, sides[1] // factor, sides[2] // factor
