"""The public API, as the command line calls it: signed, synchronous, quick to import.

ECS speaks AWS JSON 1.1, IAM and STS the query protocol (their models list no other that suits).
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from typing import Any, Self
from urllib.parse import quote, urlencode, urlsplit
from xml.etree import ElementTree

from homeport.app.connection import Connection
from homeport.core.clock import Clock, SystemClock
from homeport.core.sigv4 import Credentials, sign_headers

ECS_TARGET = "AmazonEC2ContainerServiceV20141113"
IAM_VERSION = "2010-05-08"
STS_VERSION = "2011-06-15"
OWN_PREFIX = "/_homeport/"


class ApiError(Exception):
    """The server refused: AWS's error code and its message."""

    def __init__(self, code: str, message: str, *, status: int, request_id: str = "") -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.request_id = request_id


class UnreachableError(Exception):
    """Nothing answers at the endpoint."""


class AwsClient:
    """Calls with one key, over one kept connection. Not for several threads at once."""

    def __init__(
        self, connection: Connection, *, timeout_seconds: float = 30.0, clock: Clock | None = None
    ) -> None:
        self.connection = connection
        self._credentials = Credentials(
            access_key_id=connection.access_key_id, secret_access_key=connection.secret_access_key
        )
        self._timeout_seconds = timeout_seconds
        self._clock = clock or SystemClock()
        self._http: http.client.HTTPConnection | None = None

    def call(self, operation: str, **members: Any) -> Mapping[str, Any]:
        """Call an ECS operation. Raise `ApiError` or `UnreachableError`."""
        body = json.dumps(members).encode()
        headers = {
            "content-type": "application/x-amz-json-1.1",
            "x-amz-target": f"{ECS_TARGET}.{operation}",
        }
        repeatable = operation.startswith(("Describe", "List", "Get"))
        status, answered, answer = self._post("ecs", headers, body, repeatable=repeatable)
        if status >= 400:
            raise _json_error(status, answered, answer)
        return json.loads(answer) if answer else {}

    def query(
        self, service: str, operation: str, *, version: str = IAM_VERSION, **members: str
    ) -> ElementTree.Element:
        """Call an operation of the query protocol; its answer, namespaces removed."""
        body = urlencode({"Action": operation, "Version": version, **members}).encode()
        headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
        status, _, answer = self._post(service, headers, body)
        root = _parse_xml(answer, status)
        if status >= 400:
            raise ApiError(
                root.findtext(".//Code", "Unknown"),
                root.findtext(".//Message", ""),
                status=status,
                request_id=root.findtext(".//RequestId", ""),
            )
        return root

    def own(self, page: str, **query: str) -> Any:
        """A page of Homeport's own. Raise `ApiError` or `UnreachableError`."""
        status, answered, answer = self._exchange(
            "GET", f"{OWN_PREFIX}{page}", query, "ecs", {}, b"", repeatable=True
        )
        if status >= 400:
            raise _json_error(status, answered, answer)
        return json.loads(answer)

    def pages(self, operation: str, member: str, **members: Any) -> Iterator[Any]:
        """Every element of `member` over all pages of a List operation."""
        token: str | None = None
        while True:
            answer = self.call(operation, **members, **({"nextToken": token} if token else {}))
            yield from answer[member]
            token = answer.get("nextToken")
            if not token:
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection. A later call opens it again."""
        if self._http is not None:
            self._http.close()
            self._http = None

    def _post(
        self, service: str, headers: Mapping[str, str], body: bytes, *, repeatable: bool = False
    ) -> tuple[int, Mapping[str, str], bytes]:
        return self._exchange("POST", "/", {}, service, headers, body, repeatable=repeatable)

    def _exchange(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        service: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        repeatable: bool,
    ) -> tuple[int, Mapping[str, str], bytes]:
        parts = urlsplit(self.connection.endpoint)
        signed = sign_headers(
            self._credentials,
            method=method,
            path=path,
            query=query.items(),
            headers={**headers, "host": parts.netloc},
            body=body,
            region=self.connection.region,
            service=service,
            now=self._clock.now(),
        )
        target = f"{path}?{urlencode(query, quote_via=quote, safe='')}" if query else path
        reused = self._http is not None
        try:
            return self._send(method, target, body, signed)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            # A kept connection may have been closed while idle, or the server went while it had our request.
            if reused and repeatable and isinstance(error, (http.client.RemoteDisconnected, BrokenPipeError)):
                try:
                    return self._send(method, target, body, signed)
                except (OSError, http.client.HTTPException) as again:
                    self.close()
                    error = again
            raise UnreachableError(
                f"nothing answers at {self.connection.endpoint} ({error or type(error).__name__})"
            ) from error

    def _send(
        self, method: str, target: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], bytes]:
        if self._http is None:
            parts = urlsplit(self.connection.endpoint)
            kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
            self._http = kind(parts.hostname or "", parts.port, timeout=self._timeout_seconds)
            self._http.connect()
            self._http.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._http.request(method, target, body=body, headers=dict(headers))
        response = self._http.getresponse()
        answer = response.read()
        return response.status, {k.lower(): v for k, v in response.getheaders()}, answer


def _json_error(status: int, headers: Mapping[str, str], answer: bytes) -> ApiError:
    request_id = headers.get("x-amzn-requestid", "")
    try:
        fields = json.loads(answer)
        code = str(fields.get("__type", "")).rpartition("#")[2] or "Unknown"
        message = str(fields.get("message") or fields.get("Message") or "")
    except (ValueError, AttributeError):
        code, message = "Unknown", answer[:200].decode(errors="replace")
    return ApiError(code, message, status=status, request_id=request_id)


def _parse_xml(answer: bytes, status: int) -> ElementTree.Element:
    try:
        # Our own server's answer to a signed request; expat expands no external entities.
        root = ElementTree.fromstring(answer)  # noqa: S314
    except ElementTree.ParseError as error:
        text = answer[:200].decode(errors="replace")
        raise ApiError("Unknown", f"not an XML answer: {text}", status=status) from error
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root
