"""JSON bodies: of the json and rest-json protocols."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeAlias

import msgspec
import orjson

from homeport.wire import timestamps
from homeport.wire.compiler import Compiler
from homeport.wire.depth import MAX_DEPTH, too_deep
from homeport.wire.errors import MalformedRequestError, OutputShapeError
from homeport.wire.model import Shape
from homeport.wire.problems import Path, Problems, Reader
from homeport.wire.scalars import as_instant, floating, non_finite, read_base64, write_blob

Writer: TypeAlias = Callable[[Any, bool], Any]
"""Output value and strictness to what orjson takes."""


def load(body: bytes) -> Any:
    """Decode a body; an empty one is an empty object. Raise `MalformedRequestError`."""
    if not body:
        return {}
    try:
        value = orjson.loads(body)
    except ValueError as error:
        raise MalformedRequestError(f"The body is not JSON: {error}") from None
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and too_deep(value):
        raise MalformedRequestError(f"The body is nested deeper than {MAX_DEPTH} levels")
    return value


def new_readers() -> Compiler[Reader]:
    """A compiler of readers, with its own memo."""
    return Compiler(_build_reader)


def _build_reader(shape: Shape, compile_: Compiler[Reader]) -> Reader:
    if shape.document:
        return lambda value, path, out: value  # noqa: ARG005 - a document is any JSON
    match shape.kind:
        case "structure":
            return structure_reader(shape, shape.members, compile_)
        case "list":
            return _list_reader(shape, compile_)
        case "map":
            return _map_reader(shape, compile_)
        case _:
            return _scalar_reader(shape)


def _scalar_reader(shape: Shape) -> Reader:
    match shape.kind:
        case "string" | "character":
            return _string_reader(shape)
        case "boolean":
            return _typed_reader(shape, bool, "be true or false")
        case "integer" | "long":
            return _integer_reader(shape)
        case "float" | "double":
            return _converting_reader(shape, _number, "be a number")
        case "blob":
            return _converting_reader(shape, _blob, "be base64 in a string")
        case _:
            format_ = timestamps.normal_format(shape.traits.get("timestampFormat"), timestamps.EPOCH)
            return _converting_reader(shape, lambda v: _instant(v, format_), f"be a timestamp ({format_})")


def structure_reader(shape: Shape, members: Mapping[str, Shape], compile_: Compiler[Reader]) -> Reader:
    """Reads an object with `members`: a structure's all, or those that a body holds."""
    table = {member.wire_name or name: (name, compile_(member)) for name, member in members.items()}

    def read(value: Any, path: Path | None, out: Problems) -> Any:
        if type(value) is not dict:
            out.refuse(shape, value, path, "be an object")
            return None
        found = {}
        for wire_name, raw in value.items():
            entry = table.get(wire_name)
            if entry is None:
                if wire_name != "__type":
                    out.unknown(wire_name, path, table)
            elif raw is not None:
                name = entry[0]
                found[name] = entry[1](raw, (path, name), out)
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
            if item is None:
                out.missing((path, f"{index}.member"))
            else:
                found.append(read_item(item, (path, f"{index}.member"), out))
        return found

    return read


def _map_reader(shape: Shape, compile_: Compiler[Reader]) -> Reader:
    read_value = compile_(shape.value)

    def read(value: Any, path: Path | None, out: Problems) -> Any:
        if type(value) is not dict:
            out.refuse(shape, value, path, "be an object")
            return None
        found = {}
        for key, item in value.items():
            if item is None:
                out.missing((path, key))
            else:
                found[key] = read_value(item, (path, key), out)
        return found

    return read


def _string_reader(shape: Shape) -> Reader:
    def read(value: Any, path: Path | None, out: Problems) -> Any:
        if type(value) is str:
            return value
        out.refuse(shape, value, path, "be a string")
        return None

    return read


def _typed_reader(shape: Shape, type_: type, must: str) -> Reader:
    def read(value: Any, path: Path | None, out: Problems) -> Any:
        if type(value) is type_:
            return value
        out.refuse(shape, value, path, must)
        return None

    return read


def _integer_reader(shape: Shape) -> Reader:
    def read(value: Any, path: Path | None, out: Problems) -> Any:
        if type(value) is int:
            return value
        if type(value) is float and value.is_integer():
            return int(value)
        out.refuse(shape, value, path, "be an integer")
        return None

    return read


def _converting_reader(shape: Shape, convert: Callable[[Any], Any], must: str) -> Reader:
    def read(value: Any, path: Path | None, out: Problems) -> Any:
        try:
            return convert(value)
        except ValueError:
            out.refuse(shape, value, path, must)
            return None

    return read


def _number(value: Any) -> float | int:
    if type(value) is float or type(value) is int:
        return value
    if value in {"NaN", "Infinity", "-Infinity"} if type(value) is str else False:
        return floating(value)
    raise ValueError


