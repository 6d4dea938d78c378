"""Which bytes outside itself an ONNX file refers to. Reads the protocol buffer, nothing else.

ONNX Runtime opens whatever file a graph names as external data. Only ranges of files that the
manifest lists, and that were checked with it, are let through.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cooper_ros.core.errors import ModelFolderError, shown

MAX_DEPTH = 32

# Message -> field -> message of it, as in onnx.proto: the ways that lead to a tensor.
_FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse",
    },
    "sparse": {1: "tensor", 2: "tensor"},
}  # fmt: skip
_TENSOR_NAME, _TENSOR_EXTERNAL, _TENSOR_LOCATION = 8, 13, 14
_EXTERNAL = 1


@dataclass(frozen=True)
class ExternalData:
    """A tensor whose bytes are elsewhere; `length` is None where the file does not say."""

    tensor: str
    location: str
    offset: int
    length: int | None


class _Malformed(ValueError):
    """No protocol buffer."""


def external_data(model: memoryview) -> list[ExternalData]:
    """All external data of an ONNX file. Raises ModelFolderError for what is no ONNX file."""
    try:
        return list(_walk(model, "model", 0))
    except (_Malformed, UnicodeDecodeError, ValueError, IndexError) as error:
        raise ModelFolderError(f"no readable ONNX file ({error!s:.100})") from error


def check_external_data(name: str, model: memoryview, sizes: Mapping[str, int]) -> set[str]:
    """The files that an ONNX file refers to. `sizes`: size [bytes] by name of those allowed.

    Raises ModelFolderError for any other, and for ranges outside of them.
    """
    used = set()
    for item in external_data(model):
        size = sizes.get(item.location)
        if size is None:
            raise ModelFolderError(
                f"{name}: tensor {shown(item.tensor)} has its data in {shown(item.location)}, "
                "which the manifest does not list"
            )
        end = item.offset + (item.length or 0)
        if item.offset < 0 or (item.length or 0) < 0 or end > size:
            raise ModelFolderError(
                f"{name}: tensor {shown(item.tensor)} lies outside of {item.location} "
                f"(bytes {item.offset} to {end} of {size})"
            )
        used.add(item.location)
    return used


def _walk(data: memoryview, kind: str, depth: int) -> Iterator[ExternalData]:
    if depth > MAX_DEPTH:
        raise _Malformed("nested too deeply")
    inner = _FIELDS[kind]
    for field, value in _fields(data):
        found = inner.get(field)
        if found is None or not isinstance(value, memoryview):
            continue
        if found == "tensor":
            yield from _tensor(value)
        else:
            yield from _walk(value, found, depth + 1)


def _tensor(data: memoryview) -> Iterator[ExternalData]:
    name, external, entries = "", False, {}
    for field, value in _fields(data):
        if isinstance(value, int):
            external |= field == _TENSOR_LOCATION and value == _EXTERNAL
        elif field == _TENSOR_NAME:
            name = bytes(value).decode()
        elif field == _TENSOR_EXTERNAL:
            pair = {n: bytes(v).decode() for n, v in _fields(value) if isinstance(v, memoryview)}
            entries[pair.get(1, "")] = pair.get(2, "")
    if external or entries:
        length = entries.get("length")
        yield ExternalData(
            name,
            entries.get("location", ""),
            int(entries.get("offset") or 0),
            int(length) if length else None,
        )


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """(number, value) of every field of a message; lengths in bytes as views, numbers as they are
    (fixed ones as 0: none is needed here)."""
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise _Malformed(f"wire type {wire}")
        if at + size > end:
            raise _Malformed("cut off")
        yield number, data[at : at + size] if wire == 2 else 0
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise _Malformed("cut off")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
