"""Prompt texts: the tool strings of the official weights and of nano, and default wordings.

The wording of the long official system prompt is not distributed here; released weights were
trained with one exact text. `OFFICIAL_SYSTEM` has the same meaning in our words. Whoever has the
original text passes it in the manifest; `fingerprint` tells whether it is that text.
"""

from __future__ import annotations

import hashlib

from cooper_ros.reasoning.loop import LoopScript
from cooper_ros.reasoning.tags import MAP_ORDER

OFFICIAL_DEPTH = (
    "<depth-estimation>Estimate the depth of the image and generate the depth map."
    "</depth-estimation>"
)
OFFICIAL_SEGMENTATION = (
    "<segmentation>Segment the objects in the image with different colors.</segmentation>"
)
OFFICIAL_SYSTEM = (
    "You are an assistant that answers questions about images and can draw depth maps and "
    "segmentation maps. Begin every turn with <think> and </think>: judge whether a map would "
    "help, and analyse the maps you have received; they may be wrong. To ask for a map end the "
    f"turn with {OFFICIAL_DEPTH} or {OFFICIAL_SEGMENTATION} When you know enough, give a short "
    "summary between <answer> and </answer> with the result in \\boxed{}."
)
OFFICIAL_REFLECTION = (
    "The map you asked for is above. It may be inaccurate: check it against the image, think "
    "again, then either ask for another map or answer."
)

OFFICIAL_FINGERPRINTS: dict[str, tuple[int, str]] = {
    "system": (1703, "471c9b249bcf591f"),
    "reflection": (429, "33b39b884ee04376"),
    "perception": (430, "5a3bb58d46aa1b24"),
    "text": (227, "5eff00888fdf6b91"),
}
"""Length [characters] and first 16 hex digits of the SHA-256 of the original texts (UTF-8)."""

NANO_DEPTH = "<depth-estimation> </depth-estimation>"
NANO_SEGMENTATION = "<segmentation> </segmentation>"
NANO_DIRECT = "direct"
NANO_MAX_TURN_TOKENS = 192


def fingerprint(text: str) -> tuple[int, str]:
    """(length, first 16 hex digits of the SHA-256) of a prompt text."""
    return len(text), hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def official_script(
    system: str = OFFICIAL_SYSTEM,
    reflection: str = OFFICIAL_REFLECTION,
    *,
    max_turns: int = 3,
    max_turn_tokens: int = 2048,
) -> LoopScript:
    """The loop of the official model; evaluation and reinforcement learning use 4096 tokens."""
    return LoopScript(
        "inline",
        OFFICIAL_DEPTH,
        OFFICIAL_SEGMENTATION,
        system,
        reflection,
        direct="",
        max_turns=max_turns,
        max_turn_tokens=max_turn_tokens,
    )


def nano_script(max_turns: int = 3, max_turn_tokens: int = NANO_MAX_TURN_TOKENS) -> LoopScript:
    """The loop of nano: maps in the prefix of the frame, no system text."""
    return LoopScript(
        "prefix",
        NANO_DEPTH,
        NANO_SEGMENTATION,
        direct=NANO_DIRECT,
        max_turns=max_turns,
        max_turn_tokens=max_turn_tokens,
    )


NANO_DEPTH_TURN, NANO_SEGMENTATION_TURN = map(nano_script().request_turn, MAP_ORDER)
"""The two turns by which nano asks for its maps; the third turn is `chains.final_turn`."""
