"""XML bodies: the answers of the query and ec2 protocols, both directions of rest-xml."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from xml.parsers import expat

from homeport.wire import timestamps
from homeport.wire.compiler import Compiler
from homeport.wire.depth import MAX_DEPTH
from homeport.wire.errors import MalformedRequestError, OutputShapeError
from homeport.wire.model import Shape
from homeport.wire.problems import Path, Problems, Reader
from homeport.wire.scalars import text_reader, text_writer, thaw

_SPECIAL = re.compile('[&<>"\x00-\x08\x0b-\x1f\ufffe\uffff\ud800-\udfff]')
_NAMES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#xD;"}

Writer: TypeAlias = Callable[[str, Any, list[str], bool], None]
"""Appends an element of that name for a value."""


def escape(text: str) -> str:
    """`text` as element or attribute content; what XML cannot hold becomes U+FFFD."""
    if _SPECIAL.search(text) is None:
        return text
    return _SPECIAL.sub(lambda found: _NAMES.get(found[0], "\ufffd"), text)


def new_writers() -> Compiler[Writer]:
    """A compiler of writers, with its own memo."""
    return Compiler(_build_writer)


def _build_writer(shape: Shape, compile_: Compiler[Writer]) -> Writer:
    match shape.kind:
        case "structure":
            return _structure_writer(shape, compile_)
        case "list":
            return _list_writer(shape, compile_)
        case "map":
            return _map_writer(shape, compile_)
        case _:
            to_text = text_writer(shape, timestamp_format=timestamps.ISO8601)

    def write(tag: str, value: Any, out: list[str], strict: bool) -> None:
        del strict
        out.append(f"<{tag}>{escape(to_text(value))}</{tag}>")

    return write


def _tag(name: str, shape: Shape) -> str:
    if shape.kind == "list" and shape.flattened and shape.member.wire_name:
        return shape.member.wire_name
    return shape.wire_name or name


def namespace(shape: Shape) -> str:
    """The `xmlns` attribute that the shape asks for, with a leading space, or nothing."""
    found = shape.traits.get("xmlNamespace")
    if isinstance(found, Mapping) and found.get("uri"):
        prefix = f":{found['prefix']}" if found.get("prefix") else ""
        return f' xmlns{prefix}="{escape(found["uri"])}"'
    return f' xmlns="{escape(found)}"' if isinstance(found, str) else ""


def _structure_writer(shape: Shape, compile_: Compiler[Writer]) -> Writer:
    attributes = {n: s.wire_name or n for n, s in shape.members.items() if s.traits.get("xmlAttribute")}
    write_members = members_writer(shape, shape.members, compile_)
    opening = namespace(shape)

    def write(tag: str, value: Any, out: list[str], strict: bool) -> None:
        value = thaw(value)
        shown = "".join(
            f' {wire}="{escape(str(value[name]))}"'
            for name, wire in attributes.items()
            if value.get(name) is not None
        )
        out.append(f"<{tag}{opening}{shown}>")
        write_members(tag, value, out, strict)
        out.append(f"</{tag}>")

    return write


def members_writer(shape: Shape, members: Mapping[str, Shape], compile_: Compiler[Writer]) -> Writer:
    """Writes those `members` that are set, without an element around them."""
    table = {
        name: (_tag(name, member), compile_(member))
        for name, member in members.items()
        if not member.traits.get("xmlAttribute")
    }
    known = shape.members

    def write(tag: str, value: Any, out: list[str], strict: bool) -> None:
        del tag
        for name, inner in value.items():
            entry = table.get(name)
            if entry is None:
                if strict and name not in known:
                    raise OutputShapeError(f"{shape.name} has no member {name!r}")
            elif inner is not None:
                entry[1](entry[0], inner, out, strict)

    return write


def _list_writer(shape: Shape, compile_: Compiler[Writer]) -> Writer:
    write_item = compile_(shape.member)
    item_tag = shape.member.wire_name or "member"
    flattened = shape.flattened

    def write(tag: str, value: Any, out: list[str], strict: bool) -> None:
        if flattened:
            for item in thaw(value):
                write_item(tag, item, out, strict)
            return
        out.append(f"<{tag}>")
        for item in thaw(value):
            write_item(item_tag, item, out, strict)
        out.append(f"</{tag}>")

    return write


def _map_writer(shape: Shape, compile_: Compiler[Writer]) -> Writer:
    key_tag, value_tag = shape.key.wire_name or "key", shape.value.wire_name or "value"
    write_key, write_value = compile_(shape.key), compile_(shape.value)
    flattened = shape.flattened

    def write(tag: str, value: Any, out: list[str], strict: bool) -> None:
        entry_tag = tag if flattened else "entry"
        if not flattened:
            out.append(f"<{tag}>")
        for key, item in thaw(value).items():
            if item is not None:
                out.append(f"<{entry_tag}>")
                write_key(key_tag, key, out, strict)
                write_value(value_tag, item, out, strict)
                out.append(f"</{entry_tag}>")
        if not flattened:
            out.append(f"</{tag}>")

    return write


@dataclass(slots=True)
class Node:
    """An element: names without their namespace prefixes, attributes with them."""

    tag: str
    attributes: Mapping[str, str]
    children: list[Node] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The element's own text."""
        return "".join(self.texts)


