"""Websockets as a node sees them, and aiohttp's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from ssl import SSLContext
from typing import Protocol

import aiohttp
import yarl

CONNECT_SECONDS = 30.0
FRAME_BYTES_MAX = 32 << 20


class UpgradeRefusedError(Exception):
    """The server answered an upgrade with an error; the text holds its body."""


class Wire(Protocol):
    """One open websocket."""

    async def receive(self) -> str | None:
        """The next text; `None`: the socket is closed. May be cancelled without loss."""
        ...

    @property
    def close_code(self) -> int | None:
        """Why it closed; `None`: without a word."""
        ...

    async def send(self, text: str) -> None: ...

    async def close(self, code: int, reason: str) -> None:
        """Close it; closed already is fine."""
        ...


class Dial(Protocol):
    """Opens websockets. Raise `UpgradeRefusedError`, or anything else: it failed."""

    def __call__(self, url: str, headers: Mapping[str, str]) -> AbstractAsyncContextManager[Wire]: ...


class _AiohttpWire:
    """A websocket of aiohttp."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    @property
    def close_code(self) -> int | None:
        return self._socket.close_code

    async def receive(self) -> str | None:
        while True:
            message = await self._socket.receive()
            if message.type is aiohttp.WSMsgType.TEXT:
                return str(message.data)
            if message.type is not aiohttp.WSMsgType.BINARY:
                return None

    async def send(self, text: str) -> None:
        await self._socket.send_str(text)

    async def close(self, code: int, reason: str) -> None:
        await self._socket.close(code=code, message=reason.encode()[:120])


def dial_with(session: aiohttp.ClientSession, ssl: SSLContext | None) -> Dial:
    """A `Dial` over aiohttp; the session needs the middleware `refusal_is_an_error`."""

    @asynccontextmanager
    async def dial(url: str, headers: Mapping[str, str]) -> AsyncIterator[Wire]:
        async with asyncio.timeout(CONNECT_SECONDS):
            socket = await session.ws_connect(
                yarl.URL(url, encoded=True),
                headers=headers,
                ssl=ssl or True,
                max_msg_size=FRAME_BYTES_MAX,
                timeout=aiohttp.ClientWSTimeout(ws_close=2.0),
            )
        async with socket:
            yield _AiohttpWire(socket)

    return dial


async def refusal_is_an_error(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """aiohttp forgets the body of a refused upgrade, and the body says why."""
    response = await handler(request)
    if response.status != 101:
        body = (await response.content.read(4096)).decode("utf-8", "replace")
        response.close()
        raise UpgradeRefusedError(f"{response.status} {body}")
    return response
