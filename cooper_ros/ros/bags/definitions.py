"""Message types by name: their Python classes, and their definitions for the bag.

A bag carries the text of every definition, so that it can be read where the package is missing.
The texts come from `share/<package>/msg` of the installed packages, not from a list in rosbags:
types of any package can be recorded, this one's included.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any

from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from cooper_ros.core.errors import BagError


def message_class(type_name: str) -> Any:
    """The class of "package/msg/Name"; raises BagError when it is not installed here."""
    package, _, name = type_name.partition("/msg/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError) as error:
        raise BagError(
            f"the message type {type_name} is not installed here: install or source the package "
            f"{package or type_name!r}, or leave its topics out"
        ) from error


def definition_file(type_name: str) -> Path | None:
    """`share/<package>/msg/<Name>.msg` of a sourced ROS or of this Python; None if neither."""
    prefixes = [p for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    for prefix in (*prefixes, sys.prefix):
        path = Path(prefix, "share", f"{type_name}.msg")
        if path.is_file():
            return path
    return None


class Definitions:
    """The rosbags type store, filled with installed definitions as they are needed."""

    def __init__(self) -> None:
        self.store = get_typestore(Stores.EMPTY)
        self._known: set[str] = set()

    def of(self, type_name: str) -> tuple[str, str]:
        """Definition text with all its parts, and type hash (REP 2011); raises BagError."""
        try:
            self._learn(type_name)
            text, _ = self.store.generate_msgdef(type_name, ros_version=2)
            return text, self.store.hash_rihs01(type_name)
        except BagError:
            raise
        except Exception as error:  # a definition that rosbags cannot parse
            raise BagError(f"the definition of {type_name} cannot be used: {error}") from error

    def _learn(self, type_name: str) -> None:
        if type_name in self._known:
            return
        self._known.add(type_name)
        path = definition_file(type_name)
        if path is not None:
            found = get_types_from_msg(path.read_text(encoding="utf-8"), type_name)
        else:
            standard = get_typestore(Stores.ROS2_JAZZY).fielddefs
            if type_name not in standard:
                raise BagError(
                    f"there is no share/{type_name}.msg in AMENT_PREFIX_PATH: source the ROS "
                    "workspace that has this package"
                )
            found = {type_name: standard[type_name]}
        self.store.register(found)
        for _, fields in found.values():
            for _, field in fields:
                for part in _names_in(field):
                    self._learn(part)


def _names_in(field: Any) -> list[str]:
    """Message types that a field of the type store refers to."""
    kind, value = field
    if kind == Nodetype.NAME:
        return [value]
    if kind in (Nodetype.ARRAY, Nodetype.SEQUENCE):
        return _names_in(value[0])
    return []
