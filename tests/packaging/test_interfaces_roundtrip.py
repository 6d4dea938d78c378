"""The compiled interfaces carry every field over the wire, and their enums are those of core."""

from __future__ import annotations

import random
from enum import IntEnum
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from rclpy.serialization import deserialize_message, serialize_message

import cooper_ros.action
import cooper_ros.msg
import cooper_ros.srv
from cooper_ros.core.types import AnsweredBy, Kind, ScaleSource, Status, StepType
from cooper_ros.msg import DepthInfo, ReasoningStep, SpatialAnswer

ROOT = Path(__file__).resolve().parents[2]
MESSAGES = [getattr(cooper_ros.msg, p.stem) for p in sorted((ROOT / "msg").glob("*.msg"))]
SERVICES = [getattr(cooper_ros.srv, p.stem) for p in sorted((ROOT / "srv").glob("*.srv"))]
ACTIONS = [getattr(cooper_ros.action, p.stem) for p in sorted((ROOT / "action").glob("*.action"))]
TYPES = (
    MESSAGES
    + [half for s in SERVICES for half in (s.Request, s.Response)]
    + [part for a in ACTIONS for part in (a.Goal, a.Result, a.Feedback)]
)


def filled(kind: type, rng: random.Random) -> Any:
    """An instance with every field, however deep, set to something that is not its default."""
    message = kind()
    for name, type_name in kind.get_fields_and_field_types().items():
        setattr(message, name, _value(type_name, rng))
    return message


def _value(type_name: str, rng: random.Random) -> Any:
    if type_name.startswith("sequence<"):
        return [_value(type_name[len("sequence<"):-1], rng) for _ in range(2)]
    if type_name.endswith("]"):
        element, length = type_name[:-1].split("[")
        return [_value(element, rng) for _ in range(int(length))]
    if "/" in type_name:
        package, name = type_name.split("/")
        return filled(getattr(import_module(f"{package}.msg"), name), rng)
    if type_name == "boolean":
        return True
    if type_name == "string":
        return f"text {rng.randrange(1000)} \N{DEGREE SIGN}"
    if type_name in ("float", "double"):
        return rng.randrange(1, 1000) / 8  # exact in float32
    assert "int" in type_name or type_name == "octet", type_name
    return rng.randrange(1, 100)


@pytest.mark.parametrize("kind", TYPES, ids=lambda t: t.__name__)
def test_every_field_survives_the_wire(kind: type) -> None:
    message = filled(kind, random.Random(0))
    assert message != kind() or not kind.get_fields_and_field_types(), "an empty request"
    assert deserialize_message(serialize_message(message), kind) == message


def test_the_compiled_types_are_those_of_the_sources() -> None:
    """A message file that changed after installation would otherwise go unnoticed."""
    for kind in MESSAGES:
        source = (ROOT / "msg" / f"{kind.__name__}.msg").read_text()
        lines = (line.split("#")[0].split() for line in source.splitlines())
        fields = {line[1] for line in lines if len(line) == 2 and "=" not in line[1]}
        assert fields == set(kind.get_fields_and_field_types()), kind.__name__


def test_the_modes_of_questions_are_the_same_in_service_and_action() -> None:
    for name in ("MODE_AUTO", "MODE_DIRECT", "MODE_INTERLEAVED"):
        service, action = cooper_ros.srv.AskSpatial.Request, cooper_ros.action.Reason.Goal
        assert getattr(service, name) == getattr(action, name)


@pytest.mark.parametrize(
    ("enum", "message", "prefix"),
    [
        (ScaleSource, DepthInfo, "SCALE_"),
        (StepType, ReasoningStep, "TYPE_"),
        (Kind, SpatialAnswer, "KIND_"),
        (Status, SpatialAnswer, "STATUS_"),
        (AnsweredBy, SpatialAnswer, "ANSWERED_BY_"),
    ],
)
def test_enums_are_the_same_in_core_and_in_messages(
    enum: type[IntEnum], message: type, prefix: str
) -> None:
    constants = {
        name.removeprefix(prefix): getattr(message, name)
        for name in dir(type(message))  # rosidl keeps constants in the metaclass
        if name.startswith(prefix)
    }
    assert constants == {member.name: member.value for member in enum}


def test_unset_answers_claim_nothing() -> None:
    answer = SpatialAnswer()
    assert answer.status == SpatialAnswer.STATUS_UNKNOWN
    assert not answer.agree
