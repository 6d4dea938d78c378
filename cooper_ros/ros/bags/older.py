"""Messages of a bag whose type has another definition here than when it was recorded.

A bag carries its definitions. Where one of them differs from what is installed, its bytes mean
nothing to a subscriber of today: they are read by the recorded definition and written by the
installed one. Fields of the same name and kind are taken over; what was not recorded keeps its
neutral value: in messages of this package NaN for numbers with a point, else the default.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from rclpy.serialization import serialize_message
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from cooper_ros.ros.bags.definitions import Definitions, message_class

Convert = Callable[[bytes], bytes]
OWN = "cooper_ros"


def converter(type_name: str, recorded: str) -> Convert | None:
    """What makes today's bytes of recorded ones; None where the definitions are the same.

    `recorded`: definition text with all its parts, as in the bag; "" if it has none. Raises
    BagError when the type is not installed.
    """
    installed = message_class(type_name)
    if not recorded:
        return None
    store = get_typestore(Stores.EMPTY)
    try:
        store.register(get_types_from_msg(recorded, type_name))
        same = store.hash_rihs01(type_name) == Definitions().of(type_name)[1]
    except Exception:  # a definition that cannot be read says nothing about the bytes
        return None
    if same:
        return None

    def convert(data: bytes) -> bytes:
        return serialize_message(_filled(installed, store.deserialize_cdr(data, type_name)))

    return convert


def _filled(kind: Any, source: Any) -> Any:
    """A message of the installed class with what the recorded one holds."""
    message = kind()
    for name, type_name in kind.get_fields_and_field_types().items():
        if hasattr(source, name):
            value = _value(type_name, getattr(source, name))
            if value is not None:
                setattr(message, name, value)
        elif type_name in ("float", "double") and kind.__module__.startswith(OWN + "."):
            setattr(message, name, math.nan)
    return message


def _value(type_name: str, value: Any) -> Any:
    """A recorded value as one of this field type; None where it is of another kind."""
    element = _element(type_name)
    if element is None:
        return _single(type_name, value)
    if not isinstance(value, (list, np.ndarray)):
        return None
    length = type_name.rpartition("[")[2].rstrip("]>")
    if type_name.endswith("]") and len(value) != int(length):
        return None
    values = [_single(element, item) for item in value]
    return None if any(item is None for item in values) else values


def _element(type_name: str) -> str | None:
    """Type of the elements of an array or a sequence, None for a single value."""
    if type_name.startswith("sequence<"):
        return type_name[len("sequence<") : -1].split(",")[0]
    return type_name.rpartition("[")[0] if type_name.endswith("]") else None


def _single(type_name: str, value: Any) -> Any:
    if "/" in type_name:
        package, _, name = type_name.partition("/")
        known = hasattr(value, "__msgtype__")
        return _filled(message_class(f"{package}/msg/{name}"), value) if known else None
    if type_name.startswith(("string", "wstring")):
        return value if isinstance(value, str) else None
    if isinstance(value, (str, list)) or hasattr(value, "__msgtype__"):
        return None
    if type_name == "boolean":
        return bool(value)
    if type_name in ("float", "double"):
        return float(value)
    return bytes([value]) if type_name == "octet" else int(value)
