"""Scalars as text: in queries, XML, headers, query strings and paths."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeAlias

import msgspec
import orjson

from homeport.wire import timestamps
from homeport.wire.errors import OutputShapeError
from homeport.wire.model import Shape
from homeport.wire.problems import Path, Problems, Reader

_INTEGER = re.compile(r"[+-]?\d{1,20}", re.ASCII)
_FLOAT = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_NON_FINITE = frozenset({"NaN", "Infinity", "-Infinity"})
_BOOLEANS = {"true": True, "false": False}

TextWriter: TypeAlias = Callable[[Any], str]


def read_base64(text: str) -> bytes:
    """Raise `ValueError` when `text` is not base64."""
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError(str(error)) from error


def integer(text: str) -> int:
    """Raise `ValueError` for what is not plain decimal digits."""
    if not _INTEGER.fullmatch(text):
        raise ValueError(text)
    return int(text)


def floating(text: str) -> float:
    """Raise `ValueError` for what is neither a decimal number nor NaN or Infinity."""
    if text not in _NON_FINITE and not _FLOAT.fullmatch(text):
        raise ValueError(text)
    return float(text)


def _boolean(text: str) -> bool:
    if (found := _BOOLEANS.get(text.lower())) is None:
        raise ValueError(text)
    return found


def text_reader(shape: Shape, *, timestamp_format: str) -> Reader:
    """Reads a scalar from text. `timestamp_format` holds unless the shape has its own."""
    kind = shape.kind
    if kind in {"string", "character"}:
        return _as_is
    format_ = timestamps.normal_format(shape.traits.get("timestampFormat"), timestamp_format)
    known: dict[str, tuple[Callable[[str], Any], str]] = {
        "integer": (integer, "be an integer"),
        "long": (integer, "be an integer"),
        "float": (floating, "be a number"),
        "double": (floating, "be a number"),
        "boolean": (_boolean, "be true or false"),
        "blob": (read_base64, "be base64"),
        "timestamp": (lambda text: timestamps.parse(text, format_), f"be a timestamp ({format_})"),
    }
    convert, must = known[kind]

    def read(value: Any, path: Path | None, out: Problems) -> Any:
        try:
            return convert(value)
        except ValueError:
            out.refuse(shape, value, path, must)
            return None

    return read


def _as_is(value: Any, path: Path | None, out: Problems) -> Any:
    del path, out
    return value


def text_writer(shape: Shape, *, timestamp_format: str) -> TextWriter:
    """Writes a scalar as text."""
    kind = shape.kind
    if kind == "timestamp":
        format_ = timestamps.normal_format(shape.traits.get("timestampFormat"), timestamp_format)
        return lambda value: timestamps.write(as_instant(value), format_)
    if kind == "blob":
        return write_blob
    if kind == "boolean":
        return lambda value: "true" if value else "false"
    if kind in {"float", "double"}:
        return _write_float
    return str


def as_instant(value: Any) -> datetime:
    """A datetime, or the epoch seconds that a pre-encoded fragment holds."""
    if isinstance(value, datetime):
        return value
    if isinstance(value, int | float):
        return timestamps.from_epoch(value)
    raise OutputShapeError(f"{value!r} is no timestamp")


def write_blob(value: Any) -> str:
    """Base64 of bytes; text counts as its UTF-8."""
    raw = value.encode() if isinstance(value, str) else bytes(value)
    return base64.b64encode(raw).decode("ascii")


def thaw(value: Any) -> Any:
    """A pre-encoded JSON fragment as values again: only JSON protocols can pass it on."""
    return orjson.loads(memoryview(value)) if type(value) is msgspec.Raw else value


def non_finite(value: float) -> str | None:
    """How a protocol spells NaN and the infinities; None for ordinary numbers."""
    if math.isfinite(value):
        return None
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _write_float(value: Any) -> str:
    return non_finite(value) or repr(float(value))
