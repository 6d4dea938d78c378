"""The tags of the interleaved format: finding, cutting and reading them."""

from __future__ import annotations

import re
from typing import Literal

MapKind = Literal["depth", "segmentation"]
DEPTH: MapKind = "depth"
SEGMENTATION: MapKind = "segmentation"
MAP_ORDER: tuple[MapKind, ...] = (DEPTH, SEGMENTATION)
"""Priority of the tools, and the order of maps in a prefix."""

TOOL_TAGS: dict[MapKind, str] = {DEPTH: "depth-estimation", SEGMENTATION: "segmentation"}

_BLOCKS = {
    kind: re.compile(rf"<{tag}>.*?</{tag}>", re.DOTALL) for kind, tag in TOOL_TAGS.items()
}
_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_THINK = re.compile(r"<think>(.*?)</think>", re.DOTALL)
_TAG = re.compile(r"</?(?:think|answer|obj|depth-estimation|segmentation)>")
_ANY_TAG = re.compile(r"</?[A-Za-z|][^<>]{0,60}>")


def find_answer(text: str) -> str | None:
    """Content of the first closed answer tag, white space stripped; None without one."""
    match = _ANSWER.search(text)
    return match.group(1).strip() if match else None


def find_thought(text: str) -> str:
    """Content of the closed think tags, white space stripped, joined by spaces."""
    return " ".join(part.strip() for part in _THINK.findall(text)).strip()


def find_tool(text: str) -> MapKind | None:
    """The map that a turn asks for: a *closed* tag, depth before segmentation."""
    for kind in MAP_ORDER:
        if _BLOCKS[kind].search(text):
            return kind
    return None


def cut_tool(text: str, kind: MapKind) -> str:
    """The turn without the tag block of `kind`; nothing else is stripped, not even newlines."""
    return _BLOCKS[kind].sub("", text)


def strip_tags(text: str) -> str:
    """Text for people: tool blocks and tags removed, single spaces."""
    for block in _BLOCKS.values():
        text = block.sub(" ", text)
    return " ".join(_TAG.sub(" ", text).split())


def plain_text(text: str) -> str:
    """Text of an answer for people and parsers: `strip_tags`, and no tag or marker of any name."""
    return " ".join(_ANY_TAG.sub(" ", strip_tags(text)).split())
