"""The metadata and introspection endpoints on sockets."""

from __future__ import annotations

import asyncio
import errno
import posixpath
import socket
from collections.abc import Awaitable, Callable

from aiohttp import web

from homeport.core.log import get_logger
from homeport.node.imds.endpoint import ImdsEndpoint
from homeport.node.metadata.answer import TOO_MANY, Answer, Question, answer_json
from homeport.node.metadata.endpoint import MetadataEndpoint
from homeport.node.metadata.introspection import IntrospectionEndpoint
from homeport.node.metadata.limiter import RATE_PER_SECOND, RateLimiter

log = get_logger("node.metadata")

METADATA_PORT = 51679
"""Where the real agent listens."""
IMDS_PORT = 51681
"""Ours: where 169.254.169.254 is sent to. Containers in the host's namespace are told it."""
_BODY_BYTES_MAX = 64 * 1024
_PORT_ATTEMPTS = 20

Answering = Callable[[Question], Awaitable[Answer]]


class LocalServer:
    """One endpoint on one port of several local addresses."""

    def __init__(
        self, answer: Answering, *, limiter: RateLimiter | None = None, hops: int | None = None
    ) -> None:
        """`hops`: how many routers an answer may pass, and one; `None`: as many as usual."""
        self._answer = answer
        self._limiter = limiter
        self._hops = hops
        self._runner: web.ServerRunner | None = None

    async def start(self, addresses: tuple[str, ...], *, port: int) -> int:
        """Listen on the same port of all addresses, on `port` if it is free; the port."""
        server = web.Server(self._handle, access_log=None)
        runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        try:
            chosen = await _listen(runner, addresses, port, self._hops)
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        return chosen

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        remote = request.remote or ""
        headers = self._rate_headers(request)
        now = asyncio.get_running_loop().time()
        if self._limiter is not None and not self._limiter.admit(remote, now):
            return _response(TOO_MANY, headers)
        path = request.path
        if (clean := _clean(path)) != path:
            query = f"?{request.query_string}" if request.query_string else ""
            return web.Response(status=301, headers={**headers, "Location": clean + query})
        if (request.content_length or 0) > _BODY_BYTES_MAX:
            return _response(answer_json("request body too large", 413), headers)
        question = Question(
            method=request.method,
            path=path,
            query=dict(request.query),
            headers={name.lower(): value for name, value in request.headers.items()},
            remote=remote,
            remote_port=_port(request),
            body=(await request.content.read(_BODY_BYTES_MAX)) if request.body_exists else b"",
        )
        try:
            return _response(await self._answer(question), headers)
        except Exception:
            log.exception("metadata.failed", path=path.split("/")[1:2])
            return _response(answer_json("internal error", 500), headers)

    def _rate_headers(self, request: web.BaseRequest) -> dict[str, str]:
        if self._limiter is None:
            return {}
        peer = request.transport.get_extra_info("peername") if request.transport else None
        return {
            "X-Rate-Limit-Duration": "1",
            "X-Rate-Limit-Limit": f"{RATE_PER_SECOND:.2f}",
            "X-Rate-Limit-Request-Forwarded-For": request.headers.get("X-Forwarded-For", ""),
            "X-Rate-Limit-Request-Remote-Addr": f"{peer[0]}:{peer[1]}" if peer else "",
        }


def metadata_server(endpoint: MetadataEndpoint) -> LocalServer:
    """The task metadata and credentials endpoint: 40 requests a second per caller, 60 at once."""
    return LocalServer(endpoint.answer, limiter=RateLimiter())


def imds_server(endpoint: ImdsEndpoint) -> LocalServer:
    """The instance metadata service. Its answers reach the bridge and this machine, and no router behind."""
    return LocalServer(endpoint.answer, limiter=RateLimiter(), hops=1)


def introspection_server(endpoint: IntrospectionEndpoint) -> LocalServer:
    """Introspection of one instance."""
    return LocalServer(endpoint.answer)


async def _listen(runner: web.ServerRunner, addresses: tuple[str, ...], port: int, hops: int | None) -> int:
    wanted = port
    for _ in range(_PORT_ATTEMPTS):
        sites: list[web.SockSite] = []
        chosen = wanted
        try:
            for address in addresses:
                listening = _bound(address, chosen, hops)
                chosen = listening.getsockname()[1]
                site = web.SockSite(runner, listening)
                try:
                    await site.start()
                except OSError:
                    listening.close()
                    raise
                sites.append(site)
        except OSError as error:
            for site in sites:
                await site.stop()
            if error.errno != errno.EADDRINUSE:
                raise
            wanted = 0
        else:
            return chosen
    raise OSError(errno.EADDRINUSE, f"no port is free on all of {', '.join(addresses)}")


def _bound(address: str, port: int, hops: int | None) -> socket.socket:
    """A socket to listen on; connections that it accepts take their packets' time to live over from it."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hops is not None:
            listening.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)
        listening.bind((address, port))
    except OSError:
        listening.close()
        raise
    return listening


def _port(request: web.BaseRequest) -> int:
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return int(peer[1]) if peer else 0


def _clean(path: str) -> str:
    """Go's path.Clean, which keeps one trailing slash."""
    clean = posixpath.normpath("/" + path.lstrip("/"))
    return clean + "/" if path.endswith("/") and clean != "/" else clean


def _response(answer: Answer, headers: dict[str, str]) -> web.Response:
    return web.Response(
        status=answer.status,
        body=answer.body,
        headers={"Content-Type": answer.content_type, **headers, **answer.headers},
    )
