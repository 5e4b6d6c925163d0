"""The HTTP bindings of the rest protocols: what is not in the body."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

import orjson

from homeport.wire import timestamps
from homeport.wire.errors import MalformedRequestError, OutputShapeError
from homeport.wire.http import HttpAnswer, HttpRequest
from homeport.wire.model import OperationApi, Shape
from homeport.wire.problems import Path, Problems, Reader
from homeport.wire.protocols.base import Parse, Write, header_text
from homeport.wire.scalars import read_base64, text_reader, text_writer, write_blob

InputReader: TypeAlias = Callable[[HttpRequest, Mapping[str, str], Problems], dict[str, Any]]
OutputWriter: TypeAlias = Callable[[Mapping[str, Any], bool], tuple[int, tuple[tuple[str, str], ...]]]


def body_of(shape: Shape) -> tuple[tuple[str, Shape] | None, dict[str, Shape]]:
    """The member that is the whole body, if any, and else the members that are in it."""
    if name := shape.traits.get("payload"):
        return (name, shape.members[name]), {}
    return None, {name: member for name, member in shape.members.items() if member.location is None}


def static_query(uri: str) -> dict[str, str]:
    """The query parameters that an operation's own URI holds."""
    return dict(parse_qsl(uri.partition("?")[2], keep_blank_values=True))


def input_reader(operation: OperationApi) -> InputReader:
    """Reads the members in the path, the query string and the headers."""
    members = operation.input.members
    labels = [_labelled(n, s) for n, s in members.items() if s.location == "uri"]
    headers = [_headered(n, s) for n, s in members.items() if s.location == "header"]
    prefixed = [(n, (s.wire_name or "").lower()) for n, s in members.items() if s.location == "headers"]
    read_query = _query_reader(operation)

    def read(request: HttpRequest, values: Mapping[str, str], out: Problems) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for wire_name, name, reader in labels:
            found[name] = reader(values[wire_name], (None, name), out)
        read_query(request.raw_query, found, out)
        for wire_name, name, reader in headers:
            if (text := request.headers.get(wire_name)) is not None:
                found[name] = reader(text, (None, name), out)
        for name, prefix in prefixed:
            if held := {k[len(prefix) :]: v for k, v in request.headers.items() if k.startswith(prefix)}:
                found[name] = held
        return found

    return read


def _labelled(name: str, shape: Shape) -> tuple[str, str, Reader]:
    return shape.wire_name or name, name, text_reader(shape, timestamp_format=timestamps.ISO8601)


def _headered(name: str, shape: Shape) -> tuple[str, str, Reader]:
    return (shape.wire_name or name).lower(), name, _header_reader(shape)


def _query_reader(operation: OperationApi) -> Callable[[str, dict[str, Any], Problems], None]:
    """Refuses what no member is named after, `x-` names excepted: S3 ignores those by contract,
    and SDKs and presigned URLs use them.
    """
    located = {n: s for n, s in operation.input.members.items() if s.location == "querystring"}
    rest = next(((n, s) for n, s in located.items() if s.kind == "map"), None)
    table = {s.wire_name or n: (n, s, _text_item(s)) for n, s in located.items() if s.kind != "map"}
    static = static_query(operation.uri)

    def read(raw_query: str, found: dict[str, Any], out: Problems) -> None:
        if not raw_query:
            return
        others: dict[str, list[str]] = {}
        for key, text in query_pairs(raw_query):
            if key in static and static[key] in {text, ""} and key not in table:
                continue
            if (entry := table.get(key)) is None:
                if not key.lower().startswith("x-"):
                    others.setdefault(key, []).append(text)
                continue
            name, shape, reader = entry
            path: Path = (None, name)
            if shape.kind == "list":
                items = found.setdefault(name, [])
                items.append(reader(text, (path, f"{len(items) + 1}.member"), out))
            elif name in found:
                out.refuse(shape, text, path, "be given once")
            else:
                found[name] = reader(text, path, out)
        if rest is not None:
            many = rest[1].value.kind == "list"
            found[rest[0]] = {key: texts if many else texts[-1] for key, texts in others.items()}
        else:
            for key in others:
                out.unknown(key, None, table)

    return read


def _text_item(shape: Shape) -> Reader:
    return text_reader(shape.member if shape.kind == "list" else shape, timestamp_format=timestamps.ISO8601)


def query_pairs(raw_query: str) -> list[tuple[str, str]]:
    """A query string's decoded pairs. Raise `MalformedRequestError`."""
    try:
        return parse_qsl(raw_query, keep_blank_values=True, errors="strict")
    except ValueError as error:
        raise MalformedRequestError(f"The query string cannot be decoded: {error}") from None


