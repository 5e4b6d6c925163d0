"""CBOR bodies, of the smithy-rpc-v2-cbor protocol.

Of CBOR's tags only instants are understood (1, and 0 for its text form): shared
references and big numbers have no use here, except to an attacker.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeAlias

import cbor2

from homeport.wire.compiler import Compiler
from homeport.wire.depth import MAX_DEPTH
from homeport.wire.errors import MalformedRequestError, OutputShapeError
from homeport.wire.model import Shape
from homeport.wire.problems import Path, Problems, Reader
from homeport.wire.scalars import as_instant, read_base64, thaw

Writer: TypeAlias = Callable[[Any, bool], Any]
_REFUSED_TAGS = (2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 100, 256, 258, 260, 261, 1004, 43000, 55799)


def _refuse_tag(*args: Any) -> NoReturn:
    del args
    raise cbor2.CBORDecodeError("this tag is not supported")


_DECODERS = dict.fromkeys(_REFUSED_TAGS, _refuse_tag)


def load(body: bytes) -> Any:
    """Decode a body; an empty one is an empty map. Raise `MalformedRequestError`."""
    if not body:
        return {}
    stream = io.BytesIO(body)
    decoder = cbor2.CBORDecoder(
        stream,
        semantic_decoders=_DECODERS,
        tag_hook=_refuse_tag,
        max_depth=MAX_DEPTH,
        strict_hashable_types=True,
    )
    try:
        value = decoder.decode()
    except (cbor2.CBORError, ValueError, OverflowError, TypeError) as error:
        raise MalformedRequestError(f"The body is not CBOR: {error}") from None
    if stream.tell() != len(body):
        raise MalformedRequestError("The body is not CBOR: there is more after the value")
    return value


def new_readers() -> Compiler[Reader]:
    """A compiler of readers, with its own memo."""
    return Compiler(_build_reader)


def _build_reader(shape: Shape, compile_: Compiler[Reader]) -> Reader:
    match shape.kind:
        case "structure":
            return _structure_reader(shape, compile_)
        case "list":
            return _list_reader(shape, compile_)
        case "map":
            return _map_reader(shape, compile_)
        case _:
            return _scalar_reader(shape)


def _scalar_reader(shape: Shape) -> Reader:
    match shape.kind:
        case "string" | "character":
            return _typed_reader(shape, {str}, "be a string")
        case "boolean":
            return _typed_reader(shape, {bool}, "be true or false")
        case "integer" | "long":
            return _typed_reader(shape, {int}, "be an integer")
        case "float" | "double":
            return _typed_reader(shape, {float, int}, "be a number")
        case "blob":
            return _typed_reader(shape, {bytes}, "be a byte string")
        case _:
            return _timestamp_reader(shape)


def _absent(value: Any) -> bool:
    return value is None or value is cbor2.undefined


def _structure_reader(shape: Shape, compile_: Compiler[Reader]) -> Reader:
    table = {member.wire_name or name: (name, compile_(member)) for name, member in shape.members.items()}

    def read(value: Any, path: Path | None, out: Problems) -> Any:
        if type(value) is not dict:
            out.refuse(shape, value, path, "be a map")
            return None
        found = {}
        for wire_name, raw in value.items():
            entry = table.get(wire_name)
            if entry is None:
                if wire_name != "__type":
                    out.unknown(str(wire_name), path, table)
            elif not _absent(raw):
                found[entry[0]] = entry[1](raw, (path, entry[0]), out)
        return found

    return read


def _list_reader(shape: Shape, compile_: Compiler[Reader]) -> Reader:
    read_item = compile_(shape.member)

    def read(value: Any, path: Path | None, out: Problems) -> Any:
        if type(value) is not list:
            out.refuse(shape, value, path, "be a list")
            return None
        found = []
        for index, item in enumerate(value, 1):
            if _absent(item):
                out.missing((path, f"{index}.member"))
            else:
                found.append(read_item(item, (path, f"{index}.member"), out))
        return found

    return read


def _map_reader(shape: Shape, compile_: Compiler[Reader]) -> Reader:
    read_value = compile_(shape.value)

    def read(value: Any, path: Path | None, out: Problems) -> Any:
        if type(value) is not dict or not all(type(key) is str for key in value):
            out.refuse(shape, value, path, "be a map with string keys")
            return None
        found = {}
        for key, item in value.items():
            if _absent(item):
                out.missing((path, key))
            else:
                found[key] = read_value(item, (path, key), out)
        return found

    return read


def _typed_reader(shape: Shape, types: set[type], must: str) -> Reader:
    def read(value: Any, path: Path | None, out: Problems) -> Any:
        if type(value) in types:
            return value
        out.refuse(shape, value, path, must)
        return None

    return read


def _timestamp_reader(shape: Shape) -> Reader:
    def read(value: Any, path: Path | None, out: Problems) -> Any:
        try:
            if type(value) is datetime:
                return value.astimezone(UTC)
        except OverflowError:
            pass
        out.refuse(shape, value, path, "be a timestamp (tag 1)")
        return None

    return read


class BodyWriter:
    """Writes one structure as CBOR."""

    def __init__(self, shape: Shape) -> None:
        self._write = Compiler(build_writer)(shape)

    def __call__(self, value: Mapping[str, Any], *, strict: bool) -> bytes:
        """The body. `strict` raises `OutputShapeError` for members that the shape does not have."""
        return cbor2.dumps(self._write(value, strict), datetime_as_timestamp=True)


def dump(value: Any) -> bytes:
    """Encode what is already CBOR's."""
    return cbor2.dumps(value, datetime_as_timestamp=True)


def build_writer(shape: Shape, compile_: Compiler[Writer]) -> Writer:
    """What a compiler of writers builds with."""
    match shape.kind:
        case "structure":
            return _structure_writer(shape, compile_)
        case "list":
            return _list_writer(compile_(shape.member))
        case "map":
            return _map_writer(compile_(shape.value))
        case "blob":
            return lambda value, strict: _as_bytes(value)  # noqa: ARG005 - a scalar is never too strict
        case "timestamp":
            return lambda value, strict: as_instant(value)  # noqa: ARG005 - as above
        case "float" | "double":
            return lambda value, strict: float(value)  # noqa: ARG005 - as above
        case _:
            return lambda value, strict: value  # noqa: ARG005 - as above


def _as_bytes(value: Any) -> bytes:
    return read_base64(value) if isinstance(value, str) else bytes(value)


def _structure_writer(shape: Shape, compile_: Compiler[Writer]) -> Writer:
    table = {name: (member.wire_name or name, compile_(member)) for name, member in shape.members.items()}

    def write(value: Any, strict: bool) -> Any:
        found = {}
        for name, inner in thaw(value).items():
            entry = table.get(name)
            if entry is None:
                if strict:
                    raise OutputShapeError(f"{shape.name} has no member {name!r}")
            elif inner is not None:
                found[entry[0]] = entry[1](inner, strict)
        return found

    return write


def _list_writer(write_item: Writer) -> Writer:
    def write(value: Any, strict: bool) -> Any:
        return [None if item is None else write_item(item, strict) for item in thaw(value)]

    return write


def _map_writer(write_value: Writer) -> Writer:
    def write(value: Any, strict: bool) -> Any:
        return {key: write_value(item, strict) for key, item in thaw(value).items() if item is not None}

    return write
