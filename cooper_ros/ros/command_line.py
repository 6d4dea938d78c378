"""Command lines of our executables: `--help`, and a sentence for everything that has no effect.

ROS ignores parameters that a node does not have, parameter files for other nodes, remaps of names
that nobody uses, and whatever stands outside `--ros-args`. To its user that looks like a node that
does not work.
"""

from __future__ import annotations

import difflib
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cooper_ros.ros.parameters import ParameterSpec

OF_EVERY_NODE = ("use_sim_time", "start_type_description_service")
STANDARD_TOPICS = ("/clock", "/diagnostics", "/parameter_events", "/rosout", "/tf", "/tf_static")
PARAMETER_OPTIONS = ("-p", "--param")
REMAP_OPTIONS = ("-r", "--remap")
FILE_OPTION = "--params-file"
LOOKS_LIKE_ROS = (*PARAMETER_OPTIONS, *REMAP_OPTIONS, FILE_OPTION, "--log-level")
FLAGS = re.compile(r"--(en|dis)able-\S+")
WIDTH = 96


@dataclass(frozen=True)
class Program:
    """One executable. `about`: a docstring; `names`: topics, services and actions that a remap can
    mean, as the node gives them; `example`: a command line."""

    executable: str
    about: str
    parameters: tuple[ParameterSpec, ...]
    names: tuple[str, ...] = ()
    example: str = ""


def wants_help(argv: Sequence[str]) -> bool:
    """Whether `--help` stands where the program itself is spoken to (not among ROS arguments)."""
    return any(word in ("-h", "--help") for word in _split(argv)[0])


def help_text(program: Program) -> str:
    """What `--help` prints."""
    lines = [
        f"usage: {program.executable} [--ros-args [-p NAME:=VALUE ...] [-r FROM:=TO ...] "
        "[--params-file FILE]]",
        "",
        program.about.strip(),
        "",
    ]
    if program.example:
        lines += ["example:", f"  {program.example}", ""]
    lines.append("parameters (-p NAME:=VALUE, after --ros-args):")
    for spec in program.parameters:
        shown = f'"{spec.default}"' if isinstance(spec.default, str) else str(spec.default).lower()
        allowed = f"; {spec.allowed}" if spec.allowed else ""
        lines.append(f"  {spec.name}  ({spec.type_name}, default {shown}{allowed})")
        lines += textwrap.wrap(spec.description, WIDTH, initial_indent=" " * 6,
                               subsequent_indent=" " * 6)  # fmt: skip
    if program.names:
        lines += ["", "names that can be remapped (-r FROM:=TO, after --ros-args):"]
        lines += textwrap.wrap(", ".join(program.names), WIDTH, initial_indent="  ",
                               subsequent_indent="  ", break_on_hyphens=False)  # fmt: skip
    return "\n".join(lines)


def without_effect(
    program: Program, argv: Sequence[str], node: Any, overrides: Iterable[str]
) -> list[str]:
    """A sentence for everything on the command line that does nothing, with the nearest name.

    `node`: the node that was made; `overrides`: names of the parameters that it was given.
    """
    own, ros = _split(argv)
    return [
        *_outside(own),
        *_parameters(program, node, overrides),
        *_other_nodes(ros, node.get_name()),
        *_files(ros, node.get_fully_qualified_name()),
        *_remaps(program, ros, node),
    ]


