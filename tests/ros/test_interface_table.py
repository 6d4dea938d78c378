"""One table of topics, services and actions: docs/reference.md and the sources follow it.

That a running node has these names and no others is in test_node_names.py.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cooper_ros.ros.interfaces import (
    ACTION,
    INTERFACES,
    INTERFACES_BEGIN,
    INTERFACES_END,
    PUBLISHES,
    READS,
    SERVICE,
    InterfaceSpec,
    render_markdown,
)

NODE_FILES_NOT = ("interfaces.py", "client.py", "examiner.py", "sim_camera.py")
FOLDERS = {READS: "msg", PUBLISHES: "msg", SERVICE: "srv", ACTION: "action"}


def node_sources(root: Path) -> str:
    """The sources of the node, without the table itself and without those who talk to it."""
    files = (root / "cooper_ros" / "ros").rglob("*.py")
    return "".join(p.read_text(encoding="utf-8") for p in files if p.name not in NODE_FILES_NOT)


def literal(spec: InterfaceSpec) -> re.Pattern[str]:
    """How the name stands in a call: whole, or behind the prefix of a camera."""
    return re.compile(rf'(?<![\w/])["}}/]{re.escape(spec.name.removeprefix("~/"))}"|"'
                      rf'{re.escape(spec.name)}"')  # fmt: skip


def test_the_reference_has_the_tables(root: Path) -> None:
    page = (root / "docs" / "reference.md").read_text(encoding="utf-8")
    pattern = re.escape(INTERFACES_BEGIN) + ".*?" + re.escape(INTERFACES_END)
    section = re.search(pattern, page, re.DOTALL)
    assert section, "docs/reference.md has no interface section"
    assert section.group(0) + "\n" == render_markdown(), (
        "write it anew with: python -m cooper_ros.ros.interfaces"
    )


def test_names_are_listed_once() -> None:
    assert len({(spec.kind, spec.name) for spec in INTERFACES}) == len(INTERFACES)


@pytest.mark.parametrize("spec", INTERFACES, ids=lambda spec: spec.name)
def test_every_name_is_used_and_explained(spec: InterfaceSpec, root: Path) -> None:
    assert literal(spec).search(node_sources(root)), f"no source of the node names {spec.name}"
    assert spec.meaning.endswith(".") and len(spec.meaning) > 15
    package, folder, name = spec.type.split("/")
    assert folder == FOLDERS[spec.kind]
    assert bool(spec.qos) == (spec.kind in (READS, PUBLISHES))
    if package == "cooper_ros":
        assert (root / folder / f"{name}.{folder}").is_file()
