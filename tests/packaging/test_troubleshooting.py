"""docs/troubleshooting.md is keyed by messages; each of them is one that the sources can say."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "troubleshooting.md"
GAP = "…"
"""Stands for what the program fills in."""

SOURCES = [*(ROOT / "cooper_ros").rglob("*.py"), ROOT / "setup.py"]
SCRIPTS = [*(ROOT / "tools").glob("*.sh"), ROOT / "Makefile"]


def spoken(tree: ast.AST) -> list[str]:
    """Every text of a module, with a gap for each value that is put in."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            found.append(
                "".join(p.value if isinstance(p, ast.Constant) else GAP for p in node.values)
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return found


def said_anywhere() -> list[str]:
    texts = [text for path in SOURCES for text in spoken(ast.parse(path.read_text("utf-8")))]
    return texts + [path.read_text("utf-8") for path in SCRIPTS]


def keys(page: str) -> list[str]:
    """The messages of the page: headings in backquotes."""
    return re.findall(r"^#{2,4} `(.+)`$", page, re.M)


KEYS = keys(PAGE.read_text("utf-8"))


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return said_anywhere()


@pytest.mark.parametrize("key", KEYS)
def test_the_sources_say_it(key: str, texts: list[str]) -> None:
    assert any(key in text for text in texts), (
        f"no source says {key!r}: correct the heading in docs/troubleshooting.md "
        f"({GAP} stands for what is filled in)"
    )


def test_there_are_many_and_each_once() -> None:
    assert len(KEYS) >= 30
    assert len(KEYS) == len(set(KEYS))


def test_every_entry_says_what_to_do() -> None:
    page = PAGE.read_text("utf-8")
    for entry in re.split(r"^(?=#{2,4} `)", page, flags=re.M)[1:]:
        heading, _, body = entry.partition("\n")
        assert len(body.split("\n## ")[0].strip()) > 40, heading


def test_every_status_is_explained() -> None:
    page = PAGE.read_text("utf-8")
    message = (ROOT / "msg" / "SpatialAnswer.msg").read_text("utf-8")
    statuses = re.findall(r"uint8 (STATUS_\w+)=", message)
    assert len(statuses) >= 14
    assert [s for s in statuses if f"`{s}`" not in page] == []


def test_a_made_up_message_is_found_out() -> None:
    tree = ast.parse("raise E(f'no model named {name!r}; known: ' 'x')")
    assert any("no model named …; known: x" in text for text in spoken(tree))
    assert not any("the flux compensator is cold" in text for text in said_anywhere())
