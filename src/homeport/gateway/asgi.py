"""The HTTP front door: raw ASGI, because the framework would cost more than the work.

The AWS surface owns every path but `/_homeport/...`, where health, metrics,
the agents' sockets, public keys and the command line's own pages are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

import orjson
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from homeport.core.log import get_logger
from homeport.gateway.agent_sockets import AgentSockets
from homeport.gateway.chain import Chain
from homeport.gateway.ports import OwnPage
from homeport.gateway.refusals import RefusedError
from homeport.gateway.stages import Outcome
from homeport.wire.http import MAX_BODY_BYTES, HttpRequest

log = get_logger("gateway")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

HEALTH_PATH = b"/_homeport/health"
METRICS_PATH = b"/_homeport/metrics"
ACS_PATH = b"/_homeport/acs/ws"
TCS_PATH = b"/_homeport/tcs/ws"
OWN_PREFIX = b"/_homeport/"


DRAINED_BYTES = 8 * MAX_BODY_BYTES
"""How much of a body that is too long is read before the connection is cut."""


class TooLargeError(Exception):
    """The body is longer than any request may be."""


class DisconnectedError(Exception):
    """The client went away in the middle of its request."""


class Metrics:
    """What `/_homeport/metrics` shows, in Prometheus' text format."""

    def __init__(self, agents_connected: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        labels = ("service", "operation", "status")
        self._requests = Counter(
            "homeport_requests_total", "AWS API requests.", labels, registry=self.registry
        )
        self._seconds = Histogram(
            "homeport_request_seconds",
            "Time to answer an AWS API request.",
            ("service",),
            registry=self.registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
        )
        # Finding a labelled child costs more than counting; the model bounds how many there are.
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        agents = Gauge(
            "homeport_agents_connected", "Agents with an open work socket.", registry=self.registry
        )
        agents.set_function(agents_connected)

    def count(self, outcome: Outcome, seconds: float) -> None:
        """Count one answered request."""
        key = (outcome.service, outcome.operation, outcome.answer.status)
        children = self._children.get(key)
        if children is None:
            counter = self._requests.labels(outcome.service, outcome.operation, str(outcome.answer.status))
            children = self._children[key] = (counter, self._seconds.labels(outcome.service))
        children[0].inc()
        children[1].observe(seconds)

    def text(self) -> bytes:
        """Everything, for a scrape."""
        return generate_latest(self.registry)


class Gateway:
    """The ASGI application. `health` says what is wrong, nothing when all is well."""

    def __init__(
        self,
        chain: Chain,
        sockets: AgentSockets,
        metrics: Metrics,
        *,
        health: Callable[[], Iterable[str]],
        own: Mapping[str, OwnPage] | None = None,
        public: Mapping[str, bytes] | None = None,
    ) -> None:
        """`own`: pages under `/_homeport/` for signed callers, `public`: texts for everybody, by name."""
        self._public = {OWN_PREFIX + name.encode(): text for name, text in (public or {}).items()}
        self._own = {OWN_PREFIX + name.encode(): page for name, page in (own or {}).items()}
        self._chain = chain
        self._sockets = sockets
        self._metrics = metrics
        self._health = health

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's request or websocket."""
        if scope["type"] == "http":
            await self._serve_http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._serve_socket(scope, receive, send)

    async def _serve_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["raw_path"].startswith(OWN_PREFIX):
            await self._serve_own(scope, send)
            return
        started = asyncio.get_running_loop().time()
        try:
            body = await _body(receive)
        except DisconnectedError:
            return  # half a request is none, and nobody waits for an answer
        except TooLargeError:
            outcome = self._chain.refuse_too_large(_request(scope, b""))
        else:
            outcome = await self._chain.handle(_request(scope, body), _base_url(scope))
        answer = outcome.answer
        await _send(send, answer.status, answer.headers, answer.body)
        seconds = asyncio.get_running_loop().time() - started
        self._metrics.count(outcome, seconds)
        log.debug(
            "request.answered",
            request_id=outcome.request_id,
            service=outcome.service,
            operation=outcome.operation,
            account_id=outcome.account_id,
            status=answer.status,
            error=outcome.error,
            milliseconds=round(seconds * 1000, 2),
        )

    async def _serve_own(self, scope: Scope, send: Send) -> None:
        path = scope["raw_path"]
        if path == HEALTH_PATH:
            wrong = list(self._health())
            body = orjson.dumps({"status": "failing" if wrong else "ok", "failing": wrong})
            await _send(send, 503 if wrong else 200, (("content-type", "application/json"),), body)
        elif path == METRICS_PATH:
            content_type = "text/plain; version=0.0.4; charset=utf-8"
            await _send(send, 200, (("content-type", content_type),), self._metrics.text())
        elif (text := self._public.get(path)) is not None:
            await _send(send, 200, (("content-type", "text/plain; charset=utf-8"),), text)
        elif (page := self._own.get(path)) is not None:
            answer = await self._chain.read_own(_request(scope, b""), _base_url(scope), page)
            await _send(send, answer.status, answer.headers, answer.body)
        else:
            body = b"Homeport serves health, metrics and the agents' sockets here, not this path.\n"
            await _send(send, 404, (("content-type", "text/plain"),), body)

    async def _serve_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        kinds = {
            ACS_PATH: ("Poll", self._sockets.serve_acs),
            TCS_PATH: ("StartTelemetrySession", self._sockets.serve_tcs),
        }
        action, serve = kinds.get(scope["raw_path"], ("", None))
        if serve is None:
            await send({"type": "websocket.close", "code": 1008})
            return
        try:
            call = await self._chain.authenticate_socket(_request(scope, b""), _base_url(scope), action)
        except RefusedError as refusal:
            await _refuse_socket(scope, send, refusal)
            return
        await serve(scope, receive, send, call)


async def _refuse_socket(scope: Scope, send: Send, refusal: RefusedError) -> None:
    """Answer an upgrade with the agent's own form of an error."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    body = orjson.dumps({"AccessDeniedException": refusal.message})
    headers = [(b"content-type", b"application/json")]
    await send({"type": "websocket.http.response.start", "status": 403, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})


async def _body(receive: Receive) -> bytes:
    """The whole body. Raise `DisconnectedError` if it breaks off, `TooLargeError` if it is too long."""
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body") and len(body) <= MAX_BODY_BYTES and message["type"] == "http.request":
        return body
    parts, size = [body], len(body)
    while message.get("more_body") and size <= DRAINED_BYTES:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size > MAX_BODY_BYTES:
            parts.clear()  # what comes now is only read so that the client gets to reading the answer
        parts.append(part)
    if message["type"] == "http.disconnect":
        raise DisconnectedError
    if size > MAX_BODY_BYTES:
        raise TooLargeError
    return b"".join(parts)


def _request(scope: Scope, body: bytes) -> HttpRequest:
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return HttpRequest(
        method=scope.get("method", "GET"),
        raw_path=scope["raw_path"].decode("latin-1"),
        raw_query=scope["query_string"].decode("latin-1"),
        headers=headers,
        body=body,
        peer=(scope.get("client") or ("",))[0],
        is_secure=scope["scheme"] in ("https", "wss"),
    )


def _base_url(scope: Scope) -> str:
    """Scheme and authority under which the caller reached us."""
    scheme = {"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"])
    for name, value in scope["headers"]:
        if name == b"host":
            return f"{scheme}://{value.decode('latin-1')}"
    host, port = scope.get("server") or ("127.0.0.1", 4566)
    return f"{scheme}://{host}:{port}"


async def _send(send: Send, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
