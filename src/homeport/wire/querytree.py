"""Form-encoded parameters, of the query and ec2 protocols: `Tags.member.1.Key=a`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from homeport.wire import timestamps
from homeport.wire.compiler import Compiler
from homeport.wire.depth import MAX_DEPTH
from homeport.wire.errors import MalformedRequestError
from homeport.wire.http import HttpRequest
from homeport.wire.model import Shape
from homeport.wire.problems import Path, Problems, Reader
from homeport.wire.scalars import text_reader

_MAX_INDEX_DIGITS = 6
_ENVELOPE = frozenset({"Action", "Version"})


def pairs(request: HttpRequest) -> list[tuple[str, str]]:
    """The decoded parameters of the query string and, for a form, of the body."""
    texts = [request.raw_query]
    if request.body:
        try:
            texts.append(request.body.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise MalformedRequestError(f"The body is not a form: {error}") from None
    found: list[tuple[str, str]] = []
    for text in texts:
        if text:
            try:
                found += parse_qsl(text, keep_blank_values=True, errors="strict")
            except ValueError as error:
                raise MalformedRequestError(f"The form cannot be decoded: {error}") from None
    return found


def grow(found: list[tuple[str, str]]) -> dict[str, Any]:
    """Parameters as a tree; the envelope and presigned authentication are left out."""
    tree: dict[str, Any] = {}
    for name, text in found:
        if name in _ENVELOPE or name[:6].lower() == "x-amz-":
            continue
        *above, last = name.split(".")
        if len(above) > 2 * MAX_DEPTH:
            raise MalformedRequestError(f"A parameter is nested deeper than {MAX_DEPTH} levels")
        node = tree
        for part in above:
            node = node.setdefault(part, {})
            if type(node) is not dict:
                raise MalformedRequestError(f"Parameter {name[:200]} contradicts another one")
        if last in node:
            raise MalformedRequestError(f"Parameter {name[:200]} is given twice")
        node[last] = text
    return tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """How a protocol names a structure's members, and what stands between a list and its numbers."""

    member: Callable[[str, Shape], str]
    item: Callable[[Shape], str | None]


def _query_member(name: str, shape: Shape) -> str:
    if shape.kind == "list" and shape.flattened and shape.member.wire_name:
        return shape.member.wire_name
    return shape.wire_name or name


def _query_item(shape: Shape) -> str | None:
    return None if shape.flattened else shape.member.wire_name or "member"


def _ec2_member(name: str, shape: Shape) -> str:
    if query_name := shape.traits.get("queryName"):
        return str(query_name)
    wire_name = shape.wire_name
    return wire_name[0].upper() + wire_name[1:] if wire_name else name


QUERY_NAMES = Names(member=_query_member, item=_query_item)
EC2_NAMES = Names(member=_ec2_member, item=lambda shape: None)  # noqa: ARG005 - every list is flat


def new_readers(names: Names) -> Compiler[Reader]:
    """A compiler of readers, which take a tree (or, for scalars, text)."""

    def build(shape: Shape, compile_: Compiler[Reader]) -> Reader:
        match shape.kind:
            case "structure":
                return _structure_reader(shape, names, compile_)
            case "list":
                return _list_reader(shape, names, compile_)
            case "map":
                return _map_reader(shape, compile_)
            case _:
                return _scalar_reader(shape)

    return Compiler(build)


def _scalar_reader(shape: Shape) -> Reader:
    read_text = text_reader(shape, timestamp_format=timestamps.ISO8601)

    def read(value: Any, path: Path | None, out: Problems) -> Any:
        if type(value) is not str:
            out.refuse(shape, next(iter(value)), path, "be a single value")
            return None
        return read_text(value, path, out)

    return read


def _structure_reader(shape: Shape, names: Names, compile_: Compiler[Reader]) -> Reader:
    table = {names.member(name, inner): (name, compile_(inner)) for name, inner in shape.members.items()}

    def read(value: Any, path: Path | None, out: Problems) -> Any:
        if type(value) is not dict:
            if value:
                out.refuse(shape, value, path, "be a structure")
            return {}
        found = {}
        for wire_name, raw in value.items():
            entry = table.get(wire_name)
            if entry is None:
                out.unknown(wire_name, path, table)
            else:
                found[entry[0]] = entry[1](raw, (path, entry[0]), out)
        return found

    return read


def _numbered(shape: Shape, value: Any, path: Path | None, out: Problems) -> list[Any]:
    """The items under `1`, `2`, ... in their order; gaps are closed."""
    if type(value) is not dict:
        if value:
            out.refuse(shape, value, path, "be a list of numbered values")
        return []
    items: list[tuple[int, Any]] = []
    for index, item in value.items():
        if index.isascii() and index.isdigit() and len(index) <= _MAX_INDEX_DIGITS:
            items.append((int(index), item))
        else:
            out.unknown(index, path, ("1", "2", "..."))
    items.sort(key=lambda pair: pair[0])
    return [item for _, item in items]


def _below(element: str | None, value: Any, path: Path | None, out: Problems) -> Any:
    """What stands below `element`, where the protocol wants one."""
    if element is None or type(value) is not dict:
        return value
    for name in value:
        if name != element:
            out.unknown(name, path, (element,))
    return value.get(element, "")


def _list_reader(shape: Shape, names: Names, compile_: Compiler[Reader]) -> Reader:
    read_item = compile_(shape.member)
    element = names.item(shape)

    def read(value: Any, path: Path | None, out: Problems) -> Any:
        items = _numbered(shape, _below(element, value, path, out), path, out)
        return [read_item(item, (path, f"{index}.member"), out) for index, item in enumerate(items, 1)]

    return read


def _map_reader(shape: Shape, compile_: Compiler[Reader]) -> Reader:
    key_name, value_name = shape.key.wire_name or "key", shape.value.wire_name or "value"
    read_key, read_value = compile_(shape.key), compile_(shape.value)
    element = None if shape.flattened else "entry"

    def read(value: Any, path: Path | None, out: Problems) -> Any:
        found = {}
        for item in _numbered(shape, _below(element, value, path, out), path, out):
            if type(item) is not dict or item.keys() != {key_name, value_name}:
                out.refuse(shape, str(item), path, f"hold one {key_name} and one {value_name} an entry")
                continue
            key = read_key(item[key_name], (path, "key"), out)
            found[key] = read_value(item[value_name], (path, str(key)), out)
        return found

    return read