def _split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Words of the program itself, without its name, and those between `--ros-args` and `--`."""
    own: list[str] = []
    ros: list[str] = []
    target = own
    for word in argv[1:]:
        if word == "--ros-args":
            target = ros
        elif word == "--" and target is ros:
            target = own
        else:
            target.append(word)
    return own, ros


def _values(words: Sequence[str], options: Sequence[str]) -> Iterator[str]:
    """What follows any of these options."""
    for option, value in zip(words, words[1:], strict=False):
        if option in options:
            yield value


def _nearest(name: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {found[0]!r}?" if found else ""


def _outside(words: list[str]) -> list[str]:
    said = []
    for number, word in enumerate(words):
        if word in LOOKS_LIKE_ROS or FLAGS.fullmatch(word):
            shown = " ".join(words[number : number + 2])
        elif ":=" in word and (number == 0 or words[number - 1] not in LOOKS_LIKE_ROS):
            shown = word
        elif number and words[number - 1] in LOOKS_LIKE_ROS:
            continue  # told with its option
        else:
            said.append(f"the argument {word!r} has no effect; see --help")
            continue
        said.append(f"{shown!r} has no effect: ROS arguments belong behind --ros-args")
    return said


def _parameters(program: Program, node: Any, overrides: Iterable[str]) -> list[str]:
    known = [spec.name for spec in program.parameters]
    return [
        f"the parameter {name!r} has no effect: {program.executable} has none of that name"
        + _nearest(name, known)
        for name in overrides
        if not node.has_parameter(name)
        and name not in OF_EVERY_NODE
        and not name.startswith("qos_overrides.")
    ]


def _other_nodes(words: list[str], node_name: str) -> list[str]:
    """`-p other:name:=value` is for the node `other`."""
    said = []
    for value in _values(words, PARAMETER_OPTIONS):
        target, colon, _ = value.partition(":=")[0].rpartition(":")
        if colon and target.strip("/") not in (node_name, "**", "*"):
            said.append(
                f"'-p {value}' has no effect: it is for a node {target!r}, this one is "
                f"{node_name!r}"
            )
    return said


def _files(words: list[str], full_name: str) -> list[str]:
    said = []
    for path in _values(words, (FILE_OPTION,)):
        try:
            found = list(_node_keys(yaml.safe_load(Path(path).read_text(encoding="utf-8"))))
        except (OSError, ValueError, yaml.YAMLError):
            continue  # ROS has refused to start with it, and said why
        if found and not any(_matches(key, full_name) for key in found):
            said.append(
                f"nothing in {path} has an effect: it is for {', '.join(found)}, and this node is "
                f"{full_name}; write `{full_name}:` or `/**:` above ros__parameters"
            )
    return said


def _node_keys(tree: Any, above: str = "") -> Iterator[str]:
    """Full names, with their wildcards, of the nodes that a parameter file is for."""
    if not isinstance(tree, dict):
        return
    for key, value in tree.items():
        if key == "ros__parameters":
            yield above or "/"
        else:
            yield from _node_keys(value, f"{above}/{str(key).strip('/')}")


def _matches(key: str, full_name: str) -> bool:
    """As rcl compares: `*` is one part of a name, `**` any number of them."""
    parts = [
        {"**": r"(/[^/]+)*", "*": r"/[^/]+"}.get(part, "/" + re.escape(part))
        for part in key.strip("/").split("/")
    ]
    return re.fullmatch("".join(parts), full_name) is not None


def _remaps(program: Program, words: list[str], node: Any) -> list[str]:
    own = (node.get_name(), node.get_namespace())
    known = {_expand(name, *own): name for name in _names(program, node)}
    said = []
    for value in _values(words, REMAP_OPTIONS):
        source = value.partition(":=")[0]
        target, colon, name = source.rpartition(":")
        if name.startswith("__") or "://" in source or (colon and target != node.get_name()):
            continue
        full = _expand(name, *own)
        if full not in known and full not in STANDARD_TOPICS:
            said.append(
                f"'-r {value}' has no effect: {program.executable} uses no name {name!r}"
                + _nearest(name, known.values())
            )
    return said


def _names(program: Program, node: Any) -> Iterator[str]:
    """The names of a program, also below the names of its cameras."""
    yield from program.names
    for camera in filter(None, getattr(node, "camera_names", ())):
        for name in program.names:
            yield name.replace("~/", f"~/{camera}/") if "~" in name else f"{camera}/{name}"


def _expand(name: str, node_name: str, namespace: str) -> str:
    """Full name of a topic or service, before remaps."""
    space = namespace.rstrip("/")
    if name.startswith("~"):
        return f"{space}/{node_name}/{name[1:].lstrip('/')}"
    return name if name.startswith("/") else f"{space}/{name}"
