"""Requests to inputs, outputs and errors to answers, in whichever protocol was spoken.

Everything is compiled on an operation's first use and kept.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from homeport.wire.constraints import Check, new_checks
from homeport.wire.errors import InvalidInputError, MalformedRequestError, UnsupportedOperationError
from homeport.wire.http import MAX_BODY_BYTES, HttpAnswer, HttpRequest
from homeport.wire.model import OperationApi, ServiceApi, service_api
from homeport.wire.problems import Problems, TooManyProblemsError
from homeport.wire.protocols import awsjson, query, rest, rpccbor
from homeport.wire.protocols.base import Exchange, Failure
from homeport.wire.route import Routed

PROTOCOLS = {
    "json": awsjson.SPEAKER,
    "query": query.QUERY,
    "ec2": query.EC2,
    "rest-json": rest.REST_JSON,
    "rest-xml": rest.REST_XML,
    "smithy-rpc-v2-cbor": rpccbor.SPEAKER,
}
_GZIP_WINDOW_BITS = 31


@dataclass(frozen=True, slots=True)
class _Compiled:
    operation: OperationApi
    exchange: Exchange
    check: Check


@cache
def _compiled(service: str, operation: str, protocol: str) -> _Compiled:
    api = service_api(service)
    found = api.operation(operation)
    tops = (found.input, *([found.output] if found.output is not None else []))
    if any(member.event_stream for top in tops for member in top.members.values()):
        raise UnsupportedOperationError(f"{service}:{operation} streams events")
    return _Compiled(found, PROTOCOLS[protocol].exchange(api, found), new_checks()(found.input))


def parse(routed: Routed, request: HttpRequest) -> dict[str, Any]:
    """The operation's input, as the model allows it.

    Absent and null members are left out, instants are aware datetimes, blobs are
    bytes. Raise `MalformedRequestError` for a body that cannot be decoded and
    `InvalidInputError` for one that says what the model does not allow.
    """
    compiled = _compiled(routed.service, routed.operation, routed.protocol)
    if compiled.operation.compressible and request.headers.get("content-encoding", "").endswith("gzip"):
        request = replace(request, body=_gunzip(request.body))
    problems = Problems()
    found: dict[str, Any] | None = None
    try:
        found = compiled.exchange.parse(request, routed.params, problems)
        if found is not None:
            compiled.check(found, None, problems)
    except TooManyProblemsError:
        pass
    if problems.found or found is None:
        raise InvalidInputError(tuple(problems.found), tuple(problems.lacking))
    return found


def serialise(
    routed: Routed, output: Mapping[str, Any] | None, request_id: str, *, strict: bool = False
) -> HttpAnswer:
    """The answer to a request that was routed so.

    Members that are None are left out. A member that the output shape does not
    have is a programming error: `strict` (tests) raises `OutputShapeError`,
    production drops it, or passes it on where looking would cost time (JSON);
    clients ignore it. A `msgspec.Raw` holds JSON that is passed on as it is.
    """
    compiled = _compiled(routed.service, routed.operation, routed.protocol)
    return compiled.exchange.write(output or {}, request_id, strict)


def serialise_error(
    protocol: str,
    service: ServiceApi | None,
    code: str,
    message: str,
    *,
    status: int = 400,
    fault: str = "Sender",
    members: Mapping[str, Any] | None = None,
    request_id: str,
) -> HttpAnswer:
    """An error's answer. `code` is a shape's name or a wire code.

    Status, fault and wire code are the model's where it says them, else the
    arguments'; a modelled fault of the service is at least a 500.
    """
    modelled = service.error_shape(code) if service is not None else None
    if modelled is not None:
        if modelled.fault == "Receiver":
            status = max(status, 500)
        status = modelled.status or status
        fault = modelled.fault or ("Receiver" if status >= 500 else "Sender")
    failure = Failure(
        name=modelled.name if modelled is not None else code,
        code=modelled.code if modelled is not None else code,
        message=message,
        status=status,
        fault=fault,
        members=members or {},
        shape=modelled.shape if modelled is not None else None,
        request_id=request_id,
    )
    return PROTOCOLS[protocol].fail(service, failure)


def _gunzip(body: bytes) -> bytes:
    unpacker = zlib.decompressobj(_GZIP_WINDOW_BITS)
    try:
        plain = unpacker.decompress(body, MAX_BODY_BYTES)
    except zlib.error as error:
        raise MalformedRequestError(f"The body is not gzip: {error}") from None
    if not unpacker.eof:
        raise MalformedRequestError("The gzip body is cut short, or too long unpacked")
    if unpacker.unused_data:
        raise MalformedRequestError("The gzip body is followed by something else")
    return plain