def _header_reader(shape: Shape) -> Reader:
    if shape.kind == "list":
        read_item = text_reader(shape.member, timestamp_format=timestamps.RFC822)
        dated = shape.member.kind == "timestamp"

        def read_list(value: Any, path: Path | None, out: Problems) -> Any:
            items = split_header(value, dates=dated)
            return [read_item(item, (path, f"{i}.member"), out) for i, item in enumerate(items, 1)]

        return read_list
    if shape.traits.get("jsonvalue"):

        def read_json(value: Any, path: Path | None, out: Problems) -> Any:
            try:
                return orjson.loads(read_base64(value))
            except ValueError:
                out.refuse(shape, value, path, "be JSON in base64")
                return None

        return read_json
    return text_reader(shape, timestamp_format=timestamps.RFC822)


def split_header(text: str, *, dates: bool) -> list[str]:
    """A header's list: items at commas, in double quotes where they hold one themselves.

    HTTP dates hold a comma each and no quotes: items are two pieces then.
    """
    items: list[str] = []
    current: list[str] = []
    quoted = False
    at = 0
    while at < len(text):
        char = text[at]
        if quoted and char == "\\" and at + 1 < len(text):
            at += 1
            current.append(text[at])
        elif char == '"':
            quoted = not quoted
        elif char == "," and not quoted:
            items.append("".join(current).strip())
            current = []
        else:
            current.append(char)
        at += 1
    items.append("".join(current).strip())
    if dates and "GMT" in text:
        return [", ".join(items[at : at + 2]) for at in range(0, len(items), 2)]
    return items


def raw_body_parse(operation: OperationApi, name: str, shape: Shape) -> Parse:
    """For operations whose body is one blob or text, as it is; an empty one is absent, unless required."""
    read_bindings = input_reader(operation)
    required = name in operation.input.required

    def parse(request: HttpRequest, labels: Mapping[str, str], out: Problems) -> Any:
        found = read_bindings(request, labels, out)
        if request.body or required:
            try:
                found[name] = request.body if shape.kind == "blob" else request.body.decode()
            except UnicodeDecodeError as error:
                raise MalformedRequestError(f"The body is not UTF-8: {error}") from None
        return found

    return parse


def output_writer(operation: OperationApi, output: Shape) -> OutputWriter:
    """Writes the status and the members that are headers."""
    writers = {
        n: _header_writer(n, s) for n, s in output.members.items() if s.location in {"header", "headers"}
    }
    status_member = next((n for n, s in output.members.items() if s.location == "statusCode"), None)

    def write(value: Mapping[str, Any], strict: bool) -> tuple[int, tuple[tuple[str, str], ...]]:
        if strict and (unknown := value.keys() - output.members.keys()):
            raise OutputShapeError(f"{output.name} has no member {min(unknown)!r}")
        headers: list[tuple[str, str]] = []
        for name, to_headers in writers.items():
            if (held := value.get(name)) is not None:
                headers += to_headers(held)
        status = value.get(status_member) if status_member is not None else None
        return status or operation.status, tuple(headers)

    return write


def _header_writer(name: str, shape: Shape) -> Callable[[Any], list[tuple[str, str]]]:
    wire_name = (shape.wire_name or name).lower()
    if shape.location == "headers":
        prefix = shape.wire_name or ""
        return lambda held: [((prefix + k).lower(), header_text(str(v))) for k, v in held.items()]
    if shape.kind == "list":
        to_text = text_writer(shape.member, timestamp_format=timestamps.RFC822)
        return lambda held: [(wire_name, ",".join(_quote(header_text(to_text(item))) for item in held))]
    if shape.traits.get("jsonvalue"):
        return lambda held: [(wire_name, write_blob(orjson.dumps(held)))]
    to_text = text_writer(shape, timestamp_format=timestamps.RFC822)
    return lambda held: [(wire_name, header_text(to_text(held)))]


def _quote(text: str) -> str:
    if '"' not in text and "," not in text:
        return text
    escaped = text.replace('"', '\\"')
    return f'"{escaped}"'


def raw_body_write(write_bindings: OutputWriter, name: str, shape: Shape, id_header: str) -> Write:
    """For operations whose answer's body is one blob or text, as it is."""
    usual = "application/octet-stream" if shape.kind == "blob" else "text/plain"

    def write(value: Mapping[str, Any], request_id: str, strict: bool) -> HttpAnswer:
        status, headers = write_bindings(value, strict)
        held = value.get(name)
        body = held.encode() if isinstance(held, str) else bytes(held) if held is not None else b""
        if not any(header == "content-type" for header, _ in headers):
            headers = (*headers, ("content-type", usual))
        return HttpAnswer(status=status, headers=((id_header, request_id), *headers), body=body)

    return write


def empty_write(operation: OperationApi, id_header: str) -> Write:
    """For operations without output."""

    def write(value: Mapping[str, Any], request_id: str, strict: bool) -> HttpAnswer:
        if strict and value:
            raise OutputShapeError(f"{operation.name} has no output")
        return HttpAnswer(status=operation.status, headers=((id_header, request_id),), body=b"")

    return write
