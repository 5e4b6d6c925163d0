"""Docker Engine's HTTP API over its socket, as thin as it can be.

aiohttp directly, not a Docker library: the hot path is create, start and
inspect, and a library between would only add objects (docs/adr/0009).
The API version is the daemon's own, asked for once (`/_ping`), never above
what this code was written against.
"""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp

from homeport.node.ports import DriverUnavailableError

DEFAULT_SOCKET = "/var/run/docker.sock"
API_MINIMUM = (1, 24)
API_WRITTEN_AGAINST = (1, 47)
"""Newest API version whose change log was read: https://docs.docker.com/reference/api/engine/version-history/"""
_LINE_BYTES_MAX = 8 * 1024 * 1024
_AWAY = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, ConnectionError)

Params = Mapping[str, str]


class EngineError(Exception):
    """The daemon's refusal: an HTTP status and its message, without the agent's wording."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiVersion:
    """A negotiated version of the API."""

    major: int
    minor: int

    @property
    def path(self) -> str:
        """The prefix of every path."""
        return f"/v{self.major}.{self.minor}"

    def at_least(self, major: int, minor: int) -> bool:
        """Whether the daemon knows what came with that version."""
        return (self.major, self.minor) >= (major, minor)


def negotiate(offered: str) -> ApiVersion:
    """The version to speak with a daemon whose newest is `offered` (`1.41`)."""
    try:
        major, minor = (int(part) for part in offered.split("."))
    except ValueError:
        raise DriverUnavailableError(f"the container engine's API version is {offered!r}") from None
    if (major, minor) < API_MINIMUM:
        raise DriverUnavailableError(f"the container engine's API {offered} is older than 1.24")
    chosen = min((major, minor), API_WRITTEN_AGAINST)
    return ApiVersion(major=chosen[0], minor=chosen[1])


def segment(name: str) -> str:
    """A name as one part of a path. Image names keep their slashes: the daemon's routes match them."""
    return quote(name, safe="/:@")


class EngineClient:
    """One daemon on this machine. Connections are kept; made on first use, in the loop that uses it.

    `socket` is a path, also as DOCKER_HOST spells it (`unix://...`).
    """

    def __init__(self, socket: str = DEFAULT_SOCKET) -> None:
        self._socket = socket.removeprefix("unix://")
        if "://" in self._socket:
            raise ValueError(
                f"{socket}: a node drives the Docker Engine of its own machine, over a unix socket"
            )
        self._session: aiohttp.ClientSession | None = None
        self._version: ApiVersion | None = None
        self._negotiating = asyncio.Lock()

    async def close(self) -> None:
        """Close every connection. The client may be used again."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def version(self) -> ApiVersion:
        """The version that is spoken. Raise `DriverUnavailableError`."""
        if self._version is None:
            async with self._negotiating:
                if self._version is None:
                    self._version = await self._ask_version()
        return self._version

    async def get(self, path: str, *, params: Params | None = None, seconds: float | None = 60.0) -> Any:
        """The JSON of a GET."""
        return await self.call("GET", path, params=params, seconds=seconds)

    async def post(
        self, path: str, body: Any = None, *, params: Params | None = None, seconds: float | None = 60.0
    ) -> Any:
        """The JSON of a POST, `None` when the answer is empty."""
        return await self.call("POST", path, body=body, params=params, seconds=seconds)

    async def delete(self, path: str, *, params: Params | None = None, seconds: float | None = 60.0) -> Any:
        """The JSON of a DELETE."""
        return await self.call("DELETE", path, params=params, seconds=seconds)

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        params: Params | None = None,
        seconds: float | None = 60.0,
    ) -> Any:
        """One request. Raise `EngineError`, `DriverUnavailableError`, `TimeoutError` (seconds)."""
        data = await self.raw(method, path, body=body, params=params, seconds=seconds)
        return json.loads(data) if data.strip() else None

    async def raw(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        params: Params | None = None,
        seconds: float | None = 60.0,
    ) -> bytes:
        """One request; the answer's bytes."""
        async with asyncio.timeout(seconds), self.stream(method, path, body=body, params=params) as answer:
            try:
                return await answer.read()
            except _AWAY as error:
                raise DriverUnavailableError(str(error)) from error

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer that is read bit by bit; refusals are raised before."""
        version = await self.version()
        sent = dict(headers or {})
        data: Any = None
        if isinstance(body, bytes):
            data, sent["Content-Type"] = io.BytesIO(body), "application/x-tar"
        elif body is not None:
            data, sent["Content-Type"] = json.dumps(body).encode(), "application/json"
        try:
            answer = await self._open().request(
                method, f"http://docker{version.path}{path}", params=params, data=data, headers=sent
            )
        except _AWAY as error:
            self._version = None
            raise DriverUnavailableError(str(error)) from error
        async with answer:
            if answer.status >= 400:
                raise EngineError(answer.status, _message(await answer.read()))
            yield answer

    async def lines(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        silence_seconds: float | None = None,
    ) -> AsyncIterator[dict[str, Any]]:
        """JSON documents of a streamed answer. Raise `TimeoutError` after silence, also before the first."""
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(silence_seconds):
                opened = self.stream(method, path, params=params, headers=headers)
                answer = await stack.enter_async_context(opened)
            async for document in documents(answer, silence_seconds=silence_seconds):
                yield document

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(path=self._socket, limit=0),
                timeout=aiohttp.ClientTimeout(total=None),
                read_bufsize=_LINE_BYTES_MAX,
                auto_decompress=False,
            )
        return self._session

    async def _ask_version(self) -> ApiVersion:
        try:
            async with asyncio.timeout(30), self._open().get("http://docker/_ping") as answer:
                return negotiate(answer.headers.get("Api-Version", ""))
        except (*_AWAY, TimeoutError) as error:
            raise DriverUnavailableError(str(error)) from error


async def documents(
    answer: aiohttp.ClientResponse, *, silence_seconds: float | None = None
) -> AsyncIterator[dict[str, Any]]:
    """The JSON documents of a streamed answer, one a line. Raise `TimeoutError` after silence."""
    try:
        while True:
            async with asyncio.timeout(silence_seconds):
                line = await answer.content.readline()
            if not line:
                return
            if line.strip():
                yield json.loads(line)
    except _AWAY as error:
        raise DriverUnavailableError(str(error)) from error


def _message(body: bytes) -> str:
    try:
        decoded = json.loads(body)
    except ValueError:
        return body.decode(errors="replace").strip()
    return str(decoded.get("message", decoded)) if isinstance(decoded, dict) else str(decoded)
