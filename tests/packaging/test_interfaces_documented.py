"""Every field of every interface says what it means and in which unit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(p for folder in ("msg", "srv", "action") for p in (ROOT / folder).glob("*.*"))

NUMBER = re.compile(r"^(u?int(8|16|32|64)|float(32|64)|byte|char)(\[.*\])?$")
QUANTITY = re.compile(r"^(builtin_interfaces/(Time|Duration)|sensor_msgs/RegionOfInterest"
                      r"|geometry_msgs/\w+|std_msgs/ColorRGBA)(\[.*\])?$")
# "unit": named by the field `unit` of the same message
UNITS = {"1", "m", "m^2", "px", "s", "unit"}
LINE = re.compile(
    r"^(?P<type>\S+)\s+(?P<name>\w+)\s*(?P<value>=\s*[^#\s]+)?\s*(#\s*(?P<text>.*))?$"
)


class Field(NamedTuple):
    type: str
    name: str
    constant: bool
    text: str


def parse(source: str) -> list[Field]:
    """Fields and constants of an interface file, in order."""
    fields = []
    for line in source.splitlines():
        if not line.strip() or line.startswith("#") or line == "---":
            continue
        match = LINE.match(line)
        assert match, f"cannot read {line!r}"
        constant, text = bool(match["value"]), match["text"] or ""
        fields.append(Field(match["type"], match["name"], constant, text))
    return fields


def faults(source: str) -> list[str]:
    """What is wrong with the comments of an interface file."""
    found = []
    if not source.startswith("# "):
        found.append("does not begin with a comment that says what it is")
    for field in parse(source):
        unit = re.match(r"\[([^\]]+)\]\s+\S", field.text)
        zero = field.constant and re.search(r"_(UNKNOWN|AUTO)$", field.name)
        if not field.text and not zero:
            found.append(f"{field.name} has no comment")
        elif field.constant:
            continue
        elif (NUMBER.match(field.type) or QUANTITY.match(field.type)) and not unit:
            found.append(f"{field.name} ({field.type}) has no unit")
        elif unit and unit[1] not in UNITS:
            found.append(f"{field.name} has the unknown unit [{unit[1]}]")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_every_field_has_meaning_and_unit(path: Path) -> None:
    assert faults(path.read_text()) == []


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("float32 distance", "distance has no comment"),
        ("float32 distance # far", "distance (float32) has no unit"),
        ("float32 distance # [furlong] far", "distance has the unknown unit [furlong]"),
        ("float32 distance # [m]", "distance (float32) has no unit"),
        ("geometry_msgs/Point[] p # points", "p (geometry_msgs/Point[]) has no unit"),
        ("uint8 A=1", "A has no comment"),
        ("string text", "text has no comment"),
    ],
)
def test_the_check_finds_faults(line: str, fault: str) -> None:
    assert faults(f"# What it is.\n{line}\n") == [fault]


def test_the_interfaces_of_the_package_are_there() -> None:
    assert {p.name for p in FILES} >= {
        "DepthInfo.msg", "LabelInfo.msg", "Segment.msg", "SegmentArray.msg", "ObjectReference.msg",
        "ReasoningStep.msg", "SpatialAnswer.msg", "AskSpatial.srv", "QueryDistance.srv",
        "GetModelInfo.srv", "CalibrateScale.srv", "Reason.action", "MemoryObject.msg",
        "MemoryArray.msg", "Forget.srv", "BuildEngine.action",
    }


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_every_enum_begins_at_zero_and_skips_nothing(path: Path) -> None:
    enums: dict[str, list[int]] = {}
    for line in path.read_text().splitlines():
        match = re.match(r"uint\d+ ([A-Z]+)_\w+=(\d+)", line)
        if match:
            enums.setdefault(match[1], []).append(int(match[2]))
    for name, values in enums.items():
        assert values == list(range(len(values))), name


def test_boxes_are_regions_of_interest() -> None:
    boxes = [f for p in FILES for f in parse(p.read_text()) if "box" in f.name]
    assert boxes and {f.type.removesuffix("[]") for f in boxes} == {"sensor_msgs/RegionOfInterest"}