def load(body: bytes) -> Node:
    """Parse a document. Raise `MalformedRequestError`; document types are refused, not expanded."""
    parser = expat.ParserCreate()
    top = Node("", {})
    stack = [top]

    def start(name: str, attributes: dict[str, str]) -> None:
        if len(stack) > MAX_DEPTH:
            raise MalformedRequestError(f"The body is nested deeper than {MAX_DEPTH} levels")
        node = Node(name.rpartition(":")[2], attributes)
        stack[-1].children.append(node)
        stack.append(node)

    def end(name: str) -> None:
        del name
        stack.pop()

    def text(data: str) -> None:
        stack[-1].texts.append(data)

    def doctype(*args: Any) -> None:
        del args
        raise MalformedRequestError("The body has a document type declaration")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise MalformedRequestError(f"The body is not XML: {error}") from None
    return top.children[0]


def new_readers() -> Compiler[Reader]:
    """A compiler of readers, which take a `Node` (for flattened lists, the list of nodes)."""
    return Compiler(_build_reader)


def _build_reader(shape: Shape, compile_: Compiler[Reader]) -> Reader:
    match shape.kind:
        case "structure":
            return structure_reader(shape, shape.members, compile_)
        case "list":
            return _list_reader(shape, compile_)
        case "map":
            return _map_reader(shape, compile_)
        case _:
            read_text = text_reader(shape, timestamp_format=timestamps.ISO8601)

    def read(value: Any, path: Path | None, out: Problems) -> Any:
        if value.children:
            out.refuse(shape, f"<{value.children[0].tag}>", path, "be text, not elements")
            return None
        return read_text(value.text, path, out)

    return read


def structure_reader(shape: Shape, members: Mapping[str, Shape], compile_: Compiler[Reader]) -> Reader:
    """Reads an element with `members`: a structure's all, or those that a body holds."""
    table: dict[str, tuple[str, Reader, bool]] = {}
    attributes: dict[str, str] = {}
    for name, member in members.items():
        if member.traits.get("xmlAttribute"):
            attributes[member.wire_name or name] = name
        else:
            repeats = member.kind in {"list", "map"} and member.flattened
            table[_tag(name, member)] = (name, compile_(member), repeats)

    def read(value: Any, path: Path | None, out: Problems) -> Any:
        by_tag: dict[str, list[Node]] = {}
        for child in value.children:
            by_tag.setdefault(child.tag, []).append(child)
        found = {}
        for wire_name, name in attributes.items():
            if wire_name in value.attributes:
                found[name] = value.attributes[wire_name]
        for tag, nodes in by_tag.items():
            entry = table.get(tag)
            if entry is None:
                out.unknown(tag, path, [*table, *attributes])
            elif entry[2]:
                found[entry[0]] = entry[1](nodes, (path, entry[0]), out)
            elif len(nodes) > 1:
                out.refuse(shape, f"<{tag}>", path, "occur once")
            else:
                found[entry[0]] = entry[1](nodes[0], (path, entry[0]), out)
        return found

    return read


def _list_reader(shape: Shape, compile_: Compiler[Reader]) -> Reader:
    read_item = compile_(shape.member)
    item_tag = shape.member.wire_name or "member"
    flattened = shape.flattened

    def read(value: Any, path: Path | None, out: Problems) -> Any:
        items = value if flattened else value.children
        found = []
        for index, item in enumerate(items, 1):
            if not flattened and item.tag != item_tag:
                out.unknown(item.tag, path, (item_tag,))
            else:
                found.append(read_item(item, (path, f"{index}.member"), out))
        return found

    return read


def _map_reader(shape: Shape, compile_: Compiler[Reader]) -> Reader:
    key_tag, value_tag = shape.key.wire_name or "key", shape.value.wire_name or "value"
    read_key, read_value = compile_(shape.key), compile_(shape.value)
    flattened = shape.flattened

    def read(value: Any, path: Path | None, out: Problems) -> Any:
        found = {}
        for entry in value if flattened else value.children:
            parts = {child.tag: child for child in entry.children}
            if parts.keys() != {key_tag, value_tag}:
                out.refuse(shape, f"<{entry.tag}>", path, f"hold one {key_tag} and one {value_tag}")
                continue
            key = read_key(parts[key_tag], (path, "key"), out)
            found[key] = read_value(parts[value_tag], (path, str(key)), out)
        return found

    return read
