"""One parameter of a node: its type, bounds and words, and what is wrong with a value."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

AT_ONCE = "at once"
ACTIVATE = "next activate"
CONFIGURE = "next configure"
START = "start only"


@dataclass(frozen=True)
class ParameterSpec:
    """One parameter.

    `minimum` and `maximum` bound numbers (inclusive), `choices` lists the texts allowed. `effect`
    says when a change is heard: at once, at the next lifecycle transition named, or never
    (`START`: read-only). `check(value)` says what else is wrong with a value, "" if nothing.
    """

    name: str
    default: bool | int | float | str
    description: str
    effect: str = AT_ONCE
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    check: Callable[[Any], str] | None = None

    @property
    def read_only(self) -> bool:
        """True when it can only be given at start."""
        return self.effect == START

    @property
    def takes_bool(self) -> bool:
        """True for a text that YAML and the command line make a bool of."""
        return {"true", "false"} <= set(self.choices)

    def plain(self, value: Any) -> Any:
        """A value as the code reads it: true and false among other choices are texts."""
        return str(value).lower() if self.takes_bool and isinstance(value, bool) else value

    @property
    def type_name(self) -> str:
        """ROS name of the type."""
        return {bool: "bool", int: "integer", float: "double", str: "string"}[type(self.default)]

    @property
    def allowed(self) -> str:
        """Range or choices for people, "" if any value goes."""
        if self.choices:
            return ", ".join(self.choices)
        if self.minimum is None:
            return ""
        return f"{self.minimum:g} to {self.maximum:g}"


def problem_with(spec: ParameterSpec, value: Any) -> str:
    """Why `value` cannot be taken, for people; "" if it can."""
    value, expected = spec.plain(value), type(spec.default)
    if type(value) is not expected:
        return f"{spec.name} must be a {spec.type_name}, got {value!r}"
    if spec.choices and value not in spec.choices:
        return f"{spec.name} must be one of {', '.join(spec.choices)}, got {value!r}"
    if spec.minimum is not None and spec.maximum is not None:
        number = float(value)
        if not math.isfinite(number) or not spec.minimum <= number <= spec.maximum:
            return f"{spec.name} must be {spec.allowed}, got {value!r}"
    return spec.check(value) if spec.check else ""


def to_descriptor(spec: ParameterSpec) -> Any:
    """rcl_interfaces/ParameterDescriptor of one row."""
    from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

    descriptor = ParameterDescriptor(
        name=spec.name,
        description=spec.description,
        additional_constraints=f"takes effect: {spec.effect}"
        + (f"; one of: {spec.allowed}" if spec.choices else ""),
        read_only=spec.read_only,
        dynamic_typing=spec.takes_bool,
    )
    if spec.minimum is not None and spec.maximum is not None:
        if isinstance(spec.default, int):
            bounds = IntegerRange(from_value=int(spec.minimum), to_value=int(spec.maximum), step=1)
            descriptor.integer_range = [bounds]
        else:
            low, high = float(spec.minimum), float(spec.maximum)
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    return descriptor