def _blob(value: Any) -> bytes:
    if type(value) is not str:
        raise ValueError
    return read_base64(value)


def _instant(value: Any, format_: str) -> datetime:
    if format_ == timestamps.EPOCH and type(value) in {int, float}:
        return timestamps.from_epoch(value)
    if format_ != timestamps.EPOCH and type(value) is str:
        return timestamps.parse(value, format_)
    raise ValueError


class BodyWriter:
    """Writes one shape as JSON, as fast as its content allows.

    The quick way hands the value to orjson as it is, with a hook for instants,
    blobs and pre-encoded fragments. It does not look at member names, so what a
    shape does not know is passed on. It is open to shapes without renamed members
    or unusual timestamps, and taken back when the text holds a `null`, which only
    an absent member or a number that is none can have caused.
    """

    def __init__(self, shape: Shape, members: Mapping[str, Shape]) -> None:
        self._plain = all(_is_plain(inner) for inner in shape.walk())
        self._write = structure_writer(shape, members, Compiler(build_writer))

    def __call__(self, value: Mapping[str, Any], *, strict: bool) -> bytes:
        """The body. `strict` raises `OutputShapeError` for members that the shape does not have."""
        if self._plain and not strict:
            body = _dumps(value)
            if b"null" not in body:
                return body
        return _dumps(self._write(value, strict))


def encoded(value: Mapping[str, Any]) -> msgspec.Raw:
    """A part of an answer, encoded now to be used again: members that are None are left out.

    For shapes without renamed members or unusual timestamps, as all of awsJson are.
    """
    body = _dumps(value)
    return msgspec.Raw(_dumps(_present(value)) if b"null" in body else body)


def _present(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _present(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list | tuple):
        return [_present(item) for item in value]
    return value


def _dumps(value: Any) -> bytes:
    return orjson.dumps(value, default=_encode_other, option=orjson.OPT_PASSTHROUGH_DATETIME)


def _encode_other(value: Any, to_epoch: Callable[[datetime], int | float] = timestamps.to_epoch) -> Any:
    if isinstance(value, datetime):
        return to_epoch(value)
    if isinstance(value, msgspec.Raw):
        return orjson.Fragment(bytes(value))
    if isinstance(value, bytes | bytearray | memoryview):
        return write_blob(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _is_plain(shape: Shape) -> bool:
    if shape.kind == "timestamp":
        format_ = timestamps.normal_format(shape.traits.get("timestampFormat"), timestamps.EPOCH)
        return format_ == timestamps.EPOCH
    if shape.kind == "structure":
        return all((member.wire_name or name) == name for name, member in shape.members.items())
    return True


def build_writer(shape: Shape, compile_: Compiler[Writer]) -> Writer:
    """What a compiler of writers builds with."""
    if shape.document:
        return _as_is
    match shape.kind:
        case "structure":
            return structure_writer(shape, shape.members, compile_)
        case "list":
            return _list_writer(compile_(shape.member))
        case "map":
            return _map_writer(compile_(shape.value))
        case "timestamp":
            return _timestamp_writer(shape)
        case "blob":
            return lambda value, strict: write_blob(value)  # noqa: ARG005 - a scalar is never too strict
        case "float" | "double":
            return lambda value, strict: non_finite(value) or value  # noqa: ARG005 - as above
        case _:
            return _as_is


def _as_is(value: Any, strict: bool) -> Any:
    del strict
    return value


def structure_writer(shape: Shape, members: Mapping[str, Shape], compile_: Compiler[Writer]) -> Writer:
    """Writes those `members` that are set, under their wire names."""
    table = {name: (member.wire_name or name, compile_(member)) for name, member in members.items()}
    known = shape.members

    def write(value: Any, strict: bool) -> Any:
        if type(value) is msgspec.Raw:
            return value
        found = {}
        for name, inner in value.items():
            entry = table.get(name)
            if entry is None:
                if strict and name not in known:
                    raise OutputShapeError(f"{shape.name} has no member {name!r}")
            elif inner is not None:
                found[entry[0]] = entry[1](inner, strict)
        return found

    return write


def _list_writer(write_item: Writer) -> Writer:
    def write(value: Any, strict: bool) -> Any:
        if type(value) is msgspec.Raw:
            return value
        return [None if item is None else write_item(item, strict) for item in value]

    return write


def _map_writer(write_value: Writer) -> Writer:
    def write(value: Any, strict: bool) -> Any:
        if type(value) is msgspec.Raw:
            return value
        return {key: write_value(item, strict) for key, item in value.items() if item is not None}

    return write


def _timestamp_writer(shape: Shape) -> Writer:
    format_ = timestamps.normal_format(shape.traits.get("timestampFormat"), timestamps.EPOCH)

    def write(value: Any, strict: bool) -> Any:
        del strict
        instant = as_instant(value)
        return (
            timestamps.to_epoch(instant)
            if format_ == timestamps.EPOCH
            else timestamps.write(instant, format_)
        )

    return write
