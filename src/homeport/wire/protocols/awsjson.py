"""AWS JSON 1.0 and 1.1: POST /, the operation in X-Amz-Target.

Source: Smithy, "AWS JSON 1.0 protocol", "AWS JSON 1.1 protocol".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from homeport.wire import jsonbody
from homeport.wire.compiler import Compiler
from homeport.wire.http import HttpAnswer, HttpRequest
from homeport.wire.model import OperationApi, ServiceApi, Shape
from homeport.wire.problems import Problems
from homeport.wire.protocols.base import (
    Exchange,
    Failure,
    Speaker,
    failure_members,
    qualified,
    query_error,
)


def exchange(service: ServiceApi, operation: OperationApi) -> Exchange:
    """How `operation` is parsed and answered."""
    read = jsonbody.new_readers()(operation.input)
    content_type = ("content-type", f"application/x-amz-json-{service.json_version}")
    output = operation.output
    write_body = jsonbody.BodyWriter(output, output.members) if output is not None else None

    def parse(request: HttpRequest, labels: Mapping[str, str], out: Problems) -> Any:
        del labels
        return read(jsonbody.load(request.body), None, out)

    def write(value: Mapping[str, Any], request_id: str, strict: bool) -> HttpAnswer:
        body = write_body(value, strict=strict) if write_body is not None else b""
        return HttpAnswer(
            status=operation.status, headers=(("x-amzn-requestid", request_id), content_type), body=body
        )

    return Exchange(parse, write)


def fail(service: ServiceApi | None, failure: Failure) -> HttpAnswer:
    """An error: its type in the body, with its namespace in JSON 1.0."""
    version = service.json_version if service is not None else "1.1"
    kind = qualified(service, failure) if version == "1.0" else failure.name
    return HttpAnswer(
        status=failure.status,
        headers=(
            ("x-amzn-requestid", failure.request_id),
            ("content-type", f"application/x-amz-json-{version}"),
            *query_error(service, failure),
        ),
        body=orjson.dumps({"__type": kind, **json_members(failure)}),
    )


def json_members(failure: Failure) -> dict[str, Any]:
    """An error's members in JSON's terms; what the shape does not know is dropped."""
    found = failure_members(failure)
    if failure.shape is None:
        return {name: value for name, value in found.items() if isinstance(value, str | int | float)}
    told = write_error_members(failure.shape, found)
    if not any(name.lower() == "message" for name in told):
        told["message"] = failure.message
    return told


def write_error_members(shape: Shape, found: Mapping[str, Any]) -> dict[str, Any]:
    """The members of an error shape that a body holds, as orjson takes them."""
    members = {name: member for name, member in shape.members.items() if member.location is None}
    write = jsonbody.structure_writer(shape, members, Compiler(jsonbody.build_writer))
    told: dict[str, Any] = write(found, False)
    return told


SPEAKER = Speaker(exchange, fail)
