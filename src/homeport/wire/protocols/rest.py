"""rest-json and rest-xml: members in the path, the query string, headers and the body.

Source: Smithy, "HTTP bindings", "AWS restJson1 protocol", "AWS restXml protocol".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from homeport.wire import jsonbody, xmlbody
from homeport.wire.errors import MalformedRequestError
from homeport.wire.http import HttpAnswer, HttpRequest
from homeport.wire.model import OperationApi, ServiceApi, Shape
from homeport.wire.problems import Problems, Reader
from homeport.wire.protocols import bindings
from homeport.wire.protocols.awsjson import json_members
from homeport.wire.protocols.base import Exchange, Failure, Parse, Speaker, Write, header_text
from homeport.wire.protocols.query import error_members, wrapped_error
from homeport.wire.xmlbody import escape

_XML = '<?xml version="1.0" encoding="UTF-8"?>\n'


def json_exchange(service: ServiceApi, operation: OperationApi) -> Exchange:
    """How `operation` is parsed and answered in rest-json."""
    del service
    return Exchange(_json_parse(operation), _json_write(operation))


def _json_parse(operation: OperationApi) -> Parse:
    read_bindings = bindings.input_reader(operation)
    compile_ = jsonbody.new_readers()
    payload, members = bindings.body_of(operation.input)
    read: Reader
    if payload is None:
        read = jsonbody.structure_reader(operation.input, members, compile_)
    elif payload[1].kind in {"blob", "string"}:
        return bindings.raw_body_parse(operation, *payload)
    else:
        read = compile_(payload[1])

    def parse(request: HttpRequest, labels: Mapping[str, str], out: Problems) -> Any:
        found = read_bindings(request, labels, out)
        if payload is None:
            found |= read(jsonbody.load(request.body), None, out) or {}
        elif request.body:
            found[payload[0]] = read(jsonbody.load(request.body), (None, payload[0]), out)
        return found

    return parse


def _json_write(operation: OperationApi) -> Write:
    output = operation.output
    if output is None:
        return bindings.empty_write(operation, "x-amzn-requestid")
    write_bindings = bindings.output_writer(operation, output)
    payload, members = bindings.body_of(output)
    if payload is not None and payload[1].kind in {"blob", "string"}:
        return bindings.raw_body_write(write_bindings, *payload, "x-amzn-requestid")
    shape = output if payload is None else payload[1]
    write_body = jsonbody.BodyWriter(shape, members if payload is None else shape.members)
    located = frozenset(output.members) - frozenset(members)

    def write(value: Mapping[str, Any], request_id: str, strict: bool) -> HttpAnswer:
        status, headers = write_bindings(value, strict)
        if payload is not None:
            held: Any = value.get(payload[0]) or {}
        else:
            held = {k: v for k, v in value.items() if k not in located} if located else value
        return HttpAnswer(
            status=status,
            headers=(("x-amzn-requestid", request_id), ("content-type", "application/json"), *headers),
            body=write_body(held, strict=strict),
        )

    return write


def json_fail(service: ServiceApi | None, failure: Failure) -> HttpAnswer:
    """An error: its type in a header, its members in the body."""
    del service
    return HttpAnswer(
        status=failure.status,
        headers=(
            ("x-amzn-requestid", failure.request_id),
            ("content-type", "application/json"),
            ("x-amzn-errortype", header_text(failure.name)),
        ),
        body=orjson.dumps(json_members(failure)),
    )


def xml_exchange(service: ServiceApi, operation: OperationApi) -> Exchange:
    """How `operation` is parsed and answered in rest-xml."""
    return Exchange(_xml_parse(operation), _xml_write(service, operation))


def _xml_parse(operation: OperationApi) -> Parse:
    read_bindings = bindings.input_reader(operation)
    compile_ = xmlbody.new_readers()
    payload, members = bindings.body_of(operation.input)
    if payload is not None and payload[1].kind in {"blob", "string"}:
        return bindings.raw_body_parse(operation, *payload)
    shape: Shape = operation.input if payload is None else payload[1]
    read = compile_(shape) if payload is not None else xmlbody.structure_reader(shape, members, compile_)
    root = shape.wire_name

    def parse(request: HttpRequest, labels: Mapping[str, str], out: Problems) -> Any:
        found = read_bindings(request, labels, out)
        if not request.body:
            return found
        if payload is None and not members:
            raise MalformedRequestError(f"{operation.name} takes no body")
        node = xmlbody.load(request.body)
        if root is not None and node.tag != root:
            raise MalformedRequestError(f"The body is <{node.tag}>, not <{root}>")
        if payload is None:
            found |= read(node, None, out) or {}
        else:
            found[payload[0]] = read(node, (None, payload[0]), out)
        return found

    return parse


def _request_id_header(service: ServiceApi | None) -> str:
    return "x-amz-request-id" if service is not None and service.name == "s3" else "x-amzn-requestid"


def _xml_write(service: ServiceApi, operation: OperationApi) -> Write:
    output = operation.output
    id_header = _request_id_header(service)
    if output is None:
        return bindings.empty_write(operation, id_header)
    write_bindings = bindings.output_writer(operation, output)
    payload, members = bindings.body_of(output)
    if payload is not None and payload[1].kind in {"blob", "string"}:
        return bindings.raw_body_write(write_bindings, *payload, id_header)
    shape = output if payload is None else payload[1]
    write_body = xmlbody.members_writer(
        shape, members if payload is None else shape.members, xmlbody.new_writers()
    )
    root = shape.wire_name or shape.name
    xmlns = f' xmlns="{escape(service.xml_namespace)}"' if service.xml_namespace else xmlbody.namespace(shape)

    def write(value: Mapping[str, Any], request_id: str, strict: bool) -> HttpAnswer:
        status, headers = write_bindings(value, strict)
        held = value if payload is None else value.get(payload[0])
        plain = ((id_header, request_id), *headers)
        if held is None or (payload is None and not members):
            return HttpAnswer(status=status, headers=plain, body=b"")
        out = [f"{_XML}<{root}{xmlns}>"]
        write_body("", held, out, strict)
        out.append(f"</{root}>")
        return HttpAnswer(
            status=status, headers=(*plain, ("content-type", "application/xml")), body="".join(out).encode()
        )

    return write


def xml_fail(service: ServiceApi | None, failure: Failure) -> HttpAnswer:
    """An error: S3's bare `<Error>`, or wrapped as in the query protocol."""
    id_header = _request_id_header(service)
    if service is not None and service.name == "s3":
        out = [f"{_XML}<Error><Code>{escape(failure.code)}</Code>", *error_members(failure)]
        out.append(f"<RequestId>{escape(failure.request_id)}</RequestId></Error>")
    else:
        out = wrapped_error(service, failure)
    return HttpAnswer(
        status=failure.status,
        headers=((id_header, failure.request_id), ("content-type", "application/xml")),
        body="".join(out).encode(),
    )


REST_JSON = Speaker(json_exchange, json_fail)
REST_XML = Speaker(xml_exchange, xml_fail)
