"""Smithy RPC v2 CBOR: POST /service/NAME/operation/NAME.

Source: Smithy, "RPC v2 CBOR protocol".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from homeport.wire import cborbody
from homeport.wire.compiler import Compiler
from homeport.wire.http import HttpAnswer, HttpRequest
from homeport.wire.model import OperationApi, ServiceApi
from homeport.wire.problems import Problems
from homeport.wire.protocols.base import (
    Exchange,
    Failure,
    Speaker,
    failure_members,
    qualified,
    query_error,
)

_HEADERS = (("smithy-protocol", "rpc-v2-cbor"), ("content-type", "application/cbor"))


def exchange(service: ServiceApi, operation: OperationApi) -> Exchange:
    """How `operation` is parsed and answered."""
    del service
    read = cborbody.new_readers()(operation.input)
    output = operation.output
    write_body = cborbody.BodyWriter(output) if output is not None else None

    def parse(request: HttpRequest, labels: Mapping[str, str], out: Problems) -> Any:
        del labels
        return read(cborbody.load(request.body), None, out)

    def write(value: Mapping[str, Any], request_id: str, strict: bool) -> HttpAnswer:
        headers = (("x-amzn-requestid", request_id), *_HEADERS)
        if write_body is None:
            return HttpAnswer(status=200, headers=headers[:2], body=b"")
        return HttpAnswer(status=200, headers=headers, body=write_body(value, strict=strict))

    return Exchange(parse, write)


def fail(service: ServiceApi | None, failure: Failure) -> HttpAnswer:
    """An error: its qualified type in the body."""
    members = failure_members(failure)
    told: dict[str, Any] = {"__type": qualified(service, failure)}
    if failure.shape is not None:
        told |= Compiler(cborbody.build_writer)(failure.shape)(members, False)
    if not any(name.lower() == "message" for name in told):
        told["message"] = failure.message
    return HttpAnswer(
        status=failure.status,
        headers=(("x-amzn-requestid", failure.request_id), *_HEADERS, *query_error(service, failure)),
        body=cborbody.dump(told),
    )


SPEAKER = Speaker(exchange, fail)
