"""The gate as the proxy asks it: external authorization over gRPC."""

from __future__ import annotations

from typing import Any

import grpc
from envoy.config.core.v3 import base_pb2
from envoy.service.auth.v3 import external_auth_pb2, external_auth_pb2_grpc
from envoy.type.v3 import http_status_pb2

from homeport.dataplane.logins import HEADERS, Asked
from homeport.gateway.logins.gate import Gate
from homeport.gateway.logins.model import Answered, Decision, Request

_DENIED = grpc.StatusCode.PERMISSION_DENIED.value[0]
_SET = base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
_ADD = base_pb2.HeaderValueOption.APPEND_IF_EXISTS_OR_ADD


class GateServicer(external_auth_pb2_grpc.AuthorizationServicer):  # type: ignore[misc]
    """Answers the proxy."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """What becomes of a request."""
        del context
        told = request.attributes
        http = told.request.http
        asked = Asked.read(told.context_extensions)
        client = Request(host=http.host, path=http.path, cookie=http.headers.get("cookie", ""))
        return _written(await self._gate.check(client, asked))


def _written(decision: Decision) -> Any:
    cookies = [_header("set-cookie", one, _ADD) for one in decision.cookies]
    if isinstance(decision, Answered):
        headers = [_header("location", decision.location, _SET)] if decision.location else []
        denied = external_auth_pb2.DeniedHttpResponse(
            status=http_status_pb2.HttpStatus(code=decision.status), headers=[*headers, *cookies]
        )
        return external_auth_pb2.CheckResponse(status={"code": _DENIED}, denied_response=denied)
    said = dict(decision.headers)
    passed = external_auth_pb2.OkHttpResponse(
        headers=[_header(name, value, _SET) for name, value in said.items()],
        headers_to_remove=[name for name in HEADERS if name not in said],
        response_headers_to_add=cookies,
    )
    return external_auth_pb2.CheckResponse(status={"code": 0}, ok_response=passed)


def _header(name: str, value: str, action: Any) -> Any:
    header = base_pb2.HeaderValue(key=name, value=value)
    return base_pb2.HeaderValueOption(header=header, append_action=action)
